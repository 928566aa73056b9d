/*
 * CRC-32/IEEE, the checksum of memberlist's hasCrc frame (docs/wire/memberlist.md section 3.4): reflected
 * polynomial edb88320, initial value and final xor ffffffff. The check value of "123456789" is cbf43926.
 */
#ifndef BR_CODEC_CRC32_H
#define BR_CODEC_CRC32_H

#include <bruit/types.h>

uint32_t br_crc32(struct bruit_bytes bytes);

#endif

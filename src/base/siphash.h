/*
 * SipHash-c-d (Aumasson and Bernstein, 2012): a keyed hash of short inputs.
 *
 * Names come from the network, so the tables over them are keyed with a number the sender cannot know.
 * 1-3 for tables, as in many languages' standard libraries; 2-4, the paper's own choice, where the output
 * is kept or sent.
 */
#ifndef BR_BASE_SIPHASH_H
#define BR_BASE_SIPHASH_H

#include <bruit/types.h>

uint64_t br_siphash13(const uint8_t key[16], struct bruit_bytes input);
uint64_t br_siphash24(const uint8_t key[16], struct bruit_bytes input);

#endif

/*
 * The file of a recording. All numbers are big endian.
 *
 *     "bruit-recording 2\n"
 *     entries: type, time by the node's clock (u64), and what follows it
 *
 *     START      seed u64, bind_port u16, name, address, metadata, label: bytes; modules u32; keys: u8, bytes each;
 *                the other keys of the configuration: a text, one "name value" a line
 *     KNOWN      u32, and for each member: incarnation u32, port u16, carries u8, name, address, metadata,
 *                versions: bytes
 *     CLOCKS     member u64, event u64: what the disk remembered
 *     INPUT      enum bruit_sim_input_type u8, and its parts (STORED: token u64, error u32; LOADED: three times bytes)
 *     META       bytes          KEY        enum br_secret_how u8, bytes         FORGET     bytes
 *     EVENT      name: bytes; size of the payload u32     QUERY      name: bytes; timeout u64
 *     STOP       the view's checksum u64
 *     END        hash of the trace u64, number of its records u64
 *
 * Bytes are a u32 and so many bytes; an address is its size u8, 16 bytes, port u16.
 */
#ifndef BR_SIM_RECORD_PARTS_H
#define BR_SIM_RECORD_PARTS_H

#include "sim/record.h"

#define BR_RECORD_MAGIC "bruit-recording 1\n"
#define BR_RECORD_MAGIC_SIZE (sizeof BR_RECORD_MAGIC - 1)

enum br_record_type {
    BR_RECORD_START = 1,
    BR_RECORD_KNOWN,
    BR_RECORD_CLOCKS,
    BR_RECORD_INPUT,
    BR_RECORD_META,
    BR_RECORD_KEY,
    BR_RECORD_FORGET,
    BR_RECORD_EVENT,
    BR_RECORD_QUERY,
    BR_RECORD_STOP,
    BR_RECORD_END,
};

#endif

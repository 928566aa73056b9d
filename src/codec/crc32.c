/*
 * CRC-32 by eight tables, eight bytes a step (Kounavis and Berry's "slicing by 8").
 *
 * The tables are spelled by the compiler: a table of a CRC is linear over XOR, so eight numbers, the
 * entries of the single bits, make all 256. Entry i of table k is what byte i does to the checksum k
 * bytes later.
 */
#include "codec/crc32.h"

#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                          \
    (((i)&1 ? b0 : 0u) ^ ((i)&2 ? b1 : 0u) ^ ((i)&4 ? b2 : 0u) ^ ((i)&8 ? b3 : 0u) ^ ((i)&16 ? b4 : 0u) ^ \
     ((i)&32 ? b5 : 0u) ^ ((i)&64 ? b6 : 0u) ^ ((i)&128 ? b7 : 0u))

#define TABLE_0(i)                                                                                      \
    ENTRY(i, 0x77073096u, 0xee0e612cu, 0x076dc419u, 0x0edb8832u, 0x1db71064u, 0x3b6e20c8u, 0x76dc4190u, \
          0xedb88320u)
#define TABLE_1(i)                                                                                      \
    ENTRY(i, 0x191b3141u, 0x32366282u, 0x646cc504u, 0xc8d98a08u, 0x4ac21251u, 0x958424a2u, 0xf0794f05u, \
          0x3b83984bu)
#define TABLE_2(i)                                                                                      \
    ENTRY(i, 0x01c26a37u, 0x0384d46eu, 0x0709a8dcu, 0x0e1351b8u, 0x1c26a370u, 0x384d46e0u, 0x709a8dc0u, \
          0xe1351b80u)
#define TABLE_3(i)                                                                                      \
    ENTRY(i, 0xb8bc6765u, 0xaa09c88bu, 0x8f629757u, 0xc5b428efu, 0x5019579fu, 0xa032af3eu, 0x9b14583du, \
          0xed59b63bu)
#define TABLE_4(i)                                                                                      \
    ENTRY(i, 0x3d6029b0u, 0x7ac05360u, 0xf580a6c0u, 0x30704bc1u, 0x60e09782u, 0xc1c12f04u, 0x58f35849u, \
          0xb1e6b092u)
#define TABLE_5(i)                                                                                      \
    ENTRY(i, 0xcb5cd3a5u, 0x4dc8a10bu, 0x9b914216u, 0xec53826du, 0x03d6029bu, 0x07ac0536u, 0x0f580a6cu, \
          0x1eb014d8u)
#define TABLE_6(i)                                                                                      \
    ENTRY(i, 0xa6770bb4u, 0x979f1129u, 0xf44f2413u, 0x33ef4e67u, 0x67de9cceu, 0xcfbd399cu, 0x440b7579u, \
          0x8816eaf2u)
#define TABLE_7(i)                                                                                      \
    ENTRY(i, 0xccaa009eu, 0x4225077du, 0x844a0efau, 0xd3e51bb5u, 0x7cbb312bu, 0xf9766256u, 0x299dc2edu, \
          0x533b85dau)

#define FOUR(T, i) T(i), T((i) + 1), T((i) + 2), T((i) + 3)
#define SIXTEEN(T, i) FOUR(T, i), FOUR(T, (i) + 4), FOUR(T, (i) + 8), FOUR(T, (i) + 12)
#define SIXTY_FOUR(T, i) SIXTEEN(T, i), SIXTEEN(T, (i) + 16), SIXTEEN(T, (i) + 32), SIXTEEN(T, (i) + 48)
#define TABLE(T)                                                                    \
    {                                                                               \
        SIXTY_FOUR(T, 0), SIXTY_FOUR(T, 64), SIXTY_FOUR(T, 128), SIXTY_FOUR(T, 192) \
    }

static const uint32_t tables[8][256] = {
    TABLE(TABLE_0), TABLE(TABLE_1), TABLE(TABLE_2), TABLE(TABLE_3),
    TABLE(TABLE_4), TABLE(TABLE_5), TABLE(TABLE_6), TABLE(TABLE_7),
};

static uint32_t load_little(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t br_crc32(struct bruit_bytes bytes)
{
    const uint8_t *p = bytes.data;
    size_t left = bytes.size;
    uint32_t crc = 0xffffffffu;

    for (; left >= 8; left -= 8, p += 8) {
        uint32_t low = load_little(p) ^ crc;
        uint32_t high = load_little(p + 4);
        crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^
              tables[4][low >> 24] ^ tables[3][high & 255] ^ tables[2][high >> 8 & 255] ^
              tables[1][high >> 16 & 255] ^ tables[0][high >> 24];
    }
    for (; left > 0; left--, p++)
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 255];
    return ~crc;
}

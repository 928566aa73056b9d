/*
 * The one byte that cursors over nothing point at.
 */
#include "base/bytes.h"

const uint8_t br_bytes_nothing[1] = {0};

/*
 * The one function that each fuzz target defines; libFuzzer, or fuzz/standalone.c, calls it.
 */
#ifndef BR_FUZZ_H
#define BR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Takes one hostile input. Returns 0; anything wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

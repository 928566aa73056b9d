/*
 * Numbers of heartbeats: see pulse.h.
 */
#include "member/pulse.h"

#include <string.h>

void br_pulse_init(struct br_pulse *pulse, struct br_alloc *alloc)
{
    *pulse = (struct br_pulse){.alloc = alloc};
}

void br_pulse_fini(struct br_pulse *pulse)
{
    br_alloc_free(pulse->alloc, pulse->heartbeat, pulse->capacity * sizeof *pulse->heartbeat);
    br_alloc_free(pulse->alloc, pulse->version, pulse->capacity * sizeof *pulse->version);
    *pulse = (struct br_pulse){.alloc = pulse->alloc};
}

static uint32_t *copy(struct br_pulse *pulse, const uint32_t *old, uint32_t wanted)
{
    uint32_t *grown = br_alloc_array(pulse->alloc, wanted, sizeof *grown);
    if (grown != NULL && old != NULL)
        memcpy(grown, old, pulse->capacity * sizeof *grown);
    return grown;
}

int br_pulse_reserve(struct br_pulse *pulse, uint32_t capacity)
{
    if (capacity <= pulse->capacity)
        return 0;
    uint32_t *heartbeat = copy(pulse, pulse->heartbeat, capacity);
    uint32_t *version = copy(pulse, pulse->version, capacity);
    if (heartbeat == NULL || version == NULL) {
        br_alloc_free(pulse->alloc, heartbeat, capacity * sizeof *heartbeat);
        br_alloc_free(pulse->alloc, version, capacity * sizeof *version);
        return BRUIT_ENOMEM;
    }
    br_pulse_fini(pulse);
    pulse->heartbeat = heartbeat;
    pulse->version = version;
    pulse->capacity = capacity;
    return 0;
}

uint16_t br_pulse_tag(const struct br_view *view, uint32_t slot)
{
    return (uint16_t)view->roster->records[view->record[slot]].identity;
}

/* The finalizer of splitmix64, twice: for the numbers, and for who it is. */
uint64_t br_pulse_digest(const struct br_pulse *pulse, const struct br_view *view, uint32_t slot)
{
    uint64_t x = (uint64_t)view->incarnation[slot] << 32 | pulse->version[slot];
    x = x * UINT64_C(0x9e3779b97f4a7c15) ^ view->roster->records[view->record[slot]].identity;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/*
 * A core for tests; see core.h.
 */
#include "support/core.h"

#include "base/check.h"
#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

/* The LAN profile of docs/wire/memberlist.md section 10, written out because config.c belongs to a higher layer. */
static struct bruit_config lan_config(uint64_t seed)
{
    return (struct bruit_config){
        .struct_size = sizeof(struct bruit_config),
        .name = br_bytes_text("m0"),
        .advertise = {.ip = {10, 0, 0, 1}, .port = 7946, .size = 4},
        .bind_port = 7946,
        .protocol = 2,
        .seed = seed,
        .memory_max = 256u << 20,
        .members_max = 65536,
        .probe_interval = BRUIT_SECOND,
        .probe_timeout = 500 * BRUIT_MILLISECOND,
        .indirect_checks = 3,
        .suspicion_mult = 4,
        .suspicion_max_mult = 6,
        .awareness_max = 8,
        .stream_pings = true,
        .gossip_interval = 200 * BRUIT_MILLISECOND,
        .gossip_nodes = 3,
        .retransmit_mult = 4,
        .gossip_to_the_dead = 30 * BRUIT_SECOND,
        .push_pull_interval = 30 * BRUIT_SECOND,
        .packet_size_max = 1400,
    };
}

/* An address that no other member of the test has. */
static void number_address(const struct test_core *t, uint8_t ip[4])
{
    uint32_t number = t->core.view.used;
    ip[0] = 10;
    ip[1] = (uint8_t)(number >> 16);
    ip[2] = (uint8_t)(number >> 8);
    ip[3] = (uint8_t)number;
}

uint32_t test_core_add(struct test_core *t, const char *name, uint8_t pmax)
{
    uint8_t ip[4];
    number_address(t, ip);
    const uint8_t vsn[6] = {1, pmax, pmax < 2 ? pmax : 2, 2, 5, 4};
    struct br_alive alive = {
        .incarnation = 1,
        .port = 7946,
        .node = br_bytes_string(name),
        .addr = br_bytes(ip, sizeof ip),
        .vsn = br_bytes(vsn, sizeof vsn),
    };
    uint32_t record = br_roster_intern(&t->roster, &alive);
    BR_ASSERT(record != 0);
    uint32_t slot = br_view_add(&t->core.view, record);
    BR_ASSERT(slot != 0);
    br_view_believe(&t->core.view, slot, BRUIT_ALIVE, 1, t->core.now);
    return slot;
}

void test_core_init(struct test_core *t, uint32_t members, uint64_t seed)
{
    *t = (struct test_core){0};
    test_memory_init(&t->memory);
    struct bruit_env env = test_memory_env(&t->memory);
    t->core.config = lan_config(seed);
    br_alloc_init(&t->core.alloc, &env, 0);
    br_roster_init(&t->roster, &t->core.alloc, seed);
    br_tracer_init(&t->core.tracer, NULL, NULL, BRUIT_TRACE_OFF);
    t->core.roster = &t->roster;
    br_view_init(&t->core.view, &t->core.alloc, &t->roster);
    for (uint32_t i = 0; i < members; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", (unsigned)i);
        uint32_t slot = test_core_add(t, name, 5);
        if (i == 0)
            t->core.self = slot;
    }
    t->core.incarnation = 1;
}

void test_core_fini(struct test_core *t)
{
    BR_ASSERT(br_view_is_consistent(&t->core.view));
    br_view_fini(&t->core.view);
    BR_ASSERT(br_table_count(&t->roster.by_name) == 0); /* everybody let go of every name and record */
    br_roster_fini(&t->roster);
    BR_ASSERT(t->memory.in_use == 0);
}

uint32_t test_core_slot(const struct test_core *t, const char *name)
{
    return br_view_find_text(&t->core.view, br_bytes_string(name));
}

uint32_t test_core_member(const struct test_core *t, uint32_t index)
{
    char name[16];
    snprintf(name, sizeof name, "m%u", (unsigned)index);
    uint32_t slot = test_core_slot(t, name);
    BR_ASSERT(slot != 0);
    return slot;
}

void test_core_believe(struct test_core *t, uint32_t slot, enum bruit_state state, uint32_t incarnation)
{
    br_view_believe(&t->core.view, slot, state, incarnation, t->core.now);
}

void test_core_forget(struct test_core *t, uint32_t slot)
{
    br_view_remove(&t->core.view, slot);
    br_view_release(&t->core.view, slot);
}

uint32_t test_core_name_number(const struct test_core *t, uint32_t slot)
{
    return br_roster_name_of(&t->roster, t->core.view.record[slot]);
}

uint32_t test_core_record(const struct test_core *t, uint32_t slot)
{
    return t->core.view.record[slot];
}

uint32_t test_core_record_with_meta(struct test_core *t, uint32_t slot, struct bruit_bytes meta)
{
    struct br_alive alive = br_fragment_alive(br_core_fragment(&t->core, slot), 1);
    alive.meta = meta;
    uint32_t record = br_roster_intern(&t->roster, &alive);
    BR_ASSERT(record != 0);
    return record;
}

/*
 * A struct br_core with members, for tests of the machines above the member layer: LAN defaults, a cluster of m0
 * (ourselves), m1, m2, ..., all alive with incarnation 1, at 10.0.x.y:7946.
 */
#ifndef BR_TEST_SUPPORT_CORE_H
#define BR_TEST_SUPPORT_CORE_H

#include "member/core.h"
#include "support/memory.h"

struct test_core {
    struct test_memory memory;
    struct br_roster roster;
    struct br_core core;
};

/* `members` includes ourselves. The allocations behind it must not fail. */
void test_core_init(struct test_core *t, uint32_t members, uint64_t seed);

/* Also checks that the view is consistent, that nobody holds a name or record any more, and that no memory is left.
 * Fini the machines first. */
void test_core_fini(struct test_core *t);

/* One more member, with these protocol versions in its vector; its slot. */
uint32_t test_core_add(struct test_core *t, const char *name, uint8_t pmax);

/* The slot of the member called `name`, 0 when there is none. */
uint32_t test_core_slot(const struct test_core *t, const char *name);

/* The slot of m<index>. */
uint32_t test_core_member(const struct test_core *t, uint32_t index);

/* A new belief about a member, as of core.now. */
void test_core_believe(struct test_core *t, uint32_t slot, enum bruit_state state, uint32_t incarnation);

/* Forgets a member, as reaping does. */
void test_core_forget(struct test_core *t, uint32_t slot);

/* The name number and the record of a member. */
uint32_t test_core_name_number(const struct test_core *t, uint32_t slot);
uint32_t test_core_record(const struct test_core *t, uint32_t slot);

/* The same member with other metadata: a record held once for the caller. */
uint32_t test_core_record_with_meta(struct test_core *t, uint32_t slot, struct bruit_bytes meta);

#endif

/*
 * Budgets are kept: no datagram is longer than packet_size_max allows, and no rumour of a member is told by one
 * engine more often than the retransmit limit says (SWIM section 4.1; docs/wire/memberlist.md 8.3).
 *
 * Sealed packets are measured, but not looked into. News that comes again, because the member was forgotten or had
 * died meanwhile, has a limit of its own.
 */
#include "sim/scenario_run.h"

#include "base/alloc.h"
#include "base/num.h"
#include "codec/packet.h"

#include <stdlib.h>
#include <string.h>

/* A checksum is not in the budget (codec/packet.h), and a driver's buffer is 8 bytes longer. */
#define EXTRA 8

struct told_count {
    uint32_t incarnation;
    uint16_t alive;
    uint16_t dead;
};

struct budget {
    struct br_run *run;
    struct br_alloc alloc;
    struct br_scratch scratch;
    uint32_t from;              /* of the packet at hand */
    struct told_count counts[]; /* by sender and subject */
};

static int begin(struct br_run *run, void **state)
{
    size_t pairs = (size_t)run->capacity * run->capacity;
    struct budget *budget = calloc(1, sizeof *budget + pairs * sizeof(struct told_count));
    *state = budget;
    if (budget == NULL)
        return BRUIT_ENOMEM;
    budget->run = run;
    br_alloc_init(&budget->alloc, NULL, 0);
    br_scratch_init(&budget->scratch, &budget->alloc);
    return 0;
}

static void end(void *state)
{
    struct budget *budget = state;
    if (budget != NULL)
        br_scratch_fini(&budget->scratch);
}

static void on_start(struct br_run *run, void *state, uint32_t node)
{
    struct budget *budget = state;
    memset(&budget->counts[(size_t)node * run->capacity], 0, run->capacity * sizeof budget->counts[0]);
}

static void count(struct budget *budget, struct bruit_bytes name, uint32_t incarnation, bool is_dead)
{
    struct br_run *run = budget->run;
    uint32_t about = bruit_sim_named(run->sim, name);
    if (about == BRUIT_SIM_NOBODY || run->nodes[about].is_odd || run->nodes[about].has_moved)
        return; /* another address is other news of the same incarnation */
    struct told_count *told = &budget->counts[(size_t)budget->from * run->capacity + about];
    if (told->incarnation != incarnation)
        *told = (struct told_count){.incarnation = incarnation};
    uint32_t times = is_dead ? ++told->dead : ++told->alive;
    uint32_t limit = br_num_retransmit_limit(run->scenario->config.engine.retransmit_mult, run->capacity);
    if (times == limit + 1)
        br_run_find(run, &br_check_budget,
                    "n%u has told %u times that n%u is %s (incarnation %u): the limit is %u",
                    (unsigned)budget->from, (unsigned)times, (unsigned)about, is_dead ? "dead" : "alive",
                    (unsigned)incarnation, (unsigned)limit);
}

static void on_told(struct br_run *run, void *state, uint32_t node, const struct br_told *told)
{
    struct budget *budget = state;
    uint32_t anew = BRUIT_CHANGE_JOINED | BRUIT_CHANGE_FORGOTTEN;
    if (told->about != BRUIT_SIM_NOBODY && told->changes & anew)
        budget->counts[(size_t)node * run->capacity + told->about] = (struct told_count){0};
}

static int leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct budget *budget = context;
    struct br_alive alive;
    struct br_dead dead;
    if (type == BR_ALIVE && br_alive_decode(&alive, body) == 0)
        count(budget, alive.node, alive.incarnation, false);
    else if (type == BR_DEAD && br_dead_decode(&dead, body) == 0)
        count(budget, dead.node, dead.incarnation, true);
    return 0;
}

static void drop(void *context, enum bruit_drop reason)
{
    (void)context;
    (void)reason;
}

static void on_packet(struct br_run *run, void *state, const struct bruit_sim_packet *packet)
{
    struct budget *budget = state;
    uint32_t most = run->scenario->config.engine.packet_size_max + EXTRA;
    if (packet->bytes.size > most)
        br_run_find(run, &br_check_budget, "n%u sent a datagram of %zu bytes: packet_size_max is %u",
                    (unsigned)packet->from, packet->bytes.size,
                    (unsigned)run->scenario->config.engine.packet_size_max);
    if (run->scenario->key_count > 0 || run->scenario->config.engine.label.size > 0)
        return;
    struct br_wire wire = {0};
    struct br_packet_sink sink = {.context = budget, .leaf = leaf, .drop = drop};
    budget->from = packet->from;
    (void)br_packet_open(&wire, &budget->scratch, packet->bytes, &sink, NULL);
}

const struct br_check br_check_budget = {
    .name = "budget",
    .sentence = "packets and rumours keep to their budgets",
    .begin = begin,
    .end = end,
    .on_start = on_start,
    .on_told = on_told,
    .on_packet = on_packet,
};

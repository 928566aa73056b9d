/*
 * Incarnations never go back (SWIM section 4.2): what one engine believes of a member's incarnation only rises, until
 * it forgets the member; and nobody believes a number that the member never gave itself.
 *
 * A name that came back at another address starts anew by memberlist's rules (docs/wire/memberlist.md 6.3, step 5), so
 * such names are left out. The second half needs messages that nobody forges: no corruption, unless it is sealed.
 */
#include "sim/scenario_run.h"

#include <stdlib.h>

#define LOOK_EVERY 5 /* looks */

struct seen {
    uint32_t looks;
    uint32_t numbers[]; /* by observer and subject; 0: unknown */
};

static int begin(struct br_run *run, void **state)
{
    *state = calloc(1, sizeof(struct seen) + (size_t)run->capacity * run->capacity * sizeof(uint32_t));
    return *state == NULL ? BRUIT_ENOMEM : 0;
}

static void on_start(struct br_run *run, void *state, uint32_t node)
{
    struct seen *seen = state;
    for (uint32_t x = 0; x < run->capacity; x++)
        seen->numbers[(size_t)node * run->capacity + x] = 0;
}

static void judge(struct br_run *run, struct seen *seen, uint32_t node, uint32_t about, uint32_t incarnation)
{
    uint32_t *last = &seen->numbers[(size_t)node * run->capacity + about];
    if (run->nodes[about].is_odd || run->nodes[about].has_moved)
        return;
    if (incarnation < *last)
        br_run_find(run, &br_check_incarnations, "to n%u, the incarnation of n%u went back from %u to %u",
                    (unsigned)node, (unsigned)about, (unsigned)*last, (unsigned)incarnation);
    uint32_t own = br_run_incarnation(run, about);
    if (!run->is_forgeable && incarnation > own)
        br_run_find(run, &br_check_incarnations,
                    "n%u believes incarnation %u of n%u, which never went beyond %u", (unsigned)node,
                    (unsigned)incarnation, (unsigned)about, (unsigned)own);
    *last = incarnation;
}

static void on_told(struct br_run *run, void *state, uint32_t node, const struct br_told *told)
{
    struct seen *seen = state;
    if (told->about == BRUIT_SIM_NOBODY)
        return;
    if (told->changes & BRUIT_CHANGE_FORGOTTEN)
        seen->numbers[(size_t)node * run->capacity + told->about] = 0;
    else
        judge(run, seen, node, told->about, told->member.incarnation);
}

static void look_at(struct br_run *run, struct seen *seen, uint32_t node)
{
    const struct bruit_engine *engine = bruit_sim_engine(run->sim, node);
    struct bruit_member member;
    for (bruit_node n = 0; engine != NULL && (n = bruit_member_next(engine, n)) != 0;) {
        uint32_t about = bruit_member_get(engine, n, &member) == 0 ? bruit_sim_named(run->sim, member.name)
                                                                   : BRUIT_SIM_NOBODY;
        if (about != BRUIT_SIM_NOBODY)
            judge(run, seen, node, about, member.incarnation);
    }
}

static void look(struct br_run *run, void *state)
{
    struct seen *seen = state;
    if (seen->looks++ % LOOK_EVERY != 0)
        return;
    for (uint32_t i = 0; i < run->count; i++)
        look_at(run, seen, i);
}

const struct br_check br_check_incarnations = {
    .name = "incarnations",
    .sentence = "incarnations never go back, and nobody invents one",
    .begin = begin,
    .on_start = on_start,
    .on_told = on_told,
    .look = look,
};

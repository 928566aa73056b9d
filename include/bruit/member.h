/*
 * Reading the membership: who is known, and what this engine believes about each.
 *
 * Two vocabularies exist. The engine's own four states are SWIM's: alive, suspect, dead, left. Programs
 * that want Serf's (alive, leaving, left, failed) add the status module and read <bruit/status.h>.
 */
#ifndef BRUIT_MEMBER_H
#define BRUIT_MEMBER_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bruit_engine;

/* The numbers are the wire's (docs/wire/memberlist.md, section 2.2). */
enum bruit_state {
    BRUIT_ALIVE = 0,
    BRUIT_SUSPECT = 1, /* did not answer; will be dead unless it says otherwise in time */
    BRUIT_DEAD = 2,
    BRUIT_LEFT = 3, /* said goodbye */
};

struct bruit_member {
    bruit_node node;
    enum bruit_state state;
    uint32_t incarnation;   /* raised by the member alone, to refute what others say of it */
    bruit_time since;       /* when `state` began, by our clock */
    struct bruit_bytes name; /* these three live until the next input */
    struct bruit_bytes meta;
    struct bruit_addr addr; /* in the form in which the member advertises it */
    uint8_t versions[6];    /* protocol min, max, current; delegate min, max, current */
    bool is_self;
};

/* How many members are known, in any state and ourselves included; and how many are alive or suspect. */
BRUIT_API size_t bruit_member_count(const struct bruit_engine *engine);
BRUIT_API size_t bruit_member_alive_count(const struct bruit_engine *engine);

/* Fills `out`. Returns 0, or BRUIT_ENOENT when `node` is nobody's. Cost: a few loads. */
BRUIT_API int bruit_member_get(const struct bruit_engine *engine, bruit_node node, struct bruit_member *out);

/* The name alone: empty when `node` is nobody's. It lives until the next input. */
BRUIT_API struct bruit_bytes bruit_member_name(const struct bruit_engine *engine, bruit_node node);

/* The member called `name`, or 0. Cost: one hash. */
BRUIT_API bruit_node bruit_member_find(const struct bruit_engine *engine, struct bruit_bytes name);

/*
 * Walks over all members, in no particular order: start with 0, stop at 0. The walk is valid until the
 * next input.
 */
BRUIT_API bruit_node bruit_member_next(const struct bruit_engine *engine, bruit_node previous);

/* Ourselves. */
BRUIT_API bruit_node bruit_member_self(const struct bruit_engine *engine);

#ifdef __cplusplus
}
#endif

#endif

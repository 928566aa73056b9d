/*
 * Serf's view of the members: a module over the engine's own.
 *
 * SWIM knows whether a member answers; Serf also knows whether it meant to go. Members announce joins
 * and leaves with Lamport-timed *intents*, and from both follow Serf's five statuses and its events. A
 * cluster that contains real Serf agents needs this module on every member.
 *
 * Rules: docs/wire/serf.md, sections 4 to 6 and 13.
 */
#ifndef BRUIT_STATUS_H
#define BRUIT_STATUS_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_status_module;

enum bruit_status {
    BRUIT_STATUS_NONE = 0,
    BRUIT_STATUS_ALIVE = 1,
    BRUIT_STATUS_LEAVING = 2,
    BRUIT_STATUS_LEFT = 3,
    BRUIT_STATUS_FAILED = 4,
};

/* `changes` of BRUIT_EVENT_STATUS: exactly one of these. */
enum bruit_status_change {
    BRUIT_MEMBER_JOIN = 1,
    BRUIT_MEMBER_LEAVE = 2,
    BRUIT_MEMBER_FAILED = 4,
    BRUIT_MEMBER_UPDATE = 8,
    BRUIT_MEMBER_REAP = 16,
};

/* "none", "alive", "leaving", "left", "failed". */
BRUIT_API const char *bruit_status_text(enum bruit_status status);

/* Timings of Serf's own (docs/wire/serf.md, section 14). Set them before bruit_engine_new returns events. */
struct bruit_status_options {
    size_t struct_size; /* set by bruit_status_options_default() */
    bruit_time reconnect_interval;    /* 30 s */
    bruit_time reconnect_timeout;     /* failed members are forgotten after this; 24 h */
    bruit_time tombstone_timeout;     /* left members are forgotten after this; 24 h */
    bruit_time reap_interval;         /* 15 s */
    bruit_time intent_timeout;        /* intents about unknown members are kept this long; 5 min */
    bruit_time broadcast_timeout;     /* 5 s */
    bruit_time leave_propagate_delay; /* 1 s; prune waits for it, and programs after BRUIT_EVENT_LEAVE_DONE */
};

BRUIT_API void bruit_status_options_default(struct bruit_status_options *options);
/* Returns 0, BRUIT_ENOENT when the engine has no status module, or BRUIT_EINVAL when struct_size is not its own. */
BRUIT_API int bruit_status_configure(struct bruit_engine *engine, const struct bruit_status_options *options);

/* Serf's record of a member. */
struct bruit_status_info {
    enum bruit_status status;
    uint64_t status_time; /* Lamport */
    bruit_time leave_time; /* when it left or failed, by our clock; 0: it did not */
};

BRUIT_API int bruit_status_get(const struct bruit_engine *engine, bruit_node node,
                               struct bruit_status_info *out);

/*
 * Members as Serf counts them. A member that the engine has reaped (30 s after it died) stays in Serf's
 * table for a day: such a one has no bruit_node, so Serf's table has an iteration of its own.
 */
struct bruit_status_member {
    struct bruit_bytes name; /* these live until the next input */
    struct bruit_bytes meta;
    struct bruit_addr addr;
    uint8_t versions[6];
    enum bruit_status status;
    uint64_t status_time;
    bruit_time leave_time;
    bool is_self;
};

BRUIT_API size_t bruit_status_count(const struct bruit_engine *engine);
/*
 * Walks over the table: start with *position 0, stop at false. The walk is valid until the next input.
 */
BRUIT_API bool bruit_status_next(const struct bruit_engine *engine, size_t *position,
                                 struct bruit_status_member *out);
/* The member called `name`: 0, or BRUIT_ENOENT. */
BRUIT_API int bruit_status_find(const struct bruit_engine *engine, struct bruit_bytes name,
                                struct bruit_status_member *out);

/*
 * Reads what a BRUIT_EVENT_STATUS carries: the member as it was at that time. The bytes live as long as the
 * event. Returns 0, or BRUIT_EINVAL for another event.
 */
BRUIT_API int bruit_status_event(const struct bruit_event *event, struct bruit_status_member *out);

/* The member clock, and how many are failed and left. */
struct bruit_status_counts {
    uint64_t member_time;
    size_t members;
    size_t failed;
    size_t left;
};
BRUIT_API void bruit_status_counts(const struct bruit_engine *engine, struct bruit_status_counts *out);

/* How many joins, leaves and removals wait to be gossiped. */
BRUIT_API size_t bruit_status_queued(const struct bruit_engine *engine);

/* Moves the member clock past `seen`, as after a restart. */
BRUIT_API void bruit_status_witness(struct bruit_engine *engine, uint64_t seen);

/*
 * Declares a failed member left, in the whole cluster; with `prune` it is forgotten at once. There is no
 * check that it exists. BRUIT_EVENT_FORCE_LEAVE with *request follows when the news was sent (error 0) or
 * not in time (BRUIT_ETIMEOUT). A member that is alive after all will refute it. Returns 0, or BRUIT_EINVAL
 * (a name of 1 to BRUIT_NAME_MAX bytes), BRUIT_ENOENT without the module, BRUIT_EBUSY (16 are under way).
 */
BRUIT_API int bruit_force_leave(struct bruit_engine *engine, struct bruit_bytes name, bool prune,
                                uint32_t *request, bruit_time now);

/* A module event of status: `request`, `error`. */
#define BRUIT_EVENT_FORCE_LEAVE (BRUIT_EVENT_MODULE + 0)

#ifdef __cplusplus
}
#endif

#endif

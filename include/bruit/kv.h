/*
 * Replicated key-value state: every member that carries this module has all keys, and any of them writes. A module.
 *
 * A write is put into the local store at once and then told to the others; nobody is asked first, so writing works on
 * both sides of a partition. A write that has seen another one replaces it. Writes that have not seen each other are
 * *concurrent*: all of them are kept, as *siblings*, and everybody shows the same one as the winner, until some later
 * write that has seen them replaces them. A delete removes what it has seen, and nothing else: a write that is
 * concurrent with it stays. What was deleted does not come back, however long somebody who still had it was away.
 *
 * Two members that hear nothing new end with equal stores. Clocks only choose which sibling wins; they never decide
 * whether stores agree. Members compare their stores with one another now and then, at a cost that follows what
 * differs, not what is stored. Members that do not carry the module, such as Serf agents, are sent nothing at all.
 *
 * With config.has_store each write is handed to the host's disk first (bruit_next_store_op) and told to others once it
 * is durable there; hand back what was kept with bruit_kv_load(). Without it everything lives in memory.
 */
#ifndef BRUIT_KV_H
#define BRUIT_KV_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. Its space in the store is "kv". */
BRUIT_API extern const struct bruit_module bruit_kv_module;

/* Module events of this module. */
#define BRUIT_EVENT_KV_DONE (BRUIT_EVENT_MODULE + 40)    /* a write of ours came to its end: bruit_kv_done_read() */
#define BRUIT_EVENT_KV_CHANGED (BRUIT_EVENT_MODULE + 41) /* there are changes to read: bruit_kv_next_change() */

/* Limits, in bytes. They are the same in every store, so what one member takes no other refuses. */
#define BRUIT_KV_KEY_MAX 512     /* and at least 1; any bytes */
#define BRUIT_KV_VALUE_MAX 65536 /* may be empty: an empty value is a value */

struct bruit_kv_options {
    size_t struct_size; /* set by bruit_kv_options_default() */

    /* --- Bounds. Beyond them our own writes are refused; those of others are counted and not taken --- */

    uint32_t keys_max;     /* 1,048,576 */
    size_t bytes_max;      /* of keys and values, 64 MiB */
    uint32_t siblings_max; /* of one key, 2 to 64: 64 */
    uint32_t actors_max;   /* stores that ever wrote and are remembered, 4,096 */

    /* --- Keeping stores equal --- */

    uint64_t sync_budget;     /* bytes a second that comparing and repairing may cost us to send: 262,144 */
    bruit_time sync_interval; /* how often we compare with one member: 10 s, jittered. 0: never, as a test */
    bruit_time horizon;       /* a store that was away for longer may be reset to the state of the others: 7 days */

    /* --- Lifetimes --- */

    bruit_time ttl_grace;   /* how long the writer of an expired value has to remove it before others do: 10 s */
    bruit_time owner_grace; /* how long an owner is dead or gone before what it owns is removed: 30 s */

    /* --- Odds and ends --- */

    bruit_time ack_timeout;     /* of writes that say none: 5 s */
    bruit_time clock_ahead_max; /* stamps of others further ahead of our wall time do not move our clock: 1 h */
    uint32_t changes_max;       /* how many changes are kept for bruit_kv_next_change(), 16 to 1,048,576: 4,096 */
    uint64_t entropy;           /* anything that differs from start to start of this member; 0 is fine */
};

BRUIT_API void bruit_kv_options_default(struct bruit_kv_options *options);
/*
 * Before the first bruit_kv_load() and the first write. Returns 0, or
 *   BRUIT_ENOENT  the engine has no kv module
 *   BRUIT_EBUSY   something was written, loaded or received
 *   BRUIT_EINVAL  a value outside its range, or a struct_size that is not this library's.
 */
BRUIT_API int bruit_kv_configure(struct bruit_engine *engine, const struct bruit_kv_options *options);

/*
 * Tells the wall clock: it is `unix_ns` nanoseconds after 1970 at `now`. Tell it at the start, before bruit_kv_load()
 * of anything, and now and then (a minute is fine), since clocks drift and are set. Without it stamps count from what
 * others have said, and the age of what was kept is not known. Stamps follow it: a clock that is wrong makes this
 * member's writes win or lose against concurrent ones. It never makes our own stamps go back. And it tells how long we
 * were away at a restart: wrong then, it hides here what expires, or not, and takes us for away beyond the horizon, or
 * not. It removes nothing for others.
 */
BRUIT_API void bruit_kv_wall_time(struct bruit_engine *engine, uint64_t unix_ns, bruit_time now);

/* ------------------------------------------------------------------ reading */

enum bruit_kv_lifetime {
    BRUIT_KV_PERMANENT = 0,
    BRUIT_KV_EXPIRES, /* after `ttl`, counted by each member on its own clock */
    BRUIT_KV_OWNED,   /* dies with the member called `owner`, once that is dead, gone or forgotten for a grace */
};

struct bruit_kv_entry {
    struct bruit_bytes key; /* these four live until the next input, `seen` only until the next read */
    struct bruit_bytes value;
    struct bruit_bytes owner; /* with BRUIT_KV_OWNED */
    struct bruit_bytes seen;  /* names all siblings of the key, for BRUIT_KV_SEEN; 16 bytes each */
    uint64_t version;         /* of all values of the key together, never 0: for BRUIT_KV_COMPARE */
    uint64_t stamp;           /* about when it was written, nanoseconds after 1970 by its writer's clock */
    uint64_t actor;           /* the store that wrote it, and */
    uint64_t counter;         /* its how manieth write it was: no two writes share both */
    uint32_t sibling;         /* 0: the winner */
    uint32_t sibling_count;   /* values of this key; above 1: they were written concurrently */
    enum bruit_kv_lifetime lifetime;
    bruit_time ttl;  /* with BRUIT_KV_EXPIRES: what is left of it */
    bool is_durable; /* on our disk, when there is one; else always true */
};

/*
 * Fills `out` with one value of `key`: `sibling` 0 is the winner (the greatest stamp, then actor, then counter), 1
 * and so on are its siblings from greater to smaller. An expired value is not shown. This is the local store: what
 * others write arrives soon. Returns 0, or
 *   BRUIT_ENOENT  no such key, or not so many values; or the engine has no kv module.
 * Cost: one hash; with siblings, they are sorted. No allocation.
 */
BRUIT_API int bruit_kv_get(const struct bruit_engine *engine, struct bruit_bytes key, uint32_t sibling,
                           struct bruit_kv_entry *out);

/*
 * Fills `out` with the winner of the first key that begins with `prefix` (empty: any) and is greater than `after`, in
 * order of bytes; `after` empty: from the start. Returns false at the end. So `after` is the cursor of a walk: a key
 * that is there from the beginning of the walk to its end is shown exactly once, whatever is written meanwhile. Within
 * one input `out->key` itself may be handed in again; across inputs keep a copy.
 * Cost: the logarithm of the number of keys, and a step for each expired one passed over.
 */
BRUIT_API bool bruit_kv_list(const struct bruit_engine *engine, struct bruit_bytes prefix, struct bruit_bytes after,
                             struct bruit_kv_entry *out);

/* ------------------------------------------------------------------ writing */

/* What a write replaces. */
enum bruit_kv_mode {
    BRUIT_KV_REPLACE = 0, /* all values that are here now */
    /*
     * The same, but only if the key's version here is `version`; 0: only if it has no value. The local truth: two
     * members may both succeed at the same time, and then there are siblings.
     */
    BRUIT_KV_COMPARE,
    /*
     * Exactly the siblings that `seen` of an earlier read names; others that came meanwhile stay as siblings. This is
     * how a program resolves siblings itself: read all, merge, write with what was read. Empty: replaces none.
     */
    BRUIT_KV_SEEN,
};

/* How to write. Zero it, set struct_size, fill in what you need; all of it is borrowed for the call. */
struct bruit_kv_write {
    size_t struct_size; /* sizeof(struct bruit_kv_write) */
    enum bruit_kv_mode mode;
    uint64_t version;        /* BRUIT_KV_COMPARE */
    struct bruit_bytes seen; /* BRUIT_KV_SEEN: whole dots of 16 bytes, at most 64 */
    enum bruit_kv_lifetime lifetime; /* of a put; a delete has none */
    bruit_time ttl;                  /* BRUIT_KV_EXPIRES: 1 ms to 10 years */
    struct bruit_bytes owner;        /* BRUIT_KV_OWNED: the name of a member we know; empty: ourselves */
    uint32_t ack;           /* how many members must hold it, ourselves included; 0 and 1: we alone */
    bruit_time ack_timeout; /* 0: options.ack_timeout */
};

/*
 * Writes, or deletes. `how` NULL: BRUIT_KV_REPLACE, permanent, nobody else must hold it. The bytes are copied. The
 * store here has it at once; BRUIT_EVENT_KV_DONE with the number in *request says when it is durable here and held by
 * as many as were asked for. `request` NULL: no event. Returns 0, or
 *   BRUIT_ETOOBIG   key or value beyond the limits: bruit_kv_check() says why
 *   BRUIT_ECHANGED  BRUIT_KV_COMPARE, and the version is another by now: read it again
 *   BRUIT_ENOENT    a delete of what has no value; an owner that is not known; or the engine has no kv module
 *   BRUIT_EFULL     keys_max or bytes_max is reached (bruit_kv_check() says which), or siblings_max, or
 *                   BRUIT_KV_REQUESTS_MAX requests are under way, or the disk is BRUIT_STORE_QUEUE_MAX bytes behind, or
 *                   our disk proves to be a copy or of the past, for as long as it takes to write what is under way
 *   BRUIT_EINVAL    an empty key, `seen` that is not whole, a ttl or ack out of range, or another struct_size
 *   BRUIT_ECLOSED   after bruit_leave()
 *   BRUIT_ENOMEM
 * and then nothing has changed. Cost: a hash and a copy; at rest afterwards nothing.
 */
BRUIT_API int bruit_kv_put(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value,
                           const struct bruit_kv_write *how, uint32_t *request, bruit_time now);
BRUIT_API int bruit_kv_delete(struct bruit_engine *engine, struct bruit_bytes key,
                              const struct bruit_kv_write *how, uint32_t *request, bruit_time now);
#define BRUIT_KV_REQUESTS_MAX 1024
#define BRUIT_KV_ACK_MAX 64

/*
 * Would this put be taken? Returns 0, or BRUIT_EINVAL, BRUIT_ETOOBIG or BRUIT_EFULL with a sentence in `text` that
 * names the limit, cut to `size` bytes with the final zero. `text` may be NULL when `size` is 0.
 */
BRUIT_API int bruit_kv_check(const struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value,
                             char *text, size_t size);

/* What a BRUIT_EVENT_KV_DONE says. */
struct bruit_kv_done {
    uint32_t request;
    uint32_t wanted; /* how many were to hold it, ourselves included; at least 1 */
    uint32_t held;   /* how many do, as far as they said so in time */
    /*
     * 0: it is durable here and held by `wanted`. BRUIT_ETIMEOUT: it is durable here, held by fewer, and goes on
     * spreading. BRUIT_EIO, BRUIT_EFULL: our disk failed; it is in memory alone and spreads from there.
     */
    int error;
};

/* Returns 0, or BRUIT_EINVAL when it is another event. */
BRUIT_API int bruit_kv_done_read(const struct bruit_event *event, struct bruit_kv_done *out);

/* ------------------------------------------------------------------ watching */

/*
 * Changes are numbered as they happen in the local store, by whomever they were written, and the newest
 * options.changes_max are kept. A change is the key alone: read what it has now. So what changed twice before it was
 * read shows the newest value twice, and memory stays bounded. Changes of what is hidden (an expired value that is
 * removed) are told, too: read, and find the same as before.
 */
struct bruit_kv_change {
    uint64_t cursor; /* of this change: go on from here */
    bool is_gap;     /* changes between the cursor and this one are no longer known: list everything anew. No key */
    struct bruit_bytes key; /* lives until the next input */
};

/*
 * Fills `out` with the first change after `cursor` of a key that begins with `prefix` (empty: any). Returns true; or
 * false when there is none, and `out->cursor` says from where to go on. With 0, or a cursor of another life of this
 * member or one that fell behind, the first answer is a gap whose cursor is the newest: list, then go on from it, and
 * nothing is missed. BRUIT_EVENT_KV_CHANGED is given once after changes, until this function is called again.
 * Cost: the changes it passes over.
 */
BRUIT_API bool bruit_kv_next_change(struct bruit_engine *engine, uint64_t cursor, struct bruit_bytes prefix,
                                    struct bruit_kv_change *out);

/* ------------------------------------------------------------------ the disk */

/*
 * Hands back one record that bruit_next_store_op() of the space "kv" wrote, in any order, before any input to the
 * engine but bruit_kv_wall_time(). Returns 0, or
 *   BRUIT_EFORMAT  not a record of ours, or damaged: nothing of it was taken. Say which, and do not go on with the rest
 *                  unless losing it is fine: a record left out is fetched from the others again
 *   BRUIT_EFULL    more than the options allow: raise them
 *   BRUIT_EBUSY    too late: there were writes or inputs
 *   BRUIT_ENOMEM, or BRUIT_ENOENT when the engine has no kv module.
 */
BRUIT_API int bruit_kv_load(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value);

/* ------------------------------------------------------------------ what it is like */

enum bruit_kv_sync {
    BRUIT_KV_ALONE = 0, /* no other member carries the module, as far as we know */
    BRUIT_KV_EQUAL,     /* the last comparison found nothing, or ended with all of it repaired */
    BRUIT_KV_BEHIND,    /* not compared yet, or a comparison found differences that are not repaired yet */
};

struct bruit_kv_stat {
    uint64_t keys;        /* with a value */
    uint64_t values;      /* siblings included */
    uint64_t tombstones;  /* deletes that are still remembered one by one */
    uint64_t bytes;       /* of keys and values */
    uint64_t actors;      /* stores whose writes are known */
    uint64_t root;        /* equal stores have equal roots */
    uint64_t actor;       /* our own number */
    uint64_t counter;     /* of our last write */
    uint64_t change;      /* the newest cursor of bruit_kv_next_change() */
    uint64_t peers;       /* members that carry the module, without us */
    enum bruit_kv_sync sync;
    bruit_time synced_at; /* when we last were equal with somebody; 0: never */
    bool is_incomplete;   /* something from others was not taken, since a bound was hit; it is asked for again */
    bool is_failed;       /* the disk failed: in memory since */
    uint64_t writes;      /* our own */
    uint64_t merged;      /* writes of others that were taken */
    uint64_t syncs;       /* comparisons that ended */
    uint64_t resets;      /* times this store was away beyond the horizon, and took the state of somebody else */
    uint64_t clock_ahead; /* stamps of others that were too far ahead for our clock */
    uint64_t bytes_out;   /* of messages of this module, broadcasts counted once */
    uint64_t bytes_in;
    uint32_t requests;    /* writes whose DONE is still to come */
};

/* Returns 0, or BRUIT_ENOENT when the engine has no kv module. Cost: a walk over the members, for `peers`. */
BRUIT_API int bruit_kv_stat(const struct bruit_engine *engine, struct bruit_kv_stat *out);

#ifdef __cplusplus
}
#endif

#endif

/*
 * Heartbeat gossip: the other failure detector, for an engine made with
 *
 *     config.detector = BRUIT_DETECTOR_HEARTBEAT;
 *     config.heartbeat.generation = 1 + (what bruit_heartbeat_generation() said last, from disk);
 *
 * Each member counts its own heartbeats, and gossip spreads the counts: everybody hears of everybody's heart, through
 * others, and judges by itself whose has stood still for too long. Members, events, modules, joining and leaving are
 * the same as with SWIM; no member of the one kind is taken in by a cluster of the other, and both sides are told so.
 * What it costs, and how soon a crash is known by it, is measured in docs/heartbeat.md.
 *
 * A *generation* tells the lives of one member apart. It is a counter that the driver keeps: raise it and write it to
 * disk before each start; no clock will do, since one that was wrong once makes a member's past greater than its
 * future. A greater generation wins at once, whatever was thought of the earlier life. Should the counter be lost, or
 * somebody claim a greater one in our name, we hear of it and take a greater one ourselves: BRUIT_EVENT_GENERATION
 * follows then, and it is to be written down.
 *
 * The 32 bits of bruit_member.incarnation hold the generation. BRUIT_SUSPECT does not occur. Acks do not exist, so
 * what modules put into them (coordinates) is not exchanged.
 *
 * Memory: 24 bytes for each pair of members that know each other (running moments of the times between arrivals, not
 * a window of them), and 4 for the order of ids.
 */
#ifndef BRUIT_HEARTBEAT_H
#define BRUIT_HEARTBEAT_H

#include <bruit/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Our present generation, for the disk; 0 with another detector. */
BRUIT_API uint64_t bruit_heartbeat_generation(const struct bruit_engine *engine);

/* How a member's heart is heard. */
struct bruit_heartbeat_info {
    uint64_t generation;
    uint64_t heartbeat;
    uint32_t version;   /* of what it says of itself, as far as we have it: each change of its items raises it */
    bruit_time silence; /* since its heartbeat last went up here, less what time we were stalled */
    bruit_time limit;   /* the silence after which it is dead */
    uint32_t phi_milli; /* of the silence, in thousandths, at most 1,000,000; 0 for ourselves */
};

/* Fills `out`. Returns 0, BRUIT_ENOENT when `node` is nobody's, or BRUIT_ENOSYS with another detector. */
BRUIT_API int bruit_heartbeat_get(const struct bruit_engine *engine, bruit_node node,
                                  struct bruit_heartbeat_info *out);

/* ------------------------------------------------------------------ node-owned state */

/*
 * What a member says of itself beyond its metadata: keys and values that only it can change, and that everybody has a
 * few rounds later. They live as long as the member's generation: who starts again sets them again; who is forgotten
 * takes them along. A deletion is remembered for an hour; who was away for longer than that takes everything anew, so
 * that nothing deleted comes back. Sizes in bytes; at most 64 keys and 8 KiB of keys and values a member.
 */
#define BRUIT_HEARTBEAT_KEY_MAX 64
#define BRUIT_HEARTBEAT_VALUE_MAX 512
#define BRUIT_HEARTBEAT_ITEMS_MAX 64
#define BRUIT_HEARTBEAT_BYTES_MAX 8192

/*
 * Sets a key of ours. After `ttl_seconds` it is deleted by itself; 0: never. Copied. Returns 0, or
 *   BRUIT_EINVAL   an empty key, or one of more than BRUIT_HEARTBEAT_KEY_MAX bytes
 *   BRUIT_ETOOBIG  a value of more than BRUIT_HEARTBEAT_VALUE_MAX bytes
 *   BRUIT_EFULL    the keys and values above are used up: delete something
 *   BRUIT_ECLOSED  after bruit_leave(); BRUIT_ENOSYS with another detector; BRUIT_ENOMEM.
 */
BRUIT_API int bruit_heartbeat_set(struct bruit_engine *engine, struct bruit_bytes key, struct bruit_bytes value,
                                  uint32_t ttl_seconds, bruit_time now);
/* Deletes a key of ours: 0, BRUIT_ENOENT when there is none, or as above. */
BRUIT_API int bruit_heartbeat_delete(struct bruit_engine *engine, struct bruit_bytes key, bruit_time now);

struct bruit_heartbeat_item {
    struct bruit_bytes key; /* these two live until the next input */
    struct bruit_bytes value;
    uint32_t version;
    bruit_time ttl; /* what is left of its life here; BRUIT_NEVER: it has no end */
};

/* A key of `node`, ourselves included: 0, BRUIT_ENOENT, or BRUIT_ENOSYS with another detector. */
BRUIT_API int bruit_heartbeat_value(const struct bruit_engine *engine, bruit_node node, struct bruit_bytes key,
                                    struct bruit_heartbeat_item *out);
/*
 * Walks over the keys of `node` in the order in which they were last set: start with *at = 0; false at the end. A walk
 * that starts with a version seen earlier finds what was set since.
 */
BRUIT_API bool bruit_heartbeat_next(const struct bruit_engine *engine, bruit_node node, uint32_t *at,
                                    struct bruit_heartbeat_item *out);

#ifdef __cplusplus
}
#endif

#endif

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
    bruit_time silence; /* since its heartbeat last went up here, less what time we were stalled */
    bruit_time limit;   /* the silence after which it is dead */
    uint32_t phi_milli; /* of the silence, in thousandths, at most 1,000,000; 0 for ourselves */
};

/* Fills `out`. Returns 0, BRUIT_ENOENT when `node` is nobody's, or BRUIT_ENOSYS with another detector. */
BRUIT_API int bruit_heartbeat_get(const struct bruit_engine *engine, bruit_node node,
                                  struct bruit_heartbeat_info *out);

#ifdef __cplusplus
}
#endif

#endif

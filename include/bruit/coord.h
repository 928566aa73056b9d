/*
 * Network coordinates: an estimate of the round trip between any two members, from the probes that run anyway.
 *
 * A module that gives each member a place in an eight-dimensional space such that distances are round trips
 * (Vivaldi: Dabek, Cox, Kaashoek, Morris 2004, with a height, an adjustment term and gravity as Serf has them:
 * docs/wire/serf.md, section 10). Members put their place into acks; whoever probed them moves a little. Ours and
 * real Serf's members share one space.
 *
 * Estimates are for choosing near peers, not for deciding anything: a member may say what it likes of its place.
 */
#ifndef BRUIT_COORD_H
#define BRUIT_COORD_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_coord_module;

#define BRUIT_COORD_DIMENSIONS 8

/* A place. All numbers are seconds, save `error`, which has no unit: 1.5 knows nothing, 0 is certain. */
struct bruit_coordinate {
    double vec[BRUIT_COORD_DIMENSIONS];
    double error;
    double adjustment; /* what distances from here were off by lately; may be negative */
    double height;     /* the way from here to the network, which every packet goes */
};

/*
 * The place of the member called `name` as it last told us; our own is always known. Returns 0, or BRUIT_ENOENT
 * when it told us none, is no member, or the engine has no coord module. Cost: one hash.
 */
BRUIT_API int bruit_coord_get(const struct bruit_engine *engine, struct bruit_bytes name,
                              struct bruit_coordinate *out);

/* The estimated round trip between two places, in nanoseconds; never negative. */
BRUIT_API bruit_time bruit_coord_distance(const struct bruit_coordinate *a, const struct bruit_coordinate *b);

/* What became of the coordinates received so far. */
struct bruit_coord_stats {
    uint64_t updates;
    uint64_t rejected; /* another number of dimensions, not finite, or an impossible round trip */
    uint64_t zero_rtt; /* taken, though the round trip was 0 */
    uint64_t resets;   /* our own place became nonsense and was given up */
};

/* Returns 0, or BRUIT_ENOENT without the module. */
BRUIT_API int bruit_coord_stats(const struct bruit_engine *engine, struct bruit_coord_stats *out);

#ifdef __cplusplus
}
#endif

#endif

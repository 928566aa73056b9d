/*
 * Ownership: which members a key belongs to, the same answer at every member that sees the same cluster.
 *
 * A module that places keys on the live members (alive and suspect) by weighted rendezvous hashing: each member draws
 * a number for the key, and the lowest draws win. So nothing is agreed upon and nothing is sent, a member that comes
 * takes its share from all others and keys move to it alone, one that goes leaves its keys to all others and no other
 * key moves, and shares are in proportion to weights. Several owners of a key are spread over zones first.
 *
 * What decides is the names of the live members and what `site` says of their metadata, nothing else; all of it is
 * covered by bruit_view_checksum(): two engines with equal checksums (and the same `site`) give equal answers. Until
 * their views agree they may differ, as views do; an owner is a hint where to look, not a lock.
 *
 * Names and keys are hashed without a secret, since all members must agree: who may choose his name may choose what he
 * owns, and who may choose keys whom he burdens. docs/ownership.md has figures.
 */
#ifndef BRUIT_OWNER_H
#define BRUIT_OWNER_H

#include <bruit/engine.h>
#include <bruit/member.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * For bruit_config.modules. Memory: 40 bytes for each live member, from the engine's account, taken when it is first
 * asked. Nothing is sent; members without the module may be owners as well.
 */
BRUIT_API extern const struct bruit_module bruit_owner_module;

/* The most owners that may be asked for, and the largest weight: a greater one counts as this. */
#define BRUIT_OWNERS_MAX 32
#define BRUIT_OWNER_WEIGHT_MAX 65535

/* What decides for a member beside its name. */
struct bruit_owner_site {
    uint32_t weight;         /* its share is this over the sum of all weights; 0: it owns nothing */
    struct bruit_bytes zone; /* what fails together: a rack, a data centre. Empty is a zone like any other */
};

/*
 * Tells the site of a member; `site` comes as weight 1 and no zone. It must look at the member's metadata and at
 * nothing that others see differently, and call no function of the engine. The zone may point into the metadata.
 */
typedef void (*bruit_owner_site_fn)(void *context, const struct bruit_member *member,
                                    struct bruit_owner_site *site);

/*
 * A site function that reads Serf's tags: `zone` is any text, `weight` a whole number from 0. A weight that is missing
 * or no such number counts as 1. The agent uses it; `context` is not looked at.
 */
BRUIT_API void bruit_owner_site_of_tags(void *context, const struct bruit_member *member,
                                        struct bruit_owner_site *site);

/*
 * Sets how sites are found; NULL (the default): everybody has weight 1, and there is one zone. All members of a
 * cluster must use the same. `context` must outlive the engine. Returns 0, or BRUIT_ENOENT: the engine was made without
 * the module.
 */
BRUIT_API int bruit_owner_configure(struct bruit_engine *engine, bruit_owner_site_fn site, void *context);

/*
 * The owners of `key` (any bytes, also none), the first owner first, at most `count` of them: as many as there are
 * members of a weight above 0. The n owners lie in n zones, or in all there are; beyond that each zone gets a second
 * before one gets a third. The first n of n + 1 owners are the owners of n. The numbers are good until the next input.
 *
 * Returns how many there are (0: nobody owns anything), or
 *   BRUIT_EINVAL   `count` is 0 or above BRUIT_OWNERS_MAX.
 *   BRUIT_ENOENT   the engine was made without the module.
 *   BRUIT_ENOMEM   no memory for the table of members (see bruit_owner_module); ask again when there is.
 * Cost: a few ns for each live member (docs/ownership.md). The first call after members came, went or changed makes the
 * table anew, which is two hashes and a call of `site` for each, and a sort.
 */
BRUIT_API int bruit_owner_find(struct bruit_engine *engine, struct bruit_bytes key, bruit_node *owners,
                               size_t count);

/* What a member is to this module. */
struct bruit_owner_info {
    struct bruit_owner_site site; /* of a member that is dead or has left, too; lives until the next input */
    double share;                 /* of all keys, what it is the first owner of: 0 to 1, exact */
};

/*
 * Fills `out` for a member. Returns 0, BRUIT_ENOENT (nobody's number, or no module), or BRUIT_ENOMEM as above. Cost: as
 * bruit_member_get().
 */
BRUIT_API int bruit_owner_get(struct bruit_engine *engine, bruit_node node, struct bruit_owner_info *out);

#ifdef __cplusplus
}
#endif

#endif

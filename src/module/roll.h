/*
 * The roll: Serf's table of members.
 *
 * It outlives the engine's: a member that the engine reaped half a minute after its death stays on the roll,
 * as failed or left, for a day (docs/wire/serf.md, 5.1 and 13). While the engine knows a member, who it is
 * stands there; only a member it forgot has a copy of its own here.
 */
#ifndef BR_MODULE_ROLL_H
#define BR_MODULE_ROLL_H

#include "base/alloc.h"
#include "base/table.h"

#include <bruit/status.h>

struct br_roll_entry {
    uint64_t status_time;   /* Lamport */
    bruit_time leave_time;  /* when it failed or left; 0: it did not */
    bruit_time prune_at;    /* when a leaving member is to be erased; BRUIT_NEVER: not at all */
    uint8_t *copy;          /* name, then metadata, of one that the engine forgot; NULL while it knows it */
    bruit_node node;        /* 0 when the engine forgot it */
    struct bruit_addr addr; /* with `copy` only */
    uint16_t copy_size;
    uint8_t name_size; /* of the copy's name */
    uint8_t versions[6];
    uint8_t status; /* enum bruit_status */
    bool used;
};

struct br_roll {
    struct br_alloc *alloc;
    const struct bruit_engine *engine;
    struct br_table by_name; /* of the copies; the others are found through the engine */
    struct br_roll_entry *entries;
    uint32_t *of_node; /* entry + 1, by bruit_node */
    uint32_t of_node_size;
    uint32_t used; /* entries ever used */
    uint32_t free_count;
    uint32_t capacity;
    uint32_t count[5]; /* by status */
    uint8_t key[16];
};

#define BR_ROLL_NONE UINT32_MAX

void br_roll_init(struct br_roll *roll, struct br_alloc *alloc, const struct bruit_engine *engine,
                  const uint8_t key[16]);
void br_roll_fini(struct br_roll *roll);

/* The entry of a name, of a node; or BR_ROLL_NONE. */
uint32_t br_roll_find(const struct br_roll *roll, struct bruit_bytes name);
uint32_t br_roll_of_node(const struct br_roll *roll, bruit_node node);

/* A new entry, status none, for a node whose name is not on the roll; BR_ROLL_NONE without memory. */
uint32_t br_roll_add(struct br_roll *roll, bruit_node node);

/* The engine knows the member again, under this number; its copy is dropped. BRUIT_ENOMEM changes nothing. */
int br_roll_bind(struct br_roll *roll, uint32_t entry, bruit_node node);

/* The engine is about to forget the member: keeps a copy of who it is. Without memory it is erased. */
int br_roll_unbind(struct br_roll *roll, uint32_t entry);

void br_roll_erase(struct br_roll *roll, uint32_t entry);

void br_roll_set_status(struct br_roll *roll, uint32_t entry, enum bruit_status status);

/* The name of an entry; lives until the roll or the engine changes. */
struct bruit_bytes br_roll_name(const struct br_roll *roll, uint32_t entry);

/* All there is to say about an entry; the bytes live until the roll or the engine changes. */
void br_roll_describe(const struct br_roll *roll, uint32_t entry, struct bruit_status_member *out);

/* How many are on it, in any status. */
uint32_t br_roll_count(const struct br_roll *roll);

#endif

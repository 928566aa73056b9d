/*
 * The roster: interned, immutable identities.
 *
 * Who somebody is (name, address, port, metadata, versions) is stored once, as the wire fragment from
 * which its messages are written (codec/pushpull.h), however many tables and queues refer to it. Two
 * kinds of number come out of it, both small and reused when the last holder lets go: a *name* stands
 * for a member's name, a *record* for one identity under that name. 0 is none. A process that hosts many
 * engines (a simulation) gives all of them one roster; what an engine decides never depends on the
 * numbers.
 */
#ifndef BR_MEMBER_ROSTER_H
#define BR_MEMBER_ROSTER_H

#include "base/alloc.h"
#include "base/table.h"
#include "codec/pushpull.h"

struct br_roster_name {
    uint8_t *text;    /* text_size bytes */
    uint64_t id;      /* a hash that is the same on every machine: br_beat_id() */
    uint32_t holders; /* records count as holders */
    uint32_t first;   /* record, head of the chain of this name's records; of a free name: next free */
    uint8_t text_size;
};

struct br_record {
    struct br_fragment *fragment;
    uint64_t identity; /* hash of the fragment's bytes, equal on every machine: for the view checksum */
    uint32_t holders;
    uint32_t name;
    uint32_t next; /* further record of this name; of a free record: next free */
    uint32_t cost; /* what it and its name would cost an engine with a roster of its own: br_roster_cost() */
};

struct br_roster {
    struct br_alloc *alloc;
    struct br_table by_name;
    struct br_roster_name *names; /* index 0 unused */
    struct br_record *records;    /* index 0 unused */
    uint32_t name_count;          /* highest number in use and beyond, free ones included */
    uint32_t name_capacity;
    uint32_t name_free;
    uint32_t record_count;
    uint32_t record_capacity;
    uint32_t record_free;
    uint8_t key[16]; /* of the hash: what the network sends must not choose the table's slots */
    bool is_shared;  /* among engines, each of which is charged for what it holds: br_roster_cost() */
};

/* `seed` keys the hash. `alloc` must outlive the roster. */
void br_roster_init(struct br_roster *roster, struct br_alloc *alloc, uint64_t seed);
void br_roster_fini(struct br_roster *roster);

/* The name's number if anybody holds it, else 0. Cost: one hash. */
uint32_t br_roster_find(const struct br_roster *roster, struct bruit_bytes name);

/* The name's number, made if need be and held once more; 0 without memory. 1 to 255 bytes. */
uint32_t br_roster_name_intern(struct br_roster *roster, struct bruit_bytes name);
void br_roster_name_hold(struct br_roster *roster, uint32_t name);
void br_roster_name_drop(struct br_roster *roster, uint32_t name);
static inline uint64_t br_roster_name_id(const struct br_roster *roster, uint32_t name)
{
    return roster->names[name].id;
}
struct bruit_bytes br_roster_name_text(const struct br_roster *roster, uint32_t name);

/*
 * The record of this identity (the incarnation is not part of it), made if need be and held once more;
 * 0 without memory, or when br_fragment_size() finds it unfit.
 */
uint32_t br_roster_intern(struct br_roster *roster, const struct br_alive *identity);
void br_roster_hold(struct br_roster *roster, uint32_t record);
void br_roster_drop(struct br_roster *roster, uint32_t record);

/* What a record with its name costs an engine that has a roster of its own, in bytes, tables included; about. */
static inline size_t br_roster_cost(const struct br_roster *roster, uint32_t record)
{
    return roster->records[record].cost;
}

static inline const struct br_fragment *br_roster_fragment(const struct br_roster *roster, uint32_t record)
{
    return roster->records[record].fragment;
}

static inline uint32_t br_roster_name_of(const struct br_roster *roster, uint32_t record)
{
    return roster->records[record].name;
}

#endif

/*
 * A set of borrowed names, for looking one list up in another.
 */
#ifndef BR_MODULE_NAMELIST_H
#define BR_MODULE_NAMELIST_H

#include "base/alloc.h"
#include "base/table.h"

struct br_namelist {
    struct br_alloc *alloc;
    struct br_table table;
    struct bruit_bytes *names; /* borrowed bytes */
    uint32_t count;            /* names from 0 on, those taken included */
    uint32_t taken;            /* br_namelist_take_any has looked at these */
    uint32_t capacity;
    uint8_t key[16];
};

void br_namelist_init(struct br_namelist *list, struct br_alloc *alloc, const uint8_t key[16]);
void br_namelist_fini(struct br_namelist *list);

/*
 * Makes room for `count` names in the set, which must be empty: 0, or BRUIT_ENOMEM. The memory is kept for the
 * next time.
 */
int br_namelist_reset(struct br_namelist *list, uint32_t count);

/* Adds a name, within the room. One that is in already is not added again. */
void br_namelist_put(struct br_namelist *list, struct bruit_bytes name);

/* Takes a name out: was it in? */
bool br_namelist_take(struct br_namelist *list, struct bruit_bytes name);

/* Takes any name out, in the order in which they were put: false when none is left. */
bool br_namelist_take_any(struct br_namelist *list, struct bruit_bytes *name);

#endif

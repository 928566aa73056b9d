/*
 * What the modules of this tree may use besides <bruit/module.h>: the typed trace. The host itself, and all
 * of its services, are in engine/host.c.
 */
#ifndef BR_MODULE_HOST_H
#define BR_MODULE_HOST_H

#include "base/trace.h"

#include <bruit/module.h>
#include <bruit/stats.h>

const struct br_tracer *br_host_tracer(const struct bruit_host *host);
struct br_alloc *br_host_alloc(struct bruit_host *host);

/* Where whoever claims somebody's name says to live: during an on_member() with BRUIT_CHANGE_CONFLICT. */
struct bruit_addr br_host_claimant(const struct bruit_host *host);

/* We learnt something late: on a lossy network whoever relies on us to hear it may not have. See br_sync_doubt(). */
void br_host_doubt(struct bruit_host *host);

/* Counts what a peer did wrong. */
void br_host_drop(struct bruit_host *host, enum bruit_drop reason);

/*
 * Questions of modules (<bruit/module.h>) need somebody who carries them: the query module, which says so at its
 * init. `self` is the carrier's state, `asker` the number of the module that asks.
 */
struct br_carrier {
    void *self;
    int (*ask)(void *self, uint32_t asker, const char *name, struct bruit_bytes payload, bool until_all,
               uint32_t *ask);
    int (*answer)(void *self, uint64_t question, struct bruit_bytes payload);
    size_t (*answer_room)(void *self, uint64_t question);
};
void br_host_carry(struct bruit_host *host, const struct br_carrier *carrier);

/* What the carrier brings: a question to the module that claims its name (false: nobody does), an answer home. */
bool br_host_question(struct bruit_host *host, const struct bruit_question *question);
void br_host_answered(struct bruit_host *host, uint32_t asker, const struct bruit_answer *answer);

/* The keyring, as the requests of <bruit/engine.h> change it. 0, or what they return. */
enum br_key_change { BR_KEY_ADD, BR_KEY_USE, BR_KEY_REMOVE };
int br_host_key(struct bruit_host *host, enum br_key_change change, struct bruit_bytes key);

/* Begins an input of the engine: for the functions by which a program talks to a module. */
void br_host_input(struct bruit_host *host, bruit_time now);

#endif

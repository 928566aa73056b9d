/*
 * Two members with one name: who keeps it? A module; it asks through the query module, which must be there.
 *
 * When somebody else claims our name, the cluster is asked whom it knows by it. If fewer than half of those who
 * answer (and one more) say that it is us, we are the one too many. The engine does not end itself: the program is
 * told, and shuts down without leaving, since the name goes on living elsewhere.
 *
 * The module also answers when others ask. Rules: docs/wire/serf.md, section 8.1.
 */
#ifndef BRUIT_CONFLICT_H
#define BRUIT_CONFLICT_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_conflict_module;

/* A module event of this module: our name is another's. `changes` members of `request` that answered know us by it. */
#define BRUIT_EVENT_NAME_LOST (BRUIT_EVENT_MODULE + 32)

/* Whether conflicts about our own name are resolved; on by default. Questions of others are answered anyway. */
BRUIT_API int bruit_conflict_resolve(struct bruit_engine *engine, bool on);

#ifdef __cplusplus
}
#endif

#endif

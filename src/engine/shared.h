/*
 * For a host of many engines, a simulation: one roster for all of them, and a full view at once.
 */
#ifndef BR_ENGINE_SHARED_H
#define BR_ENGINE_SHARED_H

#include "engine/engine.h"

/*
 * As bruit_engine_new(), with a roster (`is_shared`) that outlives the engine and is used on the engine's
 * thread only; NULL: its own. What the engine decides, and what memory it is charged for, is the same either
 * way.
 */
int br_engine_new(struct bruit_engine **out, const struct bruit_config *config, const struct bruit_env *env,
                  struct br_roster *shared, bruit_time now);

/*
 * Lets the engine know members as if it had been told of them long ago: alive, with these incarnations, in a
 * random order of the probe round. Records are of its own roster; those whose names it knows are left out.
 * Nobody is told: neither other members by rumours nor the program by events; modules are. `carries`: their
 * bytes of capabilities, by record. 0, or BRUIT_ENOMEM and nobody was added.
 */
int br_engine_preload(struct bruit_engine *engine, const uint32_t *records, const uint32_t *incarnations,
                      const uint8_t *carries, uint32_t count);

#endif

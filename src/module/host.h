/*
 * What the modules of this tree may use besides <bruit/module.h>: the typed trace. The host itself, and all
 * of its services, are in engine/host.c.
 */
#ifndef BR_MODULE_HOST_H
#define BR_MODULE_HOST_H

#include "base/trace.h"

#include <bruit/module.h>

const struct br_tracer *br_host_tracer(const struct bruit_host *host);
struct br_alloc *br_host_alloc(struct bruit_host *host);

/* Begins an input of the engine: for the functions by which a program talks to a module. */
void br_host_input(struct bruit_host *host, bruit_time now);

#endif

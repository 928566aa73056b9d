/*
 * What the engine calls of the status module on behalf of the functions of <bruit/status.h> that are inputs:
 * the engine must set its time first and pull afterwards.
 */
#ifndef BR_MODULE_STATUS_H
#define BR_MODULE_STATUS_H

#include <bruit/status.h>

/* `self` is the module's state. See bruit_force_leave(). */
int br_status_force_leave(void *self, struct bruit_bytes name, bool prune_too, uint32_t *request);

#endif

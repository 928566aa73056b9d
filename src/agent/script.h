/*
 * Event handlers as they are written down: `[FILTERS=]SCRIPT` taken apart, and which event calls for which.
 *
 * The grammar is Serf's with its pitfall: the first `=` ends the filters, so an unfiltered script with a `=` in it
 * must be written `*=script` (docs/wire/serf-agent.md section 5.1). Running them is handler.c's.
 */
#ifndef BR_AGENT_SCRIPT_H
#define BR_AGENT_SCRIPT_H

#include "agent/value.h"

/* One filter and its script. Slices of the text it was parsed from. */
struct br_script {
    struct bruit_bytes event; /* "*", "member-join", ..., "user", "query" */
    struct bruit_bytes name;  /* of the user event or query; empty: any */
    const char *command;
};

struct br_scripts {
    struct br_script *items;
    size_t count;
};

/* More filters than anybody has; the list is walked for each event. */
#define BR_SCRIPTS_MAX 1024

/*
 * Adds what `text` says, one entry for each filter. `text` is borrowed as long as the list lives. Returns 0, or an
 * error with Serf's sentence in `why`.
 */
int br_scripts_add(struct br_scripts *scripts, const char *text, char why[BR_WHY_MAX]);
void br_scripts_release(struct br_scripts *scripts);

/* Does an event of this kind and name ("" for member events) call for it? */
bool br_script_wants(const struct br_script *script, struct bruit_bytes event, struct bruit_bytes name);

#endif

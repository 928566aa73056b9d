/*
 * The snapshot file: whom we knew and how far the clocks had come, for the next life of this agent (docs/wire/serf.md
 * section 12).
 *
 * Text in Serf's own format, so that either program goes on where the other stopped: `alive: NAME ADDR`, `not-alive:
 * NAME`, three clocks, `leave`. Lines are appended and gathered: the first goes out at once, later ones when half a
 * second has passed since, with the next line or br_snapshot_flush. When the file has grown beyond what its members
 * need it is written anew beside and renamed. Where we differ: a line that the last life did not finish is cut off
 * before we append, and a name with a line end in it, which the format has no way to write, is left out.
 *
 * No clock and no timer here: the caller passes the time, and calls br_snapshot_flush when something may be waiting.
 */
#ifndef BR_AGENT_SNAPSHOT_H
#define BR_AGENT_SNAPSHOT_H

#include "agent/log.h"
#include "agent/value.h"

#include <bruit/types.h>

/* Serf's numbers: how long lines may wait, and when the file is written anew. */
#define BR_SNAPSHOT_FLUSH (500 * BRUIT_MILLISECOND)
#define BR_SNAPSHOT_SIZE_MIN ((size_t)128 * 1024)
#define BR_SNAPSHOT_NODE_SIZE ((size_t)128 * 2)

/* A failing disk is not tried more often than this. */
#define BR_SNAPSHOT_RETRY (30 * BRUIT_SECOND)

/* As many members as an engine may have; a file with more was not written by one. */
#define BR_SNAPSHOT_NODES_MAX 65536

struct br_snapshot;

struct br_snapshot_clocks {
    uint64_t member, event, query;
};

/*
 * Opens or creates the file and reads it. Borrows `path` and `log`. With `rejoin`, a leave in the file is ignored.
 * Returns 0, or an error with Serf's sentence in `why`.
 */
int br_snapshot_open(struct br_snapshot **out, const char *path, bool rejoin, struct br_log *log,
                     char why[BR_WHY_MAX]);

/* Writes what waits, to the disk itself, and frees. NULL is fine. */
void br_snapshot_close(struct br_snapshot *snapshot);

/* What was restored and has been added since. A node's index is below the count; both live until the next call. */
struct br_snapshot_clocks br_snapshot_clocks(const struct br_snapshot *snapshot);
size_t br_snapshot_count(const struct br_snapshot *snapshot);
struct bruit_bytes br_snapshot_name(const struct br_snapshot *snapshot, size_t index);
const char *br_snapshot_addr(const struct br_snapshot *snapshot, size_t index);

/* What happens. After br_snapshot_leave only the member clock is kept. */
void br_snapshot_alive(struct br_snapshot *snapshot, struct bruit_bytes name, const struct bruit_addr *addr,
                       bruit_time now);
void br_snapshot_not_alive(struct br_snapshot *snapshot, struct bruit_bytes name, bruit_time now);
void br_snapshot_member_clock(struct br_snapshot *snapshot, uint64_t time, bruit_time now);
void br_snapshot_event_clock(struct br_snapshot *snapshot, uint64_t time, bruit_time now);
void br_snapshot_query_clock(struct br_snapshot *snapshot, uint64_t time, bruit_time now);
void br_snapshot_leave(struct br_snapshot *snapshot, bruit_time now);

/* How often it was written anew. */
uint64_t br_snapshot_compactions(const struct br_snapshot *snapshot);

/* Writes what waits. Returns whether something did. */
bool br_snapshot_flush(struct br_snapshot *snapshot, bruit_time now);

#endif

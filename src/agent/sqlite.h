/*
 * The state on disk: one SQLite file with one table (space, key, value).
 *
 * A batch is one transaction. The journal is a write-ahead log that is synced with every commit (synchronous=FULL),
 * so when br_sqlite_write() has returned 0 the batch survives kill -9 and the loss of power alike, and a batch that
 * was cut off by either leaves no trace; this holds as far as the disk does what fsync() asks of it. The file is
 * locked for as long as it is open, which also spares the shared memory that SQLite otherwise keeps beside it.
 *
 * The library is loaded when a store is opened, and never otherwise: an agent without one pays nothing for it. Its
 * few functions in use are declared here, so that building needs no SQLite. One thread at a time.
 */
#ifndef BR_AGENT_SQLITE_H
#define BR_AGENT_SQLITE_H

#include "agent/flags.h"

#include <bruit/engine.h>

struct br_sqlite;

/*
 * Opens `folder`/state.db; makes the file, and the folder (mode 0700) if only that last part of its path is missing.
 * Returns 0, or with one sentence in `why` that says what to do: BRUIT_ENOSYS without the library; BRUIT_EBUSY when
 * another agent has it; BRUIT_EFORMAT when it is no store of ours, a newer one's, or damaged; BRUIT_EIO for the rest.
 */
int br_sqlite_open(struct br_sqlite **out, const char *folder, char why[BR_WHY_MAX]);
void br_sqlite_close(struct br_sqlite *store); /* NULL is fine */

/* The file, for sentences. */
const char *br_sqlite_path(const struct br_sqlite *store);

/* One record, borrowed for the call. Not 0 ends the walk. */
typedef int (*br_sqlite_record_fn)(void *context, struct bruit_bytes space, struct bruit_bytes key,
                                   struct bruit_bytes value);

/* Every record once. Returns 0, what `fn` returned, or an error of reading with a sentence in `why`. */
int br_sqlite_read(struct br_sqlite *store, br_sqlite_record_fn fn, void *context, char why[BR_WHY_MAX]);

/*
 * All of the operations or none. Returns 0 once they are durable; BRUIT_EFULL or BRUIT_EIO with a sentence in `why`.
 */
int br_sqlite_write(struct br_sqlite *store, const struct bruit_store_op *ops, size_t count,
                    char why[BR_WHY_MAX]);

#endif

/*
 * The disk: what the engine wants stored, in batches that a thread of libuv's pool hands to the program.
 *
 * One batch is under way at a time. What the engine asks for meanwhile waits in the engine and makes the next one,
 * so that under load many writes share one wait for the disk (group commit), and a single write waits for none.
 *
 * What is on the disk must always be a prefix of what was asked for: modules write their data first and then what
 * says that they have it. A batch that failed is therefore told to the engine at once, but kept and tried again,
 * with what came later behind it; nothing newer is written without it.
 */
#ifndef BR_UV_STORE_H
#define BR_UV_STORE_H

#include <bruit/uv.h>

#include <uv.h>

struct br_uv_store {
    bruit_uv_store_fn write; /* NULL: there is no store */
    void *context;
    struct bruit_store_op *ops; /* the batch; each has one block of memory, where its `space` begins */
    size_t count, room;
    size_t bytes;
    uint64_t told;       /* up to this token the engine has its answer */
    bruit_time retry_at; /* of a batch that failed; 0: none has */
    uv_work_t work;
    bool is_busy;   /* the batch is another thread's */
    bool is_broken; /* an operation got lost for want of memory: nothing that follows it may be written */
    int status;     /* what the other thread's attempt gave */
};

/* Takes what the engine wants stored, unless a batch is under way. At the end of a turn. */
void br_uv_store_run(struct bruit_uv *uv);

/* When a batch that failed is tried again; BRUIT_NEVER when none has. */
bruit_time br_uv_store_deadline(const struct br_uv_store *store);

/* Writes what is left, and counts as a handle until that is done. */
void br_uv_store_close(struct bruit_uv *uv);

void br_uv_store_fini(struct br_uv_store *store);

#endif

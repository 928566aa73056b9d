/*
 * What one engine was told, in a file; and the same engine again, told the same.
 *
 * A recording holds all lives of one node of a simulation: its configuration, whom it knew from the beginning, and
 * every input with its time. An engine that is fed with it decides the same, record of the trace for record, without
 * a network and without the others. What is not recorded: memory that was refused (the replay has enough of it) and
 * nonces, which decide nothing.
 */
#ifndef BR_SIM_RECORD_H
#define BR_SIM_RECORD_H

#include <bruit/sim.h>
#include <bruit/trace.h>

struct br_recorder;

/* Records `node` into a new file. On failure `why` says what to do. */
int br_recorder_new(struct br_recorder **out, uint32_t node, const char *path, char *why, size_t why_size);
/* Writes the end and closes the file: 0, or BRUIT_EIO when something could not be written. Frees it. */
int br_recorder_close(struct br_recorder *recorder);
/* The hash of what the node traced so far, and how many inputs it got. */
uint64_t br_recorder_hash(const struct br_recorder *recorder);
uint64_t br_recorder_inputs(const struct br_recorder *recorder);

/* What the runner tells; each looks whether it is about its node. */
void br_recorder_configured(struct br_recorder *recorder, uint32_t node, const struct bruit_config *config);
void br_recorder_started(struct br_recorder *recorder, uint32_t node, bruit_time now);
void br_recorder_stopped(struct br_recorder *recorder, uint32_t node, const struct bruit_engine *engine);
void br_recorder_preloaded(struct br_recorder *recorder, const struct bruit_sim *sim);
void br_recorder_input(struct br_recorder *recorder, const struct bruit_sim *sim, uint32_t node,
                       const struct bruit_sim_input *input);
void br_recorder_trace(struct br_recorder *recorder, uint32_t node, const struct bruit_trace_record *record);
void br_recorder_meta(struct br_recorder *recorder, uint32_t node, struct bruit_bytes meta, bruit_time now);
void br_recorder_key(struct br_recorder *recorder, uint32_t node, uint32_t how, struct bruit_bytes key,
                     bruit_time now);
void br_recorder_forget(struct br_recorder *recorder, uint32_t node, struct bruit_bytes name, bruit_time now);
void br_recorder_event(struct br_recorder *recorder, uint32_t node, struct bruit_bytes name, uint64_t size,
                       bruit_time now);
void br_recorder_query(struct br_recorder *recorder, uint32_t node, struct bruit_bytes name,
                       bruit_time timeout, bruit_time now);

struct br_replay_result {
    uint64_t lives;
    uint64_t inputs;
    uint64_t records;       /* of the trace */
    uint64_t hash;          /* of the replay */
    uint64_t recorded_hash; /* of the recording */
    bool has_end;           /* the recording was closed in good order */
};

/*
 * Replays a recording; `on_trace` (or NULL) is handed each record. Returns 0 and the result, or BRUIT_EFORMAT (also for
 * keys without libcrypto), BRUIT_EIO or BRUIT_ENOMEM, with `why`.
 */
int br_replay(const char *path, void (*on_trace)(void *context, const struct bruit_trace_record *record),
              void *context, struct br_replay_result *result, char *why, size_t why_size);

#endif

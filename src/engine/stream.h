/*
 * Streams: one request and at most one answer each (docs/wire/memberlist.md section 5).
 *
 *     ours     opening -> asking (our message goes out) -> reading (the answer) -> closed
 *                                                      a module's message: -> closed
 *     theirs   reading (their message) -> answering (ours goes out) -> closed
 *
 * Timer: one deadline a stream, stream_timeout from the start of each half; a probe's ping ends with the probe.
 */
#ifndef BR_ENGINE_STREAM_H
#define BR_ENGINE_STREAM_H

#include "codec/frame.h"
#include "codec/pushpull.h"
#include "spread/sync.h"

#include <bruit/engine.h>

/* memberlist refuses the 128th push/pull at once, that is, lets 127 run (section 5.2). */
#define BR_STREAM_SYNCS_MAX 127

/* What is handed to the driver at once. */
#define BR_STREAM_CHUNK 65536

enum br_stream_purpose {
    BR_STREAM_THEIRS, /* they dialled; their first message says what for */
    BR_STREAM_SYNC,
    BR_STREAM_JOIN,
    BR_STREAM_PING,
    BR_STREAM_USER, /* a module's message: nothing is answered */
};

enum br_stream_stage {
    BR_STREAM_OPENING,
    BR_STREAM_ASKING,
    BR_STREAM_READING,
    BR_STREAM_ANSWERING,
    BR_STREAM_CLOSED, /* the driver has to be told, or it told us */
};

struct br_stream {
    struct bruit_addr peer;
    bruit_time deadline;
    struct br_frame_reader reader;
    struct br_pushpull_reader pushpull;
    struct br_versions versions;
    struct br_buffer in;
    size_t in_size;
    size_t parsed; /* of the message's body: pieces of a push/pull that were looked at */
    struct br_buf *user; /* USER: until it is written into a frame */
    struct br_frame out;
    size_t out_sent;
    uint32_t number;
    uint32_t request; /* JOIN: the request and the target's place in it */
    uint32_t index;   /* PING: the target's slot */
    uint32_t seq;     /* PING */
    uint8_t purpose;  /* enum br_stream_purpose */
    uint8_t stage;    /* enum br_stream_stage */
    bool is_open_owed;
    bool is_chunk_out; /* the driver has a chunk and has not said that it is sent */
    bool is_syncing;   /* THEIRS: counted as a push/pull */
};

struct br_streams {
    struct br_stream **items;
    uint32_t count;
    uint32_t capacity;
    uint32_t last;   /* number given */
    uint32_t theirs; /* that they dialled */
    uint32_t syncs;  /* push/pulls that they asked for */
    uint32_t users;  /* our modules' messages */
};

struct bruit_engine;

void br_streams_fini(struct bruit_engine *engine);

/* Our own: 0, or BRUIT_ENOMEM. The join's target is decided in any case, sooner or later. */
int br_stream_sync(struct bruit_engine *engine, const struct bruit_addr *to);
int br_stream_join(struct bruit_engine *engine, const struct bruit_addr *to, uint32_t request,
                   uint32_t index);
int br_stream_ping(struct bruit_engine *engine, uint32_t slot, uint32_t seq, bruit_time until);

/* A module's message, copied: 0, BRUIT_ENOMEM, or BRUIT_EFULL. */
int br_stream_user(struct bruit_engine *engine, const struct bruit_addr *to, struct bruit_bytes message);

bruit_time br_streams_deadline(const struct bruit_engine *engine);
void br_streams_tick(struct bruit_engine *engine);

#endif

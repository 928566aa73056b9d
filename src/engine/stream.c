/*
 * Streams: see stream.h.
 *
 * A stream is finished as soon as its one message and its one answer are through, whichever side closes first. What
 * is wrong with a stream is never an error of ours: it is counted, and the stream is closed.
 */
#include "engine/stream.h"

#include "base/check.h"
#include "base/time.h"
#include "codec/addr.h"
#include "engine/engine.h"

/* ---- the table ---- */

static struct br_stream *find_stream(const struct br_streams *streams, uint32_t number)
{
    for (uint32_t i = 0; i < streams->count; i++)
        if (streams->items[i]->number == number)
            return streams->items[i];
    return NULL;
}

static int reserve_stream(struct bruit_engine *engine)
{
    struct br_streams *streams = &engine->streams;
    if (streams->count < streams->capacity)
        return 0;
    uint32_t grown = streams->capacity == 0 ? 8 : streams->capacity * 2;
    struct br_stream **items =
        br_alloc_resize(&engine->core.alloc, streams->items, streams->capacity * sizeof(struct br_stream *),
                        grown * sizeof(struct br_stream *));
    if (items == NULL)
        return BRUIT_ENOMEM;
    streams->items = items;
    streams->capacity = grown;
    return 0;
}

static uint32_t next_number(struct br_streams *streams)
{
    do
        streams->last++;
    while (streams->last == 0 || find_stream(streams, streams->last) != NULL);
    return streams->last;
}

static struct br_stream *stream_new(struct bruit_engine *engine, const struct bruit_addr *peer,
                                    enum br_stream_purpose purpose)
{
    struct br_streams *streams = &engine->streams;
    if (reserve_stream(engine) != 0)
        return NULL;
    struct br_stream *stream = br_alloc_new(&engine->core.alloc, sizeof *stream);
    if (stream == NULL)
        return NULL;
    bool theirs = purpose == BR_STREAM_THEIRS;
    stream->peer = *peer;
    stream->number = next_number(streams);
    stream->purpose = (uint8_t)purpose;
    stream->stage = theirs ? BR_STREAM_READING : BR_STREAM_OPENING;
    stream->is_open_owed = !theirs;
    stream->deadline = br_time_add(engine->core.now, engine->core.config.stream_timeout);
    br_frame_reader_init(&stream->reader, &engine->wire, &engine->scratch, theirs);
    br_pushpull_reader_init(&stream->pushpull);
    br_versions_init(&stream->versions);
    streams->items[streams->count++] = stream;
    return stream;
}

static void stream_free(struct bruit_engine *engine, struct br_stream *stream)
{
    struct br_streams *streams = &engine->streams;
    struct br_alloc *alloc = &engine->core.alloc;
    for (uint32_t i = 0; i < streams->count; i++) {
        if (streams->items[i] != stream)
            continue;
        streams->items[i] = streams->items[--streams->count];
        break;
    }
    if (stream->purpose == BR_STREAM_THEIRS)
        streams->theirs--;
    if (stream->is_syncing)
        streams->syncs--;
    if (stream->purpose == BR_STREAM_USER)
        streams->users--;
    br_buf_drop(alloc, stream->user);
    br_frame_reader_fini(&stream->reader);
    br_frame_free(&stream->out, alloc);
    br_buffer_free(&stream->in, alloc);
    br_alloc_free(alloc, stream, sizeof *stream);
}

void br_streams_fini(struct bruit_engine *engine)
{
    struct br_streams *streams = &engine->streams;
    while (streams->count > 0)
        stream_free(engine, streams->items[0]);
    br_alloc_free(&engine->core.alloc, streams->items, streams->capacity * sizeof(struct br_stream *));
}

/* ---- ending ---- */

/* What ours was for learns how it went; told once, since a closed stream is past it. */
static void report(struct bruit_engine *engine, const struct br_stream *stream, int error,
                   struct bruit_bytes text)
{
    if (stream->purpose == BR_STREAM_JOIN)
        br_requests_joined(engine, stream->request, stream->index, error, text);
    if (stream->purpose == BR_STREAM_PING)
        br_probe_stream_result(&engine->probe, stream->seq, error == 0, engine->core.now);
    if (error != 0 && stream->purpose == BR_STREAM_SYNC)
        BR_TRACE(&engine->core.tracer, sync_failed, .addr = stream->peer, .why = bruit_strerror(error));
}

/* We are done with it; the driver is told to close. */
static void end_stream(struct bruit_engine *engine, struct br_stream *stream, int error,
                       struct bruit_bytes text)
{
    if (stream->stage == BR_STREAM_CLOSED)
        return;
    stream->stage = BR_STREAM_CLOSED;
    stream->deadline = BRUIT_NEVER;
    report(engine, stream, error, text);
}

static void fail_stream(struct bruit_engine *engine, struct br_stream *stream, int error)
{
    end_stream(engine, stream, error, br_bytes(NULL, 0));
}

static void drop_stream(struct bruit_engine *engine, struct br_stream *stream, enum bruit_drop reason,
                        int error)
{
    br_engine_drop(engine, &stream->peer, true, reason);
    end_stream(engine, stream, error, br_bytes_string(bruit_drop_text(reason)));
}

/* ---- saying something ---- */

static void start_half(struct bruit_engine *engine, struct br_stream *stream, enum br_stream_stage stage)
{
    stream->stage = (uint8_t)stage;
    if (stream->purpose != BR_STREAM_PING) /* whose deadline is the probe's */
        stream->deadline = br_time_add(engine->core.now, engine->core.config.stream_timeout);
}

static int send_message(struct bruit_engine *engine, struct br_stream *stream, struct bruit_bytes message)
{
    bool dialled = stream->purpose != BR_STREAM_THEIRS;
    br_frame_free(&stream->out, &engine->core.alloc);
    stream->out = (struct br_frame){0};
    stream->out_sent = 0;
    return br_frame_write(&engine->wire, &engine->scratch, message, dialled, &stream->out);
}

static int send_state(struct bruit_engine *engine, struct br_stream *stream, bool join)
{
    struct br_buffer buffer = {0};
    struct bruit_bytes message;
    bool dialled = stream->purpose != BR_STREAM_THEIRS;
    int status = br_beat_is_on(engine) ? br_beat_state_write(engine, join, &buffer, &message)
                                       : br_exchange_write(engine, join, &buffer, &message);
    BR_ASSERT(stream->out.memory.data == NULL); /* it is what a stream says first */
    if (status == 0 && !br_frame_take(&engine->wire, &buffer, message, dialled, &stream->out))
        status = send_message(engine, stream, message);
    br_buffer_free(&buffer, &engine->core.alloc);
    return status;
}

/* Type byte, map of five keys, name, address, own name: 255 twice and some 60, rounded up. */
#define PING_SIZE_MAX 640

static int send_ping(struct bruit_engine *engine, struct br_stream *stream)
{
    const struct br_core *core = &engine->core;
    const struct br_fragment *self = br_core_fragment(core, core->self);
    uint8_t buffer[PING_SIZE_MAX];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    if (!br_view_is_known(&core->view, stream->index))
        return BRUIT_ENOENT;
    struct bruit_bytes name = br_core_name(core, stream->index);
    br_ping_encode(&w, &(struct br_ping){.seq = stream->seq,
                                         .node = name,
                                         .source_addr = br_fragment_addr(self),
                                         .source_port = self->port,
                                         .source_node = br_fragment_name(self)});
    BR_ASSERT(!w.failed);
    return send_message(engine, stream, br_writer_bytes(&w));
}

/* A frame is written from one piece of memory: the head and the message, joined for the time. */
static int send_user(struct bruit_engine *engine, struct br_stream *stream)
{
    struct bruit_bytes message = br_buf_bytes(stream->user);
    struct br_buffer buffer = {0};
    size_t size = BR_USER_HEADER_SIZE + message.size;
    int status = br_buffer_reserve(&buffer, &engine->core.alloc, size);
    if (status != 0)
        return status;
    struct br_writer w;
    br_writer_init(&w, buffer.data, size);
    br_user_header_encode(&w, &(struct br_user_header){.size = (uint32_t)message.size});
    br_write_bytes(&w, message);
    BR_ASSERT(!w.failed);
    status = send_message(engine, stream, br_writer_bytes(&w));
    br_buffer_free(&buffer, &engine->core.alloc);
    br_buf_drop(&engine->core.alloc, stream->user);
    stream->user = NULL;
    return status;
}

/* What we dialled for. */
static int send_first(struct bruit_engine *engine, struct br_stream *stream)
{
    switch (stream->purpose) {
    case BR_STREAM_PING: return send_ping(engine, stream);
    case BR_STREAM_USER: return send_user(engine, stream);
    default: return send_state(engine, stream, stream->purpose == BR_STREAM_JOIN);
    }
}

int bruit_stream_opened(struct bruit_engine *engine, uint32_t number, bruit_time now)
{
    br_engine_input(engine, now);
    struct br_stream *stream = find_stream(&engine->streams, number);
    if (stream == NULL || stream->stage != BR_STREAM_OPENING)
        return 0;
    engine->core.stats.streams_out++;
    start_half(engine, stream, BR_STREAM_ASKING);
    int status = send_first(engine, stream);
    if (status != 0)
        fail_stream(engine, stream, status);
    return 0;
}

int bruit_stream_sent(struct bruit_engine *engine, uint32_t number, bruit_time now)
{
    br_engine_input(engine, now);
    struct br_stream *stream = find_stream(&engine->streams, number);
    if (stream == NULL || !stream->is_chunk_out)
        return 0;
    stream->is_chunk_out = false;
    if (stream->out_sent < stream->out.bytes.size)
        return 0;
    if (stream->stage == BR_STREAM_ASKING && stream->purpose == BR_STREAM_USER)
        fail_stream(engine, stream, 0);
    if (stream->stage == BR_STREAM_ASKING)
        start_half(engine, stream, BR_STREAM_READING);
    if (stream->stage == BR_STREAM_ANSWERING)
        fail_stream(engine, stream, 0);
    return 0;
}

/* ---- hearing something: theirs ---- */

static void answer_ping(struct bruit_engine *engine, struct br_stream *stream, const struct br_ping *ping)
{
    struct bruit_bytes name = br_core_name(&engine->core, engine->core.self);
    if (ping->node.size > 0 && !br_bytes_equal(ping->node, name)) {
        drop_stream(engine, stream, BRUIT_DROP_NOT_FOR_US, BRUIT_EREFUSED);
        return;
    }
    uint8_t buffer[32];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_ack_encode(&w, &(struct br_ack){.seq = ping->seq});
    start_half(engine, stream, BR_STREAM_ANSWERING);
    if (send_message(engine, stream, br_writer_bytes(&w)) != 0)
        fail_stream(engine, stream, BRUIT_ENOMEM);
}

/* Our own state goes out before theirs is merged (section 5.2), so both sides learn what the other knew. */
static void answer_sync(struct bruit_engine *engine, struct br_stream *stream, struct bruit_bytes body)
{
    start_half(engine, stream, BR_STREAM_ANSWERING);
    int status = send_state(engine, stream, stream->pushpull.header.join);
    if (status != 0)
        fail_stream(engine, stream, status);
    else if ((status = br_exchange_merge(engine, &stream->pushpull.header, body, &stream->versions, false)) !=
             0)
        BR_TRACE(&engine->core.tracer, merge_refused, .addr = stream->peer, .why = bruit_strerror(status));
}

static bool is_map_complete(const struct br_frame_message *message)
{
    size_t size;
    return message->complete || br_mp_scan(message->body, &size) != BR_MP_MORE;
}

static void read_ping(struct bruit_engine *engine, struct br_stream *stream,
                      const struct br_frame_message *message)
{
    struct br_ping ping;
    if (!is_map_complete(message))
        return;
    if (br_ping_decode(&ping, message->body) != 0)
        drop_stream(engine, stream, BRUIT_DROP_MALFORMED, BRUIT_EFORMAT);
    else
        answer_ping(engine, stream, &ping);
}

static void read_user(struct bruit_engine *engine, struct br_stream *stream,
                      const struct br_frame_message *message)
{
    struct br_user_header header;
    size_t size;
    int status = br_user_header_decode(&header, message->body, &size);
    if (status == BR_MP_MORE || (status == 0 && message->body.size - size < header.size)) {
        if (message->complete)
            drop_stream(engine, stream, BRUIT_DROP_STREAM_TRUNCATED, BRUIT_EFORMAT);
        return;
    }
    if (status != 0) {
        drop_stream(engine, stream, BRUIT_DROP_MALFORMED, BRUIT_EFORMAT);
        return;
    }
    if (header.size > 0)
        br_hosts_user_message(engine, br_bytes(message->body.data + size, header.size), &stream->peer);
    fail_stream(engine, stream, 0);
}

/* ---- hearing something: a push/pull, from either side ---- */

/*
 * Looks at the pieces that have come, and gathers whose versions must fit: true when it is all there. One that cannot
 * be is dropped.
 */
static bool is_pushpull_complete(struct bruit_engine *engine, struct br_stream *stream,
                                 const struct br_frame_message *message)
{
    for (;;) {
        struct br_entry entry;
        struct bruit_bytes state;
        size_t consumed;
        struct bruit_bytes unread =
            br_bytes(message->body.data + stream->parsed, message->body.size - stream->parsed);
        int step = br_pushpull_read(&stream->pushpull, unread, &consumed, &entry, &state);
        if (step < 0 || (step == BR_PUSHPULL_NEED_MORE && message->complete)) {
            drop_stream(engine, stream, step < 0 ? BRUIT_DROP_MALFORMED : BRUIT_DROP_STREAM_TRUNCATED,
                        BRUIT_EFORMAT);
            return false;
        }
        if (step == BR_PUSHPULL_NEED_MORE || step == BR_PUSHPULL_DONE)
            return step == BR_PUSHPULL_DONE;
        if (step == BR_PUSHPULL_ENTRY)
            br_versions_add(&stream->versions, entry.alive.vsn, entry.state == BR_ENTRY_ALIVE);
        stream->parsed += consumed;
    }
}

/* Theirs: at most BR_STREAM_SYNCS_MAX at once, counted from when the message is known to be one. */
static bool may_sync(struct bruit_engine *engine, struct br_stream *stream)
{
    if (stream->purpose != BR_STREAM_THEIRS || stream->is_syncing)
        return true;
    if (engine->streams.syncs >= BR_STREAM_SYNCS_MAX) {
        drop_stream(engine, stream, BRUIT_DROP_SYNCS_FULL, BRUIT_EFULL);
        return false;
    }
    stream->is_syncing = true;
    engine->streams.syncs++;
    return true;
}

static void read_pushpull(struct bruit_engine *engine, struct br_stream *stream,
                          const struct br_frame_message *message)
{
    if (!may_sync(engine, stream) || !is_pushpull_complete(engine, stream, message))
        return;
    if (stream->purpose == BR_STREAM_THEIRS) {
        answer_sync(engine, stream, message->body);
        return;
    }
    int status = br_exchange_merge(engine, &stream->pushpull.header, message->body, &stream->versions,
                                   stream->purpose == BR_STREAM_JOIN);
    if (status != 0)
        BR_TRACE(&engine->core.tracer, merge_refused, .addr = stream->peer, .why = bruit_strerror(status));
    fail_stream(engine, stream, status);
}

/* ---- hearing something: the same with heartbeats ---- */

static void answer_beats(struct bruit_engine *engine, struct br_stream *stream,
                         const struct br_beat_header *header, struct bruit_bytes rest)
{
    start_half(engine, stream, BR_STREAM_ANSWERING);
    int status = send_state(engine, stream, header->join);
    if (status != 0)
        fail_stream(engine, stream, status);
    else if ((status = br_beat_state_merge(engine, header, rest, false)) != 0)
        BR_TRACE(&engine->core.tracer, merge_refused, .addr = stream->peer, .why = bruit_strerror(status));
}

static void read_beats(struct bruit_engine *engine, struct br_stream *stream,
                       const struct br_frame_message *message)
{
    struct br_beat_header header;
    size_t head = 0;
    int step = br_beat_state_decode(&header, message->body, &head);
    if (step < 0) {
        drop_stream(engine, stream, BRUIT_DROP_MALFORMED, BRUIT_EFORMAT);
        return;
    }
    struct bruit_bytes rest = br_bytes(message->body.data + head, message->body.size - head);
    if (step == BR_MP_MORE || rest.size < (uint64_t)header.blocks_size + header.document_size) {
        if (message->complete)
            drop_stream(engine, stream, BRUIT_DROP_STREAM_TRUNCATED, BRUIT_EFORMAT);
        return;
    }
    if (!may_sync(engine, stream))
        return;
    if (stream->purpose == BR_STREAM_THEIRS) {
        answer_beats(engine, stream, &header, rest);
        return;
    }
    int status = br_beat_state_merge(engine, &header, rest, stream->purpose == BR_STREAM_JOIN);
    if (status != 0)
        BR_TRACE(&engine->core.tracer, merge_refused, .addr = stream->peer, .why = bruit_strerror(status));
    fail_stream(engine, stream, status);
}

/* A state exchange of the other detector, or a ping of it: refused, and who dialled reads why. */
static void refuse_detector(struct bruit_engine *engine, struct br_stream *stream)
{
    br_beat_differs(engine, &stream->peer, true);
    if (stream->purpose != BR_STREAM_THEIRS) {
        end_stream(engine, stream, BRUIT_EFORMAT,
                   br_bytes_string(bruit_drop_text(BRUIT_DROP_OTHER_DETECTOR)));
        return;
    }
    start_half(engine, stream, BR_STREAM_ANSWERING);
    if (br_frame_write_error(&engine->wire, &engine->scratch, BRUIT_DROP_OTHER_DETECTOR, &stream->out) != 0)
        fail_stream(engine, stream, BRUIT_ENOMEM);
}

static bool is_of_other_detector(const struct bruit_engine *engine, uint8_t type)
{
    bool is_beat = type == BR_HEARTBEAT;
    return is_beat != br_beat_is_on(engine) && (is_beat || type == BR_PUSHPULL || type == BR_PING);
}

/* ---- hearing something: the answer to ours ---- */

static void read_error(struct bruit_engine *engine, struct br_stream *stream,
                       const struct br_frame_message *message)
{
    struct br_err err;
    if (!is_map_complete(message))
        return;
    if (br_err_decode(&err, message->body) != 0)
        err.error = br_bytes(NULL, 0);
    end_stream(engine, stream, BRUIT_EREMOTE, err.error);
}

static void read_ack(struct bruit_engine *engine, struct br_stream *stream,
                     const struct br_frame_message *message)
{
    struct br_ack ack;
    if (!is_map_complete(message))
        return;
    bool fits = br_ack_decode(&ack, message->body) == 0 && ack.seq == stream->seq;
    fail_stream(engine, stream, fits ? 0 : BRUIT_EFORMAT);
}

/* Is a message of this type what this stream may bring? */
static bool is_expected(const struct br_stream *stream, uint8_t type)
{
    switch (stream->purpose) {
    case BR_STREAM_THEIRS:
        return type == BR_PING || type == BR_PUSHPULL || type == BR_USER || type == BR_HEARTBEAT;
    case BR_STREAM_PING: return type == BR_ACK || type == BR_ERR;
    default: return type == BR_PUSHPULL || type == BR_ERR || type == BR_HEARTBEAT;
    }
}

static void read_message(struct bruit_engine *engine, struct br_stream *stream,
                         const struct br_frame_message *message)
{
    if (!is_expected(stream, message->type)) {
        drop_stream(engine, stream, BRUIT_DROP_UNKNOWN_TYPE, BRUIT_EFORMAT);
        return;
    }
    if (BR_UNLIKELY(is_of_other_detector(engine, message->type))) {
        refuse_detector(engine, stream);
        return;
    }
    switch (message->type) {
    case BR_HEARTBEAT: read_beats(engine, stream, message); break;
    case BR_PING: read_ping(engine, stream, message); break;
    case BR_ACK: read_ack(engine, stream, message); break;
    case BR_ERR: read_error(engine, stream, message); break;
    case BR_USER: read_user(engine, stream, message); break;
    default: read_pushpull(engine, stream, message); break;
    }
}

/* Section 5.1: some refusals deserve an answer, so that an operator on the other side can read why. */
static void refuse(struct bruit_engine *engine, struct br_stream *stream)
{
    enum bruit_drop reason = stream->reader.drop;
    if (!stream->reader.answer || stream->purpose != BR_STREAM_THEIRS) {
        drop_stream(engine, stream, reason, BRUIT_EFORMAT);
        return;
    }
    br_engine_drop(engine, &stream->peer, true, reason);
    start_half(engine, stream, BR_STREAM_ANSWERING);
    if (br_frame_write_error(&engine->wire, &engine->scratch, reason, &stream->out) != 0)
        fail_stream(engine, stream, BRUIT_ENOMEM);
}

static void read_stream(struct bruit_engine *engine, struct br_stream *stream)
{
    struct br_frame_message message;
    switch (br_frame_read(&stream->reader, br_bytes(stream->in.data, stream->in_size), &message)) {
    case BR_FRAME_MORE: break;
    case BR_FRAME_MESSAGE: read_message(engine, stream, &message); break;
    case BR_FRAME_REFUSED: refuse(engine, stream); break;
    default: fail_stream(engine, stream, BRUIT_ENOMEM); break;
    }
}

/* ---- inputs ---- */

int bruit_stream_accepted(struct bruit_engine *engine, const struct bruit_addr *from, uint32_t *number,
                          bruit_time now)
{
    br_engine_input(engine, now);
    if (engine->streams.theirs >= engine->core.config.streams_max) {
        br_core_drop(&engine->core, BRUIT_DROP_STREAMS_FULL);
        return BRUIT_EFULL;
    }
    struct br_stream *stream = stream_new(engine, from, BR_STREAM_THEIRS);
    if (stream == NULL)
        return BRUIT_ENOMEM;
    engine->streams.theirs++;
    engine->core.stats.streams_in++;
    *number = stream->number;
    return 0;
}

/* All of a stream is kept until its message is complete: within our bound, and grown by half as it comes. */
static int append(struct bruit_engine *engine, struct br_stream *stream, struct bruit_bytes bytes)
{
    size_t needed = stream->in_size + bytes.size;
    if (needed > BR_STREAM_SIZE_MAX)
        return BRUIT_ETOOBIG;
    if (needed > stream->in.capacity) {
        size_t wanted = needed + needed / 2;
        size_t expected = br_frame_expected(&stream->reader);
        if (expected >= needed && expected < wanted)
            wanted = expected;
        if (br_buffer_reserve(&stream->in, &engine->core.alloc, wanted) != 0)
            return BRUIT_ENOMEM;
    }
    if (bytes.size > 0)
        memcpy(stream->in.data + stream->in_size, bytes.data, bytes.size);
    stream->in_size = needed;
    return 0;
}

int bruit_recv_stream(struct bruit_engine *engine, uint32_t number, struct bruit_bytes bytes, bruit_time now)
{
    br_engine_input(engine, now);
    struct br_stream *stream = find_stream(&engine->streams, number);
    engine->core.stats.stream_bytes_in += bytes.size;
    if (stream == NULL || (stream->stage != BR_STREAM_READING && stream->stage != BR_STREAM_ASKING))
        return 0; /* bytes after the message mean nothing */
    int status = append(engine, stream, bytes);
    if (status == BRUIT_ETOOBIG)
        drop_stream(engine, stream, BRUIT_DROP_STREAM_TOO_BIG, status);
    else if (status != 0)
        fail_stream(engine, stream, status);
    else
        read_stream(engine, stream);
    return status == BRUIT_ENOMEM ? status : 0;
}

/*
 * An end in the middle: of theirs it is silent before the first byte (section 5.1), else counted; ours has failed.
 */
int bruit_stream_closed(struct bruit_engine *engine, uint32_t number, int error, bruit_time now)
{
    br_engine_input(engine, now);
    struct br_stream *stream = find_stream(&engine->streams, number);
    if (stream == NULL)
        return 0;
    if (stream->stage == BR_STREAM_READING && stream->purpose == BR_STREAM_THEIRS && stream->in_size > 0)
        br_core_drop(&engine->core, BRUIT_DROP_STREAM_TRUNCATED);
    fail_stream(engine, stream, error == 0 ? BRUIT_ERESET : error);
    stream_free(engine, stream);
    return 0;
}

/* ---- ours ---- */

int br_stream_sync(struct bruit_engine *engine, const struct bruit_addr *to)
{
    struct bruit_addr plain = br_addr_unmapped(to);
    return stream_new(engine, &plain, BR_STREAM_SYNC) == NULL ? BRUIT_ENOMEM : 0;
}

int br_stream_join(struct bruit_engine *engine, const struct bruit_addr *to, uint32_t request, uint32_t index)
{
    struct bruit_addr plain = br_addr_unmapped(to);
    struct br_stream *stream = stream_new(engine, &plain, BR_STREAM_JOIN);
    if (stream == NULL)
        return BRUIT_ENOMEM;
    stream->request = request;
    stream->index = index;
    return 0;
}

int br_stream_ping(struct bruit_engine *engine, uint32_t slot, uint32_t seq, bruit_time until)
{
    struct bruit_addr to = br_core_addr(&engine->core, slot);
    struct br_stream *stream = stream_new(engine, &to, BR_STREAM_PING);
    if (stream == NULL)
        return BRUIT_ENOMEM;
    stream->seq = seq;
    stream->index = slot;
    stream->deadline = until;
    return 0;
}

int br_stream_user(struct bruit_engine *engine, const struct bruit_addr *to, struct bruit_bytes message)
{
    struct bruit_addr plain = br_addr_unmapped(to);
    if (engine->streams.users >= BRUIT_MODULE_STREAMS_MAX)
        return BRUIT_EFULL;
    struct br_buf *copy = br_buf_new(&engine->core.alloc, message);
    struct br_stream *stream = copy == NULL ? NULL : stream_new(engine, &plain, BR_STREAM_USER);
    if (stream == NULL) {
        br_buf_drop(&engine->core.alloc, copy);
        return BRUIT_ENOMEM;
    }
    stream->user = copy;
    engine->streams.users++;
    return 0;
}

/* ---- time ---- */

bruit_time br_streams_deadline(const struct bruit_engine *engine)
{
    bruit_time next = BRUIT_NEVER;
    for (uint32_t i = 0; i < engine->streams.count; i++)
        next = br_time_min(next, engine->streams.items[i]->deadline);
    return next;
}

void br_streams_tick(struct bruit_engine *engine)
{
    for (uint32_t i = 0; i < engine->streams.count; i++)
        if (engine->streams.items[i]->deadline <= engine->core.now)
            fail_stream(engine, engine->streams.items[i], BRUIT_ETIMEOUT);
}

/* ---- outputs ---- */

static struct bruit_bytes next_chunk(struct br_stream *stream)
{
    size_t size = stream->out.bytes.size - stream->out_sent;
    if (size > BR_STREAM_CHUNK)
        size = BR_STREAM_CHUNK;
    struct bruit_bytes chunk = br_bytes(stream->out.bytes.data + stream->out_sent, size);
    stream->out_sent += size;
    stream->is_chunk_out = true;
    return chunk;
}

static bool has_chunk(const struct br_stream *stream)
{
    return (stream->stage == BR_STREAM_ASKING || stream->stage == BR_STREAM_ANSWERING) &&
           !stream->is_chunk_out && stream->out_sent < stream->out.bytes.size;
}

static bool take_op(struct bruit_engine *engine, struct br_stream *stream, struct bruit_stream_op *out)
{
    *out = (struct bruit_stream_op){.stream = stream->number, .to = stream->peer};
    if (stream->stage == BR_STREAM_CLOSED) {
        bool is_known = !stream->is_open_owed; /* else the driver never heard of it */
        stream_free(engine, stream);
        out->type = BRUIT_STREAM_CLOSE;
        return is_known;
    }
    if (stream->is_open_owed) {
        stream->is_open_owed = false;
        out->type = BRUIT_STREAM_OPEN;
        return true;
    }
    if (!has_chunk(stream))
        return false;
    out->type = BRUIT_STREAM_SEND;
    out->bytes = next_chunk(stream);
    engine->core.stats.stream_bytes_out += out->bytes.size;
    return true;
}

static bool is_owed_something(const struct br_stream *stream)
{
    return stream->stage == BR_STREAM_CLOSED || stream->is_open_owed || has_chunk(stream);
}

/* A probe that has waited for long enough asks over a stream, too. */
static void open_probe_stream(struct bruit_engine *engine)
{
    uint32_t seq;
    uint32_t slot;
    bruit_time until;
    if (br_probe_next_stream(&engine->probe, &seq, &slot, &until) &&
        br_stream_ping(engine, slot, seq, until) != 0)
        br_probe_stream_result(&engine->probe, seq, false, engine->core.now);
}

bool bruit_next_stream_op(struct bruit_engine *engine, struct bruit_stream_op *out)
{
    open_probe_stream(engine);
    for (uint32_t i = 0; i < engine->streams.count;) {
        uint32_t before = engine->streams.count;
        struct br_stream *stream = engine->streams.items[i];
        if (is_owed_something(stream) && take_op(engine, stream, out))
            return true;
        if (engine->streams.count == before)
            i++;
    }
    return false;
}

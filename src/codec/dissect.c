/*
 * The public decoder of single messages, <bruit/wire.h>: the codec's own, with the fields laid out flat.
 */
#include <bruit/wire.h>

#include "codec/pushpull.h"
#include "codec/serf.h"

/* ---- memberlist ---------------------------------------------------------------------------------------- */

const char *bruit_wire_type_name(int type)
{
    static const char *const names[] = {
        "ping",     "indirect ping", "ack",      "suspect", "alive", "dead",     "push/pull",
        "compound", "user",          "compress", "encrypt", "nack",  "checksum", "err",
    };
    if (type == BRUIT_WIRE_HAS_LABEL)
        return "label";
    if (type == BRUIT_WIRE_HEARTBEAT)
        return "heartbeat";
    return type >= 0 && type <= BRUIT_WIRE_ERR ? names[type] : "unknown";
}

static void show_alive(struct bruit_wire_message *out, const struct br_alive *alive)
{
    out->incarnation = alive->incarnation;
    out->node = alive->node;
    out->addr = alive->addr;
    out->port = alive->port;
    out->meta = alive->meta;
    out->versions = alive->vsn;
}

static int show_ping(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_ping ping;
    if (br_ping_decode(&ping, body) != 0)
        return BRUIT_EFORMAT;
    out->seq = ping.seq;
    out->node = ping.node;
    out->source_addr = ping.source_addr;
    out->source_port = ping.source_port;
    out->source_node = ping.source_node;
    return 0;
}

static int show_indirect_ping(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_indirect_ping ping;
    if (br_indirect_ping_decode(&ping, body) != 0)
        return BRUIT_EFORMAT;
    out->seq = ping.seq;
    out->node = ping.node;
    out->addr = ping.target;
    out->port = ping.port;
    out->wants_nack = ping.nack;
    out->source_addr = ping.source_addr;
    out->source_port = ping.source_port;
    out->source_node = ping.source_node;
    return 0;
}

static int show_ack(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_ack ack;
    if (br_ack_decode(&ack, body) != 0)
        return BRUIT_EFORMAT;
    out->seq = ack.seq;
    out->payload = ack.payload;
    return 0;
}

static int show_nack(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_nack nack;
    if (br_nack_decode(&nack, body) != 0)
        return BRUIT_EFORMAT;
    out->seq = nack.seq;
    return 0;
}

static int show_suspect(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_suspect suspect;
    if (br_suspect_decode(&suspect, body) != 0)
        return BRUIT_EFORMAT;
    out->incarnation = suspect.incarnation;
    out->node = suspect.node;
    out->from = suspect.from;
    return 0;
}

static int show_dead(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_dead dead;
    if (br_dead_decode(&dead, body) != 0)
        return BRUIT_EFORMAT;
    out->incarnation = dead.incarnation;
    out->node = dead.node;
    out->from = dead.from;
    return 0;
}

static int show_err(struct bruit_wire_message *out, struct bruit_bytes body)
{
    struct br_err err;
    if (br_err_decode(&err, body) != 0)
        return BRUIT_EFORMAT;
    out->text = err.error;
    return 0;
}

int bruit_wire_decode(struct bruit_wire_message *out, struct bruit_bytes message)
{
    struct br_reader r;
    struct br_alive alive;
    br_reader_init(&r, message);
    *out = (struct bruit_wire_message){.type = br_read_u8(&r)};
    if (r.failed)
        return BRUIT_EFORMAT;
    struct bruit_bytes body = br_reader_rest(&r);
    switch (out->type) {
    case BRUIT_WIRE_PING: return show_ping(out, body);
    case BRUIT_WIRE_INDIRECT_PING: return show_indirect_ping(out, body);
    case BRUIT_WIRE_ACK: return show_ack(out, body);
    case BRUIT_WIRE_NACK: return show_nack(out, body);
    case BRUIT_WIRE_SUSPECT: return show_suspect(out, body);
    case BRUIT_WIRE_DEAD: return show_dead(out, body);
    case BRUIT_WIRE_ERR: return show_err(out, body);
    case BRUIT_WIRE_USER: out->payload = body; return 0;
    case BRUIT_WIRE_ALIVE:
        if (br_alive_decode(&alive, body) != 0)
            return BRUIT_EFORMAT;
        show_alive(out, &alive);
        return 0;
    default: return BRUIT_ENOSYS;
    }
}

/* One step of the reader over all that is there: what needs more is malformed. */
static int read_step(struct br_pushpull_reader *reader, struct bruit_wire_exchange *exchange,
                     struct br_entry *entry)
{
    size_t consumed;
    struct bruit_bytes state = {NULL, 0};
    int step = br_pushpull_read(reader, exchange->unread, &consumed, entry, &state);
    if (step == BR_PUSHPULL_NEED_MORE)
        return BRUIT_EFORMAT;
    if (step == BR_PUSHPULL_STATE)
        exchange->user_state = state;
    if (step > 0)
        exchange->unread = br_bytes(exchange->unread.data + consumed, exchange->unread.size - consumed);
    return step;
}

int bruit_wire_exchange_open(struct bruit_wire_exchange *exchange, struct bruit_bytes message)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct br_reader r;
    br_reader_init(&r, message);
    if (br_read_u8(&r) != BRUIT_WIRE_PUSHPULL)
        return BRUIT_EFORMAT;
    *exchange = (struct bruit_wire_exchange){.unread = br_reader_rest(&r)};
    br_pushpull_reader_init(&reader);
    int step = read_step(&reader, exchange, &entry);
    if (step < 0)
        return step;
    exchange->join = reader.header.join;
    exchange->nodes = reader.header.nodes;
    exchange->user_state_size = reader.header.user_state_size;
    return 0;
}

int bruit_wire_exchange_next(struct bruit_wire_exchange *exchange, struct bruit_wire_message *entry,
                             int *state)
{
    struct br_pushpull_reader reader;
    struct br_entry got;
    br_pushpull_reader_init(&reader);
    reader.header.user_state_size = exchange->user_state_size;
    if (exchange->nodes == 0) {
        reader.expects = exchange->user_state_size > 0 ? BR_PUSHPULL_STATE : BR_PUSHPULL_DONE;
        int step = exchange->user_state.data == NULL ? read_step(&reader, exchange, &got) : 0;
        return step < 0 ? step : 0;
    }
    reader.entries_left = exchange->nodes;
    reader.expects = BR_PUSHPULL_ENTRY;
    int step = read_step(&reader, exchange, &got);
    if (step < 0)
        return step;
    exchange->nodes--;
    *entry = (struct bruit_wire_message){.type = BRUIT_WIRE_ALIVE};
    show_alive(entry, &got.alive);
    *state = got.state;
    return 1;
}

/* ---- Serf ---------------------------------------------------------------------------------------------- */

const char *bruit_wire_serf_type_name(int type)
{
    static const char *const names[] = {
        "leave",        "join",           "push/pull",         "user event",
        "query",        "query response", "conflict response", "key request",
        "key response", "relay",
    };
    return type >= 0 && type <= BRUIT_WIRE_SERF_RELAY ? names[type] : "unknown";
}

static int show_leave(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_leave leave;
    if (br_serf_leave_decode(&leave, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = leave.ltime;
    out->node = leave.node;
    out->prune = leave.prune;
    return 0;
}

static int show_join(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_join join;
    if (br_serf_join_decode(&join, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = join.ltime;
    out->node = join.node;
    return 0;
}

static int show_state(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_state state;
    if (br_serf_state_decode(&state, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = state.ltime;
    out->event_ltime = state.event_ltime;
    out->query_ltime = state.query_ltime;
    out->status_count = state.status_ltimes.count;
    out->left_count = state.left_members.count;
    return 0;
}

static int show_event(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_event event;
    if (br_serf_event_decode(&event, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = event.ltime;
    out->name = event.name;
    out->payload = event.payload;
    out->coalesce = event.coalesce;
    return 0;
}

static int show_query(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_query query;
    if (br_serf_query_decode(&query, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = query.ltime;
    out->id = query.id;
    out->flags = query.flags;
    out->timeout_ns = query.timeout_ns;
    out->name = query.name;
    out->payload = query.payload;
    out->addr = query.addr;
    out->port = query.port;
    out->relay_factor = query.relay_factor;
    out->node = query.source_node;
    return 0;
}

static int show_response(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_response response;
    if (br_serf_response_decode(&response, body) != 0)
        return BRUIT_EFORMAT;
    out->ltime = response.ltime;
    out->id = response.id;
    out->flags = response.flags;
    out->node = response.from;
    out->payload = response.payload;
    return 0;
}

static int show_member(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_member member;
    if (br_serf_member_decode(&member, body) != 0)
        return BRUIT_EFORMAT;
    out->result = member.known;
    out->name = member.name;
    out->addr = member.addr;
    out->port = member.port;
    return 0;
}

static int show_key_request(struct bruit_bytes body)
{
    struct br_serf_key_request request;
    return br_serf_key_request_decode(&request, body);
}

static int show_key_response(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_key_response response;
    if (br_serf_key_response_decode(&response, body) != 0)
        return BRUIT_EFORMAT;
    out->result = response.result;
    out->text = response.message;
    return 0;
}

static int show_relay(struct bruit_wire_serf *out, struct bruit_bytes body)
{
    struct br_serf_relay relay;
    if (br_serf_relay_decode(&relay, body) != 0)
        return BRUIT_EFORMAT;
    out->node = relay.node;
    out->addr = relay.ip;
    out->port = relay.port;
    out->payload = relay.message;
    return 0;
}

int bruit_wire_serf_decode(struct bruit_wire_serf *out, struct bruit_bytes message)
{
    struct br_reader r;
    br_reader_init(&r, message);
    *out = (struct bruit_wire_serf){.type = br_read_u8(&r)};
    if (r.failed)
        return BRUIT_EFORMAT;
    struct bruit_bytes body = br_reader_rest(&r);
    switch (out->type) {
    case BRUIT_WIRE_SERF_LEAVE: return show_leave(out, body);
    case BRUIT_WIRE_SERF_JOIN: return show_join(out, body);
    case BRUIT_WIRE_SERF_PUSHPULL: return show_state(out, body);
    case BRUIT_WIRE_SERF_USER_EVENT: return show_event(out, body);
    case BRUIT_WIRE_SERF_QUERY: return show_query(out, body);
    case BRUIT_WIRE_SERF_QUERY_RESPONSE: return show_response(out, body);
    case BRUIT_WIRE_SERF_CONFLICT_RESPONSE: return show_member(out, body);
    case BRUIT_WIRE_SERF_KEY_REQUEST: return show_key_request(body);
    case BRUIT_WIRE_SERF_KEY_RESPONSE: return show_key_response(out, body);
    case BRUIT_WIRE_SERF_RELAY: return show_relay(out, body);
    default: return BRUIT_ENOSYS;
    }
}

int bruit_wire_tag(struct bruit_bytes meta, size_t index, struct bruit_bytes *key, struct bruit_bytes *value)
{
    struct br_serf_tags tags;
    struct br_serf_tag tag;
    br_serf_tags_open(&tags, meta);
    for (size_t i = 0; br_serf_tags_next(&tags, &tag); i++) {
        if (i < index)
            continue;
        *key = tag.key;
        *value = tag.value;
        return 0;
    }
    return BRUIT_ENOENT;
}

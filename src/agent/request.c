/* The words of Serf's RPC; see request.h. */
#include "agent/request.h"

#include "agent/feature.h"

#include "agent/tags.h"
#include "codec/addr.h"

/* ------------------------------------------------------------------ the commands and their bodies */

#define FIELD(kind, member, key, position) BR_MP_FIELD(struct br_rpc_request, member, key, kind, position, 0)

static const struct br_mp_field handshake_fields[] = {FIELD(BR_MP_I64, version, "Version", 0)};
static const struct br_mp_field auth_fields[] = {FIELD(BR_MP_TEXT, auth_key, "AuthKey", 0)};
static const struct br_mp_field force_leave_fields[] = {
    FIELD(BR_MP_TEXT, node, "Node", 0),
    FIELD(BR_MP_FLAG, prune, "Prune", 1),
};
static const struct br_mp_field join_fields[] = {
    FIELD(BR_MP_LIST, existing, "Existing", 0),
    FIELD(BR_MP_FLAG, replay, "Replay", 1),
};
static const struct br_mp_field members_filtered_fields[] = {
    FIELD(BR_MP_TEXT, name, "Name", 2),
    FIELD(BR_MP_TEXT, status, "Status", 1),
    FIELD(BR_MP_PAIRS, tags, "Tags", 0),
};
static const struct br_mp_field tags_fields[] = {
    FIELD(BR_MP_LIST, delete_tags, "DeleteTags", 1),
    FIELD(BR_MP_PAIRS, tags, "Tags", 0),
};
static const struct br_mp_field stream_fields[] = {FIELD(BR_MP_TEXT, type, "Type", 0)};
static const struct br_mp_field monitor_fields[] = {FIELD(BR_MP_TEXT, log_level, "LogLevel", 0)};
static const struct br_mp_field event_fields[] = {
    FIELD(BR_MP_FLAG, coalesce, "Coalesce", 2),
    FIELD(BR_MP_TEXT, name, "Name", 0),
    FIELD(BR_MP_BYTES, payload, "Payload", 1),
};
static const struct br_mp_field query_fields[] = {
    FIELD(BR_MP_LIST, nodes, "FilterNodes", 0),
    FIELD(BR_MP_PAIRS, tags, "FilterTags", 1),
    FIELD(BR_MP_TEXT, name, "Name", 5),
    FIELD(BR_MP_BYTES, payload, "Payload", 6),
    FIELD(BR_MP_U8, relay_factor, "RelayFactor", 3),
    FIELD(BR_MP_FLAG, ack, "RequestAck", 2),
    FIELD(BR_MP_I64, timeout, "Timeout", 4),
    FIELD(BR_MP_TEXT, until, "Until", 7),
};
static const struct br_mp_field respond_fields[] = {
    FIELD(BR_MP_U64, id, "ID", 0),
    FIELD(BR_MP_BYTES, payload, "Payload", 1),
};
static const struct br_mp_field get_coordinate_fields[] = {FIELD(BR_MP_TEXT, node, "Node", 0)};
static const struct br_mp_field key_fields[] = {FIELD(BR_MP_TEXT, key, "Key", 0)};
static const struct br_mp_field stop_fields[] = {FIELD(BR_MP_U64, stop, "Stop", 0)};

struct command {
    const char *name;
    bool has_body;
    uint8_t field_count;
    const struct br_mp_field *fields;
};

#define BODY(table) true, sizeof(table) / sizeof((table)[0]), table
#define NO_BODY false, 0, NULL

static const struct command commands[BR_RPC_COMMANDS] = {
    [BR_RPC_UNKNOWN] = {"?", NO_BODY},
    [BR_RPC_HANDSHAKE] = {"handshake", BODY(handshake_fields)},
    [BR_RPC_AUTH] = {"auth", BODY(auth_fields)},
    [BR_RPC_EVENT] = {"event", BODY(event_fields)},
    [BR_RPC_FORCE_LEAVE] = {"force-leave", BODY(force_leave_fields)},
    [BR_RPC_JOIN] = {"join", BODY(join_fields)},
    [BR_RPC_MEMBERS] = {"members", NO_BODY},
    [BR_RPC_MEMBERS_FILTERED] = {"members-filtered", BODY(members_filtered_fields)},
    [BR_RPC_STREAM] = {"stream", BODY(stream_fields)},
    [BR_RPC_MONITOR] = {"monitor", BODY(monitor_fields)},
    [BR_RPC_STOP] = {"stop", BODY(stop_fields)},
    [BR_RPC_LEAVE] = {"leave", NO_BODY},
    [BR_RPC_TAGS] = {"tags", BODY(tags_fields)},
    [BR_RPC_QUERY] = {"query", BODY(query_fields)},
    [BR_RPC_RESPOND] = {"respond", BODY(respond_fields)},
    [BR_RPC_INSTALL_KEY] = {"install-key", BODY(key_fields)},
    [BR_RPC_USE_KEY] = {"use-key", BODY(key_fields)},
    [BR_RPC_REMOVE_KEY] = {"remove-key", BODY(key_fields)},
    [BR_RPC_LIST_KEYS] = {"list-keys", NO_BODY},
    [BR_RPC_STATS] = {"stats", NO_BODY},
    [BR_RPC_GET_COORDINATE] = {"get-coordinate", BODY(get_coordinate_fields)},
    [BR_RPC_FEATURE] = {"?", NO_BODY}, /* each says for itself: has_body() */
};

const char *br_rpc_command_name(enum br_rpc_command command)
{
    return command < BR_RPC_COMMANDS ? commands[command].name : "?";
}

static enum br_rpc_command find_command(struct bruit_bytes name)
{
    for (enum br_rpc_command i = BR_RPC_UNKNOWN + 1; i < BR_RPC_FEATURE; i++)
        if (br_bytes_equal(name, br_bytes_string(commands[i].name)))
            return i;
    return BR_RPC_UNKNOWN;
}

/* Serf's commands first: none of ours can hide one. */
static void set_command(struct br_rpc_decoder *decoder, struct bruit_bytes name)
{
    decoder->command = find_command(name);
    decoder->feature = decoder->command == BR_RPC_UNKNOWN ? br_feature_find_command(name) : NULL;
    if (decoder->feature != NULL)
        decoder->command = BR_RPC_FEATURE;
}

static bool has_body(const struct br_rpc_decoder *decoder)
{
    return decoder->command == BR_RPC_FEATURE ? decoder->feature->has_body
                                              : commands[decoder->command].has_body;
}

/* ------------------------------------------------------------------ decoding */

static int decode_header(struct br_rpc_decoder *decoder, struct bruit_bytes object);
static int decode_body(const struct br_rpc_decoder *decoder, struct bruit_bytes object,
                       struct br_rpc_request *out);

void br_rpc_decoder_init(struct br_rpc_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
    br_mp_scanner_init(&decoder->scanner);
}

int br_rpc_decode(struct br_rpc_decoder *decoder, struct bruit_bytes unread, size_t *consumed,
                  struct br_rpc_request *out)
{
    *consumed = 0;
    for (;;) {
        struct bruit_bytes rest = br_bytes(unread.data + *consumed, unread.size - *consumed);
        size_t size;
        if (rest.size == 0)
            return BR_MP_MORE;
        int step = br_mp_scanner_feed(&decoder->scanner, rest, &size);
        if (step == BR_MP_MORE && rest.size >= BR_RPC_OBJECT_MAX)
            return BRUIT_ETOOBIG;
        if (step != 0)
            return step;
        *consumed += size;
        br_mp_scanner_init(&decoder->scanner);
        rest.size = size;
        memset(out, 0, sizeof *out);
        bool is_body = decoder->expects_body;
        int error = is_body ? decode_body(decoder, rest, out) : decode_header(decoder, rest);
        if (error != 0)
            return error;
        out->command = decoder->command;
        out->feature = decoder->feature;
        out->seq = decoder->seq;
        /* Before the handshake every other command is refused on sight: its body may never come. */
        decoder->expects_body = !is_body && has_body(decoder) &&
                                (decoder->is_open || decoder->command == BR_RPC_HANDSHAKE);
        if (!decoder->expects_body)
            return 0;
    }
}

/* One value of a header: the one called `key`, or the one at `position` when it came as an array. */
static void read_header_value(struct br_reader *r, struct br_rpc_decoder *decoder, struct bruit_bytes key)
{
    if (br_bytes_equal(key, br_bytes_text("Command")))
        set_command(decoder, br_mp_read_bytes(r));
    else if (br_bytes_equal(key, br_bytes_text("Seq")))
        decoder->seq = br_mp_read_uint(r, UINT64_MAX);
    else
        br_mp_skip(r);
}

static int decode_header(struct br_rpc_decoder *decoder, struct bruit_bytes object)
{
    struct br_reader r;
    br_reader_init(&r, object);
    if (br_mp_peek(&r) == BR_MP_ARRAY) {
        uint32_t count = br_mp_read_array(&r);
        for (uint32_t i = 0; i < count && !r.failed; i++)
            read_header_value(&r, decoder,
                              i == 0   ? br_bytes_text("Command")
                              : i == 1 ? br_bytes_text("Seq")
                                       : br_bytes(NULL, 0));
    } else {
        uint32_t count = br_mp_read_map(&r);
        for (uint32_t i = 0; i < count && !r.failed; i++)
            read_header_value(&r, decoder, br_mp_read_bytes(&r));
    }
    return r.failed ? BRUIT_EFORMAT : 0;
}

bool br_rpc_holds_texts(const struct br_mp_list *list, uint32_t each)
{
    struct br_reader r;
    br_reader_init(&r, list->items);
    for (uint64_t i = 0; i < (uint64_t)list->count * each && !r.failed; i++)
        (void)br_mp_read_bytes(&r);
    return !r.failed;
}

static int decode_body(const struct br_rpc_decoder *decoder, struct bruit_bytes object,
                       struct br_rpc_request *out)
{
    const struct command *command = &commands[decoder->command];
    struct br_reader r;
    if (decoder->command == BR_RPC_FEATURE) {
        out->body = object;
        return 0;
    }
    br_reader_init(&r, object);
    br_mp_read_struct(&r, command->fields, command->field_count, out);
    if (r.failed || !br_rpc_holds_texts(&out->existing, 1) || !br_rpc_holds_texts(&out->delete_tags, 1) ||
        !br_rpc_holds_texts(&out->nodes, 1) || !br_rpc_holds_texts(&out->tags, 2))
        return BRUIT_EFORMAT;
    return 0;
}

bool br_rpc_next_text(struct br_mp_list *list, struct bruit_bytes *text)
{
    struct br_reader r;
    if (list->count == 0)
        return false;
    br_reader_init(&r, list->items);
    *text = br_mp_read_bytes(&r);
    list->items = br_reader_rest(&r);
    list->count--;
    return !r.failed;
}

bool br_rpc_next_pair(struct br_mp_list *pairs, struct bruit_bytes *key, struct bruit_bytes *value)
{
    struct br_reader r;
    if (pairs->count == 0)
        return false;
    br_reader_init(&r, pairs->items);
    *key = br_mp_read_bytes(&r);
    *value = br_mp_read_bytes(&r);
    pairs->items = br_reader_rest(&r);
    pairs->count--;
    return !r.failed;
}

/* ------------------------------------------------------------------ writing */

/* More than any number, or the header of any text, list or map takes. */
#define VALUE_MAX 9

/* All keys of a member, their numbers, and the headers of name, address and tags. */
#define MEMBER_FIXED 256

void br_rpc_write_text(struct br_blob *out, struct bruit_bytes text)
{
    struct br_writer w = br_blob_writer(out, VALUE_MAX + text.size);
    br_mp_write_str8(&w, text);
    br_blob_written(out, &w);
}

void br_rpc_write_map(struct br_blob *out, size_t count)
{
    struct br_writer w = br_blob_writer(out, VALUE_MAX);
    br_mp_write_map(&w, (uint32_t)count);
    br_blob_written(out, &w);
}

void br_rpc_write_array(struct br_blob *out, size_t count)
{
    struct br_writer w = br_blob_writer(out, VALUE_MAX);
    br_mp_write_array(&w, (uint32_t)count);
    br_blob_written(out, &w);
}

void br_rpc_write_number(struct br_blob *out, uint64_t value)
{
    struct br_writer w = br_blob_writer(out, VALUE_MAX);
    br_mp_write_uint(&w, value);
    br_blob_written(out, &w);
}

static void write_key(struct br_blob *out, const char *key)
{
    br_rpc_write_text(out, br_bytes_string(key));
}

void br_rpc_write_header(struct br_blob *out, uint64_t seq, const char *error)
{
    br_rpc_write_map(out, 2);
    write_key(out, "Error");
    br_rpc_write_text(out, br_bytes_string(error));
    write_key(out, "Seq");
    br_rpc_write_number(out, seq);
}

void br_rpc_write_join(struct br_blob *out, uint64_t joined)
{
    br_rpc_write_map(out, 1);
    write_key(out, "Num");
    br_rpc_write_number(out, joined);
}

void br_rpc_write_members(struct br_blob *out, size_t count)
{
    br_rpc_write_map(out, 1);
    write_key(out, "Members");
    br_rpc_write_array(out, count);
}

static void write_number(struct br_writer *w, const char *key, uint64_t value)
{
    br_mp_write_key(w, key);
    br_mp_write_uint(w, value);
}

static void write_tags(struct br_writer *w, struct bruit_bytes meta)
{
    struct br_tag_set set;
    br_tag_set_read(&set, meta);
    br_mp_write_map(w, (uint32_t)set.count);
    for (size_t i = 0; i < set.count; i++) {
        br_mp_write_str8(w, set.tags[i].key);
        br_mp_write_str8(w, set.tags[i].value);
    }
}

/* The address in the 4 or 16 bytes that Go's net.IP would have: a mapped one stays 16 bytes long. */
void br_rpc_write_member(struct br_blob *out, const struct bruit_status_member *member)
{
    struct br_writer w = br_blob_writer(out, MEMBER_FIXED + member->name.size + 2 * member->meta.size);
    br_mp_write_map(&w, 11);
    br_mp_write_key(&w, "Addr");
    br_mp_write_bin(&w, br_addr_ip(&member->addr));
    write_number(&w, "DelegateCur", member->versions[5]);
    write_number(&w, "DelegateMax", member->versions[4]);
    write_number(&w, "DelegateMin", member->versions[3]);
    br_mp_write_key(&w, "Name");
    br_mp_write_str8(&w, member->name);
    write_number(&w, "Port", member->addr.port);
    write_number(&w, "ProtocolCur", member->versions[2]);
    write_number(&w, "ProtocolMax", member->versions[1]);
    write_number(&w, "ProtocolMin", member->versions[0]);
    br_mp_write_key(&w, "Status");
    br_mp_write_key(&w, bruit_status_text(member->status));
    br_mp_write_key(&w, "Tags");
    write_tags(&w, member->meta);
    br_blob_written(out, &w);
}

const char *br_rpc_event_name(enum bruit_status_change change)
{
    switch (change) {
    case BRUIT_MEMBER_JOIN: return "member-join";
    case BRUIT_MEMBER_LEAVE: return "member-leave";
    case BRUIT_MEMBER_FAILED: return "member-failed";
    case BRUIT_MEMBER_UPDATE: return "member-update";
    case BRUIT_MEMBER_REAP: return "member-reap";
    }
    return "?";
}

void br_rpc_write_event(struct br_blob *out, enum bruit_status_change change, size_t count)
{
    br_rpc_write_map(out, 2);
    write_key(out, "Event");
    write_key(out, br_rpc_event_name(change));
    write_key(out, "Members");
    br_rpc_write_array(out, count);
}

void br_rpc_write_log(struct br_blob *out, struct bruit_bytes line)
{
    br_rpc_write_map(out, 1);
    write_key(out, "Log");
    br_rpc_write_text(out, line);
}

/* ------------------------------------------------------------------ events, queries, coordinates */

/* All keys of such a record, its numbers, and the headers of its texts. */
#define RECORD_FIXED 128

static void write_payload(struct br_writer *w, struct bruit_bytes payload)
{
    br_mp_write_key(w, "Payload");
    br_mp_write_bin(w, payload.size == 0 ? br_bytes(NULL, 0) : payload);
}

static void write_name(struct br_writer *w, struct bruit_bytes name)
{
    br_mp_write_key(w, "Name");
    br_mp_write_str8(w, name);
}

void br_rpc_write_user(struct br_blob *out, const struct bruit_user_event *event)
{
    struct br_writer w = br_blob_writer(out, RECORD_FIXED + event->name.size + event->payload.size);
    br_mp_write_map(&w, 5);
    br_mp_write_key(&w, "Coalesce");
    br_mp_write_bool(&w, event->coalesce);
    br_mp_write_key(&w, "Event");
    br_mp_write_key(&w, "user");
    write_number(&w, "LTime", event->ltime);
    write_name(&w, event->name);
    write_payload(&w, event->payload);
    br_blob_written(out, &w);
}

void br_rpc_write_asked(struct br_blob *out, const struct bruit_query *query, uint64_t id)
{
    struct br_writer w = br_blob_writer(out, RECORD_FIXED + query->name.size + query->payload.size);
    br_mp_write_map(&w, 5);
    br_mp_write_key(&w, "Event");
    br_mp_write_key(&w, "query");
    write_number(&w, "ID", id);
    write_number(&w, "LTime", query->ltime);
    write_name(&w, query->name);
    write_payload(&w, query->payload);
    br_blob_written(out, &w);
}

void br_rpc_write_answer(struct br_blob *out, const struct bruit_query_answer *answer)
{
    static const struct bruit_query_answer end = {.is_ack = false};
    const struct bruit_query_answer *shown = answer == NULL ? &end : answer;
    struct br_writer w = br_blob_writer(out, RECORD_FIXED + shown->from.size + shown->payload.size);
    br_mp_write_map(&w, 3);
    br_mp_write_key(&w, "From");
    br_mp_write_str8(&w, shown->from);
    write_payload(&w, shown->payload);
    br_mp_write_key(&w, "Type");
    br_mp_write_key(&w, answer == NULL ? "done" : answer->is_ack ? "ack" : "response");
    br_blob_written(out, &w);
}

void br_rpc_write_keys(struct br_blob *out, const struct br_rpc_keys *keys)
{
    struct br_writer w = br_blob_writer(out, RECORD_FIXED + keys->keys.size + keys->messages.size);
    br_mp_write_map(&w, 5);
    br_mp_write_key(&w, "Keys");
    if (keys->keys.size == 0)
        br_mp_write_nil(&w);
    else
        br_write_bytes(&w, keys->keys);
    br_mp_write_key(&w, "Messages");
    if (keys->messages.size == 0)
        br_mp_write_map(&w, 0);
    else
        br_write_bytes(&w, keys->messages);
    write_number(&w, "NumErr", keys->errors);
    write_number(&w, "NumNodes", keys->nodes);
    write_number(&w, "NumResp", keys->responses);
    br_blob_written(out, &w);
}

static void write_float(struct br_writer *w, const char *key, double value)
{
    br_mp_write_key(w, key);
    br_mp_write_float(w, value);
}

/* As Go writes a coordinate that was never made: zeros, and a nil list. */
void br_rpc_write_coordinate(struct br_blob *out, const struct bruit_coordinate *coordinate)
{
    static const struct bruit_coordinate none = {.error = 0};
    const struct bruit_coordinate *c = coordinate == NULL ? &none : coordinate;
    struct br_writer w = br_blob_writer(out, 2 * RECORD_FIXED);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Coord");
    br_mp_write_map(&w, 4);
    write_float(&w, "Adjustment", c->adjustment);
    write_float(&w, "Error", c->error);
    write_float(&w, "Height", c->height);
    br_mp_write_key(&w, "Vec");
    if (coordinate == NULL)
        br_mp_write_nil(&w);
    else
        br_mp_write_array(&w, BRUIT_COORD_DIMENSIONS);
    for (size_t i = 0; i < BRUIT_COORD_DIMENSIONS && coordinate != NULL; i++)
        br_mp_write_float(&w, c->vec[i]);
    br_mp_write_key(&w, "Ok");
    br_mp_write_bool(&w, coordinate != NULL);
    br_blob_written(out, &w);
}

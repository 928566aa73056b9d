/*
 * Serf's messages: docs/wire/serf.md sections 3 (messages), 7.3 (filters), 9 (tags) and 10.1 (coordinates).
 *
 * One table a struct serves reader and writer, rows in wire order, numbers by declaration (see memberlist.c).
 * Here the numbers matter: real agents deliver messages whose struct comes as an array.
 */
#include "codec/serf.h"

#include "base/check.h"

#define COUNT(fields) (sizeof(fields) / sizeof(fields)[0])

static int decode(struct bruit_bytes body, const struct br_mp_field *fields, size_t count, void *out)
{
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, fields, count, out);
    return r.failed ? BRUIT_EFORMAT : 0;
}

static void encode(struct br_writer *w, enum br_serf_type type, const struct br_mp_field *fields,
                   size_t count, const void *in)
{
    br_write_u8(w, (uint8_t)type);
    br_mp_write_struct(w, fields, count, in);
}

/*
 * Walking a list takes its elements off its front. `begin` gives a reader before the next one, or false at
 * the end; `end` takes off what was read. Lists were checked when they were decoded; one that was not just
 * ends.
 */
static bool begin_element(const struct br_mp_list *list, struct br_reader *r)
{
    br_reader_init(r, list->items);
    return list->count > 0;
}

static bool end_element(struct br_mp_list *list, const struct br_reader *r)
{
    if (r->failed) {
        list->count = 0;
        return false;
    }
    list->items = br_reader_rest(r);
    list->count--;
    return true;
}

/* ---- intents ------------------------------------------------------------------------------------------- */

static const struct br_mp_field join_fields[] = {
    BR_MP_FIELD(struct br_serf_join, ltime, "LTime", BR_MP_U64, 0, false),
    BR_MP_FIELD(struct br_serf_join, node, "Node", BR_MP_TEXT, 1, false),
};

static const struct br_mp_field leave_fields[] = {
    BR_MP_FIELD(struct br_serf_leave, ltime, "LTime", BR_MP_U64, 0, false),
    BR_MP_FIELD(struct br_serf_leave, node, "Node", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_serf_leave, prune, "Prune", BR_MP_FLAG, 2, false),
};

int br_serf_join_decode(struct br_serf_join *out, struct bruit_bytes body)
{
    return decode(body, join_fields, COUNT(join_fields), out);
}

void br_serf_join_encode(struct br_writer *w, const struct br_serf_join *join)
{
    encode(w, BR_SERF_JOIN, join_fields, COUNT(join_fields), join);
}

int br_serf_leave_decode(struct br_serf_leave *out, struct bruit_bytes body)
{
    return decode(body, leave_fields, COUNT(leave_fields), out);
}

void br_serf_leave_encode(struct br_writer *w, const struct br_serf_leave *leave)
{
    encode(w, BR_SERF_LEAVE, leave_fields, COUNT(leave_fields), leave);
}

/* ---- the push/pull document ---------------------------------------------------------------------------- */

static const struct br_mp_field state_fields[] = {
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_EVENT_LTIME], "EventLTime", BR_MP_RAW, 3, false),
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_EVENTS], "Events", BR_MP_RAW, 4, false),
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_LTIME], "LTime", BR_MP_RAW, 0, false),
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_LEFT_MEMBERS], "LeftMembers", BR_MP_RAW, 2, false),
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_QUERY_LTIME], "QueryLTime", BR_MP_RAW, 5, false),
    BR_MP_FIELD(struct br_serf_state, raw[BR_SERF_STATE_STATUS_LTIMES], "StatusLTimes", BR_MP_RAW, 1, false),
};

static const struct br_mp_field slot_fields[] = {
    BR_MP_FIELD(struct br_serf_slot, events, "Events", BR_MP_LIST, 1, false),
    BR_MP_FIELD(struct br_serf_slot, ltime, "LTime", BR_MP_U64, 0, false),
};

struct slot_event {
    struct bruit_bytes name;
    struct bruit_bytes payload;
};

static const struct br_mp_field slot_event_fields[] = {
    BR_MP_FIELD(struct slot_event, name, "Name", BR_MP_TEXT, 0, false),
    BR_MP_FIELD(struct slot_event, payload, "Payload", BR_MP_BYTES, 1, false),
};

void br_serf_state_begin(struct br_writer *w)
{
    br_write_u8(w, BR_SERF_PUSHPULL);
    br_mp_write_map(w, BR_SERF_STATE_KEYS);
}

void br_serf_state_write_key(struct br_writer *w, enum br_serf_state_key key)
{
    BR_ASSERT(key < BR_SERF_STATE_KEYS);
    br_mp_write_key(w, state_fields[key].key);
}

void br_serf_state_write_no_events(struct br_writer *w)
{
    br_mp_write_array(w, BR_SERF_EVENT_SLOTS);
    for (int i = 0; i < BR_SERF_EVENT_SLOTS; i++)
        br_mp_write_nil(w);
}

void br_serf_state_begin_slot(struct br_writer *w, uint32_t count)
{
    br_mp_write_map(w, 2);
    br_mp_write_key(w, "Events");
    br_mp_write_array(w, count);
}

void br_serf_state_write_slot_event(struct br_writer *w, struct bruit_bytes name, struct bruit_bytes payload)
{
    struct slot_event event = {.name = name, .payload = payload};
    br_mp_write_struct(w, slot_event_fields, COUNT(slot_event_fields), &event);
}

void br_serf_state_end_slot(struct br_writer *w, uint64_t ltime)
{
    br_mp_write_key(w, "LTime");
    br_mp_write_uint(w, ltime);
}

/* Each check below walks a copy of the list to its end, and says whether it got there. */

static bool check_names(struct br_mp_list names)
{
    struct bruit_bytes name;
    uint32_t count = names.count, seen = 0;
    while (br_serf_next_name(&names, &name))
        seen++;
    return seen == count;
}

static bool check_status(struct br_mp_list status_ltimes)
{
    struct bruit_bytes name;
    uint64_t ltime;
    uint32_t count = status_ltimes.count, seen = 0;
    while (br_serf_next_status(&status_ltimes, &name, &ltime))
        seen++;
    return seen == count;
}

static bool check_slot_events(struct br_mp_list events)
{
    struct bruit_bytes name, payload;
    uint32_t count = events.count, seen = 0;
    while (br_serf_next_slot_event(&events, &name, &payload))
        seen++;
    return seen == count;
}

/* Slots that are nil are skipped by the walk: what counts is that nothing is left behind. */
static bool check_events(struct br_mp_list events)
{
    struct br_serf_slot slot;
    while (br_serf_next_slot(&events, &slot))
        if (!check_slot_events(slot.events))
            return false;
    return events.items.size == 0;
}

int br_serf_state_check(enum br_serf_state_key key, struct bruit_bytes raw)
{
    if (raw.size == 0)
        return 0;
    struct br_reader r;
    br_reader_init(&r, raw);
    bool good = false;
    switch (key) {
    case BR_SERF_STATE_EVENT_LTIME:
    case BR_SERF_STATE_LTIME:
    case BR_SERF_STATE_QUERY_LTIME:
        (void)br_mp_read_uint(&r, UINT64_MAX);
        good = true;
        break;
    case BR_SERF_STATE_LEFT_MEMBERS: good = check_names(br_mp_read_list(&r)); break;
    case BR_SERF_STATE_STATUS_LTIMES: good = check_status(br_mp_read_pairs(&r)); break;
    case BR_SERF_STATE_EVENTS: good = check_events(br_mp_read_list(&r)); break;
    case BR_SERF_STATE_KEYS: break;
    }
    return good && !r.failed ? 0 : BRUIT_EFORMAT;
}

/* A checked number; 0 when it is missing. */
static uint64_t uint_of(struct bruit_bytes raw)
{
    struct br_reader r;
    br_reader_init(&r, raw);
    return br_mp_read_uint(&r, UINT64_MAX);
}

int br_serf_state_decode(struct br_serf_state *out, struct bruit_bytes body)
{
    int status = decode(body, state_fields, COUNT(state_fields), out);
    for (int key = 0; key < BR_SERF_STATE_KEYS && status == 0; key++)
        status = br_serf_state_check((enum br_serf_state_key)key, out->raw[key]);
    if (status != 0)
        return status;
    out->event_ltime = uint_of(out->raw[BR_SERF_STATE_EVENT_LTIME]);
    out->ltime = uint_of(out->raw[BR_SERF_STATE_LTIME]);
    out->query_ltime = uint_of(out->raw[BR_SERF_STATE_QUERY_LTIME]);
    out->events = br_mp_list_of(out->raw[BR_SERF_STATE_EVENTS]);
    out->left_members = br_mp_list_of(out->raw[BR_SERF_STATE_LEFT_MEMBERS]);
    out->status_ltimes = br_mp_pairs_of(out->raw[BR_SERF_STATE_STATUS_LTIMES]);
    return 0;
}

bool br_serf_next_status(struct br_mp_list *status_ltimes, struct bruit_bytes *name, uint64_t *ltime)
{
    struct br_reader r;
    if (!begin_element(status_ltimes, &r))
        return false;
    *name = br_mp_read_bytes(&r);
    *ltime = br_mp_read_uint(&r, UINT64_MAX);
    return end_element(status_ltimes, &r);
}

bool br_serf_next_name(struct br_mp_list *names, struct bruit_bytes *name)
{
    struct br_reader r;
    if (!begin_element(names, &r))
        return false;
    *name = br_mp_read_bytes(&r);
    return end_element(names, &r);
}

bool br_serf_next_slot(struct br_mp_list *events, struct br_serf_slot *slot)
{
    struct br_reader r;
    while (begin_element(events, &r)) {
        bool is_nil = br_mp_peek(&r) == BR_MP_NIL;
        br_mp_read_struct(&r, slot_fields, COUNT(slot_fields), slot);
        if (!end_element(events, &r))
            return false;
        if (!is_nil)
            return true;
    }
    return false;
}

bool br_serf_next_slot_event(struct br_mp_list *events, struct bruit_bytes *name, struct bruit_bytes *payload)
{
    struct br_reader r;
    if (!begin_element(events, &r))
        return false;
    struct slot_event event;
    br_mp_read_struct(&r, slot_event_fields, COUNT(slot_event_fields), &event);
    *name = event.name;
    *payload = event.payload;
    return end_element(events, &r);
}

/* ---- tags ---------------------------------------------------------------------------------------------- */

void br_serf_tags_open(struct br_serf_tags *tags, struct bruit_bytes meta)
{
    *tags = (struct br_serf_tags){.role = meta};
    br_reader_init(&tags->reader, meta);
    tags->is_role = meta.size == 0 || meta.data[0] != BR_SERF_TAGS_MAGIC;
    if (tags->is_role) {
        tags->left = 1;
        return;
    }
    (void)br_read_u8(&tags->reader);
    tags->left = br_mp_read_map_claim(&tags->reader);
    tags->malformed = tags->reader.failed;
}

bool br_serf_tags_next(struct br_serf_tags *tags, struct br_serf_tag *tag)
{
    if (tags->left == 0)
        return false;
    tags->left--;
    if (tags->is_role) {
        *tag = (struct br_serf_tag){br_bytes_text("role"), tags->role};
        return true;
    }
    tag->key = br_mp_read_bytes(&tags->reader);
    tag->value = br_mp_read_bytes(&tags->reader);
    if (!tags->reader.failed)
        return true;
    tags->malformed = true;
    tags->left = 0;
    return false;
}

bool br_serf_tags_find(struct bruit_bytes meta, struct bruit_bytes key, struct bruit_bytes *value)
{
    struct br_serf_tags tags;
    struct br_serf_tag tag;
    bool found = false;
    br_serf_tags_open(&tags, meta);
    while (br_serf_tags_next(&tags, &tag)) {
        if (!br_bytes_equal(tag.key, key))
            continue;
        *value = tag.value;
        found = true;
    }
    return found;
}

/* Metadata written since `start` stands if it fits, or is taken back. */
static int finish_meta(struct br_writer *w, size_t start)
{
    if (!w->failed && br_writer_size(w) - start <= BRUIT_META_MAX)
        return 0;
    br_writer_rewind(w, start);
    return BRUIT_ETOOBIG;
}

int br_serf_tags_encode(struct br_writer *w, const struct br_serf_tag *tags, size_t count)
{
    size_t start = br_writer_size(w);
    if (count > BRUIT_META_MAX)
        return BRUIT_ETOOBIG;
    br_write_u8(w, BR_SERF_TAGS_MAGIC);
    br_mp_write_map(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        br_mp_write_str(w, tags[i].key);
        br_mp_write_str(w, tags[i].value);
    }
    return finish_meta(w, start);
}

int br_serf_role_encode(struct br_writer *w, const struct br_serf_tag *tags, size_t count)
{
    size_t start = br_writer_size(w);
    for (size_t i = 0; i < count; i++)
        if (br_bytes_equal(tags[i].key, br_bytes_text("role"))) {
            br_write_bytes(w, tags[i].value);
            break;
        }
    return finish_meta(w, start);
}

/* ---- events and queries -------------------------------------------------------------------------------- */

static const struct br_mp_field event_fields[] = {
    BR_MP_FIELD(struct br_serf_event, coalesce, "CC", BR_MP_FLAG, 3, false),
    BR_MP_FIELD(struct br_serf_event, ltime, "LTime", BR_MP_U64, 0, false),
    BR_MP_FIELD(struct br_serf_event, name, "Name", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_serf_event, payload, "Payload", BR_MP_BYTES, 2, false),
};

static const struct br_mp_field query_fields[] = {
    BR_MP_FIELD(struct br_serf_query, addr, "Addr", BR_MP_BYTES, 2, false),
    BR_MP_FIELD(struct br_serf_query, filters, "Filters", BR_MP_LIST, 5, false),
    BR_MP_FIELD(struct br_serf_query, flags, "Flags", BR_MP_U32, 6, false),
    BR_MP_FIELD(struct br_serf_query, id, "ID", BR_MP_U32, 1, false),
    BR_MP_FIELD(struct br_serf_query, ltime, "LTime", BR_MP_U64, 0, false),
    BR_MP_FIELD(struct br_serf_query, name, "Name", BR_MP_TEXT, 9, false),
    BR_MP_FIELD(struct br_serf_query, payload, "Payload", BR_MP_BYTES, 10, false),
    BR_MP_FIELD(struct br_serf_query, port, "Port", BR_MP_U16, 3, false),
    BR_MP_FIELD(struct br_serf_query, relay_factor, "RelayFactor", BR_MP_U8, 7, false),
    BR_MP_FIELD(struct br_serf_query, source_node, "SourceNode", BR_MP_TEXT, 4, false),
    BR_MP_FIELD(struct br_serf_query, timeout_ns, "Timeout", BR_MP_I64, 8, false),
};

static const struct br_mp_field response_fields[] = {
    BR_MP_FIELD(struct br_serf_response, flags, "Flags", BR_MP_U32, 3, false),
    BR_MP_FIELD(struct br_serf_response, from, "From", BR_MP_TEXT, 2, false),
    BR_MP_FIELD(struct br_serf_response, id, "ID", BR_MP_U32, 1, false),
    BR_MP_FIELD(struct br_serf_response, ltime, "LTime", BR_MP_U64, 0, false),
    BR_MP_FIELD(struct br_serf_response, payload, "Payload", BR_MP_BYTES, 4, false),
};

int br_serf_event_decode(struct br_serf_event *out, struct bruit_bytes body)
{
    return decode(body, event_fields, COUNT(event_fields), out);
}

void br_serf_event_encode(struct br_writer *w, const struct br_serf_event *event)
{
    encode(w, BR_SERF_USER_EVENT, event_fields, COUNT(event_fields), event);
}

int br_serf_query_decode(struct br_serf_query *out, struct bruit_bytes body)
{
    int status = decode(body, query_fields, COUNT(query_fields), out);
    if (status == 0 && !check_names(out->filters))
        return BRUIT_EFORMAT;
    return status;
}

void br_serf_query_encode(struct br_writer *w, const struct br_serf_query *query)
{
    encode(w, BR_SERF_QUERY, query_fields, COUNT(query_fields), query);
}

int br_serf_response_decode(struct br_serf_response *out, struct bruit_bytes body)
{
    return decode(body, response_fields, COUNT(response_fields), out);
}

void br_serf_response_encode(struct br_writer *w, const struct br_serf_response *response)
{
    encode(w, BR_SERF_QUERY_RESPONSE, response_fields, COUNT(response_fields), response);
}

static const struct br_mp_field tag_filter_fields[] = {
    BR_MP_FIELD(struct br_serf_filter, expr, "Expr", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_serf_filter, tag, "Tag", BR_MP_TEXT, 0, false),
};

bool br_serf_next_filter(struct br_mp_list *filters, struct bruit_bytes *filter)
{
    return br_serf_next_name(filters, filter);
}

int br_serf_filter_decode(struct br_serf_filter *out, struct bruit_bytes filter)
{
    struct br_reader r;
    br_reader_init(&r, filter);
    *out = (struct br_serf_filter){.kind = br_read_u8(&r)};
    if (out->kind == BR_SERF_FILTER_NODE)
        out->nodes = br_mp_read_list(&r);
    else if (out->kind == BR_SERF_FILTER_TAG)
        br_mp_read_struct(&r, tag_filter_fields, COUNT(tag_filter_fields), out);
    return r.failed || !check_names(out->nodes) ? BRUIT_EFORMAT : 0;
}

void br_serf_filter_encode(struct br_writer *w, const struct br_serf_filter *filter)
{
    br_write_u8(w, filter->kind);
    if (filter->kind == BR_SERF_FILTER_NODE)
        br_mp_write_list(w, &filter->nodes);
    else if (filter->kind == BR_SERF_FILTER_TAG)
        br_mp_write_struct(w, tag_filter_fields, COUNT(tag_filter_fields), filter);
}

/* ---- answers to internal queries ----------------------------------------------------------------------- */

static const struct br_mp_field member_fields[] = {
    BR_MP_FIELD(struct br_serf_member, addr, "Addr", BR_MP_BYTES, 1, false),
    BR_MP_FIELD(struct br_serf_member, delegate_current, "DelegateCur", BR_MP_U8, 10, false),
    BR_MP_FIELD(struct br_serf_member, delegate_max, "DelegateMax", BR_MP_U8, 9, false),
    BR_MP_FIELD(struct br_serf_member, delegate_min, "DelegateMin", BR_MP_U8, 8, false),
    BR_MP_FIELD(struct br_serf_member, name, "Name", BR_MP_TEXT, 0, false),
    BR_MP_FIELD(struct br_serf_member, port, "Port", BR_MP_U16, 2, false),
    BR_MP_FIELD(struct br_serf_member, protocol_current, "ProtocolCur", BR_MP_U8, 7, false),
    BR_MP_FIELD(struct br_serf_member, protocol_max, "ProtocolMax", BR_MP_U8, 6, false),
    BR_MP_FIELD(struct br_serf_member, protocol_min, "ProtocolMin", BR_MP_U8, 5, false),
    BR_MP_FIELD(struct br_serf_member, status, "Status", BR_MP_I64, 4, false),
    BR_MP_FIELD(struct br_serf_member, tags, "Tags", BR_MP_PAIRS, 3, false),
};

static bool check_tags(struct br_mp_list pairs)
{
    struct br_serf_tag tag;
    uint32_t count = pairs.count, seen = 0;
    while (br_serf_next_tag(&pairs, &tag))
        seen++;
    return seen == count;
}

int br_serf_member_decode(struct br_serf_member *out, struct bruit_bytes body)
{
    struct br_reader r;
    br_reader_init(&r, body);
    bool known = br_mp_peek(&r) != BR_MP_NIL;
    *out = (struct br_serf_member){.known = known};
    br_mp_read_struct(&r, member_fields, COUNT(member_fields), out);
    return r.failed || !check_tags(out->tags) ? BRUIT_EFORMAT : 0;
}

void br_serf_member_encode(struct br_writer *w, const struct br_serf_member *member)
{
    if (member->known) {
        encode(w, BR_SERF_CONFLICT_RESPONSE, member_fields, COUNT(member_fields), member);
        return;
    }
    br_write_u8(w, BR_SERF_CONFLICT_RESPONSE);
    br_mp_write_nil(w);
}

bool br_serf_next_tag(struct br_mp_list *pairs, struct br_serf_tag *tag)
{
    struct br_reader r;
    if (!begin_element(pairs, &r))
        return false;
    tag->key = br_mp_read_bytes(&r);
    tag->value = br_mp_read_bytes(&r);
    return end_element(pairs, &r);
}

/* The key of a list request is empty but not nil (vector gossip-query-key-list): hence text. */
static const struct br_mp_field key_request_fields[] = {
    BR_MP_FIELD(struct br_serf_key_request, key, "Key", BR_MP_TEXT, 0, false),
};

static const struct br_mp_field key_response_fields[] = {
    BR_MP_FIELD(struct br_serf_key_response, keys, "Keys", BR_MP_LIST, 2, false),
    BR_MP_FIELD(struct br_serf_key_response, message, "Message", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_serf_key_response, primary_key, "PrimaryKey", BR_MP_TEXT, 3, false),
    BR_MP_FIELD(struct br_serf_key_response, result, "Result", BR_MP_FLAG, 0, false),
};

int br_serf_key_request_decode(struct br_serf_key_request *out, struct bruit_bytes body)
{
    return decode(body, key_request_fields, COUNT(key_request_fields), out);
}

void br_serf_key_request_encode(struct br_writer *w, const struct br_serf_key_request *request)
{
    encode(w, BR_SERF_KEY_REQUEST, key_request_fields, COUNT(key_request_fields), request);
}

int br_serf_key_response_decode(struct br_serf_key_response *out, struct bruit_bytes body)
{
    int status = decode(body, key_response_fields, COUNT(key_response_fields), out);
    if (status == 0 && !check_names(out->keys))
        return BRUIT_EFORMAT;
    return status;
}

void br_serf_key_response_encode(struct br_writer *w, const struct br_serf_key_response *response)
{
    encode(w, BR_SERF_KEY_RESPONSE, key_response_fields, COUNT(key_response_fields), response);
}

/* ---- relays -------------------------------------------------------------------------------------------- */

struct relay_header {
    struct bruit_bytes dest; /* the struct inside, encoded */
    struct bruit_bytes node;
};

struct relay_dest {
    struct bruit_bytes ip;
    int64_t port; /* a Go int */
    struct bruit_bytes zone;
};

static const struct br_mp_field relay_fields[] = {
    BR_MP_FIELD(struct relay_header, dest, "DestAddr", BR_MP_RAW, 0, false),
    BR_MP_FIELD(struct relay_header, node, "DestName", BR_MP_TEXT, 1, false),
};

static const struct br_mp_field dest_fields[] = {
    BR_MP_FIELD(struct relay_dest, ip, "IP", BR_MP_BYTES, 0, false),
    BR_MP_FIELD(struct relay_dest, port, "Port", BR_MP_I64, 1, false),
    BR_MP_FIELD(struct relay_dest, zone, "Zone", BR_MP_TEXT, 2, false),
};

int br_serf_relay_decode(struct br_serf_relay *out, struct bruit_bytes body)
{
    struct relay_header header;
    struct relay_dest dest = {.port = 0};
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, relay_fields, COUNT(relay_fields), &header);
    if (r.failed)
        return BRUIT_EFORMAT;
    if (header.dest.size != 0 && decode(header.dest, dest_fields, COUNT(dest_fields), &dest) != 0)
        return BRUIT_EFORMAT;
    if (dest.port < 0 || dest.port > UINT16_MAX)
        return BRUIT_EFORMAT;
    *out = (struct br_serf_relay){
        .ip = dest.ip,
        .port = (uint16_t)dest.port,
        .zone = dest.zone,
        .node = header.node,
        .message = br_reader_rest(&r),
    };
    return 0;
}

void br_serf_relay_encode(struct br_writer *w, const struct br_serf_relay *relay)
{
    struct relay_dest dest = {.ip = relay->ip, .port = relay->port, .zone = relay->zone};
    br_write_u8(w, BR_SERF_RELAY);
    br_mp_write_map(w, COUNT(relay_fields));
    br_mp_write_key(w, "DestAddr");
    br_mp_write_struct(w, dest_fields, COUNT(dest_fields), &dest);
    br_mp_write_key(w, "DestName");
    br_mp_write_str(w, relay->node);
    br_write_bytes(w, relay->message);
}

/* ---- coordinates --------------------------------------------------------------------------------------- */

struct coordinate {
    double adjustment;
    double error;
    double height;
    struct br_mp_list vec;
};

static const struct br_mp_field coordinate_fields[] = {
    BR_MP_FIELD(struct coordinate, adjustment, "Adjustment", BR_MP_F64, 2, false),
    BR_MP_FIELD(struct coordinate, error, "Error", BR_MP_F64, 1, false),
    BR_MP_FIELD(struct coordinate, height, "Height", BR_MP_F64, 3, false),
    BR_MP_FIELD(struct coordinate, vec, "Vec", BR_MP_LIST, 0, false),
};

int br_serf_coordinate_decode(struct br_serf_coordinate *out, struct bruit_bytes payload)
{
    struct br_reader r;
    struct coordinate wire;
    br_reader_init(&r, payload);
    uint8_t version = br_read_u8(&r);
    if (!r.failed && version != BR_SERF_PING_VERSION)
        return BRUIT_EVERSION;
    br_mp_read_struct(&r, coordinate_fields, COUNT(coordinate_fields), &wire);
    if (r.failed)
        return BRUIT_EFORMAT;
    *out = (struct br_serf_coordinate){.adjustment = wire.adjustment,
                                       .error = wire.error,
                                       .height = wire.height,
                                       .dimensions = wire.vec.count};
    struct br_reader vec;
    br_reader_init(&vec, wire.vec.items);
    for (uint32_t i = 0; i < wire.vec.count && !vec.failed; i++) {
        double component = br_mp_read_float(&vec);
        if (i < BR_SERF_DIMENSIONS)
            out->vec[i] = component;
    }
    return vec.failed ? BRUIT_EFORMAT : 0;
}

void br_serf_coordinate_encode(struct br_writer *w, const struct br_serf_coordinate *coordinate)
{
    BR_ASSERT(coordinate->dimensions <= BR_SERF_DIMENSIONS);
    br_write_u8(w, BR_SERF_PING_VERSION);
    br_mp_write_map(w, COUNT(coordinate_fields));
    br_mp_write_key(w, "Adjustment");
    br_mp_write_float(w, coordinate->adjustment);
    br_mp_write_key(w, "Error");
    br_mp_write_float(w, coordinate->error);
    br_mp_write_key(w, "Height");
    br_mp_write_float(w, coordinate->height);
    br_mp_write_key(w, "Vec");
    br_mp_write_array(w, coordinate->dimensions);
    for (uint32_t i = 0; i < coordinate->dimensions; i++)
        br_mp_write_float(w, coordinate->vec[i]);
}

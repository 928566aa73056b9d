/* A query through an agent; see asking.h. */
#include "cli/asking.h"

#include "agent/tags.h"

static size_t size_of(const struct br_asking *asking)
{
    size_t size = 160 + strlen(asking->name) + (asking->payload == NULL ? 0 : strlen(asking->payload));
    for (size_t i = 0; asking->nodes != NULL && i < asking->nodes->count; i++)
        size += 5 + strlen(asking->nodes->items[i]);
    for (size_t i = 0; asking->tags != NULL && i < asking->tags->count; i++)
        size += 10 + strlen(asking->tags->items[i]);
    return size;
}

static void write_nodes(struct br_writer *w, const struct br_values *nodes)
{
    br_mp_write_key(w, "FilterNodes");
    if (nodes == NULL || nodes->count == 0) {
        br_mp_write_nil(w);
        return;
    }
    br_mp_write_array(w, (uint32_t)nodes->count);
    for (size_t i = 0; i < nodes->count; i++)
        br_mp_write_str8(w, br_bytes_string(nodes->items[i]));
}

static void write_tags(struct br_writer *w, const struct br_values *tags)
{
    br_mp_write_key(w, "FilterTags");
    if (tags == NULL) {
        br_mp_write_nil(w);
        return;
    }
    br_mp_write_map(w, (uint32_t)tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        struct bruit_bytes key = br_bytes(NULL, 0), value = key;
        (void)br_pair_split(tags->items[i], &key, &value);
        br_mp_write_str8(w, key);
        br_mp_write_str8(w, value);
    }
}

int br_ask(struct br_session *session, const struct br_asking *asking)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w = br_blob_writer(&body, size_of(asking));
    br_mp_write_map(&w, asking->until == NULL ? 7 : 8);
    write_nodes(&w, asking->nodes);
    write_tags(&w, asking->tags);
    br_mp_write_key(&w, "Name");
    br_mp_write_str8(&w, br_bytes_string(asking->name));
    br_mp_write_key(&w, "Payload");
    br_mp_write_bin(&w, br_bytes(asking->payload, asking->payload == NULL ? 0 : strlen(asking->payload)));
    br_mp_write_key(&w, "RelayFactor");
    br_mp_write_uint(&w, asking->relay_factor);
    br_mp_write_key(&w, "RequestAck");
    br_mp_write_bool(&w, asking->ack);
    br_mp_write_key(&w, "Timeout");
    br_mp_write_uint(&w, asking->timeout);
    if (asking->until != NULL) {
        br_mp_write_key(&w, "Until");
        br_mp_write_str8(&w, br_bytes_string(asking->until));
    }
    br_blob_written(&body, &w);
    int error = br_session_call(session, "query", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

struct record {
    struct bruit_bytes from, payload, type;
};

static const struct br_mp_field record_fields[] = {
    BR_MP_FIELD(struct record, from, "From", BR_MP_TEXT, 1, 0),
    BR_MP_FIELD(struct record, payload, "Payload", BR_MP_BYTES, 2, 0),
    BR_MP_FIELD(struct record, type, "Type", BR_MP_TEXT, 0, 0),
};

bool br_next_answer(struct br_session *session, struct br_answer *out)
{
    struct bruit_bytes error, object;
    struct record record = {.from = {NULL, 0}};
    struct br_reader r;
    uint64_t seq;
    do {
        if (br_session_read_header(session, &seq, &error) != 0 || br_session_read(session, &object) != 0)
            return false;
    } while (seq != session->seq);
    br_reader_init(&r, object);
    br_mp_read_struct(&r, record_fields, 3, &record);
    out->from = record.from;
    out->payload = record.payload;
    out->is_ack = br_bytes_equal(record.type, br_bytes_text("ack"));
    return !r.failed && record.from.size > 0;
}

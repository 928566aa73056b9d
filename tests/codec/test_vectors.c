/*
 * Every recorded memberlist vector through the real pipeline: decoded, compared field by field, refused
 * where a codec must refuse, and, where marked, built again from the decoded form to the same bytes
 * (tests/vectors/memberlist).
 */
#include "codec/pushpull.h"
#include "support/wire.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- JSON ---- */

struct vector {
    char name[512];
    json_t *json;
    json_t *decoded;
    uint8_t bytes[1 << 17];
    size_t size;
    bool is_stream;
};

static size_t parse_hex(const char *hex, uint8_t *out, size_t capacity)
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= capacity);
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return size;
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value == NULL ? "" : value;
}

/* Bytes named in a vector live until the next vector. */
static uint8_t arena[1 << 18];
static size_t arena_used;

static struct bruit_bytes hex_bytes(json_t *object, const char *key)
{
    uint8_t *at = arena + arena_used;
    size_t size = parse_hex(text(object, key), at, sizeof arena - arena_used);
    arena_used += size;
    return br_bytes(at, size);
}

static struct bruit_bytes text_bytes(json_t *object, const char *key)
{
    return br_bytes_string(text(object, key));
}

static uint64_t number(json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool flag(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static json_t *layer(const struct vector *v, const char *name)
{
    size_t i;
    json_t *each;
    json_array_foreach(json_object_get(v->decoded, "layers"), i,
                       each) if (strcmp(text(each, "layer"), name) == 0) return each;
    return NULL;
}

static bool is_named(json_t *message, const char *name)
{
    return strcmp(text(message, "name"), name) == 0;
}

/* ---- comparing what was decoded ---- */

#define assert_field(a, b) assert_true(br_bytes_equal((a), (b)))

static struct br_ping json_ping(json_t *body)
{
    return (struct br_ping){.seq = (uint32_t)number(body, "SeqNo"),
                            .node = text_bytes(body, "Node"),
                            .source_addr = hex_bytes(body, "SourceAddr"),
                            .source_port = (uint16_t)number(body, "SourcePort"),
                            .source_node = text_bytes(body, "SourceNode")};
}

static void compare_ping(struct bruit_bytes bytes, json_t *body)
{
    struct br_ping got;
    struct br_ping want = json_ping(body);
    assert_int_equal(br_ping_decode(&got, bytes), 0);
    assert_int_equal(got.seq, want.seq);
    assert_field(got.node, want.node);
    assert_field(got.source_addr, want.source_addr);
    assert_int_equal(got.source_port, want.source_port);
    assert_field(got.source_node, want.source_node);
}

static struct br_indirect_ping json_indirect_ping(json_t *body)
{
    return (struct br_indirect_ping){.seq = (uint32_t)number(body, "SeqNo"),
                                     .target = hex_bytes(body, "Target"),
                                     .port = (uint16_t)number(body, "Port"),
                                     .node = text_bytes(body, "Node"),
                                     .nack = flag(body, "Nack"),
                                     .source_addr = hex_bytes(body, "SourceAddr"),
                                     .source_port = (uint16_t)number(body, "SourcePort"),
                                     .source_node = text_bytes(body, "SourceNode")};
}

static void compare_indirect_ping(struct bruit_bytes bytes, json_t *body)
{
    struct br_indirect_ping got;
    struct br_indirect_ping want = json_indirect_ping(body);
    assert_int_equal(br_indirect_ping_decode(&got, bytes), 0);
    assert_int_equal(got.seq, want.seq);
    assert_field(got.target, want.target);
    assert_int_equal(got.port, want.port);
    assert_field(got.node, want.node);
    assert_int_equal(got.nack, want.nack);
    assert_field(got.source_addr, want.source_addr);
    assert_int_equal(got.source_port, want.source_port);
    assert_field(got.source_node, want.source_node);
}

static void compare_ack(struct bruit_bytes bytes, json_t *body)
{
    struct br_ack got;
    assert_int_equal(br_ack_decode(&got, bytes), 0);
    assert_int_equal(got.seq, number(body, "SeqNo"));
    assert_field(got.payload, hex_bytes(body, "Payload"));
}

static void compare_nack(struct bruit_bytes bytes, json_t *body)
{
    struct br_nack got;
    assert_int_equal(br_nack_decode(&got, bytes), 0);
    assert_int_equal(got.seq, number(body, "SeqNo"));
}

static void compare_suspect(struct bruit_bytes bytes, json_t *body)
{
    struct br_suspect got;
    assert_int_equal(br_suspect_decode(&got, bytes), 0);
    assert_int_equal(got.incarnation, number(body, "Incarnation"));
    assert_field(got.node, text_bytes(body, "Node"));
    assert_field(got.from, text_bytes(body, "From"));
}

static void compare_dead(struct bruit_bytes bytes, json_t *body)
{
    struct br_dead got;
    assert_int_equal(br_dead_decode(&got, bytes), 0);
    assert_int_equal(got.incarnation, number(body, "Incarnation"));
    assert_field(got.node, text_bytes(body, "Node"));
    assert_field(got.from, text_bytes(body, "From"));
}

/* An entry of a push/pull is the same but for the key of the name. */
static struct br_alive json_alive(json_t *body, const char *name_key)
{
    return (struct br_alive){.incarnation = (uint32_t)number(body, "Incarnation"),
                             .port = (uint16_t)number(body, "Port"),
                             .node = text_bytes(body, name_key),
                             .addr = hex_bytes(body, "Addr"),
                             .meta = hex_bytes(body, "Meta"),
                             .vsn = hex_bytes(body, "Vsn")};
}

static void compare_identity(const struct br_alive *got, const struct br_alive *want)
{
    assert_int_equal(got->incarnation, want->incarnation);
    assert_int_equal(got->port, want->port);
    assert_field(got->node, want->node);
    assert_field(got->addr, want->addr);
    assert_field(got->meta, want->meta);
    assert_field(got->vsn, want->vsn);
}

static void compare_alive(struct bruit_bytes bytes, json_t *body)
{
    struct br_alive got;
    struct br_alive want = json_alive(body, "Node");
    assert_int_equal(br_alive_decode(&got, bytes), 0);
    compare_identity(&got, &want);
}

static void compare_leaf(enum br_message_type type, struct bruit_bytes bytes, json_t *message)
{
    static void (*const compare[])(struct bruit_bytes, json_t *) = {
        [BR_PING] = compare_ping,       [BR_INDIRECT_PING] = compare_indirect_ping,
        [BR_ACK] = compare_ack,         [BR_NACK] = compare_nack,
        [BR_SUSPECT] = compare_suspect, [BR_ALIVE] = compare_alive,
        [BR_DEAD] = compare_dead,       [BR_USER] = NULL,
    };
    assert_int_equal(type, number(message, "type"));
    if (type == BR_USER)
        assert_field(bytes, hex_bytes(message, "payload"));
    else
        compare[type](bytes, json_object_get(message, "body"));
}

/* ---- datagrams ---- */

static void set_up(struct test_wire *t, const struct vector *v)
{
    size_t i;
    json_t *each;
    json_t *verify = json_object_get(v->json, "verify_incoming");
    t->wire.label.label = text_bytes(v->json, "label");
    t->wire.verify_incoming = verify == NULL || json_is_true(verify);
    json_array_foreach(json_object_get(v->json, "keys"), i, each)
    {
        uint8_t key[BRUIT_KEY_MAX];
        size_t size = parse_hex(json_string_value(each), key, sizeof key);
        assert_int_equal(br_keyring_add(&t->ring, br_bytes(key, size)), 0);
    }
}

/* Walks the decoded tree beside the leaves and drops that came out. */
static void compare_packet(struct test_wire *t, json_t *message, size_t *leaf, size_t *dropped)
{
    size_t i;
    json_t *part;
    if (json_object_get(message, "error") != NULL) {
        (*dropped)++;
    } else if (is_named(message, "compound")) {
        json_array_foreach(json_object_get(message, "parts"), i, part) compare_packet(t, part, leaf, dropped);
        *dropped += number(message, "truncated") > 0;
    } else if (is_named(message, "compress")) {
        assert_int_equal(t->info.inflated, number(message, "plain_len"));
        compare_packet(t, json_object_get(message, "inner"), leaf, dropped);
    } else {
        compare_leaf(t->leaves[*leaf].type, test_wire_leaf(t, *leaf), message);
        (*leaf)++;
    }
}

static void decode_packet(struct test_wire *t, const struct vector *v)
{
    size_t leaves = 0;
    size_t drops = 0;
    json_t *encrypt = layer(v, "encrypt");
    assert_int_equal(test_wire_open(t, br_bytes(v->bytes, v->size)), 0);
    if (json_object_get(v->decoded, "error") != NULL) {
        assert_int_equal(t->leaf_count, 0);
        assert_int_equal(t->drop_count, 1);
        return;
    }
    assert_int_equal(t->info.labelled, layer(v, "label") != NULL);
    assert_int_equal(t->info.checked, layer(v, "crc") != NULL);
    assert_int_equal(t->info.plaintext_accepted, layer(v, "plaintext-accepted") != NULL);
    assert_int_equal(t->info.sealed, encrypt != NULL);
    if (encrypt != NULL) {
        assert_int_equal(t->info.seal_version, number(encrypt, "version"));
        assert_int_equal(t->info.key_index, number(encrypt, "key_index"));
    }
    compare_packet(t, json_object_get(v->decoded, "message"), &leaves, &drops);
    assert_int_equal(t->leaf_count, leaves);
    assert_int_equal(t->drop_count, drops);
}

/* udp_ping_minimal was made by hand: upstream, and hence we, always write Node. */
static void encode_ping_without_node(struct br_writer *w, json_t *body)
{
    br_write_u8(w, BR_PING);
    br_mp_write_map(w, 1);
    br_mp_write_key(w, "SeqNo");
    br_mp_write_uint(w, number(body, "SeqNo"));
}

static void encode_leaf(struct br_writer *w, json_t *message)
{
    json_t *body = json_object_get(message, "body");
    if (is_named(message, "ping") && json_object_get(body, "Node") == NULL) {
        encode_ping_without_node(w, body);
    } else if (is_named(message, "ping")) {
        struct br_ping ping = json_ping(body);
        br_ping_encode(w, &ping);
    } else if (is_named(message, "indirectPing")) {
        struct br_indirect_ping ping = json_indirect_ping(body);
        br_indirect_ping_encode(w, &ping);
    } else if (is_named(message, "ackResp")) {
        struct br_ack ack = {.seq = (uint32_t)number(body, "SeqNo"), .payload = hex_bytes(body, "Payload")};
        br_ack_encode(w, &ack);
    } else if (is_named(message, "nackResp")) {
        struct br_nack nack = {.seq = (uint32_t)number(body, "SeqNo")};
        br_nack_encode(w, &nack);
    } else if (is_named(message, "suspect")) {
        struct br_suspect suspect = {.incarnation = (uint32_t)number(body, "Incarnation"),
                                     .node = text_bytes(body, "Node"),
                                     .from = text_bytes(body, "From")};
        br_suspect_encode(w, &suspect);
    } else if (is_named(message, "dead")) {
        struct br_dead dead = {.incarnation = (uint32_t)number(body, "Incarnation"),
                               .node = text_bytes(body, "Node"),
                               .from = text_bytes(body, "From")};
        br_dead_encode(w, &dead);
    } else if (is_named(message, "alive")) {
        struct br_alive alive = json_alive(body, "Node");
        br_alive_encode(w, &alive);
    } else if (is_named(message, "err")) {
        struct br_err err = {.error = text_bytes(body, "Error")};
        br_err_encode(w, &err);
    } else {
        assert_true(is_named(message, "user"));
        br_write_u8(w, BR_USER);
        br_write_bytes(w, hex_bytes(message, "payload"));
    }
}

static void add_leaf(struct br_packet_builder *builder, json_t *message)
{
    struct br_writer leaf = br_packet_leaf(builder);
    encode_leaf(&leaf, message);
    assert_int_equal(br_packet_leaf_end(builder, &leaf), 0);
}

/* Sealed as the vector was: its key in front, its nonce. */
static void prepare_seal(struct test_wire *t, const struct vector *v)
{
    json_t *encrypt = layer(v, "encrypt");
    t->wire.verify_outgoing = encrypt != NULL;
    if (encrypt == NULL)
        return;
    uint8_t key[BRUIT_KEY_MAX];
    json_t *keys = json_object_get(v->json, "keys");
    json_t *hex = json_array_get(keys, (size_t)number(encrypt, "key_index"));
    size_t size = parse_hex(json_string_value(hex), key, sizeof key);
    assert_int_equal(br_keyring_use(&t->ring, br_bytes(key, size)), 0);
    t->wire.seal_version = (uint8_t)number(encrypt, "version");
    assert_int_equal(parse_hex(text(encrypt, "nonce"), t->nonce, sizeof t->nonce), sizeof t->nonce);
}

static void assert_same_bytes(const struct vector *v, struct bruit_bytes built)
{
    assert_int_equal(built.size, v->size);
    assert_memory_equal(built.data, v->bytes, v->size);
}

static void reencode_packet(struct test_wire *t, const struct vector *v)
{
    static uint8_t buffer[1 << 17];
    struct br_packet_builder builder;
    json_t *message = json_object_get(v->decoded, "message");
    size_t size = 0;
    size_t i;
    json_t *part;
    prepare_seal(t, v);
    t->wire.compression = is_named(message, "compress");
    br_packet_begin(&builder, &t->wire, &t->scratch, buffer, sizeof buffer, layer(v, "crc") != NULL);
    if (t->wire.compression)
        message = json_object_get(message, "inner");
    if (is_named(message, "compound"))
        json_array_foreach(json_object_get(message, "parts"), i, part) add_leaf(&builder, part);
    else
        add_leaf(&builder, message);
    assert_int_equal(br_packet_finish(&builder, &size), 0);
    assert_same_bytes(v, br_bytes(buffer, size));
}

/* ---- streams ---- */

/* The dialling side wrote these bytes, unless they are an answer. */
static bool is_dialled(json_t *message)
{
    return !is_named(message, "ackResp") && !is_named(message, "err");
}

static void compare_pushpull(struct bruit_bytes body, json_t *message)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct bruit_bytes state = {.data = NULL};
    json_t *header = json_object_get(message, "header");
    json_t *nodes = json_object_get(message, "nodes");
    size_t entries = 0;
    br_pushpull_reader_init(&reader);
    for (int step = 0; step != BR_PUSHPULL_DONE;) {
        size_t consumed = 0;
        step = br_pushpull_read(&reader, body, &consumed, &entry, &state);
        assert_true(step >= BR_PUSHPULL_HEADER);
        body = br_bytes(body.data + consumed, body.size - consumed);
        if (step != BR_PUSHPULL_ENTRY)
            continue;
        json_t *want = json_array_get(nodes, entries++);
        struct br_alive identity = json_alive(want, "Name");
        compare_identity(&entry.alive, &identity);
        assert_int_equal(entry.state, number(want, "State"));
    }
    assert_int_equal(entries, json_array_size(nodes));
    assert_int_equal(reader.header.nodes, number(header, "Nodes"));
    assert_int_equal(reader.header.join, flag(header, "Join"));
    assert_int_equal(reader.header.user_state_size, number(header, "UserStateLen"));
    assert_field(state, hex_bytes(message, "user_state"));
    assert_int_equal(body.size, 0);
}

static void compare_stream_user(struct bruit_bytes body, json_t *message)
{
    struct br_user_header header;
    size_t size = 0;
    assert_int_equal(br_user_header_decode(&header, body, &size), 0);
    assert_int_equal(header.size, number(json_object_get(message, "header"), "UserMsgLen"));
    assert_field(br_bytes(body.data + size, body.size - size), hex_bytes(message, "payload"));
}

static void compare_err(struct bruit_bytes body, json_t *message)
{
    struct br_err err;
    assert_int_equal(br_err_decode(&err, body), 0);
    assert_field(err.error, text_bytes(json_object_get(message, "body"), "Error"));
}

/* A message that arrives and cannot be taken: its own reader must refuse it. */
static void assert_message_refused(const struct br_frame_message *message)
{
    struct br_pushpull_reader reader;
    struct br_entry entry;
    struct br_user_header header;
    struct bruit_bytes state;
    size_t size = 0;
    if (message->type == BR_USER) {
        assert_int_equal(br_user_header_decode(&header, message->body, &size), BRUIT_ETOOBIG);
        return;
    }
    assert_int_equal(message->type, BR_PUSHPULL);
    br_pushpull_reader_init(&reader);
    assert_int_equal(br_pushpull_read(&reader, message->body, &size, &entry, &state), BRUIT_ETOOBIG);
}

static void decode_stream(struct test_wire *t, const struct vector *v)
{
    struct br_frame_reader reader;
    struct br_frame_message got;
    json_t *message = json_object_get(v->decoded, "message");
    json_t *encrypt = layer(v, "encrypt");
    bool accepted = layer(v, "label") != NULL || (t->wire.label.label.size == 0 && is_dialled(message));
    br_frame_reader_init(&reader, &t->wire, &t->scratch, accepted);
    int result = br_frame_read(&reader, br_bytes(v->bytes, v->size), &got);
    if (message == NULL && result != BR_FRAME_MESSAGE) {
        assert_int_equal(result, BR_FRAME_REFUSED);
        assert_true(reader.answer);
    } else if (message == NULL) {
        assert_message_refused(&got);
    } else {
        assert_int_equal(result, BR_FRAME_MESSAGE);
        assert_int_equal(got.type, number(message, "type"));
        assert_int_equal(reader.sealed, encrypt != NULL);
        assert_int_equal(reader.compressed, layer(v, "compress") != NULL);
        assert_int_equal(got.complete, reader.sealed || reader.compressed);
        if (encrypt != NULL) {
            assert_int_equal(reader.seal_version, number(encrypt, "version"));
            assert_int_equal(reader.key_index, number(encrypt, "key_index"));
        }
        if (got.type == BR_PUSHPULL)
            compare_pushpull(got.body, message);
        else if (got.type == BR_USER)
            compare_stream_user(got.body, message);
        else if (got.type == BR_ERR)
            compare_err(got.body, message);
        else
            compare_leaf((enum br_message_type)got.type, got.body, message);
    }
    br_frame_reader_fini(&reader);
}

/*
 * go-msgpack 2.1 writes a Go int of 128 to 32767 as d1; we write the unsigned form, which everybody reads
 * (docs/wire/memberlist.md section 2.3). Only here is the other one needed, at the header's last key.
 */
static void write_header_number(struct br_writer *w, const struct vector *v, uint64_t value)
{
    if (strcmp(text(v->json, "reencode"), "go-msgpack-2.1") == 0 && value >= 128) {
        assert_true(value <= INT16_MAX);
        br_write_u8(w, 0xd1);
        br_write_u16(w, (uint16_t)value);
    } else {
        br_mp_write_uint(w, value);
    }
}

static void encode_pushpull(struct br_writer *w, const struct vector *v, json_t *message)
{
    json_t *header = json_object_get(message, "header");
    struct br_pushpull_header ours = {
        .nodes = (uint32_t)number(header, "Nodes"), .join = flag(header, "Join"), .user_state_size = 0};
    size_t i;
    json_t *node;
    br_pushpull_header_encode(w, &ours);
    br_writer_rewind(w, br_writer_size(w) - 1); /* the 0 */
    write_header_number(w, v, number(header, "UserStateLen"));
    json_array_foreach(json_object_get(message, "nodes"), i, node)
    {
        struct br_entry entry = {.alive = json_alive(node, "Name"), .state = (uint8_t)number(node, "State")};
        br_entry_encode(w, &entry);
    }
    br_write_bytes(w, hex_bytes(message, "user_state"));
}

static void encode_stream_user(struct br_writer *w, const struct vector *v, json_t *message)
{
    struct br_user_header ours = {.size = 0};
    br_user_header_encode(w, &ours);
    br_writer_rewind(w, br_writer_size(w) - 1); /* the 0 */
    write_header_number(w, v, number(json_object_get(message, "header"), "UserMsgLen"));
    br_write_bytes(w, hex_bytes(message, "payload"));
}

static void reencode_stream(struct test_wire *t, const struct vector *v)
{
    static uint8_t buffer[1 << 17];
    struct br_frame frame;
    struct br_writer w;
    json_t *message = json_object_get(v->decoded, "message");
    br_writer_init(&w, buffer, sizeof buffer);
    if (is_named(message, "pushPull"))
        encode_pushpull(&w, v, message);
    else if (is_named(message, "user"))
        encode_stream_user(&w, v, message);
    else
        encode_leaf(&w, message);
    assert_false(w.failed);
    prepare_seal(t, v);
    t->wire.compression = layer(v, "compress") != NULL;
    assert_int_equal(
        br_frame_write(&t->wire, &t->scratch, br_writer_bytes(&w), layer(v, "label") != NULL, &frame), 0);
    assert_same_bytes(v, frame.bytes);
    br_frame_free(&frame, &t->alloc);
}

/* ---- all of them ---- */

static bool load(struct vector *v, const char *folder, const char *file)
{
    char path[1024];
    json_error_t error;
    const char *dot = strrchr(file, '.');
    if (dot == NULL || strcmp(dot, ".json") != 0)
        return false;
    snprintf(path, sizeof path, "%s/memberlist/%s%s", BRUIT_TEST_VECTORS, folder, file);
    v->json = json_load_file(path, 0, &error);
    assert_non_null(v->json);
    snprintf(v->name, sizeof v->name, "%s%s", folder, file);
    v->decoded = json_object_get(v->json, "decoded");
    v->size = parse_hex(text(v->json, "hex"), v->bytes, sizeof v->bytes);
    v->is_stream = strcmp(text(v->json, "transport"), "tcp") == 0;
    arena_used = 0;
    return true;
}

/* Runs `check` on every vector, each with a fresh member; returns how many there were. */
static size_t for_each_vector(void (*check)(struct test_wire *, const struct vector *))
{
    static struct vector v;
    const char *const folders[] = {"", "extra/"};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/memberlist/%s", BRUIT_TEST_VECTORS, folders[i]);
        DIR *dir = opendir(path);
        assert_non_null(dir);
        for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
            if (!load(&v, folders[i], entry->d_name))
                continue;
            struct test_wire *t = test_wire_new();
            print_message("%s\n", v.name);
            set_up(t, &v);
            check(t, &v);
            test_wire_free(t);
            json_decref(v.json);
            count++;
        }
        closedir(dir);
    }
    return count;
}

static void decode(struct test_wire *t, const struct vector *v)
{
    if (v->is_stream)
        decode_stream(t, v);
    else
        decode_packet(t, v);
}

static size_t reencoded;

static void reencode(struct test_wire *t, const struct vector *v)
{
    if (json_object_get(v->json, "reencode") == NULL)
        return;
    reencoded++;
    if (v->is_stream)
        reencode_stream(t, v);
    else
        reencode_packet(t, v);
}

/*
 * Bytes of real nodes: every layer and field is what the independent decoder found, or is refused as it
 * was.
 */
/* conformance: memberlist 10 */
static void test_decodes_every_vector(void **state)
{
    (void)state;
    assert_true(for_each_vector(decode) >= 80);
}

/* From the decoded form alone, with the nonce given, the very same bytes come out. */
/* conformance: memberlist 1, 4, 5, 10 */
static void test_rebuilds_every_vector_bit_for_bit(void **state)
{
    (void)state;
    reencoded = 0;
    (void)for_each_vector(reencode);
    assert_true(reencoded >= 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decodes_every_vector),
        cmocka_unit_test(test_rebuilds_every_vector_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

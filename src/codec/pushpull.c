/*
 * The full state exchange (docs/wire/memberlist.md sections 2.2 and 5.2), and members' identities encoded
 * once.
 *
 * An entry is an alive message with two differences, the key of the name and the State before Vsn, which is
 * what lets one fragment serve both. Entries are first matched against the form that Go's encoder gives them;
 * ten thousand of them are what a push/pull consists of.
 */
#include "codec/pushpull.h"

#include "base/check.h"
#include "codec/canonical.h"

#define COUNT(fields) (sizeof(fields) / sizeof(fields)[0])

/* ---- header and entry ---------------------------------------------------------------------------------- */

/* As sent: Go ints, which may be anything. */
struct wire_header {
    int64_t nodes;
    int64_t user_state_size;
    bool join;
    struct bruit_bytes carries;
};

static const struct br_mp_field header_fields[] = {
    BR_MP_FIELD(struct wire_header, carries, "Bruit", BR_MP_BYTES, BR_MP_NO_PLACE, true),
    BR_MP_FIELD(struct wire_header, join, "Join", BR_MP_FLAG, 2, false),
    BR_MP_FIELD(struct wire_header, nodes, "Nodes", BR_MP_I64, 0, false),
    BR_MP_FIELD(struct wire_header, user_state_size, "UserStateLen", BR_MP_I64, 1, false),
};

static int decode_header(struct br_pushpull_header *out, struct bruit_bytes bytes)
{
    struct wire_header wire;
    struct br_reader r;
    br_reader_init(&r, bytes);
    br_mp_read_struct(&r, header_fields, COUNT(header_fields), &wire);
    if (r.failed)
        return BRUIT_EFORMAT;
    if (wire.nodes < 0 || wire.nodes > BR_PUSHPULL_NODES_MAX)
        return BRUIT_ETOOBIG;
    if (wire.user_state_size < 0 || wire.user_state_size > BR_PUSHPULL_STATE_MAX)
        return BRUIT_ETOOBIG;
    out->nodes = (uint32_t)wire.nodes;
    out->user_state_size = (uint32_t)wire.user_state_size;
    out->join = wire.join;
    out->carries = wire.carries;
    return 0;
}

void br_pushpull_header_encode(struct br_writer *w, const struct br_pushpull_header *header)
{
    struct wire_header wire = {
        .nodes = header->nodes, .user_state_size = header->user_state_size, .join = header->join,
        .carries = header->carries};
    br_write_u8(w, BR_PUSHPULL);
    br_mp_write_struct(w, header_fields, COUNT(header_fields), &wire);
}

struct wire_entry {
    struct br_alive alive;
    int64_t state;
};

static const struct br_mp_field entry_fields[] = {
    BR_MP_FIELD(struct wire_entry, alive.addr, "Addr", BR_MP_BYTES, 1, false),
    BR_MP_FIELD(struct wire_entry, alive.incarnation, "Incarnation", BR_MP_U32, 4, false),
    BR_MP_FIELD(struct wire_entry, alive.meta, "Meta", BR_MP_BYTES, 3, false),
    BR_MP_FIELD(struct wire_entry, alive.node, "Name", BR_MP_TEXT, 0, false),
    BR_MP_FIELD(struct wire_entry, alive.port, "Port", BR_MP_U16, 2, false),
    BR_MP_FIELD(struct wire_entry, state, "State", BR_MP_I64, 5, false),
    BR_MP_FIELD(struct wire_entry, alive.vsn, "Vsn", BR_MP_BYTES, 6, false),
};

/* The size of the entry at the start of `bytes` when it is whole and in Go's form; else 0. */
static size_t decode_canonical_entry(struct br_entry *out, struct bruit_bytes bytes)
{
    struct br_reader r;
    br_reader_init(&r, bytes);
    out->alive.carries = 0;
    if (!br_canon_literal(&r, "\207") || !br_canon_identity(&r, "\244Name", &out->alive) ||
        !br_canon_literal(&r, "\245State"))
        return 0;
    out->state = br_read_u8(&r);
    if (out->state > BR_ENTRY_LEFT || !br_canon_vsn(&r, &out->alive))
        return 0;
    return bytes.size - br_reader_left(&r);
}

static int decode_any_entry(struct br_entry *out, struct bruit_bytes bytes, size_t *size)
{
    struct wire_entry wire;
    struct br_reader r;
    br_reader_init(&r, bytes);
    br_mp_read_struct(&r, entry_fields, COUNT(entry_fields), &wire);
    if (r.failed)
        return BRUIT_EFORMAT;
    out->alive = wire.alive;
    out->alive.carries = 0;
    out->state = wire.state < 0 || wire.state > BR_ENTRY_LEFT ? BR_ENTRY_UNKNOWN : (uint8_t)wire.state;
    *size = bytes.size - br_reader_left(&r);
    return 0;
}

int br_entry_decode(struct br_entry *out, struct bruit_bytes bytes, size_t *size)
{
    *size = decode_canonical_entry(out, bytes);
    return *size != 0 ? 0 : decode_any_entry(out, bytes, size);
}

void br_entry_encode(struct br_writer *w, const struct br_entry *entry)
{
    struct wire_entry wire = {.alive = entry->alive, .state = entry->state};
    br_mp_write_struct(w, entry_fields, COUNT(entry_fields), &wire);
}

/* ---- reading what still arrives ------------------------------------------------------------------------ */

void br_pushpull_reader_init(struct br_pushpull_reader *reader)
{
    reader->header = (struct br_pushpull_header){0};
    reader->entries_left = 0;
    reader->expects = BR_PUSHPULL_HEADER;
    br_mp_scanner_init(&reader->scanner);
}

/* What follows once `reader->entries_left` and the header are as they stand. */
static uint8_t next_step(const struct br_pushpull_reader *reader)
{
    if (reader->entries_left > 0)
        return BR_PUSHPULL_ENTRY;
    return reader->header.user_state_size > 0 ? BR_PUSHPULL_STATE : BR_PUSHPULL_DONE;
}

static int read_header(struct br_pushpull_reader *reader, struct bruit_bytes unread, size_t *consumed)
{
    size_t size;
    int status = br_mp_scanner_feed(&reader->scanner, unread, &size);
    if (status != 0)
        return status;
    status = decode_header(&reader->header, unread);
    if (status != 0)
        return status;
    br_mp_scanner_init(&reader->scanner);
    *consumed = size;
    reader->entries_left = reader->header.nodes;
    reader->expects = next_step(reader);
    return BR_PUSHPULL_HEADER;
}

static int read_entry(struct br_pushpull_reader *reader, struct bruit_bytes unread, size_t *consumed,
                      struct br_entry *entry)
{
    size_t size = decode_canonical_entry(entry, unread);
    if (size == 0) {
        int status = br_mp_scanner_feed(&reader->scanner, unread, &size);
        if (status != 0)
            return status;
        if (decode_any_entry(entry, unread, &size) != 0)
            return BRUIT_EFORMAT;
    }
    br_mp_scanner_init(&reader->scanner);
    *consumed = size;
    reader->entries_left--;
    reader->expects = next_step(reader);
    return BR_PUSHPULL_ENTRY;
}

int br_pushpull_read(struct br_pushpull_reader *reader, struct bruit_bytes unread, size_t *consumed,
                     struct br_entry *entry, struct bruit_bytes *state)
{
    *consumed = 0;
    switch (reader->expects) {
    case BR_PUSHPULL_HEADER: return read_header(reader, unread, consumed);
    case BR_PUSHPULL_ENTRY: return read_entry(reader, unread, consumed, entry);
    case BR_PUSHPULL_STATE:
        if (unread.size < reader->header.user_state_size)
            return BR_PUSHPULL_NEED_MORE;
        *state = br_bytes(unread.data, reader->header.user_state_size);
        *consumed = state->size;
        reader->expects = BR_PUSHPULL_DONE;
        return BR_PUSHPULL_STATE;
    default: return BR_PUSHPULL_DONE;
    }
}

/* ---- fragments ----------------------------------------------------------------------------------------- */

/* Sizes of the constant parts: Addr and its header, the key Incarnation; Vsn with its header and value. */
enum {
    ADDR_AND_KEYS_SIZE = 5 + 1 + 12,
    TAIL_SIZE = 4 + 1 + BR_VSN_SIZE,
};

static size_t text_size(size_t size)
{
    return (size <= 31 ? 1 : 3) + size;
}

static size_t uint_size(uint32_t value)
{
    return value <= 0x7f ? 1 : value <= UINT8_MAX ? 2 : value <= UINT16_MAX ? 3 : 5;
}

/* What `bytes` takes; 0 when offsets cannot count it, or a value cannot be sent on. */
static size_t image_size(const struct br_alive *identity)
{
    if ((identity->addr.size != 4 && identity->addr.size != 16) || identity->vsn.size < BR_VSN_SIZE)
        return 0;
    if (identity->node.size > UINT16_MAX || identity->meta.size > UINT16_MAX)
        return 0;
    size_t size = ADDR_AND_KEYS_SIZE + identity->addr.size + 5 + text_size(identity->meta.size) + 5 +
                  text_size(identity->node.size) + 5 + uint_size(identity->port) + TAIL_SIZE;
    return size <= UINT16_MAX ? size : 0;
}

size_t br_fragment_size(const struct br_alive *identity)
{
    size_t size = image_size(identity);
    return size == 0 ? 0 : sizeof(struct br_fragment) + size;
}

size_t br_fragment_total(const struct br_fragment *fragment)
{
    return sizeof(struct br_fragment) + fragment->size;
}

void br_fragment_build(struct br_fragment *out, const struct br_alive *identity)
{
    size_t size = image_size(identity);
    BR_ASSERT(size != 0);
    struct br_writer w;
    br_writer_init(&w, out->bytes, size);
    br_mp_write_key(&w, "Addr");
    br_mp_write_str(&w, identity->addr);
    br_mp_write_key(&w, "Incarnation");
    out->body = (uint16_t)br_writer_size(&w);
    br_mp_write_key(&w, "Meta");
    br_mp_write_bytes(&w, identity->meta);
    br_mp_write_key(&w, "Node");
    br_mp_write_str(&w, identity->node);
    out->name = (uint16_t)(br_writer_size(&w) - identity->node.size);
    br_mp_write_key(&w, "Port");
    br_mp_write_uint(&w, identity->port);
    br_mp_write_key(&w, "Vsn");
    br_mp_write_str(&w, br_bytes(identity->vsn.data, BR_VSN_SIZE));
    BR_ASSERT(!w.failed);
    BR_ASSERT(br_writer_size(&w) == size);
    out->size = (uint16_t)size;
    out->name_size = (uint16_t)identity->node.size;
    out->meta_size = (uint16_t)identity->meta.size;
    out->port = identity->port;
}

size_t br_fragment_alive_size(const struct br_fragment *fragment, uint32_t incarnation)
{
    return 2 + uint_size(incarnation) + fragment->size;
}

size_t br_fragment_entry_size(const struct br_fragment *fragment, uint32_t incarnation, uint8_t state)
{
    return 1 + uint_size(incarnation) + 6 + uint_size(state) + fragment->size;
}

/* The next place after a number that uint_size has made room for. */
static uint8_t *put_uint(uint8_t *p, uint32_t value)
{
    if (value <= 0x7f) {
        *p = (uint8_t)value;
        return p + 1;
    }
    if (value <= UINT8_MAX) {
        p[0] = 0xcc;
        p[1] = (uint8_t)value;
        return p + 2;
    }
    if (value <= UINT16_MAX) {
        p[0] = 0xcd;
        br_store_u16(p + 1, (uint16_t)value);
        return p + 3;
    }
    p[0] = 0xce;
    br_store_u32(p + 1, value);
    return p + 5;
}

/* The head is 22 bytes for IPv4 and 34 for IPv6: a copy of known size is a few moves instead of a call. */
static uint8_t *put_head(uint8_t *p, const struct br_fragment *fragment)
{
    if (fragment->body == ADDR_AND_KEYS_SIZE + 4)
        memcpy(p, fragment->bytes, ADDR_AND_KEYS_SIZE + 4);
    else
        memcpy(p, fragment->bytes, ADDR_AND_KEYS_SIZE + 16);
    return p + fragment->body;
}

void br_fragment_write_alive(struct br_writer *w, const struct br_fragment *fragment, uint32_t incarnation,
                             uint8_t carries)
{
    size_t own_size = carries == 0 ? 0 : 6 + uint_size(carries);
    uint8_t *p = br_write_space(w, br_fragment_alive_size(fragment, incarnation) + own_size);
    if (p == NULL)
        return;
    *p++ = BR_ALIVE;
    *p++ = carries == 0 ? 0x86 : 0x87;
    p = put_uint(put_head(p, fragment), incarnation);
    size_t rest = (size_t)fragment->size - fragment->body;
    memcpy(p, fragment->bytes + fragment->body, rest);
    if (carries == 0)
        return;
    memcpy(p + rest, "\245Bruit", 6);
    (void)put_uint(p + rest + 6, carries);
}

void br_fragment_write_entry(struct br_writer *w, const struct br_fragment *fragment, uint32_t incarnation,
                             uint8_t state)
{
    uint8_t *p = br_write_space(w, br_fragment_entry_size(fragment, incarnation, state));
    if (p == NULL)
        return;
    *p++ = 0x87;
    p = put_uint(put_head(p, fragment), incarnation);
    size_t body_size = (size_t)fragment->size - fragment->body - TAIL_SIZE;
    memcpy(p, fragment->bytes + fragment->body, body_size);
    /* An entry calls "Name" what an alive calls "Node". */
    size_t name_key = (size_t)fragment->name - fragment->body - (fragment->name_size <= 31 ? 1 : 3) - 4;
    memcpy(p + name_key, "Name", 4);
    p += body_size;
    memcpy(p, "\245State", 6);
    p = put_uint(p + 6, state);
    memcpy(p, fragment->bytes + fragment->size - TAIL_SIZE, TAIL_SIZE);
}

struct br_alive br_fragment_alive(const struct br_fragment *fragment, uint32_t incarnation)
{
    return (struct br_alive){
        .incarnation = incarnation,
        .port = fragment->port,
        .node = br_fragment_name(fragment),
        .addr = br_fragment_addr(fragment),
        .meta = br_fragment_meta(fragment),
        .vsn = br_fragment_vsn(fragment),
    };
}

bool br_fragment_same_address(const struct br_fragment *fragment, const struct br_alive *alive)
{
    return fragment->port == alive->port && br_bytes_equal(br_fragment_addr(fragment), alive->addr);
}

bool br_fragment_matches_alive(const struct br_fragment *fragment, const struct br_alive *alive)
{
    return br_fragment_same_address(fragment, alive) &&
           br_bytes_equal(br_fragment_meta(fragment), alive->meta) &&
           br_bytes_equal(br_fragment_vsn(fragment), alive->vsn);
}

/*
 * memberlist's leaf messages: docs/wire/memberlist.md sections 2.1 and 2.2.
 *
 * One table a message serves its reader and its writer. The rows stand in ascending order of the keys, which
 * is the order on the wire; the number in a row is the field's place in upstream's declaration, which counts
 * only when a struct comes as an array. Pings, acks and alives, the bulk of all traffic, are first matched
 * against the form that Go's encoder gives them (canonical.h).
 */
#include "codec/memberlist.h"

#include "codec/canonical.h"
#include "codec/msgpack.h"

#define COUNT(fields) (sizeof(fields) / sizeof(fields)[0])

static int decode(struct bruit_bytes body, const struct br_mp_field *fields, size_t count, void *out)
{
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, fields, count, out);
    return r.failed ? BRUIT_EFORMAT : 0;
}

static void encode(struct br_writer *w, enum br_message_type type, const struct br_mp_field *fields,
                   size_t count, const void *in)
{
    br_write_u8(w, (uint8_t)type);
    br_mp_write_struct(w, fields, count, in);
}

/* ---- ping ---------------------------------------------------------------------------------------------- */

static const struct br_mp_field ping_fields[] = {
    BR_MP_FIELD(struct br_ping, carries, "Bruit", BR_MP_U8, BR_MP_NO_PLACE, true),
    BR_MP_FIELD(struct br_ping, node, "Node", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_ping, seq, "SeqNo", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct br_ping, source_addr, "SourceAddr", BR_MP_BYTES, 2, true),
    BR_MP_FIELD(struct br_ping, source_node, "SourceNode", BR_MP_TEXT, 4, true),
    BR_MP_FIELD(struct br_ping, source_port, "SourcePort", BR_MP_U16, 3, true),
};

/* With all five keys, as everybody since v0.2.0 sends it, and ours before them. */
static bool decode_canonical_ping(struct br_ping *out, struct bruit_bytes body)
{
    struct br_reader r;
    br_reader_init(&r, body);
    return br_canon_carries(&r, 5, &out->carries) && br_canon_literal(&r, "\244Node") &&
           br_canon_bytes(&r, &out->node) &&
           br_canon_literal(&r, "\245SeqNo") && br_canon_uint(&r, &out->seq) &&
           br_canon_literal(&r, "\252SourceAddr") && br_canon_bytes(&r, &out->source_addr) &&
           br_canon_literal(&r, "\252SourceNode") && br_canon_bytes(&r, &out->source_node) &&
           br_canon_literal(&r, "\252SourcePort") && br_canon_u16(&r, &out->source_port);
}

int br_ping_decode(struct br_ping *out, struct bruit_bytes body)
{
    if (decode_canonical_ping(out, body))
        return 0;
    return decode(body, ping_fields, COUNT(ping_fields), out);
}

void br_ping_encode(struct br_writer *w, const struct br_ping *ping)
{
    encode(w, BR_PING, ping_fields, COUNT(ping_fields), ping);
}

/* ---- indirect ping ------------------------------------------------------------------------------------- */

static const struct br_mp_field indirect_ping_fields[] = {
    BR_MP_FIELD(struct br_indirect_ping, nack, "Nack", BR_MP_FLAG, 4, false),
    BR_MP_FIELD(struct br_indirect_ping, node, "Node", BR_MP_TEXT, 3, false),
    BR_MP_FIELD(struct br_indirect_ping, port, "Port", BR_MP_U16, 2, false),
    BR_MP_FIELD(struct br_indirect_ping, seq, "SeqNo", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct br_indirect_ping, source_addr, "SourceAddr", BR_MP_BYTES, 5, true),
    BR_MP_FIELD(struct br_indirect_ping, source_node, "SourceNode", BR_MP_TEXT, 7, true),
    BR_MP_FIELD(struct br_indirect_ping, source_port, "SourcePort", BR_MP_U16, 6, true),
    BR_MP_FIELD(struct br_indirect_ping, target, "Target", BR_MP_BYTES, 1, false),
};

int br_indirect_ping_decode(struct br_indirect_ping *out, struct bruit_bytes body)
{
    return decode(body, indirect_ping_fields, COUNT(indirect_ping_fields), out);
}

void br_indirect_ping_encode(struct br_writer *w, const struct br_indirect_ping *ping)
{
    encode(w, BR_INDIRECT_PING, indirect_ping_fields, COUNT(indirect_ping_fields), ping);
}

/* ---- ack and nack -------------------------------------------------------------------------------------- */

static const struct br_mp_field ack_fields[] = {
    BR_MP_FIELD(struct br_ack, carries, "Bruit", BR_MP_U8, BR_MP_NO_PLACE, true),
    BR_MP_FIELD(struct br_ack, payload, "Payload", BR_MP_BYTES, 1, false),
    BR_MP_FIELD(struct br_ack, seq, "SeqNo", BR_MP_U32, 0, false),
};

static bool decode_canonical_ack(struct br_ack *out, struct bruit_bytes body)
{
    struct br_reader r;
    br_reader_init(&r, body);
    return br_canon_carries(&r, 2, &out->carries) && br_canon_literal(&r, "\247Payload") &&
           br_canon_bytes(&r, &out->payload) &&
           br_canon_literal(&r, "\245SeqNo") && br_canon_uint(&r, &out->seq);
}

int br_ack_decode(struct br_ack *out, struct bruit_bytes body)
{
    if (decode_canonical_ack(out, body))
        return 0;
    return decode(body, ack_fields, COUNT(ack_fields), out);
}

void br_ack_encode(struct br_writer *w, const struct br_ack *ack)
{
    encode(w, BR_ACK, ack_fields, COUNT(ack_fields), ack);
}

static const struct br_mp_field nack_fields[] = {
    BR_MP_FIELD(struct br_nack, seq, "SeqNo", BR_MP_U32, 0, false),
};

int br_nack_decode(struct br_nack *out, struct bruit_bytes body)
{
    return decode(body, nack_fields, COUNT(nack_fields), out);
}

void br_nack_encode(struct br_writer *w, const struct br_nack *nack)
{
    encode(w, BR_NACK, nack_fields, COUNT(nack_fields), nack);
}

/* ---- suspect and dead ---------------------------------------------------------------------------------- */

static const struct br_mp_field suspect_fields[] = {
    BR_MP_FIELD(struct br_suspect, from, "From", BR_MP_TEXT, 2, false),
    BR_MP_FIELD(struct br_suspect, incarnation, "Incarnation", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct br_suspect, node, "Node", BR_MP_TEXT, 1, false),
};

static const struct br_mp_field dead_fields[] = {
    BR_MP_FIELD(struct br_dead, from, "From", BR_MP_TEXT, 2, false),
    BR_MP_FIELD(struct br_dead, incarnation, "Incarnation", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct br_dead, node, "Node", BR_MP_TEXT, 1, false),
};

int br_suspect_decode(struct br_suspect *out, struct bruit_bytes body)
{
    return decode(body, suspect_fields, COUNT(suspect_fields), out);
}

void br_suspect_encode(struct br_writer *w, const struct br_suspect *suspect)
{
    encode(w, BR_SUSPECT, suspect_fields, COUNT(suspect_fields), suspect);
}

int br_dead_decode(struct br_dead *out, struct bruit_bytes body)
{
    return decode(body, dead_fields, COUNT(dead_fields), out);
}

void br_dead_encode(struct br_writer *w, const struct br_dead *dead)
{
    encode(w, BR_DEAD, dead_fields, COUNT(dead_fields), dead);
}

/* ---- alive --------------------------------------------------------------------------------------------- */

/* Vsn is bytes, not text: none at all is nil, as upstream writes an absent slice. */
static const struct br_mp_field alive_fields[] = {
    BR_MP_FIELD(struct br_alive, addr, "Addr", BR_MP_BYTES, 2, false),
    BR_MP_FIELD(struct br_alive, carries, "Bruit", BR_MP_U8, BR_MP_NO_PLACE, true),
    BR_MP_FIELD(struct br_alive, incarnation, "Incarnation", BR_MP_U32, 0, false),
    BR_MP_FIELD(struct br_alive, meta, "Meta", BR_MP_BYTES, 4, false),
    BR_MP_FIELD(struct br_alive, node, "Node", BR_MP_TEXT, 1, false),
    BR_MP_FIELD(struct br_alive, port, "Port", BR_MP_U16, 3, false),
    BR_MP_FIELD(struct br_alive, vsn, "Vsn", BR_MP_BYTES, 5, false),
};

static bool decode_canonical_alive(struct br_alive *out, struct bruit_bytes body)
{
    struct br_reader r;
    br_reader_init(&r, body);
    out->carries = 0;
    if (br_canon_literal(&r, "\206"))
        return br_canon_identity(&r, "\244Node", out) && br_canon_vsn(&r, out);
    return br_canon_literal(&r, "\207") && br_canon_identity(&r, "\244Node", out) && br_canon_vsn(&r, out) &&
           br_canon_literal(&r, "\245Bruit") && br_canon_u8(&r, &out->carries);
}

int br_alive_decode(struct br_alive *out, struct bruit_bytes body)
{
    if (decode_canonical_alive(out, body))
        return 0;
    return decode(body, alive_fields, COUNT(alive_fields), out);
}

void br_alive_encode(struct br_writer *w, const struct br_alive *alive)
{
    encode(w, BR_ALIVE, alive_fields, COUNT(alive_fields), alive);
}

bool br_alive_is_sane(const struct br_alive *alive)
{
    if (alive->node.size == 0 || alive->node.size > BRUIT_NAME_MAX)
        return false;
    if (alive->addr.size != 4 && alive->addr.size != 16)
        return false;
    if (alive->vsn.size < BR_VSN_SIZE)
        return false;
    const uint8_t *vsn = alive->vsn.data;
    return vsn[BR_VSN_PMIN] > 0 && vsn[BR_VSN_PMIN] <= vsn[BR_VSN_PCUR] &&
           vsn[BR_VSN_PCUR] <= vsn[BR_VSN_PMAX] && vsn[BR_VSN_DMIN] <= vsn[BR_VSN_DCUR] &&
           vsn[BR_VSN_DCUR] <= vsn[BR_VSN_DMAX];
}

/* ---- err, compress, user ------------------------------------------------------------------------------- */

static const struct br_mp_field err_fields[] = {
    BR_MP_FIELD(struct br_err, error, "Error", BR_MP_TEXT, 0, false),
};

int br_err_decode(struct br_err *out, struct bruit_bytes body)
{
    return decode(body, err_fields, COUNT(err_fields), out);
}

void br_err_encode(struct br_writer *w, const struct br_err *err)
{
    encode(w, BR_ERR, err_fields, COUNT(err_fields), err);
}

static const struct br_mp_field compress_fields[] = {
    BR_MP_FIELD(struct br_compress, algo, "Algo", BR_MP_U8, 0, false),
    BR_MP_FIELD(struct br_compress, buf, "Buf", BR_MP_BYTES, 1, false),
};

int br_compress_decode(struct br_compress *out, struct bruit_bytes body)
{
    return decode(body, compress_fields, COUNT(compress_fields), out);
}

void br_compress_encode(struct br_writer *w, const struct br_compress *compress)
{
    encode(w, BR_COMPRESS, compress_fields, COUNT(compress_fields), compress);
}

size_t br_compress_overhead(size_t size)
{
    /* 09 82 a4 Algo 00 a3 Buf, and the header of the bytes. */
    size_t header = size <= 31 ? 1 : size <= UINT16_MAX ? 3 : 5;
    return 12 + header;
}

/* As sent: a Go int, which may be anything. */
struct user_header {
    int64_t size;
};

static const struct br_mp_field user_fields[] = {
    BR_MP_FIELD(struct user_header, size, "UserMsgLen", BR_MP_I64, 0, false),
};

int br_user_header_decode(struct br_user_header *out, struct bruit_bytes growing, size_t *size)
{
    int status = br_mp_scan(growing, size);
    if (status == BR_MP_MORE && growing.size > BR_USER_HEADER_SIZE_MAX)
        return BRUIT_EFORMAT;
    if (status != 0)
        return status;
    struct user_header header;
    status = decode(growing, user_fields, COUNT(user_fields), &header);
    if (status != 0)
        return status;
    if (header.size < 0 || header.size > BR_USER_SIZE_MAX)
        return BRUIT_ETOOBIG;
    out->size = (uint32_t)header.size;
    return 0;
}

void br_user_header_encode(struct br_writer *w, const struct br_user_header *user)
{
    struct user_header header = {.size = user->size};
    encode(w, BR_USER, user_fields, COUNT(user_fields), &header);
}

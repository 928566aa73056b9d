/* Messages of multicast DNS; see mdns_message.h. */
#include "agent/mdns_message.h"

#include "codec/addr.h"

#include <bruit/error.h>

#include <stdio.h>

#define HEADER_SIZE 12
#define LABEL_MAX 63

#define FLAG_RESPONSE 0x8000u
#define FLAG_AUTHORITATIVE 0x0400u
#define FLAGS_NOT_PLAIN 0x7a0fu /* operation, truncation, error code */

#define CLASS_INTERNET 1
#define CLASS_ANY 255
#define CLASS_TOP_BIT 0x8000u /* of a question: answer by unicast; of a record: forget others */

/* What Serf's library announces; nobody chooses by it. */
#define PRIORITY 10
#define WEIGHT 1

/* More than that in one message is not somebody who looks for us. */
#define QUESTIONS_MAX 16

/* ------------------------------------------------------------------ names */

static uint8_t folded(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (folded(a[i]) != folded(b[i]))
            return false;
    return true;
}

bool br_mdns_name_equal(const struct br_mdns_name *a, const struct br_mdns_name *b)
{
    return a->size == b->size && is_same(a->labels, b->labels, a->size);
}

bool br_mdns_name_is_below(const struct br_mdns_name *name, const struct br_mdns_name *parent)
{
    size_t at = 0;
    while (at + parent->size < name->size)
        at += 1u + name->labels[at];
    return at > 0 && at + parent->size == name->size &&
           is_same(name->labels + at, parent->labels, parent->size);
}

/* A zero-length label ends the name. */
static bool add_label(struct br_mdns_name *name, struct bruit_bytes label)
{
    size_t room = sizeof name->labels - name->size;
    if (label.size > LABEL_MAX || 1 + label.size + (label.size > 0) > room)
        return false;
    name->labels[name->size++] = (uint8_t)label.size;
    if (label.size > 0)
        memcpy(name->labels + name->size, label.data, label.size);
    name->size = (uint8_t)(name->size + label.size);
    return true;
}

int br_mdns_name_parse(struct br_mdns_name *out, const char *text)
{
    out->size = 0;
    while (*text != 0) {
        size_t size = strcspn(text, ".");
        if (size == 0 || !add_label(out, br_bytes(text, size)))
            return BRUIT_EINVAL;
        text += size;
        text += *text == '.';
    }
    return add_label(out, br_bytes(NULL, 0)) ? 0 : BRUIT_EINVAL;
}

/*
 * A name at `in`, which is somewhere in the message. Where a pointer leads is before the part of the name that it
 * ends, and therefore each lies before the one before: this comes to an end.
 */
static void read_name(struct bruit_bytes message, struct br_reader *in, struct br_mdns_name *out)
{
    struct br_reader walk = *in;
    size_t limit = (size_t)(in->at - message.data);
    bool has_jumped = false;
    out->size = 0;
    for (;;) {
        uint8_t size = br_read_u8(&walk);
        if (size > LABEL_MAX) {
            size_t target = (size_t)(size & 0x3f) << 8 | br_read_u8(&walk);
            if (walk.failed || (size & 0xc0) != 0xc0 || target >= limit || target < HEADER_SIZE)
                break;
            if (!has_jumped)
                *in = walk;
            has_jumped = true;
            limit = target;
            br_reader_init(&walk, br_bytes(message.data + target, message.size - target));
            continue;
        }
        struct bruit_bytes label = br_read_bytes(&walk, size);
        if (walk.failed || !add_label(out, label))
            break;
        if (size == 0) {
            if (!has_jumped)
                *in = walk;
            return;
        }
    }
    out->size = 0;
    br_reader_fail(in);
}

/* ------------------------------------------------------------------ reading */

static bool is_internet(uint16_t class)
{
    class &= (uint16_t)~CLASS_TOP_BIT;
    return class == CLASS_INTERNET || class == CLASS_ANY;
}

bool br_mdns_next_question(struct br_mdns_reader *reader, struct br_mdns_question *out)
{
    if (reader->questions == 0 || reader->in.failed)
        return false;
    reader->questions--;
    read_name(reader->message, &reader->in, &out->name);
    out->type = br_read_u16(&reader->in);
    uint16_t class = br_read_u16(&reader->in);
    out->is_internet = is_internet(class);
    out->wants_unicast = (class & CLASS_TOP_BIT) != 0;
    return !reader->in.failed;
}

static bool is_list_of_strings(struct bruit_bytes data)
{
    struct br_reader in;
    br_reader_init(&in, data);
    while (br_reader_left(&in) > 0)
        (void)br_read_bytes(&in, br_read_u8(&in));
    return !in.failed;
}

/* What a record says, in the form of its type; other types are passed over. */
static bool read_data(struct bruit_bytes message, struct br_mdns_record *out)
{
    struct br_reader in;
    br_reader_init(&in, out->data);
    switch (out->type) {
    case BR_MDNS_A: return out->data.size == 4;
    case BR_MDNS_AAAA: return out->data.size == 16;
    case BR_MDNS_TXT: return is_list_of_strings(out->data);
    case BR_MDNS_PTR: read_name(message, &in, &out->target); break;
    case BR_MDNS_SRV:
        (void)br_read_u32(&in); /* priority and weight */
        out->port = br_read_u16(&in);
        read_name(message, &in, &out->target);
        break;
    default: return true;
    }
    return !in.failed && br_reader_left(&in) == 0;
}

bool br_mdns_next_record(struct br_mdns_reader *reader, struct br_mdns_record *out)
{
    struct br_reader *in = &reader->in;
    if (reader->questions > 0 || reader->records == 0 || in->failed)
        return false;
    reader->records--;
    out->target.size = 0;
    out->port = 0;
    read_name(reader->message, in, &out->name);
    out->type = br_read_u16(in);
    out->is_internet = is_internet(br_read_u16(in));
    (void)br_read_u32(in); /* how long it is good: we ask again anyway */
    out->data = br_read_bytes(in, br_read_u16(in));
    if (!in->failed && !read_data(reader->message, out))
        br_reader_fail(in);
    return !in->failed;
}

int br_mdns_open(struct br_mdns_reader *reader, struct bruit_bytes message)
{
    struct br_mdns_question question;
    struct br_mdns_record record;
    *reader = (struct br_mdns_reader){.message = message};
    if (message.size < HEADER_SIZE || message.size > BR_MDNS_MESSAGE_MAX)
        return BRUIT_EFORMAT;
    br_reader_init(&reader->in, message);
    reader->id = br_read_u16(&reader->in);
    uint16_t flags = br_read_u16(&reader->in);
    reader->is_response = (flags & FLAG_RESPONSE) != 0;
    reader->is_plain = (flags & FLAGS_NOT_PLAIN) == 0;
    reader->questions = br_read_u16(&reader->in);
    for (unsigned i = 0; i < 3; i++)
        reader->records += br_read_u16(&reader->in);
    struct br_mdns_reader all = *reader;
    while (br_mdns_next_question(&all, &question))
        continue;
    while (br_mdns_next_record(&all, &record))
        continue;
    if (!all.in.failed && br_reader_left(&all.in) == 0)
        return 0;
    reader->questions = reader->records = 0;
    return BRUIT_EFORMAT;
}

/* ------------------------------------------------------------------ writing */

static void write_name(struct br_writer *w, const struct br_mdns_name *name)
{
    br_write_bytes(w, br_bytes(name->labels, name->size));
}

static void write_header(struct br_writer *w, uint16_t id, uint16_t flags, uint16_t questions)
{
    br_write_u16(w, id);
    br_write_u16(w, flags);
    br_write_u16(w, questions);
    br_write_u16(w, 0);
    br_write_u32(w, 0);
}

size_t br_mdns_ask(const struct br_mdns_name *name, uint16_t type, uint8_t *out, size_t capacity)
{
    struct br_writer w;
    br_writer_init(&w, out, capacity);
    write_header(&w, 0, 0, 1);
    write_name(&w, name);
    br_write_u16(&w, type);
    br_write_u16(&w, CLASS_INTERNET);
    return w.failed ? 0 : br_writer_size(&w);
}

/* What is being written: whole records, as many as fit. */
struct answer {
    const struct br_mdns_service *service;
    struct br_writer w;
    uint16_t count;
};

static size_t begin_record(struct answer *a, const struct br_mdns_name *name, uint16_t type)
{
    write_name(&a->w, name);
    br_write_u16(&a->w, type);
    br_write_u16(&a->w, CLASS_INTERNET);
    br_write_u32(&a->w, BR_MDNS_TTL);
    br_write_u16(&a->w, 0);
    return br_writer_size(&a->w);
}

/* Its size becomes known when it has been written. */
static void end_record(struct answer *a, size_t data)
{
    if (!a->w.failed)
        br_write_u16_at(&a->w, data - 2, (uint16_t)(br_writer_size(&a->w) - data));
    a->count++;
}

static void write_ptr(struct answer *a, const struct br_mdns_name *name, const struct br_mdns_name *target)
{
    size_t data = begin_record(a, name, BR_MDNS_PTR);
    write_name(&a->w, target);
    end_record(a, data);
}

static void write_addr(struct answer *a, uint16_t type)
{
    const struct bruit_addr *addr = &a->service->addr;
    if (type != (addr->size == 4 ? BR_MDNS_A : BR_MDNS_AAAA))
        return;
    size_t data = begin_record(a, &a->service->host, type);
    br_write_bytes(&a->w, br_addr_ip(addr));
    end_record(a, data);
}

static void write_srv(struct answer *a)
{
    size_t data = begin_record(a, &a->service->instance, BR_MDNS_SRV);
    br_write_u16(&a->w, PRIORITY);
    br_write_u16(&a->w, WEIGHT);
    br_write_u16(&a->w, a->service->addr.port);
    write_name(&a->w, &a->service->host);
    end_record(a, data);
    write_addr(a, BR_MDNS_A);
    write_addr(a, BR_MDNS_AAAA);
}

static void write_txt(struct answer *a)
{
    struct bruit_bytes text = br_bytes_string(a->service->text);
    size_t data = begin_record(a, &a->service->instance, BR_MDNS_TXT);
    br_write_u8(&a->w, (uint8_t)text.size);
    br_write_bytes(&a->w, text);
    end_record(a, data);
}

static void answer_instance(struct answer *a, uint16_t type)
{
    if (type == BR_MDNS_SRV || type == BR_MDNS_ANY)
        write_srv(a);
    if (type == BR_MDNS_TXT || type == BR_MDNS_ANY)
        write_txt(a);
    if (type == BR_MDNS_A || type == BR_MDNS_AAAA)
        write_addr(a, type);
}

static void answer_question(struct answer *a, const struct br_mdns_question *question)
{
    const struct br_mdns_service *service = a->service;
    bool wants_ptr = question->type == BR_MDNS_PTR || question->type == BR_MDNS_ANY;
    if (!question->is_internet)
        return;
    if (br_mdns_name_equal(&question->name, &service->service) && wants_ptr) {
        write_ptr(a, &service->service, &service->instance);
        answer_instance(a, BR_MDNS_ANY);
    } else if (br_mdns_name_equal(&question->name, &service->enumeration) && wants_ptr) {
        write_ptr(a, &service->enumeration, &service->service);
    } else if (br_mdns_name_equal(&question->name, &service->instance)) {
        answer_instance(a, question->type);
    } else if (br_mdns_name_equal(&question->name, &service->host)) {
        write_addr(a, question->type);
    }
}

size_t br_mdns_answer(const struct br_mdns_service *service, struct bruit_bytes query, bool by_unicast,
                      uint8_t *out, size_t capacity)
{
    struct br_mdns_reader reader;
    struct br_mdns_question question;
    struct answer answer = {.service = service};
    if (br_mdns_open(&reader, query) != 0 || reader.is_response || !reader.is_plain ||
        reader.questions > QUESTIONS_MAX)
        return 0;
    br_writer_init(&answer.w, out, capacity);
    write_header(&answer.w, by_unicast ? reader.id : 0, FLAG_RESPONSE | FLAG_AUTHORITATIVE, 0);
    while (br_mdns_next_question(&reader, &question)) {
        size_t size = br_writer_size(&answer.w);
        uint16_t count = answer.count;
        if (question.wants_unicast != by_unicast)
            continue;
        answer_question(&answer, &question);
        if (answer.w.failed) {
            br_writer_rewind(&answer.w, size);
            answer.count = count;
            break;
        }
    }
    br_write_u16_at(&answer.w, 6, answer.count);
    return answer.w.failed || answer.count == 0 ? 0 : br_writer_size(&answer.w);
}

/* ------------------------------------------------------------------ what is announced */

int br_mdns_service_init(struct br_mdns_service *service, const char *cluster, const char *node,
                         const char *host, const struct bruit_addr *addr, char why[BR_WHY_MAX])
{
    char text[2 * BRUIT_NAME_MAX + 64];
    service->addr = br_addr_unmapped(addr);
    int size = snprintf(service->text, sizeof service->text, "Serf '%s' cluster", cluster);
    int error = size < 0 || (size_t)size >= sizeof service->text ? BRUIT_EINVAL : 0;
    (void)snprintf(text, sizeof text, "_serf_%.255s._tcp.local.", cluster);
    if (error != 0 || cluster[0] == 0 || br_mdns_name_parse(&service->service, text) != 0) {
        (void)snprintf(why, BR_WHY_MAX,
                       "'%.60s' cannot be the name of a service: give -discover a word of at most 57 bytes",
                       cluster);
        return BRUIT_EINVAL;
    }
    (void)snprintf(text, sizeof text, "%.255s._serf_%.255s._tcp.local.", node, cluster);
    if (node[0] == 0 || br_mdns_name_parse(&service->instance, text) != 0) {
        (void)snprintf(
            why, BR_WHY_MAX,
            "'%.60s' cannot be announced: give -node a name whose parts between dots have 1 to 63 bytes",
            node);
        return BRUIT_EINVAL;
    }
    if (host[0] == 0 || br_mdns_name_parse(&service->host, host) != 0)
        service->host = service->instance;
    return br_mdns_name_parse(&service->enumeration, "_services._dns-sd._udp.local.");
}

/*
 * Keys on every member at once: a module that carries changes of the keyring as questions (docs/wire/serf.md, sections
 * 8.2 and 8.3). What is asked of us we do to our own ring, have it kept, and answer; the answer to a change of the key
 * in use is already sealed with the new one.
 */
#include "codec/msgpack.h"
#include "codec/serf.h"
#include "module/host.h"

#include <bruit/keys.h>

/* The longest key that is carried: a member must be able to say that it is too long. */
#define KEY_CARRIED_MAX 512

/* As many keys as a ring has, each in base64, and the two texts of an answer. */
#define RING_MAX 64
#define ENCODED_MAX 44
#define WRITTEN_MAX (ENCODED_MAX + 3)
#define RESPONSE_MAX ((RING_MAX + 1) * WRITTEN_MAX + 512)

/* Serf's words, in an answer and in the log. */
#define NO_KEYRING "No keyring to modify (encryption not enabled)"
#define KEYRING_EMPTY "Keyring is empty (encryption not enabled)"

struct keys {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    bruit_keys_save_fn save;
    void *save_context;
    uint32_t ask; /* of the question that is under way, or 0 */
};

static struct keys *keys_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_keys_module);
}

/* ------------------------------------------------------------------ asking */

static const char *const questions[] = {"install-key", "use-key", "remove-key", "list-keys"};

int bruit_keys_ask(struct bruit_engine *engine, enum bruit_keys_command command, struct bruit_bytes key,
                   uint32_t *request, bruit_time now)
{
    struct keys *k = keys_of(engine);
    uint8_t buffer[KEY_CARRIED_MAX + 32];
    struct br_writer w;
    if (k == NULL)
        return BRUIT_ENOENT;
    if (key.size > KEY_CARRIED_MAX)
        return BRUIT_ETOOBIG;
    if (k->ask != 0)
        return BRUIT_EBUSY;
    br_host_input(k->host, now);
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_key_request_encode(
        &w, &(struct br_serf_key_request){.key = command == BRUIT_KEYS_LIST ? (struct bruit_bytes){0} : key});
    int error = bruit_host_ask(k->host, questions[command], br_writer_bytes(&w), true, &k->ask);
    if (error != 0)
        k->ask = 0;
    *request = k->ask;
    return error;
}

/* An event's data: the size of the name, the name, the answer as it came. */
static void emit(struct keys *k, const struct bruit_answer *answer)
{
    size_t size = 1 + answer->from.size + answer->payload.size;
    uint8_t *data = answer->from.size > UINT8_MAX ? NULL : bruit_host_resize(k->host, NULL, 0, size);
    struct br_writer w;
    br_writer_init(&w, data, data == NULL ? 0 : size);
    br_write_u8(&w, (uint8_t)answer->from.size);
    br_write_bytes(&w, answer->from);
    br_write_bytes(&w, answer->payload);
    struct bruit_event event = {
        .type = BRUIT_EVENT_KEYS_ANSWER, .request = answer->ask, .data = br_writer_bytes(&w)};
    if (w.failed || bruit_host_emit(k->host, &event) != 0)
        BR_TRACE(k->tracer, event_lost, .name = answer->from);
    (void)bruit_host_resize(k->host, data, data == NULL ? 0 : size, 0);
}

static void on_answer(void *self, const struct bruit_answer *answer)
{
    struct keys *k = self;
    if (answer->ask != k->ask)
        return;
    if (!answer->is_last) {
        emit(k, answer);
        return;
    }
    struct bruit_event event = {
        .type = BRUIT_EVENT_KEYS_DONE, .request = answer->ask, .changes = answer->expected};
    k->ask = 0;
    if (bruit_host_emit(k->host, &event) != 0)
        BR_TRACE(k->tracer, event_lost, .name = br_bytes_text("keys"));
}

static struct bruit_bytes rest_of(struct bruit_bytes bytes, size_t skipped)
{
    return br_bytes(bytes.data + skipped, bytes.size - skipped);
}

int bruit_keys_answer_read(const struct bruit_event *event, struct bruit_keys_answer *out)
{
    struct br_serf_key_response response;
    *out = (struct bruit_keys_answer){.is_good = false};
    if (event->type != BRUIT_EVENT_KEYS_ANSWER || event->data.size == 0 ||
        event->data.size < (size_t)1 + event->data.data[0])
        return BRUIT_EINVAL;
    out->from = br_bytes(event->data.data + 1, event->data.data[0]);
    struct bruit_bytes payload = rest_of(event->data, 1 + out->from.size);
    if (payload.size == 0 || payload.data[0] != BR_SERF_KEY_RESPONSE) {
        out->message = br_bytes_text("Invalid key query response type");
        return 0;
    }
    if (br_serf_key_response_decode(&response, rest_of(payload, 1)) != 0) {
        out->message = br_bytes_text("Failed to decode key query response");
        return 0;
    }
    out->is_good = response.result;
    out->message = response.message;
    out->primary = response.primary_key;
    out->rest = response.keys.items;
    out->rest_count = response.keys.count;
    return 0;
}

bool bruit_keys_next(struct bruit_keys_answer *answer, struct bruit_bytes *key)
{
    struct br_reader r;
    if (answer->rest_count == 0)
        return false;
    br_reader_init(&r, answer->rest);
    *key = br_mp_read_bytes(&r);
    answer->rest = br_reader_rest(&r);
    answer->rest_count--;
    return !r.failed;
}

/* ------------------------------------------------------------------ doing as we are told */

/* Without a keyring nothing can be done; the agent's log says so in Serf's words. */
static bool has_keys(const struct keys *k, const char *otherwise)
{
    if (bruit_key_get(bruit_host_engine(k->host), 0).size > 0)
        return true;
    BR_TRACE(k->tracer, keys_refused, .why = otherwise);
    return false;
}

static const char *change(struct keys *k, enum br_key_change what, struct bruit_bytes key)
{
    const struct bruit_engine *engine = bruit_host_engine(k->host);
    bool is_primary = br_bytes_equal(key, bruit_key_get(engine, 0));
    if (!has_keys(k, NO_KEYRING))
        return NO_KEYRING;
    if (what == BR_KEY_ADD && key.size != 16 && key.size != 24 && key.size != 32)
        return "key size must be 16, 24 or 32 bytes";
    if (what == BR_KEY_REMOVE && is_primary)
        return "Removing the primary key is not allowed";
    int error = br_host_key(k->host, what, key);
    if (error == 0 || (what == BR_KEY_REMOVE && error == BRUIT_ENOENT))
        return NULL;
    return what == BR_KEY_USE ? "Requested key is not in the keyring" : bruit_strerror(error);
}

static void answer(struct keys *k, const struct bruit_question *question,
                   const struct br_serf_key_response *response)
{
    uint8_t buffer[RESPONSE_MAX];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_key_response_encode(&w, response);
    int status = w.failed ? BRUIT_ETOOBIG : bruit_host_answer(k->host, question->id, br_writer_bytes(&w));
    if (status != 0)
        BR_TRACE(k->tracer, answer_failed, .name = question->name, .why = bruit_strerror(status));
}

static void change_and_answer(struct keys *k, const struct bruit_question *question, enum br_key_change what)
{
    struct br_serf_key_request request = {.key = {NULL, 0}};
    struct br_serf_key_response response = {.result = false};
    char why[256] = "";
    /* The first byte is not looked at, as with Serf. */
    if (question->payload.size > 0 &&
        br_serf_key_request_decode(&request, rest_of(question->payload, 1)) == 0) {
        const char *refusal = change(k, what, request.key);
        if (refusal == NULL && k->save != NULL && k->save(k->save_context, why, sizeof why) != 0)
            refusal = why;
        response.result = refusal == NULL;
        response.message = refusal == NULL ? (struct bruit_bytes){0} : br_bytes_string(refusal);
    }
    answer(k, question, &response);
}

/* ------------------------------------------------------------------ listing */

static void encode_base64(struct br_writer *w, struct bruit_bytes key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t text[ENCODED_MAX];
    size_t size = 0;
    for (size_t at = 0; at < key.size && size + 4 <= sizeof text; at += 3) {
        size_t left = key.size - at;
        uint32_t three = (uint32_t)key.data[at] << 16 | (left > 1 ? (uint32_t)key.data[at + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)key.data[at + 2] : 0);
        text[size++] = (uint8_t)letters[three >> 18];
        text[size++] = (uint8_t)letters[three >> 12 & 63];
        text[size++] = left > 1 ? (uint8_t)letters[three >> 6 & 63] : '=';
        text[size++] = left > 2 ? (uint8_t)letters[three & 63] : '=';
    }
    br_mp_write_str(w, br_bytes(text, size));
}

static struct bruit_bytes number(uint32_t value, char digits[10])
{
    size_t at = 10;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return br_bytes(digits + at, 10 - at);
}

/* "truncated key list response, showing first 17 of 60 keys" */
static struct bruit_bytes cut_text(uint32_t shown, uint32_t total, uint8_t text[96])
{
    char digits[10];
    struct br_writer w;
    br_writer_init(&w, text, 96);
    br_write_bytes(&w, br_bytes_text("truncated key list response, showing first "));
    br_write_bytes(&w, number(shown, digits));
    br_write_bytes(&w, br_bytes_text(" of "));
    br_write_bytes(&w, number(total, digits));
    br_write_bytes(&w, br_bytes_text(" keys"));
    return br_writer_bytes(&w);
}

/* The encoded size of `response` with the first `count` of its keys, which is what it keeps. */
static size_t size_with(struct br_serf_key_response *response, const size_t ends[RING_MAX + 1],
                        uint32_t count)
{
    uint8_t buffer[RESPONSE_MAX];
    struct br_writer w;
    response->keys.count = count;
    response->keys.items.size = ends[count];
    br_writer_init(&w, buffer, sizeof buffer);
    br_serf_key_response_encode(&w, response);
    return w.failed ? SIZE_MAX : br_writer_bytes(&w).size;
}

/* As many keys as fit into an answer, in ring order. */
static void list(struct keys *k, const struct bruit_question *question)
{
    const struct bruit_engine *engine = bruit_host_engine(k->host);
    uint8_t items[RING_MAX * WRITTEN_MAX], primary[WRITTEN_MAX], text[96];
    size_t ends[RING_MAX + 1] = {0}, room = bruit_host_answer_room(k->host, question->id);
    struct br_writer w;
    uint32_t total = 0;
    br_writer_init(&w, items, sizeof items);
    for (struct bruit_bytes key; total < RING_MAX && (key = bruit_key_get(engine, total)).size > 0;) {
        encode_base64(&w, key);
        ends[++total] = br_writer_bytes(&w).size;
    }
    struct br_serf_key_response response = {.result = total > 0, .keys = {.items = br_writer_bytes(&w)}};
    if (!has_keys(k, KEYRING_EMPTY))
        response.message = br_bytes_text(KEYRING_EMPTY);
    br_writer_init(&w, primary, sizeof primary);
    encode_base64(&w, bruit_key_get(engine, 0));
    struct br_reader r;
    br_reader_init(&r, br_writer_bytes(&w));
    response.primary_key = br_mp_read_bytes(&r);
    for (uint32_t shown = total; size_with(&response, ends, shown) > room && shown > 0;) {
        shown--;
        response.message = cut_text(shown, total, text);
    }
    answer(k, question, &response);
}

static void on_question(void *self, const struct bruit_question *question)
{
    static const enum br_key_change changes[] = {BR_KEY_ADD, BR_KEY_USE, BR_KEY_REMOVE};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        if (br_bytes_equal(question->name, br_bytes_string(questions[i]))) {
            change_and_answer(self, question, changes[i]);
            return;
        }
    }
    list(self, question);
}

/* ------------------------------------------------------------------ life */

static int init(void *self, struct bruit_host *host)
{
    struct keys *k = self;
    *k = (struct keys){.host = host, .tracer = br_host_tracer(host)};
    return 0;
}

int bruit_keys_configure(struct bruit_engine *engine, bruit_keys_save_fn save, void *context)
{
    struct keys *k = keys_of(engine);
    if (k == NULL)
        return BRUIT_ENOENT;
    k->save = save;
    k->save_context = context;
    return 0;
}

const struct bruit_module bruit_keys_module = {
    .struct_size = sizeof bruit_keys_module,
    .name = "keys",
    .state_size = sizeof(struct keys),
    .questions = questions,
    .question_count = sizeof questions / sizeof questions[0],
    .init = init,
    .on_question = on_question,
    .on_answer = on_answer,
};

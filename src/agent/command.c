/*
 * What each RPC command does (docs/wire/serf-rpc.md sections 2 to 4).
 *
 * The order of the checks is Serf's: handshake, then authentication, then the command. A response body is
 * sent with an error too, because Serf's command line waits for it.
 */
#include "agent/client.h"

#include "agent/feature.h"
#include "agent/tags.h"
#include "agent/value.h"
#include "base/pattern.h"

#include <stdio.h>
#include <stdlib.h>

/* Bits of a stream's mask beside the changes of members. */
#define EVERY_USER (1u << 16)
#define EVERY_QUERY (1u << 17)
#define EVERY_EVENT                                                                       \
    (BRUIT_MEMBER_JOIN | BRUIT_MEMBER_LEAVE | BRUIT_MEMBER_FAILED | BRUIT_MEMBER_UPDATE | \
     BRUIT_MEMBER_REAP | EVERY_USER | EVERY_QUERY)

static void handshake(struct br_client *client, const struct br_rpc_request *request);
static void authenticate(struct br_client *client, const struct br_rpc_request *request);
static void members(struct br_client *client, const struct br_rpc_request *request);
static void members_filtered(struct br_client *client, const struct br_rpc_request *request);
static void stream(struct br_client *client, const struct br_rpc_request *request);
static void monitor(struct br_client *client, const struct br_rpc_request *request);
static void stop(struct br_client *client, const struct br_rpc_request *request);
static void join(struct br_client *client, const struct br_rpc_request *request);
static void force_leave(struct br_client *client, const struct br_rpc_request *request);
static void tags(struct br_client *client, const struct br_rpc_request *request);
static void leave(struct br_client *client, const struct br_rpc_request *request);
static void keys(struct br_client *client, const struct br_rpc_request *request);
static void stats(struct br_client *client, const struct br_rpc_request *request);
static void feature(struct br_client *client, const struct br_rpc_request *request);

typedef void (*command_fn)(struct br_client *client, const struct br_rpc_request *request);

static const command_fn commands[BR_RPC_COMMANDS] = {
    [BR_RPC_HANDSHAKE] = handshake,
    [BR_RPC_AUTH] = authenticate,
    [BR_RPC_MEMBERS] = members,
    [BR_RPC_MEMBERS_FILTERED] = members_filtered,
    [BR_RPC_STREAM] = stream,
    [BR_RPC_MONITOR] = monitor,
    [BR_RPC_STOP] = stop,
    [BR_RPC_JOIN] = join,
    [BR_RPC_FORCE_LEAVE] = force_leave,
    [BR_RPC_TAGS] = tags,
    [BR_RPC_LEAVE] = leave,
    [BR_RPC_STATS] = stats,
    [BR_RPC_INSTALL_KEY] = keys,
    [BR_RPC_USE_KEY] = keys,
    [BR_RPC_REMOVE_KEY] = keys,
    [BR_RPC_LIST_KEYS] = keys,
    [BR_RPC_EVENT] = br_client_send_event,
    [BR_RPC_QUERY] = br_client_query,
    [BR_RPC_RESPOND] = br_client_respond,
    [BR_RPC_GET_COORDINATE] = br_client_get_coordinate,
    [BR_RPC_FEATURE] = feature,
};

void br_client_answer(struct br_client *client, uint64_t seq, const char *error)
{
    struct br_blob out = BR_BLOB_EMPTY;
    br_rpc_write_header(&out, seq, error);
    br_client_send(client, &out, NULL);
}

static void answer_and_close(struct br_client *client, uint64_t seq, const char *error)
{
    br_client_answer(client, seq, error);
    br_client_finish(client);
}

static bool needs_authentication(const struct br_client *client)
{
    const char *auth = client->rpc->options.auth;
    return auth != NULL && auth[0] != 0 && !client->is_authenticated;
}

void br_client_execute(struct br_client *client, const struct br_rpc_request *request)
{
    enum br_rpc_command command = request->command;
    if (!client->has_shaken_hands && command != BR_RPC_HANDSHAKE)
        answer_and_close(client, request->seq, "Handshake required");
    else if (needs_authentication(client) && command != BR_RPC_HANDSHAKE && command != BR_RPC_AUTH)
        br_client_answer(client, request->seq, "Authentication required");
    else if (commands[command] == NULL)
        answer_and_close(client, request->seq, "Unsupported command");
    else
        commands[command](client, request);
}

/* ------------------------------------------------------------------ who may talk */

static void handshake(struct br_client *client, const struct br_rpc_request *request)
{
    if (request->version != 1) {
        br_client_answer(client, request->seq, "Unsupported IPC version");
    } else if (client->has_shaken_hands) {
        br_client_answer(client, request->seq, "Handshake already performed");
    } else {
        client->has_shaken_hands = true;
        client->decoder.is_open = true;
        br_client_answer(client, request->seq, "");
    }
}

/* In a time that does not tell how much of the token was right. */
static bool is_same_secret(struct bruit_bytes given, struct bruit_bytes wanted)
{
    unsigned difference = given.size != wanted.size;
    for (size_t i = 0; i < given.size; i++)
        difference |= (unsigned)(given.data[i] ^ (wanted.size == 0 ? 0 : wanted.data[i % wanted.size]));
    return difference == 0;
}

static void authenticate(struct br_client *client, const struct br_rpc_request *request)
{
    const char *auth = client->rpc->options.auth;
    if (is_same_secret(request->auth_key, br_bytes_string(auth == NULL ? "" : auth))) {
        client->is_authenticated = true;
        br_client_answer(client, request->seq, "");
    } else {
        br_client_answer(client, request->seq, "Invalid authentication token");
    }
}

/* ------------------------------------------------------------------ members */

/* One thing that members must match: the pattern, and the tag it is for (NULL data: name or status). */
struct filter {
    struct br_pattern *pattern;
    struct bruit_bytes tag;
};

struct filters {
    struct br_alloc alloc; /* of the patterns */
    struct br_pattern *name;
    struct br_pattern *status;
    struct filter tags[BR_RPC_FILTERS_MAX];
    size_t tag_count;
    uint64_t cost; /* of matching so far: steps times characters */
};

static void answer_members(struct br_client *client, uint64_t seq, struct filters *filters);

static void members(struct br_client *client, const struct br_rpc_request *request)
{
    answer_members(client, request->seq, NULL);
}

/* ^P$, put together as plain text: a|b means ^a or b$, as with Serf. */
static int make_pattern(struct filters *filters, struct br_pattern **out, struct bruit_bytes text)
{
    struct br_blob anchored = BR_BLOB_EMPTY;
    br_blob_text(&anchored, "^");
    br_blob_add(&anchored, text);
    br_blob_text(&anchored, "$");
    int error =
        anchored.failed ? BRUIT_ENOMEM : br_pattern_new(out, &filters->alloc, br_blob_bytes(&anchored));
    br_blob_release(&anchored);
    return error;
}

static int make_filters(struct filters *filters, const struct br_rpc_request *request)
{
    struct br_mp_list pairs = request->tags;
    struct bruit_bytes key, value;
    int error = 0;
    br_alloc_init(&filters->alloc, NULL, 0);
    if (request->name.size > 0)
        error = make_pattern(filters, &filters->name, request->name);
    if (error == 0 && request->status.size > 0)
        error = make_pattern(filters, &filters->status, request->status);
    while (error == 0 && br_rpc_next_pair(&pairs, &key, &value)) {
        if (filters->tag_count == BR_RPC_FILTERS_MAX)
            return BRUIT_ETOOBIG;
        filters->tags[filters->tag_count].tag = key;
        error = make_pattern(filters, &filters->tags[filters->tag_count++].pattern, value);
    }
    return error;
}

static void free_filters(struct filters *filters)
{
    br_pattern_free(filters->name);
    br_pattern_free(filters->status);
    for (size_t i = 0; i < filters->tag_count; i++)
        br_pattern_free(filters->tags[i].pattern);
    free(filters);
}

/* No pattern: everything matches. */
static bool matches(struct filters *filters, struct br_pattern *pattern, struct bruit_bytes text)
{
    if (pattern == NULL)
        return true;
    filters->cost += (text.size + 1) * br_pattern_steps(pattern);
    return br_pattern_matches(pattern, text);
}

static bool is_wanted(struct filters *filters, const struct bruit_status_member *member)
{
    if (!matches(filters, filters->name, member->name) ||
        !matches(filters, filters->status, br_bytes_string(bruit_status_text(member->status))))
        return false;
    if (filters->tag_count == 0)
        return true;
    struct br_tag_set set;
    br_tag_set_read(&set, member->meta);
    for (size_t i = 0; i < filters->tag_count; i++)
        if (!matches(filters, filters->tags[i].pattern, br_tag_set_get(&set, filters->tags[i].tag)))
            return false;
    return true;
}

static void members_filtered(struct br_client *client, const struct br_rpc_request *request)
{
    struct filters *filters = calloc(1, sizeof *filters);
    if (filters != NULL && make_filters(filters, request) == 0)
        answer_members(client, request->seq, filters);
    else
        br_client_close(client); /* Serf's answer to a bad pattern */
    if (filters != NULL)
        free_filters(filters);
}

/* `filters` NULL: everybody. */
static void answer_members(struct br_client *client, uint64_t seq, struct filters *filters)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_blob out = BR_BLOB_EMPTY, list = BR_BLOB_EMPTY;
    struct bruit_status_member member;
    size_t found = 0, position = 0;
    while ((filters == NULL || filters->cost <= BR_RPC_MATCHING_MAX) &&
           backend->next_member(backend->context, &position, &member)) {
        if (filters == NULL || is_wanted(filters, &member)) {
            br_rpc_write_member(&list, &member);
            found++;
        }
    }
    if (filters != NULL && filters->cost > BR_RPC_MATCHING_MAX) {
        br_blob_release(&list);
        br_client_cut_off(client, &client->rpc->stats.cut_too_big, "a filter whose patterns take too long");
        return;
    }
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_members(&out, found);
    br_blob_add(&out, br_blob_bytes(&list));
    out.failed |= list.failed;
    br_blob_release(&list);
    br_client_send(client, &out, NULL);
}

/* ------------------------------------------------------------------ streams */

static bool begins_with(struct bruit_bytes word, const char *prefix, size_t size)
{
    return word.size >= size && memcmp(word.data, prefix, size) == 0;
}

/* "user:deploy" and the like; without a name it means any. */
static bool parse_named(struct bruit_bytes word, const char *prefix, uint32_t any, uint32_t *mask,
                        bool *is_named)
{
    size_t size = strlen(prefix);
    if (!begins_with(word, prefix, size))
        return false;
    if (word.size == size)
        *mask |= any;
    else
        *is_named = true;
    return true;
}

/* The bits of one word of a filter; false when it is no event. */
static bool parse_event(struct bruit_bytes word, uint32_t *mask, bool *is_named)
{
    uint32_t bits = br_bytes_equal(word, br_bytes_text("*"))       ? EVERY_EVENT
                    : br_bytes_equal(word, br_bytes_text("user"))  ? EVERY_USER
                    : br_bytes_equal(word, br_bytes_text("query")) ? EVERY_QUERY
                                                                   : 0;
    for (uint32_t change = BRUIT_MEMBER_JOIN; change <= BRUIT_MEMBER_REAP; change <<= 1)
        if (br_bytes_equal(word, br_bytes_string(br_rpc_event_name((enum bruit_status_change)change))))
            bits = change;
    *mask |= bits;
    return bits != 0 || parse_named(word, "user:", EVERY_USER, mask, is_named) ||
           parse_named(word, "query:", EVERY_QUERY, mask, is_named);
}

/* The word before the next comma, taken from `text`. */
static struct bruit_bytes next_word(struct bruit_bytes *text)
{
    const uint8_t *comma = memchr(text->data, ',', text->size);
    size_t size = comma == NULL ? text->size : (size_t)(comma - text->data);
    struct bruit_bytes word = br_bytes(text->data, size);
    size += comma != NULL;
    *text = br_bytes(text->data + size, text->size - size);
    return word;
}

static bool parse_filter(struct bruit_bytes text, uint32_t *mask, bool *is_named)
{
    *mask = text.size == 0 ? EVERY_EVENT : 0;
    if (text.size > BR_RPC_FILTER_MAX || (text.size > 0 && text.data[text.size - 1] == ','))
        return false;
    while (text.size > 0)
        if (!parse_event(next_word(&text), mask, is_named))
            return false;
    return true;
}

/* Whether a stream wants the user events, or queries, of this name. */
static bool wants(const struct br_rpc_stream *stream, uint32_t any, const char *prefix,
                  struct bruit_bytes name)
{
    struct bruit_bytes text = br_blob_bytes(&stream->named);
    size_t size = strlen(prefix);
    if ((stream->mask & any) != 0)
        return true;
    while (text.size > 0) {
        struct bruit_bytes word = next_word(&text);
        if (begins_with(word, prefix, size) &&
            br_bytes_equal(br_bytes(word.data + size, word.size - size), name))
            return true;
    }
    return false;
}

static void free_stream(struct br_rpc_stream *stream)
{
    br_blob_release(&stream->named);
    free(stream);
}

static struct br_rpc_stream *find_stream(struct br_client *client, uint64_t seq, size_t *count)
{
    struct br_rpc_stream *found = NULL;
    *count = 0;
    BR_LIST_EACH(link, &client->streams)
    {
        struct br_rpc_stream *candidate = BR_LIST_OF(link, struct br_rpc_stream, link);
        if (candidate->seq == seq)
            found = candidate;
        (*count)++;
    }
    return found;
}

static void stream(struct br_client *client, const struct br_rpc_request *request)
{
    uint32_t mask;
    size_t count;
    bool is_named = false;
    if (find_stream(client, request->seq, &count) != NULL) {
        br_client_answer(client, request->seq, "Stream with given sequence exists");
        return;
    }
    if (!parse_filter(request->type, &mask, &is_named)) {
        br_client_answer(client, request->seq, "Invalid event filter");
        return;
    }
    struct br_rpc_stream *new = count >= BR_RPC_STREAMS_MAX ? NULL : calloc(1, sizeof *new);
    if (new == NULL) {
        br_client_answer(client, request->seq, "Too many streams on one connection");
        return;
    }
    new->seq = request->seq;
    new->mask = mask;
    if (is_named)
        br_blob_add(&new->named, request->type);
    br_list_push_back(&client->streams, &new->link);
    br_client_answer(client, request->seq, "");
}

void br_client_member_event(struct br_client *client, enum bruit_status_change change,
                            const struct bruit_status_member *list, size_t count)
{
    BR_LIST_EACH_SAFE(link, &client->streams)
    {
        struct br_rpc_stream *to = BR_LIST_OF(link, struct br_rpc_stream, link);
        struct br_blob out = BR_BLOB_EMPTY;
        if ((to->mask & (uint32_t)change) == 0 || !br_client_has_room(client, to))
            continue;
        br_rpc_write_header(&out, to->seq, "");
        br_rpc_write_event(&out, change, count);
        for (size_t i = 0; i < count; i++)
            br_rpc_write_member(&out, &list[i]);
        br_client_send(client, &out, to);
        if (client->is_closing)
            return;
    }
}

void br_client_user_event(struct br_client *client, const struct bruit_user_event *event)
{
    BR_LIST_EACH_SAFE(link, &client->streams)
    {
        struct br_rpc_stream *to = BR_LIST_OF(link, struct br_rpc_stream, link);
        struct br_blob out = BR_BLOB_EMPTY;
        if (!wants(to, EVERY_USER, "user:", event->name) || !br_client_has_room(client, to))
            continue;
        br_rpc_write_header(&out, to->seq, "");
        br_rpc_write_user(&out, event);
        br_client_send(client, &out, to);
        if (client->is_closing)
            return;
    }
}

/* Each stream has an id of its own for the query. */
void br_client_query_event(struct br_client *client, const struct bruit_query *query)
{
    BR_LIST_EACH_SAFE(link, &client->streams)
    {
        struct br_rpc_stream *to = BR_LIST_OF(link, struct br_rpc_stream, link);
        struct br_blob out = BR_BLOB_EMPTY;
        if (!wants(to, EVERY_QUERY, "query:", query->name) || !br_client_has_room(client, to))
            continue;
        br_rpc_write_header(&out, to->seq, "");
        br_rpc_write_asked(&out, query, br_client_remember(client, query));
        br_client_send(client, &out, to);
        if (client->is_closing)
            return;
    }
}

/* ------------------------------------------------------------------ the log */

static void write_line(const struct br_client *client, const struct br_log_line *line, struct br_blob *out)
{
    br_rpc_write_header(out, client->monitor.seq, "");
    br_rpc_write_log(out, br_bytes(line->text, line->size));
}

static void monitor(struct br_client *client, const struct br_rpc_request *request)
{
    struct br_blob out = BR_BLOB_EMPTY;
    const struct br_log *log = client->rpc->options.log;
    const struct br_log_line *line;
    int level = br_level_parse((const char *)request->log_level.data, request->log_level.size);
    if (level < 0) {
        char error[96];
        size_t size =
            (size_t)snprintf(error, sizeof error, "Unknown log level: %.*s",
                             (int)(request->log_level.size < 64 ? request->log_level.size : 64),
                             request->log_level.size == 0 ? "" : (const char *)request->log_level.data);
        for (size_t i = 19; i < size && i < sizeof error; i++)
            if (error[i] >= 'a' && error[i] <= 'z')
                error[i] = (char)(error[i] - 'a' + 'A');
        br_client_answer(client, request->seq, error);
        return;
    }
    if (client->monitor_level != 0) {
        br_client_answer(client, request->seq, "Monitor already exists");
        return;
    }
    client->monitor_level = level;
    client->monitor.seq = request->seq;
    br_rpc_write_header(&out, request->seq, "");
    for (size_t i = 0; log != NULL && (line = br_log_kept(log, i)) != NULL; i++)
        if (line->level <= level)
            write_line(client, line, &out);
    br_client_send(client, &out, NULL);
}

void br_client_log_line(struct br_client *client, const struct br_log_line *line)
{
    struct br_blob out = BR_BLOB_EMPTY;
    if (line->level > client->monitor_level || !br_client_has_room(client, &client->monitor))
        return;
    write_line(client, line, &out);
    br_client_send(client, &out, &client->monitor);
}

static void stop(struct br_client *client, const struct br_rpc_request *request)
{
    size_t count;
    struct br_rpc_stream *found = find_stream(client, request->stop, &count);
    if (found != NULL) {
        br_list_remove(&found->link);
        free_stream(found);
    }
    if (client->monitor.seq == request->stop)
        client->monitor_level = 0;
    br_client_answer(client, request->seq, "");
}

void br_client_forget_streams(struct br_client *client)
{
    client->monitor_level = 0;
    for (struct br_list *link; (link = br_list_pop_front(&client->streams)) != NULL;)
        free_stream(BR_LIST_OF(link, struct br_rpc_stream, link));
}

/* ------------------------------------------------------------------ commands that take their time */

static struct br_rpc_call *begin_call(struct br_client *client, const struct br_rpc_request *request)
{
    struct br_rpc_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        br_client_close(client);
        return NULL;
    }
    *call = (struct br_rpc_call){.client = client, .seq = request->seq, .command = request->command};
    client->call = call;
    return call;
}

/* Frees the call, and goes on with what the client asked meanwhile. */
static void finish(struct br_rpc_call *call, const char *error, struct br_blob *body)
{
    struct br_client *client = call->client;
    struct br_blob out = BR_BLOB_EMPTY;
    if (client != NULL) {
        client->call = NULL;
        br_rpc_write_header(&out, call->seq, error);
        br_blob_add(&out, br_blob_bytes(body));
        out.failed |= body->failed;
        br_client_send(client, &out, NULL);
        br_client_resume(client);
    }
    br_blob_release(body);
    free(call);
}

static bool is_about_keys(enum br_rpc_command command)
{
    return command == BR_RPC_INSTALL_KEY || command == BR_RPC_USE_KEY || command == BR_RPC_REMOVE_KEY ||
           command == BR_RPC_LIST_KEYS;
}

void br_rpc_answer(struct br_rpc_call *call, const char *error, uint64_t joined)
{
    struct br_blob body = BR_BLOB_EMPTY;
    if (call->command == BR_RPC_JOIN)
        br_rpc_write_join(&body, joined);
    else if (is_about_keys(call->command))
        br_rpc_write_keys(&body, &(struct br_rpc_keys){.nodes = 0});
    finish(call, error, &body);
}

void br_rpc_answer_keys(struct br_rpc_call *call, const char *error, const struct br_rpc_keys *keys)
{
    struct br_blob body = BR_BLOB_EMPTY;
    br_rpc_write_keys(&body, keys);
    finish(call, error, &body);
}

/* The names as C strings, one after the other in one piece of memory behind their pointers. */
static const char **copy_names(struct br_mp_list list)
{
    struct br_mp_list walk = list;
    struct bruit_bytes text;
    size_t size = (size_t)list.count * sizeof(char *);
    while (br_rpc_next_text(&walk, &text))
        size += text.size + 1;
    const char **names = malloc(size + 1);
    char *at = names == NULL ? NULL : (char *)(names + list.count);
    for (size_t i = 0; names != NULL && br_rpc_next_text(&list, &text); i++) {
        names[i] = at;
        if (text.size > 0)
            memcpy(at, text.data, text.size);
        at += text.size;
        *at++ = 0;
    }
    return names;
}

static void join(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    const char **names = request->existing.count > BR_RPC_JOIN_MAX ? NULL : copy_names(request->existing);
    struct br_rpc_call *call = begin_call(client, request);
    if (call == NULL) {
        /* closed already */
    } else if (names == NULL) {
        br_rpc_answer(call, "Too many addresses to join: give at most 1024", 0);
    } else if (request->existing.count == 0) {
        br_rpc_answer(call, "", 0);
    } else {
        backend->join(backend->context, call, names, request->existing.count, request->replay);
    }
    free(names);
}

static void force_leave(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_rpc_call *call = begin_call(client, request);
    if (call != NULL)
        backend->force_leave(backend->context, call, request->node, request->prune);
}

static void tags(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_rpc_call *call = begin_call(client, request);
    if (call != NULL)
        backend->change_tags(backend->context, call, request);
}

static void leave(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_rpc_call *call = begin_call(client, request);
    if (call != NULL)
        backend->leave(backend->context, call);
}

static void keys(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_rpc_call *call = begin_call(client, request);
    if (call != NULL)
        backend->keys(backend->context, call, request->command, request->key);
}

static void stats(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct br_blob out = BR_BLOB_EMPTY;
    br_rpc_write_header(&out, request->seq, "");
    backend->stats(backend->context, &out);
    br_client_send(client, &out, NULL);
}

/* ------------------------------------------------------------------ bruit's own */

static void feature(struct br_client *client, const struct br_rpc_request *request)
{
    if (request->feature->execute(client, request->seq, request->body) != 0)
        br_client_cut_off(client, &client->rpc->stats.cut_malformed, "failed to decode a request");
}

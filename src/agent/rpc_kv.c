/*
 * Replicated state for RPC clients (<bruit/kv.h>).
 *
 *     kv-get      {All: bool, Key} -> {Entries: [ENTRY, ...]}
 *                 the winner, or with All it and its siblings
 *     kv-put      {Ack, Key, Lifetime, Mode, Owner, Seen, TTL, Timeout, Value, Version}
 *                 -> {Error, Held, Version, Wanted}
 *     kv-delete   the same, without Lifetime, Owner, TTL and Value
 *                 answered once it is durable here and held by Ack members, or is not in time: Error says why then
 *     kv-list     {After, Limit, Prefix, Values: bool} -> {Entries, Last: bool}
 *                 a page in the order of keys; go on after its last Key until Last
 *     kv-watch    {Cursor, Prefix} -> nothing, and then records {Cursor, Entries, Gap: bool, Key}
 *                 a change of Key, with its winner if it has a value; or a gap: list everything anew
 *     kv-stat     -> {name: number or text, ...}
 *
 * ENTRY is {Actor, Count, Counter, Durable: bool, Key, Lifetime: "", "expires" or "owned", Owner, Seen, Size, Stamp,
 * TTL, Value, Version}. Keys, values, owners and Seen are bytes, times nanoseconds, all else numbers; what a request
 * leaves out is empty or 0. Mode is "" (replaces what is here), "compare" (only if the version is Version; 0: only
 * if there is no value) or "seen" (replaces what Seen of an earlier ENTRY named, and nothing else).
 *
 * Of a client several writes may be under way; each is answered by its number when it is done. A watch is only as
 * fast as its client reads, and costs nothing but its cursor meanwhile; who falls too far behind finds a gap.
 */
#include "agent/agent.h"
#include "agent/feature.h"

#include <bruit/kv.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* A page of a list: so many entries, or bytes. Some milliseconds, and far below what a client may make us hold. */
#define PAGE_ENTRIES 4096
#define PAGE_BYTES (1u << 20)

/* The names and numbers of an entry; its bytes come on top. */
#define ENTRY_FIXED 320

/* The wall clock is told again when something happens and so long after the last time: clocks drift and are set. */
#define WALL_INTERVAL (60 * BRUIT_SECOND)

/* A write that is under way. */
struct wait {
    struct br_list link;
    struct br_client *client;
    uint64_t seq;
    uint32_t request; /* the module's number for it */
    uint64_t version; /* of the key, right after it */
};

struct watch {
    struct br_list link;
    struct br_client *client;
    uint64_t seq;
    uint64_t cursor;
    struct br_blob prefix;
};

static void feed(struct watch *watch);

/* ------------------------------------------------------------------ the module in the agent */

static void tell_wall_time(struct bruit_engine *engine, bruit_time now)
{
    struct timespec wall;
    if (clock_gettime(CLOCK_REALTIME, &wall) == 0 && wall.tv_sec > 0)
        bruit_kv_wall_time(engine, (uint64_t)wall.tv_sec * BRUIT_SECOND + (uint64_t)wall.tv_nsec, now);
}

static int open_kv(struct br_agent *agent, char why[BR_WHY_MAX])
{
    struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct bruit_kv_options options;
    bruit_kv_options_default(&options);
    if (getrandom(&options.entropy, sizeof options.entropy, 0) != sizeof options.entropy)
        options.entropy = uv_hrtime();
    int error = bruit_kv_configure(engine, &options);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "replicated state: %s", bruit_strerror(error));
    agent->wall_told_at = bruit_uv_now(agent->uv);
    tell_wall_time(engine, agent->wall_told_at);
    return error;
}

static bruit_time now_of(const struct br_client *client)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    return backend->now(backend->context);
}

static void kick(const struct br_client *client)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    backend->kick(backend->context);
}

/* ------------------------------------------------------------------ reading */

static void write_bytes(struct br_writer *w, const char *key, struct bruit_bytes bytes)
{
    br_mp_write_key(w, key);
    br_mp_write_bin(w, br_bytes(bytes.data == NULL ? (const uint8_t *)"" : bytes.data, bytes.size));
}

static void write_number(struct br_writer *w, const char *key, uint64_t number)
{
    br_mp_write_key(w, key);
    br_mp_write_uint(w, number);
}

static void write_flag(struct br_writer *w, const char *key, bool flag)
{
    br_mp_write_key(w, key);
    br_mp_write_bool(w, flag);
}

static const char *lifetime_name(enum bruit_kv_lifetime lifetime)
{
    return lifetime == BRUIT_KV_EXPIRES ? "expires" : lifetime == BRUIT_KV_OWNED ? "owned" : "";
}

static void write_entry(struct br_blob *out, const struct bruit_kv_entry *entry, bool has_value)
{
    struct bruit_bytes value = has_value ? entry->value : br_bytes(NULL, 0);
    struct br_writer w = br_blob_writer(out, ENTRY_FIXED + entry->key.size + value.size + entry->owner.size +
                                                 entry->seen.size);
    br_mp_write_map(&w, 13);
    write_number(&w, "Actor", entry->actor);
    write_number(&w, "Count", entry->sibling_count);
    write_number(&w, "Counter", entry->counter);
    write_flag(&w, "Durable", entry->is_durable);
    write_bytes(&w, "Key", entry->key);
    br_mp_write_key(&w, "Lifetime");
    br_mp_write_key(&w, lifetime_name(entry->lifetime));
    write_bytes(&w, "Owner", entry->owner);
    write_bytes(&w, "Seen", entry->seen);
    write_number(&w, "Size", entry->value.size);
    write_number(&w, "Stamp", entry->stamp);
    write_number(&w, "TTL", entry->ttl);
    write_bytes(&w, "Value", value);
    write_number(&w, "Version", entry->version);
    br_blob_written(out, &w);
}

struct get_request {
    struct bruit_bytes key;
    bool all;
};

static const struct br_mp_field get_fields[] = {
    BR_MP_FIELD(struct get_request, all, "All", BR_MP_FLAG, 0, 0),
    BR_MP_FIELD(struct get_request, key, "Key", BR_MP_BYTES, 1, 0),
};

static bool read_body(struct bruit_bytes body, const struct br_mp_field *fields, size_t count, void *out)
{
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, fields, count, out);
    return !r.failed;
}
#define READ_BODY(body, fields, out) read_body(body, fields, sizeof fields / sizeof fields[0], out)

static int get(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    const struct bruit_engine *engine = br_client_engine(client);
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_kv_entry entry;
    struct get_request request;
    if (!READ_BODY(body, get_fields, &request))
        return BRUIT_EFORMAT;
    if (bruit_kv_get(engine, request.key, 0, &entry) != 0) {
        br_client_answer(client, seq, "there is no such key");
        return 0;
    }
    uint32_t count = request.all ? entry.sibling_count : 1;
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 1);
    br_rpc_write_text(&out, br_bytes_text("Entries"));
    br_rpc_write_array(&out, count);
    for (uint32_t i = 0; i < count; i++)
        if (bruit_kv_get(engine, request.key, i, &entry) == 0)
            write_entry(&out, &entry, true);
    br_client_send(client, &out, NULL);
    return 0;
}

struct list_request {
    struct bruit_bytes after, prefix;
    uint32_t limit;
    bool values;
};

static const struct br_mp_field list_fields[] = {
    BR_MP_FIELD(struct list_request, after, "After", BR_MP_BYTES, 0, 0),
    BR_MP_FIELD(struct list_request, limit, "Limit", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct list_request, prefix, "Prefix", BR_MP_BYTES, 2, 0),
    BR_MP_FIELD(struct list_request, values, "Values", BR_MP_FLAG, 3, 0),
};

static int list(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    const struct bruit_engine *engine = br_client_engine(client);
    struct br_blob out = BR_BLOB_EMPTY, entries = BR_BLOB_EMPTY;
    struct bruit_kv_entry entry;
    struct list_request request;
    size_t count = 0;
    bool is_last = false;
    if (!READ_BODY(body, list_fields, &request))
        return BRUIT_EFORMAT;
    size_t limit = request.limit == 0 || request.limit > PAGE_ENTRIES ? PAGE_ENTRIES : request.limit;
    while (count < limit && entries.size < PAGE_BYTES) {
        is_last = !bruit_kv_list(engine, request.prefix, request.after, &entry);
        if (is_last)
            break;
        write_entry(&entries, &entry, request.values);
        request.after = entry.key;
        count++;
    }
    br_rpc_write_header(&out, seq, "");
    struct br_writer w = br_blob_writer(&out, ENTRY_FIXED);
    br_mp_write_map(&w, 2);
    write_flag(&w, "Last", is_last);
    br_mp_write_key(&w, "Entries");
    br_mp_write_array(&w, (uint32_t)count);
    br_blob_written(&out, &w);
    br_blob_add(&out, br_blob_bytes(&entries));
    out.failed |= entries.failed;
    br_blob_release(&entries);
    br_client_send(client, &out, NULL);
    return 0;
}

/* ------------------------------------------------------------------ writing */

struct write_request {
    struct bruit_bytes key, lifetime, mode, owner, seen, value;
    uint64_t ttl, timeout, version;
    uint32_t ack;
};

static const struct br_mp_field write_fields[] = {
    BR_MP_FIELD(struct write_request, ack, "Ack", BR_MP_U32, 0, 0),
    BR_MP_FIELD(struct write_request, key, "Key", BR_MP_BYTES, 1, 0),
    BR_MP_FIELD(struct write_request, lifetime, "Lifetime", BR_MP_BYTES, 2, 0),
    BR_MP_FIELD(struct write_request, mode, "Mode", BR_MP_BYTES, 3, 0),
    BR_MP_FIELD(struct write_request, owner, "Owner", BR_MP_BYTES, 4, 0),
    BR_MP_FIELD(struct write_request, seen, "Seen", BR_MP_BYTES, 5, 0),
    BR_MP_FIELD(struct write_request, ttl, "TTL", BR_MP_U64, 6, 0),
    BR_MP_FIELD(struct write_request, timeout, "Timeout", BR_MP_U64, 7, 0),
    BR_MP_FIELD(struct write_request, value, "Value", BR_MP_BYTES, 8, 0),
    BR_MP_FIELD(struct write_request, version, "Version", BR_MP_U64, 9, 0),
};

/* The place of a word in a list that ends with NULL, or -1. */
static int find_word(const char *const *words, struct bruit_bytes word)
{
    for (int i = 0; words[i] != NULL; i++)
        if (br_bytes_equal(word, br_bytes_string(words[i])))
            return i;
    return -1;
}

/* NULL, or what is wrong with the words. */
static const char *read_how(const struct write_request *request, struct bruit_kv_write *out)
{
    static const char *const modes[] = {"", "compare", "seen", NULL};
    static const char *const lifetimes[] = {"", "expires", "owned", NULL};
    int mode = find_word(modes, request->mode), lifetime = find_word(lifetimes, request->lifetime);
    if (mode < 0)
        return "there is no such mode: it is empty, \"compare\" or \"seen\"";
    if (lifetime < 0)
        return "there is no such lifetime: it is empty, \"expires\" or \"owned\"";
    *out = (struct bruit_kv_write){
        .struct_size = sizeof *out,
        .mode = (enum bruit_kv_mode)mode,
        .version = request->version,
        .seen = request->seen,
        .lifetime = (enum bruit_kv_lifetime)lifetime,
        .ttl = request->ttl,
        .owner = request->owner,
        .ack = request->ack,
        .ack_timeout = request->timeout,
    };
    return NULL;
}

static uint64_t version_of(const struct bruit_engine *engine, struct bruit_bytes key)
{
    struct bruit_kv_entry entry;
    return bruit_kv_get(engine, key, 0, &entry) == 0 ? entry.version : 0;
}

/* Why the write was not taken, and what to do. */
static void say_refusal(const struct bruit_engine *engine, const struct write_request *request,
                        bool is_delete, int error, char why[BR_WHY_MAX])
{
    uint64_t version = version_of(engine, request->key);
    if (error == BRUIT_ECHANGED && version == 0)
        (void)snprintf(why, BR_WHY_MAX, "the key has no value: compare with version 0, or read it again");
    else if (error == BRUIT_ECHANGED)
        (void)snprintf(why, BR_WHY_MAX, "the key has version %016llx by now: read it again",
                       (unsigned long long)version);
    else if (error == BRUIT_ENOENT)
        (void)snprintf(why, BR_WHY_MAX, "%s",
                       is_delete
                           ? "there is no such key"
                           : "the owner is no member that this agent knows: \"bruit members\" lists them");
    else if (error == BRUIT_ECLOSED)
        (void)snprintf(why, BR_WHY_MAX, "this agent is leaving the cluster and takes no more writes");
    else if (bruit_kv_check(engine, request->key, request->value, why, BR_WHY_MAX) != 0)
        return;
    else if (error == BRUIT_EINVAL)
        (void)snprintf(why, BR_WHY_MAX, "a value lives from 1ms to 10 years, or for ever");
    else if (error == BRUIT_EFULL)
        (void)snprintf(why, BR_WHY_MAX,
                       "too many writes are under way, or the disk is behind: try again later");
    else
        (void)snprintf(why, BR_WHY_MAX, "%s", bruit_strerror(error));
}

static int write_key(struct br_client *client, uint64_t seq, struct bruit_bytes body, bool is_delete)
{
    struct bruit_engine *engine = br_client_engine(client);
    struct write_request request;
    struct bruit_kv_write how;
    if (!READ_BODY(body, write_fields, &request))
        return BRUIT_EFORMAT;
    const char *wrong = read_how(&request, &how);
    struct wait *wait = wrong != NULL ? NULL : calloc(1, sizeof *wait);
    if (wait == NULL) {
        br_client_answer(client, seq, wrong != NULL ? wrong : "out of memory");
        return 0;
    }
    bruit_time now = now_of(client);
    tell_wall_time(engine, now);
    int error = is_delete ? bruit_kv_delete(engine, request.key, &how, &wait->request, now)
                          : bruit_kv_put(engine, request.key, request.value, &how, &wait->request, now);
    if (error != 0) {
        char why[BR_WHY_MAX] = "";
        free(wait);
        say_refusal(engine, &request, is_delete, error, why);
        br_client_answer(client, seq, why);
        return 0;
    }
    wait->client = client;
    wait->seq = seq;
    wait->version = version_of(engine, request.key);
    br_list_push_back(&client->rpc->kv_waits, &wait->link);
    kick(client);
    return 0;
}

static int put(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    return write_key(client, seq, body, false);
}

static int delete (struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    return write_key(client, seq, body, true);
}

/* What became of it, in words; empty when all is well. */
static void say_done(const struct bruit_kv_done *done, char why[BR_WHY_MAX])
{
    why[0] = 0;
    if (done->error == BRUIT_ETIMEOUT)
        (void)snprintf(
            why, BR_WHY_MAX,
            "only %u of %u members confirmed it in time: it is written here, and goes on spreading",
            done->held, done->wanted);
    else if (done->error != 0)
        (void)snprintf(why, BR_WHY_MAX,
                       "it is not on this agent's disk (%s): it is in memory, and spreads from there",
                       done->error == BRUIT_EFULL ? "which is full" : "which failed");
}

static void answer_write(struct wait *wait, const struct bruit_kv_done *done)
{
    struct br_blob out = BR_BLOB_EMPTY;
    char why[BR_WHY_MAX];
    say_done(done, why);
    br_rpc_write_header(&out, wait->seq, "");
    struct br_writer w = br_blob_writer(&out, ENTRY_FIXED + strlen(why));
    br_mp_write_map(&w, 4);
    br_mp_write_key(&w, "Error");
    br_mp_write_str8(&w, br_bytes_string(why));
    write_number(&w, "Held", done->held);
    write_number(&w, "Version", wait->version);
    write_number(&w, "Wanted", done->wanted);
    br_blob_written(&out, &w);
    br_client_send(wait->client, &out, NULL);
}

static void end_wait(struct wait *wait)
{
    br_list_remove(&wait->link);
    free(wait);
}

static void write_done(struct br_rpc *rpc, const struct bruit_kv_done *done)
{
    BR_LIST_EACH(link, &rpc->kv_waits)
    {
        struct wait *wait = BR_LIST_OF(link, struct wait, link);
        if (wait->request == done->request) {
            br_list_remove(&wait->link);
            answer_write(wait, done);
            free(wait);
            return;
        }
    }
}

/* ------------------------------------------------------------------ watching */

struct watch_request {
    struct bruit_bytes prefix;
    uint64_t cursor;
};

static const struct br_mp_field watch_fields[] = {
    BR_MP_FIELD(struct watch_request, cursor, "Cursor", BR_MP_U64, 0, 0),
    BR_MP_FIELD(struct watch_request, prefix, "Prefix", BR_MP_BYTES, 1, 0),
};

static void free_watch(struct watch *watch)
{
    br_list_remove(&watch->link);
    br_blob_release(&watch->prefix);
    free(watch);
}

static size_t count_watches(const struct br_client *client)
{
    size_t count = 0;
    BR_LIST_EACH(link, &client->rpc->kv_watches)
    count += BR_LIST_OF(link, struct watch, link)->client == client;
    return count;
}

static int start_watch(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct watch_request request;
    if (!READ_BODY(body, watch_fields, &request))
        return BRUIT_EFORMAT;
    if (request.prefix.size > BRUIT_KV_KEY_MAX || count_watches(client) >= BR_RPC_STREAMS_MAX) {
        br_client_answer(client, seq, "a prefix has 512 bytes at most, and a connection 64 watches");
        return 0;
    }
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        br_client_answer(client, seq, "out of memory");
        return 0;
    }
    *watch = (struct watch){.client = client, .seq = seq, .cursor = request.cursor, .prefix = BR_BLOB_EMPTY};
    br_blob_add(&watch->prefix, request.prefix);
    br_list_push_back(&client->rpc->kv_watches, &watch->link);
    br_client_answer(client, seq, "");
    if (!client->is_closing)
        feed(watch);
    return 0;
}

static void send_change(const struct watch *watch, const struct bruit_kv_change *change)
{
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_kv_entry entry;
    bool has_value =
        !change->is_gap && bruit_kv_get(br_client_engine(watch->client), change->key, 0, &entry) == 0;
    br_rpc_write_header(&out, watch->seq, "");
    struct br_writer w = br_blob_writer(&out, ENTRY_FIXED + change->key.size);
    br_mp_write_map(&w, 4);
    write_number(&w, "Cursor", change->cursor);
    write_flag(&w, "Gap", change->is_gap);
    write_bytes(&w, "Key", change->key);
    br_mp_write_key(&w, "Entries");
    br_mp_write_array(&w, has_value);
    br_blob_written(&out, &w);
    if (has_value)
        write_entry(&out, &entry, true);
    br_client_send(watch->client, &out, NULL);
}

/*
 * As much as the client will read; the rest when it has (`drained`). Sending may end the client, and with it the
 * watch.
 */
static void feed(struct watch *watch)
{
    struct br_client *client = watch->client;
    struct bruit_engine *engine = br_client_engine(client);
    struct bruit_kv_change change;
    while (!br_client_is_output_full(client)) {
        bool is_there = bruit_kv_next_change(engine, watch->cursor, br_blob_bytes(&watch->prefix), &change);
        watch->cursor = change.cursor;
        if (!is_there)
            return;
        send_change(watch, &change);
        if (client->is_closing)
            return;
    }
}

/*
 * Those of one client, or, NULL, all. Any of them may go while one is fed, so the list is not walked but turned:
 * each is put behind the others first.
 */
static void feed_all(struct br_rpc *rpc, const struct br_client *only)
{
    size_t count = 0;
    BR_LIST_EACH(link, &rpc->kv_watches)
    count++;
    for (struct br_list *link; count > 0 && (link = br_list_pop_front(&rpc->kv_watches)) != NULL; count--) {
        struct watch *watch = BR_LIST_OF(link, struct watch, link);
        br_list_push_back(&rpc->kv_watches, link);
        if (only == NULL || watch->client == only)
            feed(watch);
    }
}

/* ------------------------------------------------------------------ what it is like */

struct stat_writer {
    struct br_blob pairs;
    size_t count;
};

static void add_number(struct stat_writer *to, const char *name, uint64_t number)
{
    br_rpc_write_text(&to->pairs, br_bytes_string(name));
    br_rpc_write_number(&to->pairs, number);
    to->count++;
}

static void add_text(struct stat_writer *to, const char *name, const char *text)
{
    br_rpc_write_text(&to->pairs, br_bytes_string(name));
    br_rpc_write_text(&to->pairs, br_bytes_string(text));
    to->count++;
}

/* Numbers of 64 random bits, as everywhere else: 16 digits. */
static void add_hex(struct stat_writer *to, const char *name, uint64_t number)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
    add_text(to, name, text);
}

/* A cursor may be larger than numbers are in most readers of JSON: text, too. */
static void add_cursor(struct stat_writer *to, const char *name, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    add_text(to, name, text);
}

static void add_state(struct stat_writer *to, const struct bruit_kv_stat *stat, bool has_disk, bruit_time now)
{
    static const char *const syncs[] = {
        [BRUIT_KV_ALONE] = "alone", [BRUIT_KV_EQUAL] = "equal", [BRUIT_KV_BEHIND] = "behind"};
    add_text(to, "store", !has_disk ? "memory" : stat->is_failed ? "failed" : "disk");
    add_number(to, "peers", stat->peers);
    add_text(to, "sync", syncs[stat->sync]);
    if (stat->synced_at != 0 && stat->synced_at <= now)
        add_number(to, "synced_seconds_ago", (now - stat->synced_at) / BRUIT_SECOND);
    add_text(to, "complete", stat->is_incomplete ? "no" : "yes");
    add_hex(to, "root", stat->root);
}

static void add_counts(struct stat_writer *to, const struct bruit_kv_stat *stat)
{
    add_number(to, "keys", stat->keys);
    add_number(to, "values", stat->values);
    add_number(to, "tombstones", stat->tombstones);
    add_number(to, "bytes", stat->bytes);
    add_number(to, "actors", stat->actors);
    add_hex(to, "actor", stat->actor);
    add_number(to, "counter", stat->counter);
    add_cursor(to, "change", stat->change);
    add_number(to, "requests", stat->requests);
    add_number(to, "writes", stat->writes);
    add_number(to, "merged", stat->merged);
    add_number(to, "syncs", stat->syncs);
    add_number(to, "resets", stat->resets);
    add_number(to, "clock_ahead", stat->clock_ahead);
    add_number(to, "bytes_out", stat->bytes_out);
    add_number(to, "bytes_in", stat->bytes_in);
}

static int tell_stat(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    struct stat_writer to = {.pairs = BR_BLOB_EMPTY};
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_kv_stat stat;
    (void)body; /* there is none */
    int error = bruit_kv_stat(br_client_engine(client), &stat);
    if (error != 0) {
        br_client_answer(client, seq, bruit_strerror(error));
        return 0;
    }
    add_state(&to, &stat, backend->has_disk, now_of(client));
    add_counts(&to, &stat);
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, to.count);
    br_blob_add(&out, br_blob_bytes(&to.pairs));
    br_blob_release(&to.pairs);
    br_client_send(client, &out, NULL);
    return 0;
}

/* ------------------------------------------------------------------ the feature */

static void tell_wall_time_again(struct br_agent *agent)
{
    bruit_time now = bruit_uv_now(agent->uv);
    if (now - agent->wall_told_at <= WALL_INTERVAL)
        return;
    agent->wall_told_at = now;
    tell_wall_time(bruit_uv_engine(agent->uv), now);
}

static void on_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_kv_done done;
    if (agent->uv != NULL)
        tell_wall_time_again(agent);
    if (agent->rpc == NULL)
        return;
    if (event->type == BRUIT_EVENT_KV_CHANGED)
        feed_all(agent->rpc, NULL);
    else if (event->type == BRUIT_EVENT_KV_DONE && bruit_kv_done_read(event, &done) == 0)
        write_done(agent->rpc, &done);
}

static void drained(struct br_client *client)
{
    if (!br_list_is_empty(&client->rpc->kv_watches))
        feed_all(client->rpc, client);
}

static void forget(struct br_client *client)
{
    BR_LIST_EACH_SAFE(link, &client->rpc->kv_waits)
    {
        struct wait *wait = BR_LIST_OF(link, struct wait, link);
        if (wait->client == client)
            end_wait(wait);
    }
    BR_LIST_EACH_SAFE(link, &client->rpc->kv_watches)
    {
        struct watch *watch = BR_LIST_OF(link, struct watch, link);
        if (watch->client == client)
            free_watch(watch);
    }
}

/* Whoever still waits is told; closing the connections forgets the rest. */
static void close_kv(struct br_agent *agent)
{
    while (agent->rpc != NULL && !br_list_is_empty(&agent->rpc->kv_waits)) {
        struct wait *wait = BR_LIST_OF(br_list_front(&agent->rpc->kv_waits), struct wait, link);
        struct br_client *client = wait->client;
        uint64_t seq = wait->seq;
        end_wait(wait);
        br_client_answer(client, seq, "agent is shutting down");
    }
}

static const struct br_feature_command feature_commands[] = {
    {"kv-delete", true, delete}, {"kv-get", true, get},         {"kv-list", true, list},
    {"kv-put", true, put},       {"kv-stat", false, tell_stat}, {"kv-watch", true, start_watch},
};

const struct br_feature br_feature_kv = {
    .name = "kv",
    .module = &bruit_kv_module,
    .commands = feature_commands,
    .command_count = sizeof feature_commands / sizeof feature_commands[0],
    .open = open_kv,
    .close = close_kv,
    .event = on_event,
    .forget = forget,
    .drained = drained,
};

/*
 * Aggregates for RPC clients (<bruit/aggregate.h>). Commands, their bodies and their answers:
 *
 *     agg-publish   {Name, Number: float} or {Name, Text}   the agent publishes it from now on
 *     agg-withdraw  {Name}
 *     agg-ask       {Argument: float, Name, What: "count", "sum", "mean", "min", "max", "variance", "quantile" or
 *                   "distinct"} -> {Age, Error, Exact, Members, Nodes, Value}
 *     agg-top       {Count: 1..1000, Name} -> {Age, Error, Exact, Items: [{Count, Error, Node, Number, Text}, ...],
 *                   Members, Nodes, Value}; Text is "" for numbers, Node for texts
 *     agg-list      {Name: "" is all} -> {More: bool, Values: [{Exact, Name, Node, Number, Text}, ...]}
 *     agg-size      -> {Members, Peers}
 *     agg-checksum  -> {Agreeing, Answered, Asked, Different, Others: [{Alive, Node, View}, ...], View}; asks all
 *                   peers, and answers when they have, or two seconds after the last was asked twice. View is text of
 *                   16 hexadecimal digits, "" of who did not answer; Others see otherwise, or did not answer
 *
 * Ages are nanoseconds. Keys are in the order of the alphabet, as Go's maps are written.
 */
#include "agent/agent.h"
#include "agent/feature.h"

#include <bruit/aggregate.h>

#include <stdio.h>
#include <time.h>

#define TOP_MAX 1000
#define VALUES_MAX 100000 /* some 10 MB as a rule; what is beyond can be asked for by name */

/* A client that waits for the survey which is under way. */
struct wait {
    struct br_list link;
    struct br_client *client;
    uint64_t seq;
};

/* One agent a process; it serves one thread. */
static struct br_list waits = {&waits, &waits};
static size_t wait_count;
#define WAITS_MAX 1024

/* ------------------------------------------------------------------ the feature's life */

/*
 * The time of day tells two lives of this agent apart without a file, and where it goes back nothing is lost: see
 * bruit_aggregate_options.
 */
static int open_aggregate(struct br_agent *agent, char why[BR_WHY_MAX])
{
    struct bruit_aggregate_options options;
    struct timespec now = {0};
    (void)why;
    bruit_aggregate_options_default(&options);
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    options.life = (uint32_t)now.tv_sec;
    return bruit_aggregate_configure(bruit_uv_engine(agent->uv), &options);
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

/* ------------------------------------------------------------------ writing */

static void write_key(struct br_blob *out, const char *key)
{
    br_rpc_write_text(out, br_bytes_string(key));
}

static void write_text(struct br_blob *out, const char *key, struct bruit_bytes text)
{
    write_key(out, key);
    br_rpc_write_text(out, text);
}

static void write_number(struct br_blob *out, const char *key, uint64_t number)
{
    write_key(out, key);
    br_rpc_write_number(out, number);
}

static void write_real(struct br_blob *out, const char *key, double number)
{
    write_key(out, key);
    struct br_writer w = br_blob_writer(out, 16);
    br_mp_write_float(&w, number);
    br_blob_written(out, &w);
}

static void write_bool(struct br_blob *out, const char *key, bool value)
{
    write_key(out, key);
    struct br_writer w = br_blob_writer(out, 16);
    br_mp_write_bool(&w, value);
    br_blob_written(out, &w);
}

static void write_view(struct br_blob *out, const char *key, bool is_known, uint64_t checksum)
{
    char text[17] = "";
    if (is_known)
        (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
    write_text(out, key, br_bytes_string(text));
}

/* ------------------------------------------------------------------ reading */

struct request {
    struct bruit_bytes name, text, what;
    double number, argument;
    uint32_t count;
};

static const struct br_mp_field fields[] = {
    BR_MP_FIELD(struct request, argument, "Argument", BR_MP_F64, 0, 0),
    BR_MP_FIELD(struct request, count, "Count", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct request, name, "Name", BR_MP_TEXT, 2, 0),
    BR_MP_FIELD(struct request, number, "Number", BR_MP_F64, 3, 0),
    BR_MP_FIELD(struct request, text, "Text", BR_MP_TEXT, 4, 0),
    BR_MP_FIELD(struct request, what, "What", BR_MP_TEXT, 5, 0),
};

static bool read_request(struct bruit_bytes body, struct request *out)
{
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, fields, sizeof fields / sizeof fields[0], out);
    return !r.failed;
}

static const char *sentence_of(int error)
{
    switch (error) {
    case BRUIT_EINVAL:
        return "A name and a text have at least one byte, a number is finite and at most 1e150, a quantile is 0 to 1";
    case BRUIT_ETOOBIG: return "A name has 64 bytes at most, and a text 64";
    case BRUIT_EFULL: return "16 names are published here already: withdraw one";
    case BRUIT_ENOENT: return "Nobody publishes that, as far as this agent knows, or no estimate of it is ready yet";
    default: return bruit_strerror(error);
    }
}

/* ------------------------------------------------------------------ publishing */

static int publish(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct bruit_engine *engine = br_client_engine(client);
    struct request request;
    if (!read_request(body, &request))
        return BRUIT_EFORMAT;
    int error = request.text.size > 0
                    ? bruit_aggregate_publish_text(engine, request.name, request.text, now_of(client))
                    : bruit_aggregate_publish_number(engine, request.name, request.number, now_of(client));
    kick(client);
    br_client_answer(client, seq, error == 0 ? "" : sentence_of(error));
    return 0;
}

static int withdraw(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct request request;
    if (!read_request(body, &request))
        return BRUIT_EFORMAT;
    int error = bruit_aggregate_withdraw(br_client_engine(client), request.name, now_of(client));
    kick(client);
    br_client_answer(client, seq, error == 0 ? "" : "This agent does not publish that");
    return 0;
}

/* ------------------------------------------------------------------ asking */

static const char *const questions[] = {
    [BRUIT_AGGREGATE_COUNT] = "count",       [BRUIT_AGGREGATE_SUM] = "sum",
    [BRUIT_AGGREGATE_MEAN] = "mean",         [BRUIT_AGGREGATE_MIN] = "min",
    [BRUIT_AGGREGATE_MAX] = "max",           [BRUIT_AGGREGATE_VARIANCE] = "variance",
    [BRUIT_AGGREGATE_QUANTILE] = "quantile", [BRUIT_AGGREGATE_DISTINCT] = "distinct",
};
#define QUESTIONS (sizeof questions / sizeof questions[0])

static bool find_question(struct bruit_bytes name, enum bruit_aggregate_what *what)
{
    for (size_t i = 0; i < QUESTIONS; i++)
        if (br_bytes_equal(name, br_bytes_string(questions[i]))) {
            *what = (enum bruit_aggregate_what)i;
            return true;
        }
    return false;
}

static void begin_answer(struct br_blob *out, uint64_t seq, size_t pairs,
                         const struct bruit_aggregate_answer *answer)
{
    br_rpc_write_header(out, seq, "");
    br_rpc_write_map(out, pairs);
    write_number(out, "Age", answer->age);
    write_real(out, "Error", answer->error);
    write_bool(out, "Exact", answer->is_exact);
}

static void end_answer(struct br_blob *out, const struct bruit_aggregate_answer *answer)
{
    write_number(out, "Members", answer->members);
    write_number(out, "Nodes", answer->nodes);
    write_real(out, "Value", answer->value);
}

static int ask(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct bruit_aggregate_answer answer;
    struct br_blob out = BR_BLOB_EMPTY;
    enum bruit_aggregate_what what;
    struct request request;
    if (!read_request(body, &request))
        return BRUIT_EFORMAT;
    if (!find_question(request.what, &what)) {
        br_client_answer(client, seq, "That is no question: count, sum, mean, min, max, variance, quantile, distinct");
        return 0;
    }
    int error = bruit_aggregate_ask(br_client_engine(client), request.name, what, request.argument, &answer,
                                    now_of(client));
    if (error != 0) {
        br_client_answer(client, seq, sentence_of(error));
        return 0;
    }
    begin_answer(&out, seq, 6, &answer);
    end_answer(&out, &answer);
    br_client_send(client, &out, NULL);
    return 0;
}

static void write_item(struct br_blob *out, const struct bruit_aggregate_item *item)
{
    br_rpc_write_map(out, 5);
    write_real(out, "Count", item->count);
    write_real(out, "Error", item->error);
    write_text(out, "Node", item->node);
    write_real(out, "Number", item->number);
    write_text(out, "Text", item->text);
}

static int top(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    static struct bruit_aggregate_item items[TOP_MAX];
    struct bruit_aggregate_answer answer;
    struct br_blob out = BR_BLOB_EMPTY;
    struct request request;
    if (!read_request(body, &request))
        return BRUIT_EFORMAT;
    size_t count = request.count;
    if (count == 0 || count > TOP_MAX) {
        br_client_answer(client, seq, "A top list has 1 to 1000 lines");
        return 0;
    }
    int error =
        bruit_aggregate_top(br_client_engine(client), request.name, items, &count, &answer, now_of(client));
    if (error != 0) {
        br_client_answer(client, seq, sentence_of(error));
        return 0;
    }
    begin_answer(&out, seq, 7, &answer);
    write_key(&out, "Items");
    br_rpc_write_array(&out, count);
    for (size_t i = 0; i < count; i++)
        write_item(&out, &items[i]);
    end_answer(&out, &answer);
    br_client_send(client, &out, NULL);
    return 0;
}

/* ------------------------------------------------------------------ list and size */

/* The next value of `name`, or of any. */
static bool next_value(const struct bruit_engine *engine, struct bruit_bytes name, uint64_t *cursor,
                       struct bruit_aggregate_value *out)
{
    while (bruit_aggregate_next(engine, cursor, out))
        if (name.size == 0 || br_bytes_equal(out->name, name))
            return true;
    return false;
}

static void write_value(struct br_blob *out, const struct bruit_engine *engine,
                        const struct bruit_aggregate_value *value)
{
    br_rpc_write_map(out, 5);
    write_bool(out, "Exact", value->is_exact);
    write_text(out, "Name", value->name);
    write_text(out, "Node", bruit_member_name(engine, value->node));
    write_real(out, "Number", value->number);
    write_text(out, "Text", value->text);
}

static int list(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    const struct bruit_engine *engine = br_client_engine(client);
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_aggregate_value value;
    struct request request;
    size_t count = 0;
    if (!read_request(body, &request))
        return BRUIT_EFORMAT;
    for (uint64_t cursor = 0; count <= VALUES_MAX && next_value(engine, request.name, &cursor, &value);)
        count++;
    bool is_more = count > VALUES_MAX;
    count = is_more ? VALUES_MAX : count;
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 2);
    write_bool(&out, "More", is_more);
    write_key(&out, "Values");
    br_rpc_write_array(&out, count);
    uint64_t cursor = 0;
    for (size_t i = 0; i < count && next_value(engine, request.name, &cursor, &value); i++)
        write_value(&out, engine, &value);
    br_client_send(client, &out, NULL);
    return 0;
}

static int size(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct br_blob out = BR_BLOB_EMPTY;
    uint32_t members = 0, peers = 0;
    (void)body; /* there is none */
    int error = bruit_aggregate_size(br_client_engine(client), &members, &peers);
    if (error != 0) {
        br_client_answer(client, seq, sentence_of(error));
        return 0;
    }
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 2);
    write_number(&out, "Members", members);
    write_number(&out, "Peers", peers);
    br_client_send(client, &out, NULL);
    return 0;
}

/* ------------------------------------------------------------------ checksum */

static bool is_other(const struct bruit_aggregate_views *views, const struct bruit_aggregate_view *view)
{
    return !view->has_answered || view->checksum != views->checksum;
}

static void write_others(struct br_blob *out, const struct bruit_engine *engine,
                         const struct bruit_aggregate_views *views)
{
    struct bruit_aggregate_view view;
    br_rpc_write_array(out, views->asked - views->agreeing);
    for (uint64_t cursor = 0; bruit_aggregate_next_view(engine, &cursor, &view);) {
        if (!is_other(views, &view))
            continue;
        br_rpc_write_map(out, 3);
        write_number(out, "Alive", view.alive);
        write_text(out, "Node", bruit_member_name(engine, view.node));
        write_view(out, "View", view.has_answered, view.checksum);
    }
}

static void tell_views(struct br_client *client, uint64_t seq, const struct bruit_aggregate_views *views)
{
    struct br_blob out = BR_BLOB_EMPTY;
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 6);
    write_number(&out, "Agreeing", views->agreeing);
    write_number(&out, "Answered", views->answered);
    write_number(&out, "Asked", views->asked);
    write_number(&out, "Different", views->different);
    write_key(&out, "Others");
    write_others(&out, br_client_engine(client), views);
    write_view(&out, "View", true, views->checksum);
    br_client_send(client, &out, NULL);
}

/* Who asks while a survey runs waits for that one. */
static int checksum(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    (void)body; /* there is none */
    if (wait_count == WAITS_MAX) {
        br_client_answer(client, seq, sentence_of(BRUIT_EBUSY));
        return 0;
    }
    struct wait *wait = calloc(1, sizeof *wait);
    int error = wait == NULL ? BRUIT_ENOMEM : bruit_aggregate_survey(br_client_engine(client), now_of(client));
    if (error != 0 && error != BRUIT_EBUSY) {
        free(wait);
        br_client_answer(client, seq, sentence_of(error));
        return 0;
    }
    wait->client = client;
    wait->seq = seq;
    br_list_push_back(&waits, &wait->link);
    wait_count++;
    kick(client);
    return 0;
}

static void end_wait(struct wait *wait)
{
    br_list_remove(&wait->link);
    wait_count--;
    free(wait);
}

static void on_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_aggregate_views views = {0};
    if (event->type != BRUIT_EVENT_AGGREGATE_VIEWS ||
        bruit_aggregate_views(bruit_uv_engine(agent->uv), &views) != 0)
        return;
    for (struct br_list *link; (link = br_list_front(&waits)) != NULL;) {
        struct wait wait = *BR_LIST_OF(link, struct wait, link);
        end_wait(BR_LIST_OF(link, struct wait, link));
        tell_views(wait.client, wait.seq, &views);
    }
}

static void forget(struct br_client *client)
{
    struct br_list *next;
    for (struct br_list *link = waits.next; link != &waits; link = next) {
        next = link->next;
        if (BR_LIST_OF(link, struct wait, link)->client == client)
            end_wait(BR_LIST_OF(link, struct wait, link));
    }
}

static void close_aggregate(struct br_agent *agent)
{
    (void)agent;
    while (br_list_front(&waits) != NULL)
        end_wait(BR_LIST_OF(br_list_front(&waits), struct wait, link));
}

static const struct br_feature_command feature_commands[] = {
    {"agg-ask", true, ask},         {"agg-checksum", false, checksum}, {"agg-list", true, list},
    {"agg-publish", true, publish}, {"agg-size", false, size},         {"agg-top", true, top},
    {"agg-withdraw", true, withdraw},
};

const struct br_feature br_feature_aggregate = {
    .name = "aggregate",
    .module = &bruit_aggregate_module,
    .commands = feature_commands,
    .command_count = sizeof feature_commands / sizeof feature_commands[0],
    .open = open_aggregate,
    .close = close_aggregate,
    .event = on_event,
    .forget = forget,
};

/*
 * -data-dir: where the state of the engine's modules is kept between two lives of the agent (sqlite.h); see agent.h.
 *
 * Writing happens on a thread of libuv's pool, which may touch the store and nothing else of the agent: what is to be
 * said in the log is posted to the loop.
 */
#include "agent/agent.h"

#include "agent/sqlite.h"

#include <bruit/kv.h>

#include <stdio.h>
#include <stdlib.h>

struct br_agent_store {
    struct br_sqlite *sqlite;
    struct br_agent *agent;
    bool
        is_failing; /* the last batch could not be written; between two calls, and the loop's once the driver is gone */
    size_t loaded, unknown; /* records */
    char refused[BR_LOG_SHOWN_MAX]; /* the key of the one that could not be loaded */
};

static int write_batch(void *context, const struct bruit_store_op *ops, size_t count);

int br_agent_store_open(struct br_agent *agent, struct bruit_uv_options *uv, char why[BR_WHY_MAX])
{
    if (!br_options_has_data(&agent->options))
        return 0;
    struct br_agent_store *store = agent->store = calloc(1, sizeof *store);
    if (store == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
        return BRUIT_ENOMEM;
    }
    store->agent = agent;
    uv->store = write_batch;
    uv->store_context = store;
    return br_sqlite_open(&store->sqlite, agent->options.data_dir, why);
}

void br_agent_store_close(struct br_agent *agent)
{
    struct br_agent_store *store = agent->store;
    if (store == NULL)
        return;
    if (store->is_failing)
        br_log(&agent->log, BRUIT_TRACE_ERROR, "agent",
               "the latest state is not in %s: it was not writable to the end",
               br_sqlite_path(store->sqlite));
    br_sqlite_close(store->sqlite);
    free(store);
    agent->store = NULL;
}

/* ------------------------------------------------------------------ reading it back */

/* Which module wrote it. A store may know more than this agent, which leaves the rest as it is. */
static int load_record(void *context, struct bruit_bytes space, struct bruit_bytes key,
                       struct bruit_bytes value)
{
    struct br_agent_store *store = context;
    if (!br_bytes_equal(space, br_bytes_text("kv"))) {
        store->unknown++;
        return 0;
    }
    int error = bruit_kv_load(bruit_uv_engine(store->agent->uv), key, value);
    store->loaded += error == 0;
    if (error != 0)
        (void)br_log_shown(key, store->refused);
    return error;
}

/* Reading says for itself what is wrong; a module only how. */
static void say_refused(const struct br_agent_store *store, int error, char why[BR_WHY_MAX])
{
    const char *path = br_sqlite_path(store->sqlite);
    if (error == BRUIT_EFORMAT)
        (void)snprintf(
            why, BR_WHY_MAX,
            "the record \"%.200s\" in %.300s is damaged: move the file away, and the other members give "
            "back what they have",
            store->refused, path);
    else if (error == BRUIT_EFULL)
        (void)snprintf(why, BR_WHY_MAX,
                       "%.300s holds more than an agent keeps: it is another one's, or a newer one's", path);
    else
        (void)snprintf(why, BR_WHY_MAX, "%.300s: %s", path, bruit_strerror(error));
}

int br_agent_store_load(struct br_agent *agent, char why[BR_WHY_MAX])
{
    struct br_agent_store *store = agent->store;
    if (store == NULL)
        return 0;
    why[0] = 0;
    int error = br_sqlite_read(store->sqlite, load_record, store, why);
    if (error != 0 && why[0] == 0)
        say_refused(store, error, why);
    if (error != 0)
        return error;
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "loaded %zu records from %s", store->loaded,
           br_sqlite_path(store->sqlite));
    if (store->unknown > 0)
        br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "%zu records of modules that are not here stay unread",
               store->unknown);
    return 0;
}

/* ------------------------------------------------------------------ writing, on the other thread */

/* A line for the log, on its way to the loop. */
struct line {
    struct br_agent *agent;
    int level;
    char text[BR_WHY_MAX];
};

static void say_line(struct bruit_uv *uv, void *context)
{
    struct line *line = context;
    if (uv != NULL)
        br_log(&line->agent->log, line->level, "agent", "%s", line->text);
    free(line);
}

static void post_line(struct br_agent_store *store, int level, const char *text)
{
    struct line *line = malloc(sizeof *line);
    if (line == NULL)
        return; /* there is worse trouble than a silent log */
    line->agent = store->agent;
    line->level = level;
    (void)snprintf(line->text, sizeof line->text, "%s", text);
    if (bruit_uv_post(store->agent->uv, say_line, line) != 0)
        free(line);
}

/* The log is told when it begins and when it is over, and not every second in between. */
static int write_batch(void *context, const struct bruit_store_op *ops, size_t count)
{
    struct br_agent_store *store = context;
    char why[BR_WHY_MAX] = "";
    int error = br_sqlite_write(store->sqlite, ops, count, why);
    if (error != 0 && !store->is_failing)
        post_line(store, BRUIT_TRACE_ERROR, why);
    else if (error == 0 && store->is_failing)
        post_line(store, BRUIT_TRACE_INFO, "the state can be written again, and is");
    store->is_failing = error != 0;
    return error;
}

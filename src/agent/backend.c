/*
 * What the RPC server asks of the agent: members from the engine, changes of tags, members forced out,
 * leaving.
 *
 * A change is answered when its news has been sent, so that whoever asked may go: each waits in a list for
 * its event.
 */
#include "agent/agent.h"

#include "agent/blob.h"
#include "agent/tags.h"

#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/member.h>
#include <bruit/query.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

static bool next_member(void *context, size_t *position, struct bruit_status_member *out)
{
    const struct br_agent *agent = context;
    return bruit_status_next(bruit_uv_engine(agent->uv), position, out);
}

static void join(void *context, struct br_rpc_call *call, const char *const *names, size_t count, bool replay)
{
    br_agent_rpc_join(context, call, names, count, replay);
}

/* ------------------------------------------------------------------ waiting */

static bool wait_for(struct br_list *waits, struct br_rpc_call *call, uint32_t request)
{
    struct br_agent_wait *wait = malloc(sizeof *wait);
    if (wait == NULL) {
        br_rpc_answer(call, "out of memory", 0);
        return false;
    }
    *wait = (struct br_agent_wait){.call = call, .request = request};
    br_list_push_back(waits, &wait->link);
    return true;
}

static void finish(struct br_agent_wait *wait, const char *error)
{
    struct br_rpc_call *call = wait->call;
    br_list_remove(&wait->link);
    free(wait);
    br_rpc_answer(call, error, 0);
}

/* All that wait now: answering one may add another, which waits for an event of its own. */
static void finish_all(struct br_list *waits, const char *error)
{
    struct br_list now;
    br_list_init(&now);
    for (struct br_list *link; (link = br_list_pop_front(waits)) != NULL;)
        br_list_push_back(&now, link);
    for (struct br_list *link; (link = br_list_front(&now)) != NULL;)
        finish(BR_LIST_OF(link, struct br_agent_wait, link), error);
}

void br_agent_give_up_waits(struct br_agent *agent)
{
    finish_all(&agent->tags_waits, "agent is shutting down");
    finish_all(&agent->removal_waits, "agent is shutting down");
    br_agent_keyring_give_up(agent);
    if (agent->leave_call != NULL)
        br_rpc_answer(agent->leave_call, "agent is shutting down", 0);
    agent->leave_call = NULL;
}

/* ------------------------------------------------------------------ tags */

static void on_tags_timer(uv_timer_t *timer)
{
    br_agent_meta_done(timer->data, "timeout waiting for update broadcast");
}

void br_agent_meta_done(struct br_agent *agent, const char *error)
{
    (void)uv_timer_stop(&agent->tags_timer);
    finish_all(&agent->tags_waits, error);
}

/* Our metadata as it is now, copied: the engine's lives until the next input only. */
static size_t own_meta(const struct br_agent *agent, uint8_t out[BRUIT_META_MAX])
{
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct bruit_member self;
    if (bruit_member_get(engine, bruit_member_self(engine), &self) != 0 || self.meta.size > BRUIT_META_MAX)
        return 0;
    if (self.meta.size > 0)
        memcpy(out, self.meta.data, self.meta.size);
    return self.meta.size;
}

/* Serf's order: what is to be deleted goes first, so a key in both lists ends up set. */
static int apply(struct br_tag_set *set, const struct br_rpc_request *request)
{
    struct br_mp_list deleted = request->delete_tags, changed = request->tags;
    struct bruit_bytes key, value;
    int error = 0;
    while (br_rpc_next_text(&deleted, &key))
        br_tag_set_remove(set, key);
    while (error == 0 && br_rpc_next_pair(&changed, &key, &value))
        error = br_tag_set_put(set, key, value);
    return error;
}

static void change_tags(void *context, struct br_rpc_call *call, const struct br_rpc_request *request)
{
    struct br_agent *agent = context;
    struct br_tag_set set;
    uint8_t old[BRUIT_META_MAX], new[BRUIT_META_MAX];
    size_t size = 0;
    br_tag_set_read(&set, br_bytes(old, own_meta(agent, old)));
    int error = apply(&set, request);
    if (error == 0)
        error = br_tag_set_encode(&set, (unsigned)agent->options.protocol, new, &size);
    if (error != 0) {
        br_rpc_answer(call, "Encoded length of tags exceeds limit of 512 bytes", 0);
        return;
    }
    char why[BR_WHY_MAX];
    if (agent->options.tags_file != NULL && br_tags_file_write(agent->options.tags_file, &set, why) != 0) {
        br_rpc_answer(call, why, 0);
        return;
    }
    error = bruit_set_meta(bruit_uv_engine(agent->uv), br_bytes(new, size), bruit_uv_now(agent->uv));
    if (error != 0) {
        br_rpc_answer(call, bruit_strerror(error), 0);
        return;
    }
    if (wait_for(&agent->tags_waits, call, 0) && !uv_is_active((uv_handle_t *)&agent->tags_timer))
        (void)uv_timer_start(&agent->tags_timer, on_tags_timer,
                             agent->options.broadcast_timeout / BRUIT_MILLISECOND, 0);
    bruit_uv_kick(agent->uv);
}

void br_agent_reset_tags(struct br_agent *agent)
{
    int error =
        bruit_set_meta(bruit_uv_engine(agent->uv), br_bytes(agent->options.meta, agent->options.meta_size),
                       bruit_uv_now(agent->uv));
    if (error != 0)
        br_log_note(&agent->log, "Failed to update tags: %s", bruit_strerror(error));
    bruit_uv_kick(agent->uv);
}

/* ------------------------------------------------------------------ going, and being made to */

static void force_leave(void *context, struct br_rpc_call *call, struct bruit_bytes node, bool prune)
{
    struct br_agent *agent = context;
    uint32_t request;
    char shown[BR_LOG_SHOWN_MAX];
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Force leaving node%s: %s", prune ? " (with prune)" : "",
           br_log_shown(node, shown));
    int error = bruit_force_leave(bruit_uv_engine(agent->uv), node, prune, &request, bruit_uv_now(agent->uv));
    if (error != 0)
        br_rpc_answer(call, bruit_strerror(error), 0);
    else
        (void)wait_for(&agent->removal_waits, call, request);
    bruit_uv_kick(agent->uv);
}

void br_agent_removal_done(struct br_agent *agent, uint32_t request, int error)
{
    BR_LIST_EACH(link, &agent->removal_waits)
    {
        struct br_agent_wait *wait = BR_LIST_OF(link, struct br_agent_wait, link);
        if (wait->request == request) {
            finish(wait, error == 0 ? "" : "timed out broadcasting node removal");
            return;
        }
    }
}

/* Whatever becomes of it, the agent is gone afterwards: that is how Serf does it. */
static void leave(void *context, struct br_rpc_call *call)
{
    struct br_agent *agent = context;
    if (agent->phase == BR_AGENT_LEAVING) {
        br_rpc_answer(call, "Leave already in progress", 0);
        br_agent_stop(agent, 0);
        return;
    }
    int error = br_agent_leave(agent);
    if (error == 0) {
        agent->leave_call = call;
        return;
    }
    br_rpc_answer(call, bruit_strerror(error), 0);
    br_agent_stop(agent, 0);
}

/* ------------------------------------------------------------------ stats */

static void write_pair(struct br_blob *out, const char *key, const char *value)
{
    br_rpc_write_text(out, br_bytes_string(key));
    br_rpc_write_text(out, br_bytes_string(value));
}

static void write_number(struct br_blob *out, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    write_pair(out, key, text);
}

static void begin_map(struct br_blob *out, const char *name, size_t count)
{
    br_rpc_write_text(out, br_bytes_string(name));
    br_rpc_write_map(out, count);
}

/* Go's names for processors. */
static const char *architecture(const char *machine)
{
    return strcmp(machine, "x86_64") == 0 ? "amd64" : strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

/* Of this process, as the kernel lists them. */
static uint64_t threads(void)
{
    uint64_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    if (tasks != NULL)
        (void)closedir(tasks);
    return count == 0 ? 1 : count;
}

static void write_runtime(struct br_blob *out)
{
    struct utsname system;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    begin_map(out, "runtime", 6);
    write_pair(out, "arch", uname(&system) == 0 ? architecture(system.machine) : "?");
    write_number(out, "cpu_count", processors > 0 ? (uint64_t)processors : 1);
    write_number(out, "goroutines",
                 threads()); /* Go's word for what comes nearest; one of them does everything */
    write_number(out, "max_procs", 1);
    write_pair(out, "os", "linux");
    write_pair(out, "version", "bruit " BRUIT_VERSION);
}

static void write_tags(const struct br_agent *agent, struct br_blob *out)
{
    struct br_tag_set set;
    uint8_t meta[BRUIT_META_MAX];
    br_tag_set_read(&set, br_bytes(meta, own_meta(agent, meta)));
    begin_map(out, "tags", set.count);
    for (size_t i = 0; i < set.count; i++) {
        br_rpc_write_text(out, set.tags[i].key);
        br_rpc_write_text(out, set.tags[i].value);
    }
}

static void write_serf(const struct br_agent *agent, struct br_blob *out)
{
    const struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct bruit_status_counts counts;
    struct bruit_coord_stats coord = {.resets = 0};
    struct bruit_stats stats;
    bruit_status_counts(engine, &counts);
    (void)bruit_coord_stats(engine, &coord);
    bruit_stats_get(engine, &stats);
    begin_map(out, "serf", 12);
    write_number(out, "coordinate_resets", coord.resets);
    write_pair(out, "encrypted", agent->options.key_size != 0 ? "true" : "false");
    write_number(out, "event_queue", bruit_event_queued(engine));
    write_number(out, "event_time", bruit_event_time(engine));
    write_number(out, "failed", counts.failed);
    write_number(out, "health_score", stats.health);
    write_number(out, "intent_queue", bruit_status_queued(engine));
    write_number(out, "left", counts.left);
    write_number(out, "member_time", counts.member_time);
    write_number(out, "members", counts.members);
    write_number(out, "query_queue", bruit_query_queued(engine));
    write_number(out, "query_time", bruit_query_time(engine));
}

/* EVENT:NAME to script, as it was at the start. In Serf's map the last of the same filter stays. */
static bool is_last(const struct br_scripts *scripts, size_t index)
{
    const struct br_script *script = &scripts->items[index];
    for (size_t i = index + 1; i < scripts->count; i++)
        if (br_bytes_equal(script->event, scripts->items[i].event) &&
            br_bytes_equal(script->name, scripts->items[i].name))
            return false;
    return true;
}

static void write_handlers(const struct br_scripts *scripts, struct br_blob *out)
{
    size_t count = 0;
    for (size_t i = 0; i < scripts->count; i++)
        count += is_last(scripts, i);
    begin_map(out, "event_handlers", count);
    for (size_t i = 0; i < scripts->count; i++) {
        struct br_blob filter = BR_BLOB_EMPTY;
        if (!is_last(scripts, i))
            continue;
        br_blob_add(&filter, scripts->items[i].event);
        br_blob_text(&filter, ":");
        br_blob_add(&filter, scripts->items[i].name);
        write_pair(out, br_blob_string(&filter), scripts->items[i].command);
        br_blob_release(&filter);
    }
}

/* Whether there is something to say of the RPC that Serf has no words for. */
static bool has_losses(const struct br_rpc_stats *rpc)
{
    return rpc->refused + rpc->cut_malformed + rpc->cut_too_big + rpc->cut_output + rpc->cut_slow +
               rpc->records_dropped >
           0;
}

static void write_losses(const struct br_rpc_stats *rpc, struct br_blob *out)
{
    begin_map(out, "rpc", 9);
    write_number(out, "accepted", rpc->accepted);
    write_number(out, "clients", rpc->clients);
    write_number(out, "cut_malformed", rpc->cut_malformed);
    write_number(out, "cut_output", rpc->cut_output);
    write_number(out, "cut_slow", rpc->cut_slow);
    write_number(out, "cut_too_big", rpc->cut_too_big);
    write_number(out, "held_bytes", rpc->held);
    write_number(out, "records_dropped", rpc->records_dropped);
    write_number(out, "refused", rpc->refused);
}

/* Serf's five maps; a sixth, of our own, once clients were cut off or have lost something. */
static void stats(void *context, struct br_blob *out)
{
    const struct br_agent *agent = context;
    struct br_rpc_stats rpc = {.refused = 0};
    if (agent->rpc != NULL)
        br_rpc_stats_get(agent->rpc, &rpc);
    br_rpc_write_map(out, has_losses(&rpc) ? 6 : 5);
    begin_map(out, "agent", 1);
    write_pair(out, "name", agent->options.name);
    write_handlers(&agent->options.scripts, out);
    if (has_losses(&rpc))
        write_losses(&rpc, out);
    write_runtime(out);
    write_serf(agent, out);
    write_tags(agent, out);
}

static struct bruit_engine *engine_of(void *context)
{
    const struct br_agent *agent = context;
    return bruit_uv_engine(agent->uv);
}

struct br_rpc_backend br_agent_backend(struct br_agent *agent)
{
    struct br_rpc_backend backend = {
        .context = agent,
        .next_member = next_member,
        .join = join,
        .force_leave = force_leave,
        .change_tags = change_tags,
        .leave = leave,
        .keys = br_agent_rpc_keys,
        .stats = stats,
        .has_disk = agent->store != NULL,
        .engine = engine_of,
    };
    br_agent_news_backend(&backend);
    return backend;
}

/* The agent's life; see agent.h. */
#include "agent/agent.h"

#include "agent/blob.h"
#include "agent/feature.h"
#include "base/check.h"
#include "codec/addr.h"

#include <bruit/conflict.h>
#include <bruit/coord.h>
#include <bruit/event.h>
#include <bruit/keys.h>
#include <bruit/query.h>
#include <bruit/status.h>

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Serf's patience with a leave that a signal asked for. */
#define LEAVE_PATIENCE_MS 3000

/* As many as an engine takes. */
#define MODULES_MAX 16

static int begin(struct br_agent *agent);
static int load_files(struct br_agent *agent);
static int open_engine(struct br_agent *agent);
static int open_rpc(struct br_agent *agent);
static void configure_modules(struct bruit_engine *engine, const struct br_options *options);
static void tell_details(struct br_agent *agent);
static void on_event(struct bruit_uv *uv, void *context, const struct bruit_event *event);
static void on_signal(uv_signal_t *handle, int number);
static void on_leave_timer(uv_timer_t *timer);
static void on_coalesce_timer(uv_timer_t *timer);
static void on_coalesced(void *context, enum bruit_status_change change,
                         const struct bruit_status_member *members, size_t count);
static void free_agent(struct br_agent *agent);

/* ------------------------------------------------------------------ from start to end */

static void print_help(void)
{
    struct br_blob help = BR_BLOB_EMPTY;
    br_options_help(&help);
    (void)fprintf(stderr, "%s", br_blob_string(&help));
    br_blob_release(&help);
}

static void on_note(void *context, const char *sentence)
{
    br_log_note(context, "%s", sentence);
}

/* What is said about the command line: its grammar on stderr, its values on stdout, as Serf does. */
static int refuse(struct br_agent *agent, enum br_flags_result result, const char *why)
{
    if (result == BR_FLAGS_BAD_VALUE)
        br_log_note(&agent->log, "Error: %s", why);
    else
        (void)fprintf(stderr, "bruit agent: %s\n", why);
    return 1;
}

/*
 * The process is to be small. One arena serves the loop and the resolver's thread alike, and what is free at the top
 * of the heap goes back soon: a table that was large while a thousand members joined must not stay so.
 */
static void keep_memory_small(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    (void)mallopt(M_TOP_PAD, 16 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

/*
 * For names that are being resolved one thread is enough. With a disk there are two, of which libuv gives names only
 * one: the disk never waits for a name server.
 */
static void keep_threads_few(const struct br_agent *agent)
{
    (void)setenv("UV_THREADPOOL_SIZE", br_options_has_data(&agent->options) ? "2" : "1", 0);
}

int br_agent_main(int argc, char **argv)
{
    char why[BR_WHY_MAX] = "";
    keep_memory_small();
    struct br_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL)
        return 1;
    br_log_init(&agent->log, STDOUT_FILENO, BRUIT_TRACE_INFO);
    agent->syslog.fd = -1;
    br_list_init(&agent->tags_waits);
    br_list_init(&agent->removal_waits);
    agent->argc = argc;
    agent->argv = argv;
    enum br_flags_result result = br_options_parse(&agent->options, argc, argv, why);
    if (result == BR_FLAGS_HELP) {
        print_help();
    } else if (result != BR_FLAGS_OK) {
        agent->exit_code = refuse(agent, result, why);
    } else if (br_options_check(&agent->options, on_note, &agent->log, &agent->syslog, why) != 0) {
        br_log_note(&agent->log, "%s", why);
        agent->exit_code = 1;
    } else {
        agent->exit_code = begin(agent);
    }
    int exit_code = agent->exit_code;
    free_agent(agent);
    return exit_code;
}

static void init_timer(struct br_agent *agent, uv_timer_t *timer)
{
    (void)uv_timer_init(&agent->loop, timer);
    timer->data = agent;
}

static int watch_signal(struct br_agent *agent, uv_signal_t *handle, int number)
{
    handle->data = agent;
    return uv_signal_start(handle, on_signal, number);
}

static int init_handles(struct br_agent *agent)
{
    int error = uv_signal_init(&agent->loop, &agent->interrupt);
    if (error != 0)
        return error; /* all others share what this one needs */
    (void)uv_signal_init(&agent->loop, &agent->terminate);
    (void)uv_signal_init(&agent->loop, &agent->hangup);
    init_timer(agent, &agent->coalesce_timer);
    init_timer(agent, &agent->users_timer);
    init_timer(agent, &agent->leave_timer);
    init_timer(agent, &agent->linger_timer);
    init_timer(agent, &agent->retry_timer);
    init_timer(agent, &agent->tags_timer);
    init_timer(agent, &agent->memory_timer);
    init_timer(agent, &agent->depth_timer);
    agent->has_handles = true;
    error = watch_signal(agent, &agent->interrupt, SIGINT);
    if (error == 0)
        error = watch_signal(agent, &agent->terminate, SIGTERM);
    return error != 0 ? error : watch_signal(agent, &agent->hangup, SIGHUP);
}

/* Everything from here to the end of the process happens inside of this. */
static int begin(struct br_agent *agent)
{
    (void)signal(SIGPIPE, SIG_IGN);
    keep_threads_few(agent);
    agent->log.level = agent->options.level;
    agent->log.sink = agent->syslog.fd < 0 ? NULL : br_syslog_line;
    agent->log.sink_context = &agent->syslog;
    if (uv_loop_init(&agent->loop) != 0)
        return 1;
    int error = init_handles(agent);
    if (error != 0) {
        br_log_note(&agent->log, "Failed to start the Bruit agent: %s", uv_strerror(error));
        br_agent_stop(agent, 1);
    } else if (br_agent_measure_open(agent) != 0) {
        br_agent_stop(agent, 1);
    } else {
        br_log_note(&agent->log, "Starting Bruit agent...");
        if (load_files(agent) != 0 || open_engine(agent) != 0 || br_agent_discover(agent) != 0 ||
            open_rpc(agent) != 0)
            br_agent_stop(agent, 1);
        else
            tell_details(agent);
    }
    if (agent->phase == BR_AGENT_STARTING)
        br_agent_rejoin(agent);
    if (agent->phase == BR_AGENT_STARTING)
        br_agent_start_join(agent);
    (void)uv_run(&agent->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&agent->loop);
    return agent->exit_code;
}

static void free_agent(struct br_agent *agent)
{
    if (agent->has_cipher)
        bruit_cipher_openssl_close(&agent->cipher);
    br_coalescer_fini(&agent->coalescer);
    br_user_coalescer_fini(&agent->users);
    br_agent_memory_close(agent);
    br_agent_store_close(agent);
    br_options_release(&agent->options);
    br_syslog_close(&agent->syslog);
    br_log_fini(&agent->log);
    free(agent);
}

/* ------------------------------------------------------------------ opening */

static int start_failed(struct br_agent *agent, int error, const char *why)
{
    br_log_note(&agent->log, "Failed to start the Bruit agent: Error creating Serf: %s", why);
    return error;
}

static int load_files(struct br_agent *agent)
{
    struct br_options_restored restored;
    char why[BR_WHY_MAX] = "";
    int error = br_options_load(&agent->options, &restored, why);
    if (error != 0)
        br_log_note(&agent->log, "Failed to setup the Bruit agent: %s", why);
    if (error == 0 && restored.has_tags)
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Restored %zu tag(s) from %s", restored.tags,
               agent->options.tags_file);
    if (error == 0 && restored.keys > 0)
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Restored keyring with %zu keys from %s", restored.keys,
               agent->options.keyring_file);
    return error;
}

/* Serf's, and those of bruit's own features. */
static size_t list_modules(const struct bruit_module *out[MODULES_MAX])
{
    static const struct bruit_module *const serf[] = {&bruit_status_module,   &bruit_event_module,
                                                      &bruit_query_module,    &bruit_conflict_module,
                                                      &bruit_coord_module,    &bruit_keys_module};
    size_t count = sizeof serf / sizeof serf[0];
    memcpy(out, serf, sizeof serf);
    for (size_t i = 0; i < br_feature_count; i++) {
        BR_ASSERT(count < MODULES_MAX);
        if (br_features[i]->module != NULL)
            out[count++] = br_features[i]->module;
    }
    return count;
}

static int open_engine(struct br_agent *agent)
{
    const struct bruit_module *modules[MODULES_MAX];
    struct br_options *options = &agent->options;
    struct bruit_config config;
    struct bruit_bytes keys[BR_KEYRING_KEYS_MAX];
    struct bruit_uv_options uv;
    char why[BR_WHY_MAX] = "";
    int error = br_options_check_start(options, why);
    if (error != 0)
        return start_failed(agent, error, why);
    struct bruit_env env = {.struct_size = sizeof env, .context = &agent->log, .trace = br_log_trace};
    env.trace_level = options->level > BRUIT_TRACE_DEBUG ? options->level : BRUIT_TRACE_DEBUG;
    if (options->key_size != 0) {
        if (bruit_cipher_openssl(&agent->cipher) != 0)
            return start_failed(agent, BRUIT_ENOSYS, bruit_cipher_openssl_hint());
        agent->has_cipher = true;
        env.cipher = &agent->cipher;
    }
    br_options_config(options, &config, keys);
    config.modules = modules;
    config.module_count = list_modules(modules);
    bruit_uv_options_init(&uv);
    uv.bind = options->bind_addr;
    uv.config = &config;
    uv.env = &env;
    uv.on_event = on_event;
    uv.context = agent;
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Bruit agent starting");
    br_agent_news_init(agent);
    br_coalescer_init(&agent->coalescer, uv_hrtime(), on_coalesced, agent);
    error = br_agent_memory_open(agent, why);
    if (error == 0)
        error = br_agent_store_open(agent, &uv, why);
    if (error != 0)
        return start_failed(agent, error, why);
    error = bruit_uv_new(&agent->uv, &agent->loop, &uv, why, sizeof why);
    if (error != 0) {
        agent->uv = NULL;
        return start_failed(agent, error, why);
    }
    configure_modules(bruit_uv_engine(agent->uv), options);
    error = br_features_open(agent, why);
    if (error == 0)
        error = br_agent_store_load(agent, why);
    if (error != 0)
        return start_failed(agent, error, why);
    br_agent_keyring_init(agent);
    br_agent_memory_restore(agent);
    error = br_agent_set_handlers(agent, &options->scripts);
    return error == 0 ? 0 : start_failed(agent, error, "out of memory");
}

static uint32_t size_limit(int64_t bytes)
{
    return bytes < 1 ? 1 : bytes > UINT16_MAX ? UINT16_MAX : (uint32_t)bytes;
}

/* Each says BRUIT_ENOENT when the engine has no such module, and nothing else: the values were checked. */
static void configure_modules(struct bruit_engine *engine, const struct br_options *options)
{
    struct bruit_status_options status;
    struct bruit_event_options event;
    struct bruit_query_options query;
    bruit_status_options_default(&status);
    status.broadcast_timeout = options->broadcast_timeout;
    status.reconnect_interval = options->reconnect_interval;
    status.reconnect_timeout = options->reconnect_timeout;
    status.tombstone_timeout = options->tombstone_timeout;
    (void)bruit_status_configure(engine, &status);
    bruit_event_options_default(&event);
    event.size_limit = size_limit(options->user_event_size_limit);
    (void)bruit_event_configure(engine, &event);
    bruit_query_options_default(&query);
    query.query_size_limit = size_limit(options->query_size_limit);
    query.response_size_limit = size_limit(options->query_response_size_limit);
    (void)bruit_query_configure(engine, &query);
    (void)bruit_conflict_resolve(engine, !options->disable_name_resolution);
}

static int open_rpc(struct br_agent *agent)
{
    char why[BR_WHY_MAX] = "";
    int error = br_options_check_rpc(&agent->options, why);
    if (error == 0) {
        struct br_rpc_options options = {
            .bind = agent->options.rpc_bind,
            .auth = agent->options.rpc_auth,
            .log = &agent->log,
            .backend = br_agent_backend(agent),
        };
        br_log_note(&agent->log, "Starting Bruit agent RPC...");
        error = br_rpc_new(&agent->rpc, &agent->loop, &options, why);
    }
    if (error != 0)
        br_log_note(&agent->log, "Error starting RPC listener: %s", why);
    return error;
}

/* Serf's labels, right-aligned as Serf does it. */
static void tell_details(struct br_agent *agent)
{
    const struct br_options *options = &agent->options;
    char text[BRUIT_ADDR_TEXT_MAX];
    struct bruit_addr addr = bruit_uv_bound(agent->uv);
    br_log_note(&agent->log, "Bruit agent running!");
    br_log_detail(&agent->log, "                  Node name: '%s'", options->name);
    br_addr_format(&addr, text);
    br_log_detail(&agent->log, "                  Bind addr: '%s'", text);
    if (options->advertise_addr.size != 0) {
        br_addr_format(&options->advertise_addr, text);
        br_log_detail(&agent->log, "Advertise addr: '%s'", text);
    }
    addr = br_rpc_bound(agent->rpc);
    br_addr_format(&addr, text);
    br_log_detail(&agent->log, "                   RPC addr: '%s'", text);
    br_log_detail(&agent->log, "                  Encrypted: %s", options->key_size != 0 ? "true" : "false");
    br_log_detail(&agent->log, "                   Snapshot: %s", agent->memory != NULL ? "true" : "false");
    if (agent->store != NULL)
        br_log_detail(&agent->log, "             Data directory: %s", options->data_dir);
    br_log_detail(&agent->log, "                    Profile: %s", options->profile);
    br_log_detail(&agent->log, "Message Compression Enabled: %s",
                  options->disable_compression ? "false" : "true");
    if (agent->mdns != NULL)
        br_log_detail(&agent->log, "               mDNS cluster: %s", options->discover);
}

void br_agent_joined(struct br_agent *agent)
{
    agent->phase = BR_AGENT_RUNNING;
    br_log_blank(&agent->log);
    br_log_note(&agent->log, "Log data will now stream in as it occurs:");
    br_log_blank(&agent->log);
    br_log_release(&agent->log);
    br_agent_retry_join(agent);
}

/* ------------------------------------------------------------------ closing */

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_handles(struct br_agent *agent)
{
    if (!agent->has_handles)
        return;
    close_handle((uv_handle_t *)&agent->interrupt);
    close_handle((uv_handle_t *)&agent->terminate);
    close_handle((uv_handle_t *)&agent->hangup);
    close_handle((uv_handle_t *)&agent->coalesce_timer);
    close_handle((uv_handle_t *)&agent->users_timer);
    close_handle((uv_handle_t *)&agent->leave_timer);
    close_handle((uv_handle_t *)&agent->linger_timer);
    close_handle((uv_handle_t *)&agent->retry_timer);
    close_handle((uv_handle_t *)&agent->tags_timer);
    close_handle((uv_handle_t *)&agent->memory_timer);
    close_handle((uv_handle_t *)&agent->depth_timer);
}

/* The handles are closed last: what the driver still reports on its way out may look at them. */
static void on_uv_closed(void *context)
{
    struct br_agent *agent = context;
    agent->uv = NULL;
    close_handles(agent);
}

void br_agent_stop(struct br_agent *agent, int exit_code)
{
    if (agent->phase == BR_AGENT_STOPPED)
        return;
    agent->phase = BR_AGENT_STOPPED;
    agent->exit_code = exit_code;
    if (agent->uv != NULL) {
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "requesting serf shutdown");
        if (!agent->has_left)
            br_log(&agent->log, BRUIT_TRACE_WARN, "serf", "Shutdown without a Leave");
        br_features_close(agent);
        br_agent_memory_stop(agent);
        br_coalescer_flush(&agent->coalescer);
        br_user_coalescer_flush(&agent->users);
    }
    br_agent_give_up_waits(agent);
    br_agent_close_handlers(agent);
    br_agent_stop_discovery(agent);
    br_agent_measure_close(agent);
    if (agent->rpc != NULL)
        br_rpc_close(agent->rpc);
    agent->rpc = NULL;
    if (agent->uv != NULL) {
        bruit_uv_close(agent->uv, on_uv_closed, agent);
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "shutdown complete");
    } else {
        close_handles(agent);
    }
}

/* ------------------------------------------------------------------ leaving */

int br_agent_leave(struct br_agent *agent)
{
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "requesting graceful leave from Serf");
    int error =
        bruit_leave(bruit_uv_engine(agent->uv), agent->options.broadcast_timeout, bruit_uv_now(agent->uv));
    if (error == 0) {
        agent->phase = BR_AGENT_LEAVING;
        br_agent_memory_leave(agent);
    }
    bruit_uv_kick(agent->uv);
    return error;
}

static void on_linger_timer(uv_timer_t *timer)
{
    struct br_agent *agent = timer->data;
    agent->has_left = true;
    if (agent->leave_call != NULL) {
        struct br_rpc_call *call = agent->leave_call;
        agent->leave_call = NULL;
        br_rpc_answer(call, "", 0);
    }
    br_agent_stop(agent, 0);
}

/*
 * Told to everybody who can be told. When some could not be told in time, that is all one can do, and the
 * agent goes on as newer Serf does. It stays for a moment, so that probes that are under way find it.
 */
static void leave_done(struct br_agent *agent, int error)
{
    struct bruit_status_options status;
    bruit_status_options_default(&status);
    if (error != 0)
        br_log(&agent->log, BRUIT_TRACE_WARN, "serf", "timeout while waiting for graceful leave");
    (void)uv_timer_start(&agent->linger_timer, on_linger_timer,
                         status.leave_propagate_delay / BRUIT_MILLISECOND, 0);
}

static void on_leave_timer(uv_timer_t *timer)
{
    br_agent_stop(timer->data, 1);
}

/* ------------------------------------------------------------------ signals */

static void leave_on_signal(struct br_agent *agent)
{
    br_log_note(&agent->log, "Gracefully shutting down agent...");
    int error = br_agent_leave(agent);
    if (error != 0 && error != BRUIT_EBUSY)
        br_log_note(&agent->log, "Error: %s", bruit_strerror(error));
    if (agent->phase != BR_AGENT_STOPPED)
        (void)uv_timer_start(&agent->leave_timer, on_leave_timer, LEAVE_PATIENCE_MS, 0);
}

/* What a reload changes (docs/wire/serf-agent.md section 4.3): the level, the handlers, the tags, what signals do. */
static void take_over(struct br_agent *agent, struct br_options *fresh)
{
    char why[BR_WHY_MAX];
    int level = br_options_level(fresh, why);
    if (level < 0)
        br_log_note(&agent->log, "%s", why);
    else
        agent->log.level = level;
    if (br_agent_set_handlers(agent, &fresh->scripts) != 0)
        br_log(&agent->log, BRUIT_TRACE_ERROR, "agent", "the event handlers stay as they were: out of memory");
    agent->options.leave_on_terminate = fresh->leave_on_terminate;
    agent->options.skip_leave_on_interrupt = fresh->skip_leave_on_interrupt;
    if (agent->options.tags_file != NULL) {
        br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "the tags stay as they are in %s", agent->options.tags_file);
        return;
    }
    fresh->protocol = agent->options.protocol; /* which does not change, and decides how tags are written */
    if (br_options_encode_tags(fresh, why) != 0) {
        br_log_note(&agent->log, "Failed to update tags: %s", why);
        return;
    }
    memcpy(agent->options.meta, fresh->meta, fresh->meta_size);
    agent->options.meta_size = fresh->meta_size;
    br_agent_reset_tags(agent);
}

/* The same command line and the same files are read again; when they are wrong, all stays as it was. */
static void reload(struct br_agent *agent)
{
    struct br_options fresh;
    char why[BR_WHY_MAX] = "";
    br_log_note(&agent->log, "Reloading configuration...");
    int error = br_options_parse(&fresh, agent->argc, agent->argv, why); /* it was right at the start */
    if (error == 0)
        error = br_options_read(&fresh, on_note, &agent->log, why);
    if (error == 0) {
        take_over(agent, &fresh);
    } else {
        br_log_note(&agent->log, "%s", why);
        br_log_note(&agent->log, "Failed to reload configs");
    }
    br_options_release(&fresh);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct br_agent *agent = handle->data;
    const struct br_options *options = &agent->options;
    if (!agent->is_signalled) /* Serf says nothing about the one that ends the patience */
        br_log_note(&agent->log, "Caught signal: %s",
                    number == SIGINT    ? "interrupt"
                    : number == SIGTERM ? "terminated"
                                        : "hangup");
    bool is_graceful = number == SIGINT ? !options->skip_leave_on_interrupt : options->leave_on_terminate;
    if (agent->is_signalled || agent->phase != BR_AGENT_RUNNING) {
        br_agent_stop(agent, 1);
    } else if (number == SIGHUP) {
        reload(agent);
    } else if (is_graceful) {
        agent->is_signalled = true;
        leave_on_signal(agent);
    } else {
        br_agent_stop(agent, 1);
    }
}

/* ------------------------------------------------------------------ events */

static void arm_coalesce_timer(struct br_agent *agent)
{
    bruit_time deadline = br_coalescer_deadline(&agent->coalescer);
    bruit_time now = bruit_uv_now(agent->uv);
    if (deadline == BRUIT_NEVER || agent->phase == BR_AGENT_STOPPED)
        return;
    /* The loop's clock has milliseconds: one more, lest it come early. */
    uint64_t delay = deadline > now ? (deadline - now) / BRUIT_MILLISECOND + 1 : 0;
    (void)uv_timer_start(&agent->coalesce_timer, on_coalesce_timer, delay, 0);
}

static void on_coalesce_timer(uv_timer_t *timer)
{
    struct br_agent *agent = timer->data;
    if (br_coalescer_deadline(&agent->coalescer) <= bruit_uv_now(agent->uv))
        br_coalescer_flush(&agent->coalescer);
    else
        arm_coalesce_timer(agent);
}

static void on_coalesced(void *context, enum bruit_status_change change,
                         const struct bruit_status_member *members, size_t count)
{
    struct br_agent *agent = context;
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Received event: %s", br_rpc_event_name(change));
    if (agent->rpc != NULL)
        br_rpc_member_event(agent->rpc, change, members, count);
    br_agent_react_to_members(agent, change, members, count);
}

static void member_event(struct br_agent *agent, const struct bruit_event *event)
{
    struct bruit_status_member member;
    if (bruit_status_event(event, &member) != 0)
        return;
    if (br_coalescer_add(&agent->coalescer, (enum bruit_status_change)event->changes, &member,
                         bruit_uv_now(agent->uv)) != 0)
        br_log(&agent->log, BRUIT_TRACE_WARN, "agent", "an event was lost: out of memory");
    /* Armed already for the end of the period, or for an earlier quiet second that moves on when it comes. */
    if (!uv_is_active((const uv_handle_t *)&agent->coalesce_timer))
        arm_coalesce_timer(agent);
}

static void on_event(struct bruit_uv *uv, void *context, const struct bruit_event *event)
{
    struct br_agent *agent = context;
    (void)uv;
    if (agent->phase == BR_AGENT_STOPPED || agent->uv == NULL)
        return;
    br_agent_measure_event(agent, event);
    br_agent_memory_keep(agent, event);
    br_agent_watch_queues(agent);
    br_features_event(agent, event);
    switch (event->type) {
    case BRUIT_EVENT_STATUS: member_event(agent, event); break;
    case BRUIT_EVENT_LEAVE_DONE: leave_done(agent, event->error); break;
    case BRUIT_EVENT_META_DONE: br_agent_meta_done(agent, ""); break;
    case BRUIT_EVENT_FORCE_LEAVE: br_agent_removal_done(agent, event->request, event->error); break;
    case BRUIT_EVENT_KEYS_ANSWER:
    case BRUIT_EVENT_KEYS_DONE: br_agent_keyring_event(agent, event); break;
    default: br_agent_news(agent, event); break;
    }
}

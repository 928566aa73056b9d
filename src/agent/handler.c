/* Event handlers at work; see handler.h. */
#include "agent/handler.h"

#include "agent/blob.h"
#include "agent/request.h"
#include "agent/tags.h"
#include "base/list.h"
#include "codec/addr.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Serf warns after a second. */
#define SLOW_MS 1000

/* What a script prints is read in pieces of this size, one every few milliseconds at most: some 3 MB a second. */
#define PIECE_SIZE 65536
#define PACE_MS 20

/* How long a stopping agent waits for what runs. */
#define GOODBYE_MS 1000

extern char **environ;

/* One event, for all the scripts that want it. */
struct happening {
    uint32_t references;
    const char *type; /* "member-join", ..., "user", "query" */
    struct bruit_bytes name;
    uint64_t query;
    struct br_blob input;       /* for the script's standard input */
    struct br_blob environment; /* NAME=value, each ended by a zero */
};

/* It waits for its turn. */
struct job {
    struct br_list link;
    struct happening *happening;
};

struct lane {
    struct br_list link;
    struct br_handlers *handlers;
    struct br_script script; /* into `text` */
    struct br_list jobs;
    size_t waiting;
    size_t warned_at; /* how many waited when it was told last */
    struct run *run;  /* or NULL */
    bool is_old;      /* not configured any more: ends when nothing waits */
    char text[];
};

/* One script that runs, or has handles that are still open. */
struct run {
    struct lane *lane;
    struct happening *happening;
    uv_process_t process;
    uv_pipe_t input, output;
    uv_timer_t timer; /* slow, then over */
    uv_timer_t pace;
    uv_write_t write;
    unsigned handles;
    bool has_process, has_exited, has_output_ended, is_over, is_finished;
    int64_t status;
    int signal;
    uint64_t began;             /* uv_hrtime() */
    uint64_t written;           /* bytes of output in all */
    struct br_blob output_tail; /* at most twice BR_HANDLER_OUTPUT_MAX */
};

struct br_handlers {
    struct br_handlers_options options;
    struct br_handlers_stats stats;
    struct br_list lanes;
    size_t bytes; /* of all that waits and runs */
    unsigned open_runs;
    bool is_closing;
    char *piece; /* where output is read to, while something runs */
};

static void release_happening(struct br_handlers *handlers, struct happening *happening);
static void pump(struct br_handlers *handlers);
static void start(struct lane *lane, struct happening *happening);
static void on_over(uv_timer_t *timer);
static void finish(struct run *run);
static void free_if_idle(struct br_handlers *handlers);

/* ------------------------------------------------------------------ from start to end */

struct br_handlers *br_handlers_new(const struct br_handlers_options *options)
{
    struct br_handlers *handlers = calloc(1, sizeof *handlers);
    if (handlers == NULL)
        return NULL;
    handlers->options = *options;
    br_list_init(&handlers->lanes);
    return handlers;
}

static struct lane *new_lane(struct br_handlers *handlers, const struct br_script *script)
{
    size_t command = strlen(script->command) + 1;
    struct lane *lane = calloc(1, sizeof *lane + command + script->event.size + script->name.size);
    if (lane == NULL)
        return NULL;
    char *event = lane->text + command, *name = event + script->event.size;
    memcpy(lane->text, script->command, command);
    memcpy(event, script->event.data, script->event.size);
    if (script->name.size > 0)
        memcpy(name, script->name.data, script->name.size);
    lane->handlers = handlers;
    lane->script = (struct br_script){.event = br_bytes(event, script->event.size),
                                      .name = br_bytes(name, script->name.size),
                                      .command = lane->text};
    br_list_init(&lane->jobs);
    return lane;
}

static void drop_jobs(struct lane *lane)
{
    struct br_handlers *handlers = lane->handlers;
    for (struct br_list *link; (link = br_list_pop_front(&lane->jobs)) != NULL;) {
        struct job *job = BR_LIST_OF(link, struct job, link);
        release_happening(handlers, job->happening);
        free(job);
        lane->waiting--;
        handlers->stats.waiting--;
    }
}

static void free_lane(struct lane *lane)
{
    drop_jobs(lane);
    br_list_remove(&lane->link);
    free(lane);
}

int br_handlers_set(struct br_handlers *handlers, const struct br_scripts *scripts)
{
    struct br_list added, old;
    br_list_init(&added);
    br_list_init(&old);
    for (size_t i = 0; i < scripts->count; i++) {
        struct lane *lane = new_lane(handlers, &scripts->items[i]);
        if (lane == NULL) {
            for (struct br_list *link; (link = br_list_front(&added)) != NULL;)
                free_lane(BR_LIST_OF(link, struct lane, link));
            return BRUIT_ENOMEM;
        }
        br_list_push_back(&added, &lane->link);
    }
    for (struct br_list *link; (link = br_list_pop_front(&handlers->lanes)) != NULL;)
        br_list_push_back(&old, link);
    for (struct br_list *link; (link = br_list_pop_front(&old)) != NULL;) {
        struct lane *lane = BR_LIST_OF(link, struct lane, link);
        lane->is_old = true;
        br_list_push_back(&handlers->lanes, link);
        if (lane->run == NULL && lane->waiting == 0)
            free_lane(lane);
    }
    for (struct br_list *link; (link = br_list_pop_front(&added)) != NULL;)
        br_list_push_back(&handlers->lanes, link);
    return 0;
}

void br_handlers_close(struct br_handlers *handlers)
{
    if (handlers == NULL)
        return;
    handlers->is_closing = true;
    uint64_t waiting = handlers->stats.waiting;
    if (waiting > 0)
        br_log(handlers->options.log, BRUIT_TRACE_WARN, "agent",
               "%llu events that waited for handlers were dropped", (unsigned long long)waiting);
    BR_LIST_EACH(link, &handlers->lanes)
    {
        struct lane *lane = BR_LIST_OF(link, struct lane, link);
        drop_jobs(lane);
        lane->is_old = true;
    }
    BR_LIST_EACH(link, &handlers->lanes)
    {
        struct lane *lane = BR_LIST_OF(link, struct lane, link);
        if (lane->run != NULL)
            (void)uv_timer_start(&lane->run->timer, on_over, GOODBYE_MS, 0);
    }
    free_if_idle(handlers);
}

static void free_if_idle(struct br_handlers *handlers)
{
    if (!handlers->is_closing || handlers->open_runs > 0)
        return;
    for (struct br_list *link; (link = br_list_front(&handlers->lanes)) != NULL;)
        free_lane(BR_LIST_OF(link, struct lane, link));
    free(handlers->piece);
    free(handlers);
}

void br_handlers_stats_get(const struct br_handlers *handlers, struct br_handlers_stats *out)
{
    *out = handlers->stats;
}

/* ------------------------------------------------------------------ what a script is told */

static void add_variable(struct br_blob *out, const char *name, struct bruit_bytes value)
{
    const void *zero = value.size == 0 ? NULL : memchr(value.data, 0, value.size);
    br_blob_text(out, name);
    br_blob_text(out, "=");
    br_blob_add(out,
                zero == NULL ? value : br_bytes(value.data, (size_t)((const uint8_t *)zero - value.data)));
    br_blob_add(out, br_bytes("", 1));
}

/* SERF_TAG_X: upper case, and '_' for everything that is not of a shell variable. */
static void add_tag(struct br_blob *out, const struct br_serf_tag *tag)
{
    char name[BRUIT_META_MAX + 16] = "SERF_TAG_";
    size_t size = strlen(name);
    for (size_t i = 0; i < tag->key.size && size < sizeof name - 1; i++) {
        char c = (char)tag->key.data[i];
        c = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        name[size++] = (char)((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_');
    }
    name[size] = 0;
    add_variable(out, name, tag->value);
}

static void describe_self(struct happening *happening, const struct br_handler_self *self)
{
    struct br_tag_set tags;
    br_tag_set_read(&tags, self->meta);
    add_variable(&happening->environment, "SERF_EVENT", br_bytes_string(happening->type));
    add_variable(&happening->environment, "SERF_SELF_NAME", self->name);
    add_variable(&happening->environment, "SERF_SELF_ROLE", br_tag_set_get(&tags, br_bytes_text("role")));
    for (size_t i = 0; i < tags.count; i++)
        add_tag(&happening->environment, &tags.tags[i]);
}

static void add_number(struct br_blob *out, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    add_variable(out, name, br_bytes_string(text));
}

/* A tab or line end in a name must not look like the end of a field. */
static void add_cleaned(struct br_blob *out, struct bruit_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\t' || text.data[i] == '\n')
            br_blob_text(out, text.data[i] == '\t' ? "\\t" : "\\n");
        else
            br_blob_add(out, br_bytes(text.data + i, 1));
    }
}

static void add_member(struct br_blob *out, const struct bruit_status_member *member)
{
    struct br_tag_set tags;
    struct bruit_addr addr = br_addr_unmapped(&member->addr);
    char ip[BRUIT_ADDR_TEXT_MAX];
    br_tag_set_read(&tags, member->meta);
    br_addr_format_ip(&addr, ip);
    add_cleaned(out, member->name);
    br_blob_printf(out, "\t%s\t", ip);
    add_cleaned(out, br_tag_set_get(&tags, br_bytes_text("role")));
    br_blob_text(out, "\t");
    for (size_t i = 0; i < tags.count; i++) {
        if (i > 0)
            br_blob_text(out, ",");
        add_cleaned(out, tags.tags[i].key);
        br_blob_text(out, "=");
        add_cleaned(out, tags.tags[i].value);
    }
    br_blob_text(out, "\n");
}

static void add_payload(struct br_blob *out, struct bruit_bytes payload)
{
    br_blob_add(out, payload);
    if (payload.size > 0 && payload.data[payload.size - 1] != '\n')
        br_blob_text(out, "\n");
}

/* ------------------------------------------------------------------ something happened */

static bool is_wanted(const struct br_handlers *handlers, const char *type, struct bruit_bytes name)
{
    if (handlers == NULL || handlers->is_closing)
        return false;
    BR_LIST_EACH(link, &handlers->lanes)
    {
        const struct lane *lane = BR_LIST_OF(link, struct lane, link);
        if (!lane->is_old && br_script_wants(&lane->script, br_bytes_string(type), name))
            return true;
    }
    return false;
}

/* With one reference: the caller's. */
static struct happening *new_happening(const char *type, struct bruit_bytes name,
                                       const struct br_handler_self *self)
{
    struct happening *happening = calloc(1, sizeof *happening + name.size);
    if (happening == NULL)
        return NULL;
    happening->references = 1;
    happening->type = type;
    happening->name = br_bytes(happening + 1, name.size);
    if (name.size > 0)
        memcpy(happening + 1, name.data, name.size);
    describe_self(happening, self);
    return happening;
}

static size_t size_of(const struct happening *happening)
{
    return sizeof *happening + happening->input.capacity + happening->environment.capacity;
}

static void release_happening(struct br_handlers *handlers, struct happening *happening)
{
    if (--happening->references > 0)
        return;
    handlers->bytes -= size_of(happening);
    br_blob_release(&happening->input);
    br_blob_release(&happening->environment);
    free(happening);
}

/* The number is told when it has doubled: a script that hangs is seen, and the log is not filled with it. */
static void tell_backlog(struct lane *lane)
{
    if (lane->waiting < 16 || lane->waiting < 2 * lane->warned_at)
        return;
    lane->warned_at = lane->waiting;
    br_log(lane->handlers->options.log, BRUIT_TRACE_WARN, "agent", "%zu events wait for script '%.200s'",
           lane->waiting, lane->script.command);
}

static void enqueue(struct lane *lane, struct happening *happening)
{
    struct br_handlers *handlers = lane->handlers;
    struct job *job = NULL;
    if (lane->waiting < BR_HANDLER_WAITING_MAX && handlers->bytes <= BR_HANDLERS_BYTES_MAX)
        job = malloc(sizeof *job);
    if (job == NULL) {
        uint64_t dropped = ++handlers->stats.dropped;
        if ((dropped & (dropped - 1)) == 0) /* the first, the second, the fourth, ... */
            br_log(handlers->options.log, BRUIT_TRACE_ERROR, "agent",
                   "too many events wait for script '%.200s': %llu events were dropped so far",
                   lane->script.command, (unsigned long long)dropped);
        return;
    }
    *job = (struct job){.happening = happening};
    happening->references++;
    br_list_push_back(&lane->jobs, &job->link);
    lane->waiting++;
    handlers->stats.waiting++;
    tell_backlog(lane);
}

/* To all lanes that want it, and away with our reference. */
static void hand_out(struct br_handlers *handlers, struct happening *happening)
{
    handlers->bytes += size_of(happening);
    if (happening->input.failed || happening->environment.failed)
        br_log(handlers->options.log, BRUIT_TRACE_ERROR, "agent", "an event was lost: out of memory");
    else
        BR_LIST_EACH(link, &handlers->lanes)
        {
            struct lane *lane = BR_LIST_OF(link, struct lane, link);
            if (!lane->is_old &&
                br_script_wants(&lane->script, br_bytes_string(happening->type), happening->name))
                enqueue(lane, happening);
        }
    release_happening(handlers, happening);
    pump(handlers);
}

void br_handlers_member(struct br_handlers *handlers, const struct br_handler_self *self,
                        enum bruit_status_change change, const struct bruit_status_member *members,
                        size_t count)
{
    const char *type = br_rpc_event_name(change);
    struct happening *happening =
        is_wanted(handlers, type, br_bytes("", 0)) ? new_happening(type, br_bytes("", 0), self) : NULL;
    if (happening == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        add_member(&happening->input, &members[i]);
    hand_out(handlers, happening);
}

void br_handlers_user(struct br_handlers *handlers, const struct br_handler_self *self,
                      const struct bruit_user_event *event)
{
    struct happening *happening =
        is_wanted(handlers, "user", event->name) ? new_happening("user", event->name, self) : NULL;
    if (happening == NULL)
        return;
    add_variable(&happening->environment, "SERF_USER_EVENT", event->name);
    add_number(&happening->environment, "SERF_USER_LTIME", event->ltime);
    add_payload(&happening->input, event->payload);
    hand_out(handlers, happening);
}

void br_handlers_query(struct br_handlers *handlers, const struct br_handler_self *self,
                       const struct bruit_query *query)
{
    struct happening *happening =
        is_wanted(handlers, "query", query->name) ? new_happening("query", query->name, self) : NULL;
    if (happening == NULL)
        return;
    happening->query = query->handle;
    add_variable(&happening->environment, "SERF_QUERY_NAME", query->name);
    add_number(&happening->environment, "SERF_QUERY_LTIME", query->ltime);
    add_payload(&happening->input, query->payload);
    hand_out(handlers, happening);
}

/* ------------------------------------------------------------------ whose turn it is */

static struct lane *next_lane(struct br_handlers *handlers)
{
    if (handlers->is_closing || handlers->stats.running >= BR_HANDLERS_RUNNING_MAX)
        return NULL;
    BR_LIST_EACH(link, &handlers->lanes)
    {
        struct lane *lane = BR_LIST_OF(link, struct lane, link);
        if (lane->run == NULL && lane->waiting > 0)
            return lane;
    }
    return NULL;
}

static void pump(struct br_handlers *handlers)
{
    for (struct lane *lane; (lane = next_lane(handlers)) != NULL;) {
        struct job *job = BR_LIST_OF(br_list_pop_front(&lane->jobs), struct job, link);
        struct happening *happening = job->happening;
        free(job);
        lane->waiting--;
        handlers->stats.waiting--;
        if (lane->waiting == 0)
            lane->warned_at = 0;
        start(lane, happening);
    }
}

/* ------------------------------------------------------------------ running */

static bool is_named(const char *variable, const char *other)
{
    size_t size = strcspn(variable, "=");
    return strncmp(variable, other, size + 1) == 0;
}

/* The agent's own, with the event's on top. Pointers into both; NULL without memory. */
static char **environment_of(const struct happening *happening)
{
    struct bruit_bytes ours = br_blob_bytes(&happening->environment);
    size_t count = 1, used = 0;
    for (size_t i = 0; i < ours.size; i++)
        count += ours.data[i] == 0;
    for (char **each = environ; *each != NULL; each++)
        count++;
    char **out = calloc(count, sizeof *out);
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < ours.size; i += strlen(out[used++]) + 1)
        out[used] = (char *)happening->environment.data + i;
    size_t own = used;
    for (char **each = environ; *each != NULL; each++) {
        bool is_replaced = false;
        for (size_t i = 0; i < own && !is_replaced; i++)
            is_replaced = is_named(out[i], *each);
        if (!is_replaced)
            out[used++] = *each;
    }
    return out;
}

static void could_not_start(struct lane *lane, const char *reason)
{
    lane->handlers->stats.failed++;
    br_log(lane->handlers->options.log, BRUIT_TRACE_ERROR, "agent", "Error invoking script '%.300s': %s",
           lane->script.command, reason);
}

static void on_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;
    struct br_handlers *handlers = run->lane->handlers;
    struct lane *lane = run->lane;
    if (--run->handles > 0)
        return;
    release_happening(handlers, run->happening);
    br_blob_release(&run->output_tail);
    free(run);
    lane->run = NULL;
    handlers->open_runs--;
    if (handlers->open_runs == 0) {
        free(handlers->piece);
        handlers->piece = NULL;
    }
    if (lane->is_old && lane->waiting == 0)
        free_lane(lane);
    if (handlers->is_closing)
        free_if_idle(handlers);
    else
        pump(handlers);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void on_exited(uv_process_t *process, int64_t status, int number)
{
    struct run *run = process->data;
    run->has_exited = true;
    run->status = status;
    run->signal = number;
    finish(run);
}

/* Only the tail counts. It is kept to between one and two times its size, so that little is moved. */
static void keep_output(struct run *run, struct bruit_bytes bytes)
{
    run->written += bytes.size;
    if (bytes.size > BR_HANDLER_OUTPUT_MAX)
        bytes = br_bytes(bytes.data + bytes.size - BR_HANDLER_OUTPUT_MAX, BR_HANDLER_OUTPUT_MAX);
    br_blob_add(&run->output_tail, bytes);
    if (run->output_tail.size > 2 * BR_HANDLER_OUTPUT_MAX)
        br_blob_consume(&run->output_tail, run->output_tail.size - BR_HANDLER_OUTPUT_MAX);
}

static void on_pace(uv_timer_t *timer);

static void on_piece(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct run *run = handle->data;
    (void)suggested;
    *out = uv_buf_init(run->lane->handlers->piece, PIECE_SIZE);
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct run *run = stream->data;
    if (size > 0) {
        keep_output(run, br_bytes(buffer->base, (size_t)size));
        if ((size_t)size < PIECE_SIZE / 2)
            return;
        (void)uv_read_stop(stream);
        (void)uv_timer_start(&run->pace, on_pace, PACE_MS, 0);
    } else if (size < 0) {
        run->has_output_ended = true;
        finish(run);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct run *run = timer->data;
    if (!run->is_finished)
        (void)uv_read_start((uv_stream_t *)&run->output, on_piece, on_output);
}

static void on_input_written(uv_write_t *write, int status)
{
    (void)status; /* a script need not read what it is given */
    close_handle((uv_handle_t *)write->handle);
}

/*
 * The script and what it started: its group. When the script itself has exited, its number is free for others, unless
 * its children still have the group; a process of that number would be somebody else, and the group perhaps theirs.
 */
static void kill_group(const struct run *run)
{
    if (!run->has_exited || kill(run->process.pid, 0) != 0)
        (void)kill(-run->process.pid, SIGKILL);
}

static void on_over(uv_timer_t *timer)
{
    struct run *run = timer->data;
    if (!run->lane->handlers->is_closing)
        kill_group(run);
    run->is_over = true;
    finish(run);
}

static void on_slow(uv_timer_t *timer)
{
    struct run *run = timer->data;
    struct br_handlers *handlers = run->lane->handlers;
    uint64_t timeout_ms = handlers->options.timeout / BRUIT_MILLISECOND;
    br_log(handlers->options.log, BRUIT_TRACE_WARN, "agent", "Script '%.300s' slow, execution exceeding 1s",
           run->lane->script.command);
    if (timeout_ms > 0)
        (void)uv_timer_start(timer, on_over, timeout_ms > SLOW_MS ? timeout_ms - SLOW_MS : 0, 0);
}

static void init_handle(struct run *run, uv_handle_t *handle)
{
    handle->data = run;
    run->handles++;
}

/* Ends of pipes that a script does not inherit; theirs it gets by number. */
static bool open_pipes(int input[2], int output[2])
{
    if (pipe2(input, O_CLOEXEC) != 0)
        return false;
    if (pipe2(output, O_CLOEXEC) == 0)
        return true;
    (void)close(input[0]);
    (void)close(input[1]);
    return false;
}

static int spawn(struct run *run, int input, int output)
{
    static char shell[] = "/bin/sh", flag[] = "-c";
    char *arguments[] = {shell, flag, run->lane->text, NULL};
    uv_stdio_container_t stdio[3] = {{.flags = UV_INHERIT_FD, .data.fd = input},
                                     {.flags = UV_INHERIT_FD, .data.fd = output},
                                     {.flags = UV_INHERIT_FD, .data.fd = output}};
    uv_process_options_t options = {
        .exit_cb = on_exited,
        .file = shell,
        .args = arguments,
        .flags = UV_PROCESS_DETACHED, /* a group of its own */
        .stdio_count = 3,
        .stdio = stdio,
    };
    options.env = environment_of(run->happening);
    if (options.env == NULL)
        return UV_ENOMEM;
    int error = uv_spawn(run->lane->handlers->options.loop, &run->process, &options);
    init_handle(run, (uv_handle_t *)&run->process); /* to be closed also when it failed */
    run->has_process = true;
    free(options.env);
    return error;
}

static void feed(struct run *run)
{
    uv_buf_t bytes = uv_buf_init((char *)run->happening->input.data, (unsigned)run->happening->input.size);
    if (bytes.len == 0 || uv_write(&run->write, (uv_stream_t *)&run->input, &bytes, 1, on_input_written) != 0)
        close_handle((uv_handle_t *)&run->input);
}

/* With the event's reference, which becomes the run's. */
static void start(struct lane *lane, struct happening *happening)
{
    struct br_handlers *handlers = lane->handlers;
    uv_loop_t *loop = handlers->options.loop;
    int input[2], output[2];
    struct run *run = calloc(1, sizeof *run);
    if (handlers->piece == NULL)
        handlers->piece = malloc(PIECE_SIZE);
    if (run == NULL || handlers->piece == NULL || !open_pipes(input, output)) {
        could_not_start(lane, "no memory or descriptors are left");
        free(run);
        release_happening(handlers, happening);
        return;
    }
    *run = (struct run){.lane = lane, .happening = happening, .began = uv_hrtime()};
    lane->run = run;
    handlers->open_runs++;
    handlers->stats.running++;
    handlers->stats.started++;
    (void)uv_pipe_init(loop, &run->input, 0);
    (void)uv_pipe_init(loop, &run->output, 0);
    (void)uv_timer_init(loop, &run->timer);
    (void)uv_timer_init(loop, &run->pace);
    init_handle(run, (uv_handle_t *)&run->input);
    init_handle(run, (uv_handle_t *)&run->output);
    init_handle(run, (uv_handle_t *)&run->timer);
    init_handle(run, (uv_handle_t *)&run->pace);
    (void)uv_pipe_open(&run->input, input[1]);
    (void)uv_pipe_open(&run->output, output[0]);
    int error = spawn(run, input[0], output[1]);
    (void)close(input[0]);
    (void)close(output[1]);
    if (error != 0) {
        could_not_start(lane, uv_strerror(error));
        run->has_exited = run->has_output_ended = true;
        run->status = -1;
        finish(run);
        return;
    }
    (void)uv_timer_start(&run->timer, on_slow, SLOW_MS, 0);
    (void)uv_read_start((uv_stream_t *)&run->output, on_piece, on_output);
    feed(run);
}

/* ------------------------------------------------------------------ what came of it */

static struct bruit_bytes tail_of(const struct run *run)
{
    struct bruit_bytes all = br_blob_bytes(&run->output_tail);
    size_t skip = all.size > BR_HANDLER_OUTPUT_MAX ? all.size - BR_HANDLER_OUTPUT_MAX : 0;
    return br_bytes(skip == 0 ? all.data : all.data + skip, all.size - skip);
}

static void tell_result(struct run *run)
{
    struct br_handlers *handlers = run->lane->handlers;
    struct br_log *log = handlers->options.log;
    const char *command = run->lane->script.command;
    struct bruit_bytes output = tail_of(run);
    char timeout[32];
    if (handlers->options.ran != NULL)
        handlers->options.ran(handlers->options.context, br_bytes_string(command), uv_hrtime() - run->began);
    if (run->written > BR_HANDLER_OUTPUT_MAX)
        br_log(log, BRUIT_TRACE_WARN, "agent",
               "Script '%.300s' generated %llu bytes of output, truncated to %d", command,
               (unsigned long long)run->written, BR_HANDLER_OUTPUT_MAX);
    br_log(log, BRUIT_TRACE_DEBUG, "agent", "Event '%s' script output: %.*s", run->happening->type,
           (int)output.size, (const char *)output.data);
    if (run->is_over) {
        handlers->stats.killed++;
        br_duration_format(handlers->options.timeout, timeout);
        br_log(log, BRUIT_TRACE_ERROR, "agent", "Error invoking script '%.300s': it did not end within %s",
               command, timeout);
    } else if (run->status != 0 || run->signal != 0) {
        handlers->stats.failed++;
        if (run->signal != 0)
            br_log(log, BRUIT_TRACE_ERROR, "agent", "Error invoking script '%.300s': signal: %s", command,
                   strsignal(run->signal));
        else
            br_log(log, BRUIT_TRACE_ERROR, "agent", "Error invoking script '%.300s': exit status %d", command,
                   (int)run->status);
    } else if (run->happening->query != 0 && output.size > 0) {
        handlers->options.respond(handlers->options.context, run->happening->query, run->happening->name,
                                  output);
    }
}

/*
 * It has ended when the script has exited and nobody can print any more, be it that its time is over and the rest does
 * not count. A stopping agent does not even wait for the exit; otherwise somebody must, or a zombie stays.
 */
static bool has_ended(const struct run *run)
{
    if (run->is_over && run->lane->handlers->is_closing)
        return true;
    return run->has_exited && (run->has_output_ended || run->is_over);
}

static void finish(struct run *run)
{
    struct br_handlers *handlers = run->lane->handlers;
    if (run->is_finished || !has_ended(run))
        return;
    run->is_finished = true;
    handlers->stats.running--;
    if (run->status >= 0 && !(run->is_over && handlers->is_closing))
        tell_result(run);
    close_handle((uv_handle_t *)&run->input);
    close_handle((uv_handle_t *)&run->output);
    close_handle((uv_handle_t *)&run->timer);
    close_handle((uv_handle_t *)&run->pace);
    if (run->has_process)
        close_handle((uv_handle_t *)&run->process);
}

/*
 * bruit wait: until the cluster is as a script needs it, or until time is up.
 *
 * It looks at the agent's list of members, and again whenever a bell rings. Two more connections are the bells: a
 * stream of member events, and the log, because events are held back for seconds to be coalesced and the log's
 * lines are not (docs/wire/serf-agent.md section 5). What arrives there is not even read, so the log's wording does
 * not matter. What no line tells, a member that begins to leave, is found by one look a second.
 *
 * An agent that is not there yet, or goes away, is waited for as well: scripts start agents and go on at once.
 */
#include "cli/command.h"

#include "cli/asking.h"
#include "cli/member.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* Between two looks when no bell rings, and between two attempts to connect. */
#define LOOK_INTERVAL BRUIT_SECOND
#define CONNECT_INTERVAL (200 * BRUIT_MILLISECOND)

/* News come in bursts: so many milliseconds pass after the first ring, and then one look serves for all. */
#define BURST_MS 30

/* How long the list must stay the same for -converged. A probe interval of the LAN profile: who has just died stays
 * in the list for longer than that, but does not answer. */
#define STILL_TIME BRUIT_SECOND

/* What an agent may need to answer the last look, the only one with -timeout=0s. */
#define GRACE_TIME (500 * BRUIT_MILLISECOND)

/* How long an agent may take to hang up. */
#define HANG_UP_MS 200

/* So many names are told of those that are waited for. */
#define NAMES_MAX 10

struct options {
    struct br_agent_flags agent;
    bool converged;
    const char *format, *node, *status;
    int64_t members; /* -1: not given */
    bruit_time timeout;
};

static const struct br_flag flags[] = {
    {"converged", BR_FLAG_SWITCH, offsetof(struct options, converged), NULL, NULL,
     "Wait until every alive member answers a ping query, nobody else does, and the list of members stays the same "
     "for a second."},
    BR_FORMAT_FLAG(struct options),
    {"members", BR_FLAG_INT, offsetof(struct options, members), "count", NULL,
     "Wait until exactly so many members have the status."},
    {"node", BR_FLAG_TEXT, offsetof(struct options, node), "member", NULL,
     "Wait until this member has the status."},
    BR_AGENT_FLAGS,
    {"status", BR_FLAG_TEXT, offsetof(struct options, status), "alive|leaving|left|failed|absent", "alive",
     "What -members and -node wait for; absent means not in the list. Default: alive."},
    {"timeout", BR_FLAG_DURATION, offsetof(struct options, timeout), "30s", "30s",
     "Give up after this time; 0s: look once. Default: 30s."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

/* Who is there as the agent sees it, sorted by name. */
struct row {
    struct bruit_bytes name, status;
    bool has_answered;
};

struct view {
    struct br_blob answer; /* what the rows point into */
    struct row *rows;
    size_t count;
};

struct waiting {
    const struct options *options;
    struct br_agent_flags where;
    bruit_time start, deadline;
    struct br_session agent, bells[2];
    struct view view;
    struct br_blob seen; /* what the last look found wrong, or right */
};

static int wait_for(struct waiting *w);
static bool holds(struct waiting *w);
static bool members_hold(struct waiting *w);
static bool node_holds(struct waiting *w);
static bool converged_holds(struct waiting *w);
static int look(struct waiting *w);
static int connect_all(struct waiting *w);
static void disconnect(struct waiting *w);
static void await_bell(struct waiting *w);
static int report(struct waiting *w, bool is_reached);

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit wait [options]\n\n"
                      "  Waits until the cluster is, as a running agent sees it, what at least one of\n"
                      "  -members, -node and -converged asks for; of several, all must hold at once. Exit\n"
                      "  code 0 when it is, 1 with a sentence about what was seen when the time is up. An\n"
                      "  agent that does not answer yet is waited for, too.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static bruit_time now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (bruit_time)time.tv_sec * BRUIT_SECOND + (bruit_time)time.tv_nsec;
}

static bool is_status(const char *text)
{
    static const char *const known[] = {"alive", "leaving", "left", "failed", "absent"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i]) == 0)
            return true;
    return false;
}

/* -1, or the exit code with the sentence said. */
static int check(const struct options *options, int count)
{
    bool is_absent = strcmp(options->status, "absent") == 0;
    if (!br_check_format(options->format))
        return 1;
    if (count > 0)
        return br_misused(&br_command_wait, "Too many command line arguments: wait takes flags only.");
    if (options->members == -1 && options->node == NULL && !options->converged)
        return br_misused(&br_command_wait,
                          "What to wait for must be specified: -members, -node or -converged.");
    if (options->members < -1)
        return br_error("Invalid number of members: write -members=0 or more");
    if (!is_status(options->status))
        return br_error("Invalid status \"%s\": write alive, leaving, left, failed or absent",
                        options->status);
    if (is_absent && options->members != -1)
        return br_error("Nobody can count absent members: write -status=absent with -node");
    return -1;
}

static int run(int argc, char **argv)
{
    struct options options = {.members = -1};
    struct waiting w = {
        .options = &options, .start = now(), .agent = {.fd = -1}, .bells = {{.fd = -1}, {.fd = -1}}};
    int rest;
    int code = br_parse_flags(&br_command_wait, flags, flag_count, &options, argc, argv, &rest);
    if (code < 0)
        code = check(&options, argc - rest);
    if (code >= 0)
        return code;
    w.where = br_agent_flags_filled(&options.agent);
    w.deadline = options.timeout < BRUIT_NEVER - w.start - BRUIT_SECOND ? w.start + options.timeout
                                                                        : BRUIT_NEVER - BRUIT_SECOND;
    code = wait_for(&w);
    disconnect(&w);
    br_blob_release(&w.view.answer);
    free(w.view.rows);
    br_blob_release(&w.seen);
    return code;
}

const struct br_command br_command_wait = {
    .name = "wait",
    .synopsis = "Waits until the cluster is as a script needs it",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

static int wait_for(struct waiting *w)
{
    for (;;) {
        int error = connect_all(w);
        if (error == BRUIT_EREMOTE || error == BRUIT_EINVAL || error == BRUIT_EFORMAT)
            return br_error("Error connecting to Serf agent: %s", w->agent.why);
        if (error == 0)
            error = look(w);
        br_blob_release(&w->seen);
        if (error != 0) {
            br_blob_printf(&w->seen, "no agent answers: %s", w->agent.why);
            disconnect(w);
        } else if (holds(w)) {
            return report(w, true);
        }
        if (now() >= w->deadline)
            return report(w, false);
        await_bell(w);
    }
}

/* ------------------------------------------------------------------ what must hold */

static bool has_status(const struct row *row, const char *status)
{
    return br_bytes_equal(row->status, br_bytes_string(status));
}

static size_t count_of(const struct view *view, const char *status)
{
    size_t count = 0;
    for (size_t i = 0; i < view->count; i++)
        count += has_status(&view->rows[i], status);
    return count;
}

/* Stops at the first that does not hold: a ping makes sense only once the right members are there. */
static bool holds(struct waiting *w)
{
    const struct options *options = w->options;
    return (options->members == -1 || members_hold(w)) && (options->node == NULL || node_holds(w)) &&
           (!options->converged || converged_holds(w));
}

/* Begins the next sentence about what was seen. */
static struct br_blob *next_sentence(struct waiting *w)
{
    if (w->seen.size > 0)
        br_blob_text(&w->seen, "; ");
    return &w->seen;
}

static void add_name(struct br_blob *out, size_t index, struct bruit_bytes name)
{
    if (index < NAMES_MAX) {
        br_blob_text(out, index == 0 ? "" : ", ");
        br_blob_add(out, name);
    }
}

static void end_names(struct br_blob *out, size_t count)
{
    if (count > NAMES_MAX)
        br_blob_printf(out, " and %zu more", count - NAMES_MAX);
}

static bool members_hold(struct waiting *w)
{
    const char *status = w->options->status;
    size_t count = count_of(&w->view, status), told = 0;
    struct br_blob *out = next_sentence(w);
    br_blob_printf(out, "%zu %s %s", count, count == 1 ? "member is" : "members are", status);
    if (count == (size_t)w->options->members)
        return true;
    br_blob_printf(out, ", not %lld%s", (long long)w->options->members, count == 0 ? "" : ": ");
    for (size_t i = 0; i < w->view.count; i++)
        if (has_status(&w->view.rows[i], status))
            add_name(out, told++, w->view.rows[i].name);
    end_names(out, told);
    return false;
}

static int compare_rows(const void *a, const void *b)
{
    return br_bytes_compare(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static struct row *find_row(const struct view *view, struct bruit_bytes name)
{
    struct row wanted = {.name = name};
    return view->count == 0 ? NULL : bsearch(&wanted, view->rows, view->count, sizeof wanted, compare_rows);
}

static bool node_holds(struct waiting *w)
{
    const char *node = w->options->node, *status = w->options->status;
    const struct row *row = find_row(&w->view, br_bytes_string(node));
    struct bruit_bytes seen = row == NULL ? br_bytes_text("absent") : row->status;
    struct br_blob *out = next_sentence(w);
    br_blob_printf(out, "%s is ", node);
    br_blob_add(out, seen);
    if (br_bytes_equal(seen, br_bytes_string(status)))
        return true;
    br_blob_printf(out, ", not %s", status);
    return false;
}

/* ------------------------------------------------------------------ converged */

/* What a ping query brought to light. */
struct echo {
    size_t alive, answers;
    struct br_blob stranger; /* the first one who answered and is not alive in the list */
};

static void take_answer(struct waiting *w, struct echo *echo, struct bruit_bytes from)
{
    struct row *row = find_row(&w->view, from);
    if (row == NULL || !has_status(row, "alive")) {
        if (echo->stranger.size == 0)
            br_blob_add(&echo->stranger, from);
    } else if (!row->has_answered) {
        row->has_answered = true;
        echo->answers++;
    }
}

/* Until all have answered and the time of standing still has passed, or the query's own time is up. */
static int ping(struct waiting *w, struct echo *echo)
{
    struct br_session session;
    struct br_asking asking = {.name = "_serf_ping", .ack = true};
    struct br_answer answer;
    bruit_time still = now() + STILL_TIME, end = w->deadline + GRACE_TIME;
    int error = br_session_open_until(&session, w->where.rpc_addr, w->where.rpc_auth, end);
    if (error == 0)
        error = br_ask(&session, &asking);
    if (error != 0)
        (void)snprintf(w->agent.why, sizeof w->agent.why, "%s", session.why);
    while (error == 0 && (echo->answers < echo->alive || now() < still)) {
        session.deadline = echo->answers < echo->alive || end < still ? end : still;
        if (!br_next_answer(&session, &answer))
            break;
        if (answer.is_ack)
            take_answer(w, echo, answer.from);
    }
    br_session_close(&session);
    if (error == 0 && now() < still)
        (void)poll(NULL, 0, (int)((still - now()) / BRUIT_MILLISECOND) + 1);
    return error;
}

static void name_silent(struct waiting *w, const struct echo *echo)
{
    struct br_blob *out = next_sentence(w);
    size_t told = 0;
    br_blob_text(out, "no answer from ");
    for (size_t i = 0; i < w->view.count; i++)
        if (has_status(&w->view.rows[i], "alive") && !w->view.rows[i].has_answered)
            add_name(out, told++, w->view.rows[i].name);
    end_names(out, told);
    br_blob_printf(out, " (%zu of %zu alive members answered)", echo->answers, echo->alive);
}

static bool is_echo_good(struct waiting *w, const struct echo *echo)
{
    if (echo->answers < echo->alive) {
        name_silent(w, echo);
    } else if (echo->stranger.size > 0) {
        struct br_blob *out = next_sentence(w);
        br_blob_add(out, br_blob_bytes(&echo->stranger));
        br_blob_text(out, " answers, and is not alive as this agent sees it");
    } else {
        return true;
    }
    return false;
}

static bool is_same(const struct view *a, const struct view *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!br_bytes_equal(a->rows[i].name, b->rows[i].name) ||
            !br_bytes_equal(a->rows[i].status, b->rows[i].status))
            return false;
    return true;
}

/* The list before the ping and after it, a second later at least, must be the same. */
static bool is_still(struct waiting *w)
{
    struct view before = w->view;
    w->view = (struct view){.count = 0};
    bool is_good = look(w) == 0;
    if (!is_good)
        br_blob_printf(next_sentence(w), "the agent did not answer: %s", w->agent.why);
    else if (!is_same(&before, &w->view))
        br_blob_text(next_sentence(w), "the list of members still changes");
    is_good = is_good && is_same(&before, &w->view);
    br_blob_release(&before.answer);
    free(before.rows);
    return is_good;
}

static bool converged_holds(struct waiting *w)
{
    struct echo echo = {.alive = count_of(&w->view, "alive")};
    if (ping(w, &echo) != 0) {
        br_blob_printf(next_sentence(w), "no ping could be sent: %s", w->agent.why);
        return false;
    }
    bool is_good = is_echo_good(w, &echo) && is_still(w);
    if (is_good)
        br_blob_printf(next_sentence(w), "%s%zu alive member%s, and nothing changed for a second",
                       echo.alive == 1 ? "" : "all ", echo.alive, echo.alive == 1 ? " answers" : "s answer");
    br_blob_release(&echo.stranger);
    return is_good;
}

/* ------------------------------------------------------------------ the list of members */

static const struct br_mp_field row_fields[] = {
    BR_MP_FIELD(struct row, name, "Name", BR_MP_TEXT, 0, 0),
    BR_MP_FIELD(struct row, status, "Status", BR_MP_TEXT, 4, 0),
};

static bool read_rows(struct view *view)
{
    struct br_reader r;
    uint32_t count = 0;
    if (view->answer.failed || !br_members_open(br_blob_bytes(&view->answer), &r, &count))
        return false;
    view->rows = count == 0 ? NULL : calloc(count, sizeof view->rows[0]);
    if (view->rows == NULL)
        return count == 0;
    for (; view->count < count && !r.failed; view->count++)
        br_mp_read_struct(&r, row_fields, 2, &view->rows[view->count]);
    if (view->count > 0)
        qsort(view->rows, view->count, sizeof view->rows[0], compare_rows);
    return !r.failed;
}

static int look(struct waiting *w)
{
    struct bruit_bytes object;
    int error = br_session_call(&w->agent, "members", br_bytes(NULL, 0));
    if (error == 0)
        error = br_session_read(&w->agent, &object);
    if (error != 0)
        return error;
    br_blob_release(&w->view.answer);
    free(w->view.rows);
    w->view = (struct view){.answer = BR_BLOB_EMPTY};
    br_blob_add(&w->view.answer, object);
    if (read_rows(&w->view))
        return 0;
    (void)snprintf(w->agent.why, sizeof w->agent.why, "the agent sent something that is no list of members");
    return BRUIT_EFORMAT;
}

/* ------------------------------------------------------------------ connections */

/* The bells first: what happens after the first look must ring. */
static int connect_all(struct waiting *w)
{
    static const char *const commands[][3] = {
        {"stream", "Type", "member-join,member-leave,member-failed,member-update,member-reap"},
        {"monitor", "LogLevel", "INFO"},
    };
    if (w->agent.fd >= 0)
        return 0;
    bruit_time end = w->deadline + GRACE_TIME;
    int error = br_session_open_until(&w->agent, w->where.rpc_addr, w->where.rpc_auth, end);
    for (size_t i = 0; i < 2 && error == 0; i++) {
        struct br_session *bell = &w->bells[i];
        error = br_session_open_until(bell, w->where.rpc_addr, w->where.rpc_auth, end);
        if (error == 0)
            error = br_session_call_text(bell, commands[i][0], commands[i][1], commands[i][2]);
        if (error != 0)
            (void)snprintf(w->agent.why, sizeof w->agent.why, "%s", bell->why);
    }
    return error;
}

/* Says that no more will be asked, and takes what comes until the agent hangs up: closed with something unread, a
 * connection would be reset, and a real agent would log errors about it. */
static void hang_up(struct br_session *bell)
{
    struct pollfd ready = {.fd = bell->fd, .events = POLLIN};
    char scrap[4096];
    if (bell->fd >= 0 && shutdown(bell->fd, SHUT_WR) == 0)
        while (poll(&ready, 1, HANG_UP_MS) == 1 && recv(bell->fd, scrap, sizeof scrap, MSG_DONTWAIT) > 0)
            continue;
    br_session_close(bell);
}

static void disconnect(struct waiting *w)
{
    br_session_close(&w->agent);
    hang_up(&w->bells[0]);
    hang_up(&w->bells[1]);
}

/* False when the agent has closed the connection. */
static bool silence(struct br_session *bell)
{
    char scrap[4096];
    ssize_t size;
    do
        size = recv(bell->fd, scrap, sizeof scrap, MSG_DONTWAIT);
    while (size > 0 || (size < 0 && errno == EINTR));
    return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Without an agent there is no bell, and this is the pause before the next attempt. */
static void await_bell(struct waiting *w)
{
    struct pollfd ready[2] = {{.fd = w->bells[0].fd, .events = POLLIN},
                              {.fd = w->bells[1].fd, .events = POLLIN}};
    bruit_time pause = w->agent.fd >= 0 ? LOOK_INTERVAL : CONNECT_INTERVAL, left = w->deadline - now();
    pause = now() >= w->deadline ? 0 : pause < left ? pause : left;
    if (poll(ready, 2, (int)(pause / BRUIT_MILLISECOND) + 1) <= 0)
        return;
    (void)poll(NULL, 0, BURST_MS);
    for (size_t i = 0; i < 2; i++) {
        if (!silence(&w->bells[i])) {
            disconnect(w);
            return;
        }
    }
}

/* ------------------------------------------------------------------ the end */

static void write_counts(struct br_json *json, const struct view *view)
{
    static const char *const known[] = {"alive", "failed", "leaving", "left"};
    br_json_name(json, "members");
    br_json_open(json, '{');
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        br_json_name(json, known[i]);
        br_json_number(json, count_of(view, known[i]));
    }
    br_json_close(json, '}');
}

static void report_json(struct waiting *w, bool is_reached, const char *sentence)
{
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    br_json_name(&json, "reached");
    br_json_bool(&json, is_reached);
    br_json_name(&json, is_reached ? "seen" : "error");
    br_json_text(&json, br_bytes_string(sentence));
    br_json_name(&json, "seconds");
    br_json_real(&json, (double)(now() - w->start) / (double)BRUIT_SECOND);
    write_counts(&json, &w->view);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int report(struct waiting *w, bool is_reached)
{
    struct br_blob sentence = BR_BLOB_EMPTY;
    char timeout[32];
    br_duration_format(w->options->timeout, timeout);
    if (!is_reached)
        br_blob_printf(&sentence, "Not within %s: ", timeout);
    br_blob_add(&sentence, br_blob_bytes(&w->seen));
    br_blob_text(&sentence, ".");
    if (br_wants_json())
        report_json(w, is_reached, br_blob_string(&sentence));
    else
        br_say_buffer(&sentence);
    br_blob_release(&sentence);
    return is_reached ? 0 : 1;
}

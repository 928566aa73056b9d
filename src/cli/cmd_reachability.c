/*
 * bruit reachability: does everybody who is said to be alive answer a ping query (docs/wire/serf-agent.md section 7.6)?
 */
#include "cli/command.h"

#include "cli/asking.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    bool verbose;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
    {"verbose", BR_FLAG_SWITCH, offsetof(struct options, verbose), NULL, NULL,
     "Show every answer, and times."},
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

/* Names, each followed by a zero: none has one inside. */
struct names {
    struct br_blob bytes;
    size_t count;
};

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit reachability [options]\n\n"
                      "  Asks every member for a sign of life and compares who answers with who is\n"
                      "  said to be alive.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void on_interrupt(int number)
{
    (void)number;
    _exit(1);
}

/* ------------------------------------------------------------------ names */

static void add_name(struct names *names, struct bruit_bytes name)
{
    br_blob_add(&names->bytes, name);
    br_blob_add(&names->bytes, br_bytes("", 1));
    names->count++;
}

static bool has_name(const struct names *names, struct bruit_bytes name)
{
    for (size_t at = 0; at < names->bytes.size;) {
        struct bruit_bytes one = br_bytes_string((const char *)names->bytes.data + at);
        if (br_bytes_equal(one, name))
            return true;
        at += one.size + 1;
    }
    return false;
}

/* Those of `names` that are not among `others`. */
static void say_missing(const struct names *names, const struct names *others)
{
    for (size_t at = 0; at < names->bytes.size;) {
        const char *one = (const char *)names->bytes.data + at;
        if (!has_name(others, br_bytes_string(one)))
            br_say("\t%s", one);
        at += strlen(one) + 1;
    }
}

/* ------------------------------------------------------------------ who is said to be alive */

struct row {
    struct bruit_bytes name, status;
};

static const struct br_mp_field row_fields[] = {
    BR_MP_FIELD(struct row, name, "Name", BR_MP_TEXT, 0, 0),
    BR_MP_FIELD(struct row, status, "Status", BR_MP_TEXT, 4, 0),
};

static bool read_members(struct br_session *session, struct names *alive, uint32_t *total)
{
    struct bruit_bytes object, raw;
    struct br_reader r;
    if (br_session_call(session, "members", br_bytes(NULL, 0)) != 0 || br_session_read(session, &object) != 0)
        return false;
    if (!br_mp_find(object, br_bytes_text("Members"), &raw)) {
        (void)snprintf(session->why, sizeof session->why, "the agent sent something that is no list of members");
        return false;
    }
    br_reader_init(&r, raw);
    *total = br_mp_read_array(&r);
    for (uint32_t i = 0; i < *total && !r.failed; i++) {
        struct row row = {.name = {NULL, 0}};
        br_mp_read_struct(&r, row_fields, 2, &row);
        if (br_bytes_equal(row.status, br_bytes_text("alive")))
            add_name(alive, row.name);
    }
    return true;
}

/* ------------------------------------------------------------------ what came of it */

struct outcome {
    struct names answered, twice;
    size_t acks;
    double seconds, last; /* how long it took in all, and until the last answer */
};

/* The same words as Serf's: people look for them. */
static void advise(const char *meaning)
{
    br_say("This could mean Serf %s due to a misconfiguration or network issue.", meaning);
    br_say("\nTroubleshooting tips:\n"
           "* Ensure that the bind addr:port is accessible by all other nodes\n"
           "* If an advertise address is set, ensure it routes to the bind address\n"
           "* Check that no nodes are behind a NAT\n"
           "* If nodes are behind firewalls or iptables, check that Serf traffic is permitted (UDP and TCP)\n"
           "* Verify networking equipment is functional");
}

static int judge(const struct names *alive, const struct outcome *outcome)
{
    const struct names *answered = &outcome->answered;
    size_t acks = outcome->acks;
    bool is_twice = outcome->twice.count > 0;
    if (is_twice)
        br_say("Duplicate responses means there is a misconfiguration. Verify that node names are unique.");
    if (acks == alive->count) {
        br_say("Successfully contacted all live nodes");
        return is_twice ? 1 : 0;
    }
    if (acks > alive->count) {
        br_say("Received more acks than live nodes! Acks from non-live nodes:");
        say_missing(answered, alive);
        advise("is detecting false-failures");
    } else {
        br_say("Received less acks than live nodes! Missing acks from:");
        say_missing(alive, answered);
        advise("gossip packets are being lost");
    }
    return 1;
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* With `tells`, every answer is said as it comes. */
static void count_answers(struct br_session *session, struct outcome *out, bool tells, bool is_verbose)
{
    struct br_answer answer;
    double start = seconds();
    while (br_next_answer(session, &answer)) {
        if (!answer.is_ack)
            continue;
        if (tells && is_verbose)
            br_say("\tAck from '%.*s'", (int)answer.from.size, (const char *)answer.from.data);
        out->acks++;
        if (has_name(&out->answered, answer.from)) {
            add_name(&out->twice, answer.from);
            if (tells)
                br_say("Duplicate response from '%.*s'", (int)answer.from.size,
                       (const char *)answer.from.data);
        } else {
            add_name(&out->answered, answer.from);
        }
        out->last = seconds() - start;
    }
    out->seconds = seconds() - start;
    if (tells && is_verbose)
        br_say("Query time: %0.2f sec, time to last response: %0.2f sec", out->seconds, out->last);
}

/* ------------------------------------------------------------------ JSON */

/* Those of `names` that are not among `others`; NULL: all. */
static void write_names(struct br_json *json, const char *key, const struct names *names,
                        const struct names *others)
{
    br_json_name(json, key);
    br_json_open(json, '[');
    for (size_t at = 0; at < names->bytes.size;) {
        struct bruit_bytes one = br_bytes_string((const char *)names->bytes.data + at);
        if (others == NULL || !has_name(others, one)) {
            br_json_item(json);
            br_json_text(json, one);
        }
        at += one.size + 1;
    }
    br_json_close(json, ']');
}

/* The first sentence of what the text form would say, or NULL when all is well. */
static const char *complaint(const struct names *alive, const struct outcome *outcome)
{
    if (outcome->acks > alive->count)
        return "Received more acks than live nodes!";
    if (outcome->acks < alive->count)
        return "Received less acks than live nodes!";
    return outcome->twice.count > 0 ? "Duplicate responses means there is a misconfiguration." : NULL;
}

static int print_json(const struct names *alive, uint32_t total, const struct outcome *outcome)
{
    struct br_json json = {.depth = 0};
    const char *error = complaint(alive, outcome);
    br_json_open(&json, '{');
    if (error != NULL) {
        br_json_name(&json, "error");
        br_json_text(&json, br_bytes_string(error));
    }
    br_json_name(&json, "members");
    br_json_number(&json, total);
    br_json_name(&json, "alive");
    br_json_number(&json, alive->count);
    write_names(&json, "acks", &outcome->answered, NULL);
    write_names(&json, "missing", alive, &outcome->answered);
    write_names(&json, "unexpected", &outcome->answered, alive);
    write_names(&json, "duplicates", &outcome->twice, NULL);
    br_json_name(&json, "seconds");
    br_json_real(&json, outcome->seconds);
    br_json_name(&json, "last_ack_seconds");
    br_json_real(&json, outcome->last);
    br_json_close(&json, '}');
    br_say_json(&json);
    return error != NULL ? 1 : 0;
}

/* ------------------------------------------------------------------ the command */

static int test(struct br_session *session, struct names *alive, bool is_verbose)
{
    struct br_asking asking = {.name = "_serf_ping", .ack = true};
    struct outcome outcome = {.acks = 0};
    bool tells = !br_wants_json();
    uint32_t total = 0;
    if (!read_members(session, alive, &total))
        return br_failed(session, "Error getting members: ");
    if (tells)
        br_say("Total members: %u, live members: %zu", total, alive->count);
    if (br_ask(session, &asking) != 0)
        return br_failed(session, "Error sending query: ");
    if (tells)
        br_say("Starting reachability test...");
    count_answers(session, &outcome, tells, is_verbose);
    int code = tells ? judge(alive, &outcome) : print_json(alive, total, &outcome);
    br_blob_release(&outcome.answered.bytes);
    br_blob_release(&outcome.twice.bytes);
    return code;
}

static int run(int argc, char **argv)
{
    struct options options = {.verbose = false};
    struct br_session session;
    struct names alive = {.count = 0};
    int rest;
    int code = br_parse_flags(&br_command_reachability, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format) || !br_connect(&session, &options.agent))
        return 1;
    (void)signal(SIGINT, on_interrupt);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    code = test(&session, &alive, options.verbose);
    br_session_close(&session);
    br_blob_release(&alive.bytes);
    return code;
}

const struct br_command br_command_reachability = {
    .name = "reachability",
    .synopsis = "Tests whether all live members answer",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

/*
 * bruit monitor: an agent's log and events as they happen (docs/wire/serf-agent.md section 7.5).
 *
 * A monitor and a stream of everything on one connection; records are told apart by their sequence number.
 * Events are shown as Serf shows them, in Go's notation for values; or, as JSON, one object a line.
 */
#include "cli/command.h"

#include "cli/member.h"
#include "cli/json.h"
#include "cli/quote.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    const char *format, *log_level;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"log-level", BR_FLAG_TEXT, offsetof(struct options, log_level), "trace|debug|info|warn|err", "INFO",
     "The least level to show, in any case. Default: info."},
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

/* Deeper values than an agent sends are cut short. */
#define DEPTH_MAX 16

static void say_event(struct bruit_bytes object);
static int follow(struct br_session *session, uint64_t log_seq);

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit monitor [options]\n\n"
                      "  Shows the last lines of a running agent's log, then every line and event as it\n"
                      "  happens, until it is interrupted.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void on_interrupt(int number)
{
    (void)number;
    _exit(0);
}

static int run(int argc, char **argv)
{
    struct options options = {.log_level = NULL};
    struct br_session session;
    int rest;
    int code = br_parse_flags(&br_command_monitor, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format) || !br_connect(&session, &options.agent))
        return 1;
    (void)signal(SIGINT, on_interrupt);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (br_session_call_text(&session, "stream", "Type", "*") != 0)
        return br_failed(&session, "Error starting stream: ");
    session.on_record = say_event; /* which may happen before the log is there */
    if (br_session_call_text(&session, "monitor", "LogLevel", options.log_level) != 0)
        return br_failed(&session, "Error starting monitor: ");
    return follow(&session, session.seq);
}

const struct br_command br_command_monitor = {
    .name = "monitor",
    .synopsis = "Shows an agent's log and events as they happen",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

/* ------------------------------------------------------------------ Go's notation */

static void write_value(struct br_blob *out, struct br_reader *r, unsigned depth);

/* Go names bytes []byte on the outside and []uint8 inside of another value. */
static void write_bytes(struct br_blob *out, struct bruit_bytes bytes, unsigned depth)
{
    br_blob_text(out, depth == 0 ? "[]byte{" : "[]uint8{");
    for (size_t i = 0; i < bytes.size; i++)
        br_blob_printf(out, "%s0x%x", i == 0 ? "" : ", ", bytes.data[i]);
    br_blob_text(out, "}");
}

/* Unsigned ones in hexadecimal, as %#v prints them; a small one comes as a signed number. */
static void write_integer(struct br_blob *out, struct br_reader *r)
{
    uint8_t first = *r->at;
    bool is_unsigned = first >= 0xcc && first <= 0xcf;
    if (is_unsigned)
        br_blob_printf(out, "0x%llx", (unsigned long long)br_mp_read_uint(r, UINT64_MAX));
    else
        br_blob_printf(out, "%lld", (long long)br_mp_read_int(r, INT64_MIN, INT64_MAX));
}

static void write_list(struct br_blob *out, struct br_reader *r, unsigned depth)
{
    uint32_t count = br_mp_read_array(r);
    br_blob_text(out, "[]interface {}{");
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        br_blob_text(out, i == 0 ? "" : ", ");
        write_value(out, r, depth + 1);
    }
    br_blob_text(out, "}");
}

/* Sorted by key, as Go prints them: a real agent sends its tags in any order. */
static void write_map(struct br_blob *out, struct br_reader *r, unsigned depth)
{
    uint32_t count = br_mp_read_map(r);
    struct br_tag_set pairs = {.count = 0};
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(r);
        const uint8_t *start = r->at;
        br_mp_skip(r);
        if (!r->failed)
            (void)br_tag_set_put(&pairs, key, br_bytes(start, (size_t)(r->at - start)));
    }
    br_blob_text(out, "map[interface {}]interface {}{");
    for (size_t i = 0; i < pairs.count; i++) {
        struct br_reader value;
        br_reader_init(&value, pairs.tags[i].value);
        br_blob_text(out, i == 0 ? "" : ", ");
        br_quote(out, pairs.tags[i].key);
        br_blob_text(out, ":");
        write_value(out, &value, depth + 1);
    }
    br_blob_text(out, "}");
}

static void write_value(struct br_blob *out, struct br_reader *r, unsigned depth)
{
    if (depth > DEPTH_MAX) {
        br_mp_skip(r);
        br_blob_text(out, "...");
        return;
    }
    switch (br_mp_peek(r)) {
    case BR_MP_BOOL: br_blob_text(out, br_mp_read_bool(r) ? "true" : "false"); break;
    case BR_MP_INTEGER: write_integer(out, r); break;
    case BR_MP_STRING: br_quote(out, br_mp_read_bytes(r)); break;
    case BR_MP_BINARY: write_bytes(out, br_mp_read_bytes(r), depth); break;
    case BR_MP_ARRAY: write_list(out, r, depth); break;
    case BR_MP_MAP: write_map(out, r, depth); break;
    default:
        br_blob_text(out, "<nil>");
        br_mp_skip(r);
        break;
    }
}

/* ------------------------------------------------------------------ records */

/* {"log": line} */
static void say_line_as_json(struct bruit_bytes line)
{
    struct br_json json = {.is_compact = true};
    br_json_open(&json, '{');
    br_json_name(&json, "log");
    br_json_text(&json, line);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static void show_log(struct bruit_bytes object)
{
    struct br_reader r;
    br_reader_init(&r, object);
    uint32_t count = br_mp_read_map(&r);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        if (br_bytes_equal(br_mp_read_bytes(&r), br_bytes_text("Log"))) {
            struct bruit_bytes line = br_mp_read_bytes(&r);
            if (br_wants_json())
                say_line_as_json(line);
            else
                br_say("%.*s", (int)line.size, line.size == 0 ? "" : (const char *)line.data);
        } else {
            br_mp_skip(&r);
        }
    }
}

static void show_event(struct bruit_bytes object)
{
    struct br_blob text = BR_BLOB_EMPTY;
    struct br_reader r;
    br_reader_init(&r, object);
    uint32_t count = br_mp_read_map(&r);
    br_blob_text(&text, "Event Info:");
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        br_blob_text(&text, "\n\t");
        br_blob_add(&text, br_mp_read_bytes(&r));
        br_blob_text(&text, ": ");
        write_value(&text, &r, 0);
    }
    br_say_buffer(&text);
    br_blob_release(&text);
}

/* ------------------------------------------------------------------ events as JSON */

struct event {
    struct bruit_bytes event, members, name, payload;
    uint64_t id, ltime;
    bool coalesce;
};

/* Events of all kinds: each has some of these. */
static const struct br_mp_field event_fields[] = {
    BR_MP_FIELD(struct event, coalesce, "Coalesce", BR_MP_FLAG, 0, 0),
    BR_MP_FIELD(struct event, event, "Event", BR_MP_TEXT, 1, 0),
    BR_MP_FIELD(struct event, id, "ID", BR_MP_U64, 2, 0),
    BR_MP_FIELD(struct event, ltime, "LTime", BR_MP_U64, 3, 0),
    BR_MP_FIELD(struct event, members, "Members", BR_MP_RAW, 4, 0),
    BR_MP_FIELD(struct event, name, "Name", BR_MP_TEXT, 5, 0),
    BR_MP_FIELD(struct event, payload, "Payload", BR_MP_BYTES, 6, 0),
};

static void write_members(struct br_json *json, struct bruit_bytes raw)
{
    struct br_reader r;
    struct br_member member;
    struct br_tag_set tags;
    br_reader_init(&r, raw);
    uint32_t count = br_mp_read_array(&r);
    br_json_name(json, "members");
    br_json_open(json, '[');
    for (uint32_t i = 0; i < count && br_member_read(&r, &member, &tags); i++)
        br_member_write(json, &member, &tags);
    br_json_close(json, ']');
}

static void write_event(struct br_json *json, const struct event *event)
{
    bool is_query = br_bytes_equal(event->event, br_bytes_text("query"));
    br_json_name(json, "name");
    br_json_text(json, event->name);
    br_json_bytes(json, "payload", event->payload);
    br_json_name(json, is_query ? "id" : "coalesce");
    if (is_query)
        br_json_number(json, event->id);
    else
        br_json_bool(json, event->coalesce);
    br_json_name(json, "ltime");
    br_json_number(json, event->ltime);
}

static void show_event_as_json(struct bruit_bytes object)
{
    struct br_json json = {.is_compact = true};
    struct br_reader r;
    struct event event = {.id = 0};
    br_reader_init(&r, object);
    br_mp_read_struct(&r, event_fields, sizeof event_fields / sizeof event_fields[0], &event);
    br_json_open(&json, '{');
    br_json_name(&json, "event");
    br_json_text(&json, event.event);
    if (event.members.size > 0)
        write_members(&json, event.members);
    else
        write_event(&json, &event);
    br_json_close(&json, '}');
    br_say_json(&json);
}

/* ------------------------------------------------------------------ all of it */

static void say_event(struct bruit_bytes object)
{
    if (br_wants_json())
        show_event_as_json(object);
    else
        show_event(object);
}

static int follow(struct br_session *session, uint64_t log_seq)
{
    struct bruit_bytes error, object;
    uint64_t seq;
    while (br_session_read_header(session, &seq, &error) == 0 && br_session_read(session, &object) == 0) {
        if (seq == log_seq)
            show_log(object);
        else
            say_event(object);
    }
    br_session_close(session);
    if (br_wants_json())
        return br_error("Remote side ended the monitor! "
                        "This usually means that the remote side has exited or crashed.");
    br_say("%s", "");
    br_say("Remote side ended the monitor! This usually means that the\nremote side has exited or crashed.");
    return 1;
}

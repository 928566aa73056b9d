/* bruit rtt: the estimated round trip between two members, from their coordinates (docs/wire/serf-agent.md). */
#include "cli/command.h"

#include "agent/tags.h"

#include <bruit/coord.h>

struct options {
    struct br_agent_flags agent;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit rtt [options] name [name]\n\n"
                      "  Estimates how long a packet takes from one member to the other and back.\n"
                      "  Without a second name it is to the agent that is asked.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

/* ------------------------------------------------------------------ what the agent says */

static bool read_vec(struct br_reader *r, struct bruit_coordinate *out)
{
    uint32_t count = br_mp_read_array(r);
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        double value = br_mp_read_float(r);
        if (i < BRUIT_COORD_DIMENSIONS)
            out->vec[i] = value;
    }
    return count == BRUIT_COORD_DIMENSIONS;
}

static bool read_coordinate(struct br_reader *r, struct bruit_coordinate *out)
{
    uint32_t count = br_mp_read_map(r);
    bool has_vec = false;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(r);
        if (br_bytes_equal(key, br_bytes_text("Adjustment")))
            out->adjustment = br_mp_read_float(r);
        else if (br_bytes_equal(key, br_bytes_text("Error")))
            out->error = br_mp_read_float(r);
        else if (br_bytes_equal(key, br_bytes_text("Height")))
            out->height = br_mp_read_float(r);
        else if (br_bytes_equal(key, br_bytes_text("Vec")))
            has_vec = read_vec(r, out);
        else
            br_mp_skip(r);
    }
    return has_vec;
}

/* False: it is unknown, or in a space of another shape. */
static bool read_answer(struct bruit_bytes object, struct bruit_coordinate *out)
{
    struct br_reader r;
    bool is_known = false, is_whole = false;
    br_reader_init(&r, object);
    uint32_t count = br_mp_read_map(&r);
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(&r);
        if (br_bytes_equal(key, br_bytes_text("Ok")))
            is_known = br_mp_read_bool(&r);
        else if (br_bytes_equal(key, br_bytes_text("Coord")))
            is_whole = read_coordinate(&r, out);
        else
            br_mp_skip(&r);
    }
    return is_known && is_whole && !r.failed;
}

static int get(struct br_session *session, const char *name, struct bruit_coordinate *out)
{
    struct br_blob body = BR_BLOB_EMPTY;
    struct bruit_bytes object;
    struct br_writer w = br_blob_writer(&body, 16 + strlen(name));
    br_mp_write_map(&w, 1);
    br_mp_write_key(&w, "Node");
    br_mp_write_str8(&w, br_bytes_string(name));
    br_blob_written(&body, &w);
    int error = br_session_call(session, "get-coordinate", br_blob_bytes(&body));
    br_blob_release(&body);
    if (error == 0)
        error = br_session_read(session, &object);
    if (error != 0)
        return br_error("Error getting coordinates: %s", session->why);
    *out = (struct bruit_coordinate){.error = 0};
    if (read_answer(object, out))
        return 0;
    return br_error("Could not find a coordinate for node \"%s\"", name);
}

/* The agent's own name, from its answer to "stats": a map of maps. */
static bool read_name(struct bruit_bytes stats, char *out, size_t size)
{
    struct bruit_bytes agent, raw;
    struct br_reader r;
    if (!br_mp_find(stats, br_bytes_text("agent"), &agent) || !br_mp_find(agent, br_bytes_text("name"), &raw))
        return false;
    br_reader_init(&r, raw);
    struct bruit_bytes name = br_mp_read_bytes(&r);
    if (r.failed || name.size >= size)
        return false;
    if (name.size > 0)
        memcpy(out, name.data, name.size);
    out[name.size] = 0;
    return true;
}

static bool own_name(struct br_session *session, char *out, size_t size)
{
    struct bruit_bytes stats;
    if (br_session_call(session, "stats", br_bytes(NULL, 0)) == 0 && br_session_read(session, &stats) == 0 &&
        read_name(stats, out, size))
        return true;
    (void)br_error("Error querying agent: %s", session->why);
    return false;
}

/* ------------------------------------------------------------------ the command */

static void say(const char *from, const char *to, double milliseconds)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("Estimated %s <-> %s rtt: %.3f ms", from, to, milliseconds);
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "from");
    br_json_text(&json, br_bytes_string(from));
    br_json_name(&json, "to");
    br_json_text(&json, br_bytes_string(to));
    br_json_name(&json, "rtt_ms");
    br_json_real(&json, milliseconds);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int estimate(struct br_session *session, const char *from, const char *to)
{
    struct bruit_coordinate a, b;
    if (get(session, from, &a) != 0 || get(session, to, &b) != 0)
        return 1;
    double milliseconds = (double)bruit_coord_distance(&a, &b) / (double)BRUIT_MILLISECOND;
    say(from, to, milliseconds);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.agent = {NULL, NULL}};
    struct br_session session;
    char own[1024] = "";
    int rest;
    int code = br_parse_flags(&br_command_rtt, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format) || !br_connect(&session, &options.agent))
        return 1;
    int count = argc - rest;
    if (count < 1 || count > 2)
        code = br_misused(&br_command_rtt, "One or two node names must be specified");
    else if (count == 1 && !own_name(&session, own, sizeof own))
        code = 1;
    else
        code = estimate(&session, argv[rest], count == 1 ? own : argv[rest + 1]);
    br_session_close(&session);
    return code;
}

const struct br_command br_command_rtt = {
    .name = "rtt",
    .synopsis = "Estimates the round trip between two members",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .words = "member",
};

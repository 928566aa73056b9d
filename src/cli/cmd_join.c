/* bruit join: tells an agent to join a cluster through given addresses. */
#include "cli/command.h"

struct options {
    struct br_agent_flags agent;
    bool replay;
    const char *format;
};

static const struct br_flag flags[] = {
    BR_FORMAT_FLAG(struct options),
    {"replay", BR_FLAG_SWITCH, offsetof(struct options, replay), NULL, NULL,
     "Deliver user events of the past."},
    BR_AGENT_FLAGS,
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit join [options] address ...\n\n"
                      "  Tells a running agent to join the cluster of at least one of the members at\n"
                      "  the addresses. An address is host, host:port or [v6]:port.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static int call(struct br_session *session, bool replay, char **addresses, int count)
{
    struct br_blob body = BR_BLOB_EMPTY;
    size_t bound = 64;
    for (int i = 0; i < count; i++)
        bound += 5 + strlen(addresses[i]);
    struct br_writer w = br_blob_writer(&body, bound);
    br_mp_write_map(&w, 2);
    br_mp_write_key(&w, "Existing");
    br_mp_write_array(&w, (uint32_t)count);
    for (int i = 0; i < count; i++)
        br_mp_write_str8(&w, br_bytes_string(addresses[i]));
    br_mp_write_key(&w, "Replay");
    br_mp_write_bool(&w, replay);
    br_blob_written(&body, &w);
    int error = br_session_call(session, "join", br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

struct answer {
    int64_t num;
};

static const struct br_mp_field answer_fields[] = {BR_MP_FIELD(struct answer, num, "Num", BR_MP_I64, 0, 0)};

static void say(int64_t count)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("Successfully joined cluster by contacting %lld nodes.", (long long)count);
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "contacted");
    br_json_number(&json, count < 0 ? 0 : (uint64_t)count);
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int join(const struct options *options, char **addresses, int count)
{
    struct br_session session;
    struct bruit_bytes object;
    struct answer answer = {.num = 0};
    if (!br_connect(&session, &options->agent))
        return 1;
    if (call(&session, options->replay, addresses, count) != 0 || br_session_read(&session, &object) != 0)
        return br_failed(&session, "Error joining the cluster: ");
    struct br_reader r;
    br_reader_init(&r, object);
    br_mp_read_struct(&r, answer_fields, 1, &answer);
    say(answer.num);
    br_session_close(&session);
    return 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.replay = false};
    int rest;
    int code = br_parse_flags(&br_command_join, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (rest == argc)
        return br_misused(&br_command_join, "At least one address to join must be specified.");
    return join(&options, argv + rest, argc - rest);
}

const struct br_command br_command_join = {
    .name = "join",
    .synopsis = "Tells an agent to join a cluster",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

/*
 * bruit kv put, cas, delete: three ways to write. The agent answers once the write is on its disk, if it has one,
 * and held by as many members as -ack asks for; when that takes too long it says how many hold it, and the exit code
 * is 1.
 */
#include "cli/command.h"

#include "cli/kv.h"

#include <bruit/kv.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    struct br_agent_flags agent;
    const char *format, *owner, *version;
    int64_t ack;
    bruit_time ttl, timeout;
};

#define ACK_FLAG                    \
    {"ack",                         \
     BR_FLAG_INT,                   \
     offsetof(struct options, ack), \
     "count",                       \
     "1",                           \
     "Wait until so many members hold it, this one included, each on its disk if it has one. Default: 1."}
#define OWNER_FLAG                                            \
    {"owner",  BR_FLAG_TEXT, offsetof(struct options, owner), \
     "member", NULL,         "The value dies with this member, half a minute after it has failed or left."}
#define TIMEOUT_FLAG                    \
    {"timeout",                         \
     BR_FLAG_DURATION,                  \
     offsetof(struct options, timeout), \
     "5s",                              \
     "5s",                              \
     "How long -ack may take; the write itself stands in any case. Default: 5s."}
#define TTL_FLAG \
    {"ttl", BR_FLAG_DURATION, offsetof(struct options, ttl), "1h", NULL, "The value goes after this time."}
#define VERSION_FLAG(help) {"version", BR_FLAG_TEXT, offsetof(struct options, version), "digits", NULL, help}

static const struct br_flag put_flags[] = {
    ACK_FLAG, BR_FORMAT_FLAG(struct options), OWNER_FLAG, BR_AGENT_FLAGS, TIMEOUT_FLAG, TTL_FLAG,
};
static const struct br_flag cas_flags[] = {
    ACK_FLAG,
    BR_FORMAT_FLAG(struct options),
    OWNER_FLAG,
    BR_AGENT_FLAGS,
    TIMEOUT_FLAG,
    TTL_FLAG,
    VERSION_FLAG(
        "The version that the key must have, as get and put show it; 0: the key must have no value."),
};
static const struct br_flag delete_flags[] = {
    ACK_FLAG,
    BR_FORMAT_FLAG(struct options),
    BR_AGENT_FLAGS,
    TIMEOUT_FLAG,
    VERSION_FLAG("Only if the key has this version, as get and put show it."),
};

#define COUNT(flags) (sizeof flags / sizeof flags[0])

static const char values_help[] =
    "  The value is the argument as it is; @FILE is what a file holds, and - what comes\n"
    "  on standard input. It has 64 KiB at most.\n\n";

static void put_help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit kv put [options] key value|@FILE|-\n\n"
                      "  Writes a value, in place of all values that the key has here.\n\n");
    br_blob_printf(out, "%sOptions:\n\n", values_help);
    br_flags_help(put_flags, COUNT(put_flags), out);
}

static void cas_help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit kv cas -version=digits [options] key value|@FILE|-\n\n"
                 "  Compares and sets: writes a value if the key still has the version that was read. It\n"
                 "  goes by what this agent has; of two that succeed on two agents at the same time both\n"
                 "  values are kept.\n\n");
    br_blob_printf(out, "%sOptions:\n\n", values_help);
    br_flags_help(cas_flags, COUNT(cas_flags), out);
}

static void delete_help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit kv delete [options] key\n\n"
                 "  Deletes all values that the key has here. What somebody else writes at the same time\n"
                 "  stays.\n\n"
                 "Options:\n\n");
    br_flags_help(delete_flags, COUNT(delete_flags), out);
}

/* ------------------------------------------------------------------ the value */

/* As much as is needed to see that it is too long, which the agent says in words. */
static bool read_all(int fd, struct br_blob *out)
{
    while (out->size <= BRUIT_KV_VALUE_MAX) {
        size_t room = BRUIT_KV_VALUE_MAX + 1 - out->size;
        uint8_t *place = br_blob_reserve(out, room);
        ssize_t size = place == NULL ? -1 : read(fd, place, room);
        if (size < 0 && place != NULL && errno == EINTR)
            continue;
        if (size <= 0)
            return size == 0;
        out->size += (size_t)size;
    }
    return true;
}

/* False, with the sentence said. */
static bool read_value(const char *word, struct br_blob *out)
{
    bool is_file = word[0] == '@', is_input = strcmp(word, "-") == 0;
    if (!is_file && !is_input) {
        br_blob_text(out, word);
        return true;
    }
    int fd = is_input ? STDIN_FILENO : open(word + 1, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && read_all(fd, out);
    if (!is_read && is_file)
        (void)br_error("Error reading value: %s: %s: write @ and the path of a file that can be read",
                       word + 1, strerror(errno));
    else if (!is_read)
        (void)br_error("Error reading value: standard input: %s", strerror(errno));
    if (fd >= 0 && is_file)
        (void)close(fd);
    return is_read;
}

/* ------------------------------------------------------------------ the request */

struct request {
    const struct options *options;
    const char *command, *failure, *key;
    bool compares;
    uint64_t version;
    struct br_blob value;
};

static void write_text(struct br_writer *w, const char *key, const char *text)
{
    br_mp_write_key(w, key);
    br_mp_write_str8(w, br_bytes_string(text));
}

static void write_number(struct br_writer *w, const char *key, uint64_t number)
{
    br_mp_write_key(w, key);
    br_mp_write_uint(w, number);
}

static int send(struct br_session *session, const struct request *request)
{
    const struct options *options = request->options;
    const char *owner = options->owner == NULL ? "" : options->owner;
    struct br_blob body = BR_BLOB_EMPTY;
    struct br_writer w =
        br_blob_writer(&body, 256 + strlen(request->key) + request->value.size + strlen(owner));
    br_mp_write_map(&w, 9);
    write_number(&w, "Ack", (uint64_t)options->ack);
    br_mp_write_key(&w, "Key");
    br_mp_write_bin(&w, br_bytes_string(request->key));
    write_text(&w, "Lifetime", owner[0] != 0 ? "owned" : options->ttl != 0 ? "expires" : "");
    write_text(&w, "Mode", request->compares ? "compare" : "");
    write_text(&w, "Owner", owner);
    write_number(&w, "TTL", options->ttl);
    write_number(&w, "Timeout", options->timeout);
    br_mp_write_key(&w, "Value");
    br_mp_write_bin(&w, br_blob_bytes(&request->value));
    write_number(&w, "Version", request->version);
    br_blob_written(&body, &w);
    int error = br_session_call_own(session, request->command, br_blob_bytes(&body));
    br_blob_release(&body);
    return error;
}

struct answer {
    struct bruit_bytes error;
    uint64_t version;
    uint32_t held, wanted;
};

static const struct br_mp_field answer_fields[] = {
    BR_MP_FIELD(struct answer, error, "Error", BR_MP_BYTES, 0, 0),
    BR_MP_FIELD(struct answer, held, "Held", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct answer, version, "Version", BR_MP_U64, 2, 0),
    BR_MP_FIELD(struct answer, wanted, "Wanted", BR_MP_U32, 3, 0),
};

static int say_json(const struct request *request, const struct answer *answer)
{
    struct br_json json = {.depth = 0};
    br_json_open(&json, '{');
    if (answer->error.size > 0) {
        br_json_name(&json, "error");
        br_json_text(&json, answer->error);
    }
    br_json_bytes(&json, "key", br_bytes_string(request->key));
    if (answer->version != 0)
        br_kv_version_json(&json, answer->version);
    br_json_name(&json, "held");
    br_json_number(&json, answer->held);
    br_json_name(&json, "wanted");
    br_json_number(&json, answer->wanted);
    br_json_close(&json, '}');
    br_say_json(&json);
    return answer->error.size > 0;
}

static int say(const struct request *request, const struct answer *answer)
{
    struct br_blob text = BR_BLOB_EMPTY;
    if (br_wants_json())
        return say_json(request, answer);
    if (answer->error.size > 0)
        return br_error("%s%.*s", request->failure, (int)answer->error.size,
                        (const char *)answer->error.data);
    br_kv_key_text(&text, br_bytes_string(request->key));
    if (answer->version == 0)
        br_blob_text(&text, " is deleted");
    else
        br_blob_printf(&text, " has version %016" PRIx64, answer->version);
    if (answer->wanted > 1)
        br_blob_printf(&text, ", held by %u members", answer->held);
    br_say_buffer(&text);
    br_blob_release(&text);
    return 0;
}

static int carry_out(const struct request *request)
{
    struct br_session session;
    struct bruit_bytes object;
    struct answer answer;
    struct br_reader r;
    if (!br_connect(&session, &request->options->agent))
        return 1;
    if (send(&session, request) != 0 || br_session_read(&session, &object) != 0)
        return br_failed(&session, request->failure);
    br_reader_init(&r, object);
    br_mp_read_struct(&r, answer_fields, COUNT(answer_fields), &answer);
    int code = r.failed ? br_kv_no_answer(request->failure) : say(request, &answer);
    br_session_close(&session);
    return code;
}

/* ------------------------------------------------------------------ the commands */

/* Digits as they are shown, or 0. False, with the sentence said. */
static bool read_version(const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789abcdefABCDEF");
    *out = 0;
    if (strcmp(text, "0") == 0)
        return true;
    if (digits == 16 && text[digits] == 0) {
        *out = strtoull(text, NULL, 16);
        return true;
    }
    (void)br_error(
        "Invalid version \"%s\": write the 16 digits that \"bruit kv get -all\" shows, or 0 for a key "
        "without a value",
        text);
    return false;
}

/* False, with the sentence said. */
static bool check(const struct options *options)
{
    if (!br_check_format(options->format))
        return false;
    if (options->owner != NULL && options->owner[0] != 0 && options->ttl != 0)
        (void)br_error("Only one of -ttl and -owner is allowed: a value has one lifetime");
    else if (options->ack < 0 || options->ack > UINT32_MAX)
        (void)br_error("Invalid number of members: write -ack=1 or more");
    else
        return true;
    return false;
}

static int finish(struct request *request)
{
    const char *version = request->options->version;
    int code = 1;
    request->compares = version != NULL;
    if (version == NULL || read_version(version, &request->version))
        code = carry_out(request);
    br_blob_release(&request->value);
    return code;
}

static int write_value(const struct br_command *command, const struct options *options, int count,
                       char **words)
{
    struct request request = {.options = options, .command = "kv-put", .failure = "Error writing key: "};
    if (!check(options))
        return 1;
    if (count != 2)
        return br_misused(command, "A key and a value must be specified.");
    request.key = words[0];
    if (!read_value(words[1], &request.value)) {
        br_blob_release(&request.value);
        return 1;
    }
    return finish(&request);
}

static int put_run(int argc, char **argv)
{
    struct options options = {.version = NULL};
    int rest;
    int code = br_parse_flags(&br_command_kv_put, put_flags, COUNT(put_flags), &options, argc, argv, &rest);
    return code >= 0 ? code : write_value(&br_command_kv_put, &options, argc - rest, argv + rest);
}

static int cas_run(int argc, char **argv)
{
    struct options options = {.version = NULL};
    int rest;
    int code = br_parse_flags(&br_command_kv_cas, cas_flags, COUNT(cas_flags), &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (options.version == NULL)
        return br_misused(&br_command_kv_cas, "A -version must be specified.");
    return write_value(&br_command_kv_cas, &options, argc - rest, argv + rest);
}

static int delete_run(int argc, char **argv)
{
    struct options options = {.version = NULL};
    struct request request = {.options = &options, .command = "kv-delete", .failure = "Error deleting key: "};
    int rest;
    int code =
        br_parse_flags(&br_command_kv_delete, delete_flags, COUNT(delete_flags), &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!check(&options))
        return 1;
    if (argc - rest != 1)
        return br_misused(&br_command_kv_delete, "One key must be specified.");
    request.key = argv[rest];
    return finish(&request);
}

const struct br_command br_command_kv_put = {
    .name = "kv put",
    .synopsis = "Writes a value",
    .run = put_run,
    .help = put_help,
    .flags = put_flags,
    .flag_count = COUNT(put_flags),
};

const struct br_command br_command_kv_cas = {
    .name = "kv cas",
    .synopsis = "Writes a value if the key has not changed",
    .run = cas_run,
    .help = cas_help,
    .flags = cas_flags,
    .flag_count = COUNT(cas_flags),
};

const struct br_command br_command_kv_delete = {
    .name = "kv delete",
    .synopsis = "Deletes a key",
    .run = delete_run,
    .help = delete_help,
    .flags = delete_flags,
    .flag_count = COUNT(delete_flags),
};

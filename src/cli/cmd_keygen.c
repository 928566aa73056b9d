/* bruit keygen: a new encryption key. */
#include "cli/command.h"

#include <bruit/cipher.h>

#define KEY_SIZE 32 /* AES-256 */

struct options {
    const char *format;
};

static const struct br_flag flags[] = {BR_FORMAT_FLAG(struct options)};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static void help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit keygen [options]\n\n"
                 "  Prints a new random key for \"bruit agent -encrypt\", or \"serf agent -encrypt\".\n\n"
                 "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

static void say(const char *key)
{
    struct br_json json = {.depth = 0};
    if (!br_wants_json()) {
        br_say("%s", key);
        return;
    }
    br_json_open(&json, '{');
    br_json_name(&json, "key");
    br_json_text(&json, br_bytes_string(key));
    br_json_close(&json, '}');
    br_say_json(&json);
}

static int run(int argc, char **argv)
{
    uint8_t key[KEY_SIZE];
    char text[4 * ((KEY_SIZE + 2) / 3) + 1];
    struct options options = {.format = NULL};
    int rest;
    int code = br_parse_flags(&br_command_keygen, flags, flag_count, &options, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (!br_check_format(options.format))
        return 1;
    if (bruit_entropy_os(NULL, key, sizeof key) != 0)
        return br_error("Error reading random data: the operating system gave none");
    br_base64_encode(br_bytes(key, sizeof key), text);
    say(text);
    return 0;
}

const struct br_command br_command_keygen = {
    .name = "keygen",
    .synopsis = "Makes a new encryption key",
    .run = run,
    .help = help,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
};

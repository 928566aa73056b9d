/* bruit keygen: a new encryption key. */
#include "cli/command.h"

#include <bruit/cipher.h>

#define KEY_SIZE 32 /* AES-256 */

static void help(struct br_blob *out)
{
    br_blob_text(out,
                 "Usage: bruit keygen\n\n"
                 "  Prints a new random key for \"bruit agent -encrypt\", or \"serf agent -encrypt\".\n");
}

static int run(int argc, char **argv)
{
    uint8_t key[KEY_SIZE];
    char text[4 * ((KEY_SIZE + 2) / 3) + 1];
    int rest;
    int code = br_parse_flags(&br_command_keygen, NULL, 0, NULL, argc, argv, &rest);
    if (code >= 0)
        return code;
    if (bruit_entropy_os(NULL, key, sizeof key) != 0) {
        br_say("Error reading random data: the operating system gave none");
        return 1;
    }
    br_base64_encode(br_bytes(key, sizeof key), text);
    br_say("%s", text);
    return 0;
}

const struct br_command br_command_keygen = {
    .name = "keygen",
    .synopsis = "Makes a new encryption key",
    .run = run,
    .help = help,
};

/*
 * bruit sim: runs the program bruit-sim, which lies beside this one or on the PATH.
 *
 * A program of its own, so that agents carry none of the simulator. All words are handed on, --help too.
 */
#include "cli/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRAM "bruit-sim"

/* `path` becomes the file of this name in the folder of this very program; false when that is not known. */
static bool beside_us(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash + 1 - path) + sizeof PROGRAM > size)
        return false;
    memcpy(slash + 1, PROGRAM, sizeof PROGRAM);
    return true;
}

static int run(int argc, char **argv)
{
    char path[PATH_MAX];
    char **words = calloc((size_t)argc + 2, sizeof *words);
    if (words == NULL) {
        br_say("bruit sim: out of memory: free some.");
        return 1;
    }
    static char name[] = PROGRAM;
    words[0] = name;
    for (int i = 0; i < argc; i++)
        words[i + 1] = argv[i];
    if (beside_us(path, sizeof path))
        (void)execv(path, words); /* returns only when it failed */
    (void)execvp(PROGRAM, words);
    br_say("bruit sim: " PROGRAM " could not be started (%s): install it beside bruit, or on the PATH.",
           strerror(errno));
    free(words);
    return 127;
}

static void help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit sim COMMAND [FLAGS]\n\n"
                      "  Experiments with gossip: runs " PROGRAM ". See \"bruit sim --help\".\n");
}

const struct br_command br_command_sim = {
    .name = "sim",
    .synopsis = "Experiments with gossip",
    .run = run,
    .help = help,
    .words = "COMMAND",
};

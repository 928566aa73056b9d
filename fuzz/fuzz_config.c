/*
 * A configuration file, read as the agent reads it: JSON, the table of keys, merging, and what a reload checks.
 *
 * The file is one in memory, so that nothing but the reading costs time. Without an error there are values within the
 * bounds of their kind; with one there is a sentence.
 */
#include "fuzz.h"

#include "agent/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void hear(void *context, const char *sentence)
{
    size_t *count = context;
    if (sentence[0] == 0)
        abort();
    (*count)++;
}

static void look_at(const struct br_options *options)
{
    if (options->retry_interval < BRUIT_SECOND || options->broadcast_timeout < BRUIT_SECOND)
        abort();
    for (size_t i = 0; i < options->tags.count; i++) {
        struct bruit_bytes key, value;
        if (!br_pair_split(options->tags.items[i], &key, &value))
            abort();
    }
    if (options->scripts.count < options->event_handlers.count)
        abort(); /* each makes one at least */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct br_options options;
    char flag[64], why[BR_WHY_MAX] = "";
    char *argv[] = {flag};
    size_t notes = 0;
    int fd = memfd_create("config", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(flag, sizeof flag, "-config-file=/proc/self/fd/%d", fd);
    if (br_options_parse(&options, 1, argv, why) != BR_FLAGS_OK)
        abort();
    int error = br_options_read(&options, hear, &notes, why);
    if (error == 0)
        look_at(&options);
    else if (why[0] == 0 || strlen(why) >= BR_WHY_MAX)
        abort();
    if (error == 0 && br_options_level(&options, why) < 0 && why[0] == 0)
        abort();
    br_options_release(&options);
    (void)close(fd);
    return 0;
}

/*
 * Configuration files: JSON, read into the same options that flags set.
 *
 * What may stand in a file and where it goes is the caller's table, one for flags, keys and help. Rules of reading
 * and the sentences about what is wrong are Serf's, which are those of Go's libraries (docs/wire/serf-agent.md section
 * 3.2): only the first value counts, keys match in any case, null is absence, numbers are cut to integers, nothing else
 * is converted, unknown keys are refused, and all mistakes of a file are told at once.
 */
#ifndef BR_AGENT_CONFIG_H
#define BR_AGENT_CONFIG_H

#include "agent/flags.h"

/* Far beyond any configuration: what is larger was given by mistake. */
#define BR_CONFIG_FILE_MAX ((size_t)4 << 20)

enum br_option_shape {
    BR_OPTION_PLAIN,     /* in a file as the flag's kind says: text, bool, number, duration, list of texts */
    BR_OPTION_MAP,       /* a BR_FLAG_LIST of key=value that is an object in a file */
    BR_OPTION_NO_EFFECT, /* of the right type, or refused; nothing comes of it */
};

/* One thing that can be set. */
struct br_option {
    struct br_flag flag; /* without a name it is a key only; without a key it is a flag only */
    const char *key;     /* "group.key" is a key of an object of its own */
    enum br_option_shape shape;
};

/*
 * Reads one file into `target`, on top of what is there. Texts are copied and the copies added to `owned`. Returns 0,
 * or an error with the sentence in `why`.
 */
int br_config_read(const struct br_option *options, size_t count, void *target, struct br_values *owned,
                   const char *path, char why[BR_WHY_MAX]);

/*
 * The files that a path of -config-file stands for, in the order of reading: itself, or, of a directory, its entries
 * that end in .json by name. The names are copied, and added to `files` and `owned`. Errors as above.
 */
int br_config_files(const char *path, struct br_values *files, struct br_values *owned, char why[BR_WHY_MAX]);

/* A whole file, at most BR_CONFIG_FILE_MAX; the reason in Go's words: "open x: no such file or directory". */
struct br_blob;
int br_file_read(const char *path, struct br_blob *out, char why[BR_WHY_MAX]);

#endif

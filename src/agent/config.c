/* Configuration files; see config.h. */
#include "agent/config.h"

#include "agent/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mistakes told of one file; who makes more has the wrong file. */
#define MISTAKES_MAX 32

/* How long a pipe in the place of a file may be silent. A stall of this length our peers forgive. */
#define WRITER_PATIENCE_MS 1000

struct reader {
    const struct br_option *options;
    size_t count;
    void *target;
    struct br_values *owned;
    char *mistakes[MISTAKES_MAX];
    size_t mistake_count;
    char advice[128]; /* what to do about them, behind Serf's words; may be empty */
    const char *path;
    bool failed; /* out of memory */
};

static int decode(struct reader *reader, const char *text, size_t size, char *why);
static void read_object(struct reader *reader, const json_t *object, const char *group);
static int read_durations(struct reader *reader, const json_t *root, char *why);
static int compare_texts(const void *a, const void *b);

/* ------------------------------------------------------------------ files */

/* Go's words for the commonest; the C library's for the rest, which are the same but for a capital. */
static int refuse_open(const char *path, int number, char why[BR_WHY_MAX])
{
    const char *text = strerror(number);
    (void)snprintf(why, BR_WHY_MAX, "open %.300s: %c%.200s", path, text[0] | 0x20, text + 1);
    return number == ENOENT ? BRUIT_ENOENT : BRUIT_EIO;
}

/* A shell's <(command) is a pipe whose writer may take a moment. A reload must not wait for ever, though. */
static bool wait_for_writer(int fd)
{
    struct pollfd pipe_end = {.fd = fd, .events = POLLIN};
    return poll(&pipe_end, 1, WRITER_PATIENCE_MS) == 1;
}

int br_file_read(const char *path, struct br_blob *out, char why[BR_WHY_MAX])
{
    /* Without waiting: the path may name a pipe that nobody writes to. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return refuse_open(path, errno, why);
    int error = 0;
    for (;;) {
        uint8_t *place = br_blob_reserve(out, 4096);
        ssize_t size = place == NULL ? -1 : read(fd, place, 4096);
        if (size == 0)
            break;
        if (size < 0 && place != NULL && errno == EAGAIN && wait_for_writer(fd))
            continue;
        if (size < 0) {
            (void)snprintf(why, BR_WHY_MAX, "read %.300s: %s", path,
                           place == NULL     ? "out of memory"
                           : errno == EISDIR ? "is a directory"
                                             : strerror(errno));
            error = BRUIT_EIO;
            break;
        }
        out->size += (size_t)size;
        if (out->size > BR_CONFIG_FILE_MAX) {
            (void)snprintf(why, BR_WHY_MAX, "read %.300s: it has more than %zu bytes", path,
                           BR_CONFIG_FILE_MAX);
            error = BRUIT_ETOOBIG;
            break;
        }
    }
    (void)close(fd);
    return error;
}

static bool keep_text(struct br_values *owned, const char *text, size_t size, const char **out)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    *out = copy;
    if (br_values_add(owned, copy))
        return true;
    free(copy);
    return false;
}

static bool is_json_name(const char *name)
{
    size_t size = strlen(name);
    return size >= 5 && strcmp(name + size - 5, ".json") == 0;
}

static int out_of_memory(char why[BR_WHY_MAX])
{
    (void)snprintf(why, BR_WHY_MAX, "out of memory");
    return BRUIT_ENOMEM;
}

static int add_path(const char *folder, const char *name, struct br_values *files, struct br_values *owned)
{
    struct br_blob path = BR_BLOB_EMPTY;
    const char *kept = NULL;
    size_t size = strlen(folder);
    br_blob_text(&path, folder);
    if (name[0] != 0)
        br_blob_printf(&path, "%s%s", size > 0 && folder[size - 1] == '/' ? "" : "/", name);
    bool is_added = !path.failed && keep_text(owned, (const char *)path.data, path.size, &kept) &&
                    br_values_add(files, kept);
    br_blob_release(&path);
    return is_added ? 0 : BRUIT_ENOMEM;
}

static bool is_directory(const char *folder, const char *name)
{
    struct stat status;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is = fd >= 0 && fstatat(fd, name, &status, 0) == 0 && S_ISDIR(status.st_mode);
    if (fd >= 0)
        (void)close(fd);
    return is;
}

int br_config_files(const char *path, struct br_values *files, struct br_values *owned, char why[BR_WHY_MAX])
{
    struct stat status;
    char reason[BR_WHY_MAX];
    if (stat(path, &status) != 0) {
        int error = refuse_open(path, errno, reason);
        (void)snprintf(why, BR_WHY_MAX, "Error reading '%.300s': %.600s", path, reason);
        return error;
    }
    if (!S_ISDIR(status.st_mode))
        return add_path(path, "", files, owned) == 0 ? 0 : out_of_memory(why);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        int error = refuse_open(path, errno, reason);
        (void)snprintf(why, BR_WHY_MAX, "Error reading '%.300s': %.600s", path, reason);
        return error;
    }
    int error = 0;
    size_t first = files->count;
    for (const struct dirent *entry; error == 0 && (entry = readdir(folder)) != NULL;)
        if (is_json_name(entry->d_name) && !is_directory(path, entry->d_name))
            error = add_path(path, entry->d_name, files, owned);
    (void)closedir(folder);
    if (files->count > first)
        qsort(files->items + first, files->count - first, sizeof *files->items, compare_texts);
    return error == 0 ? 0 : out_of_memory(why);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int br_config_read(const struct br_option *options, size_t count, void *target, struct br_values *owned,
                   const char *path, char why[BR_WHY_MAX])
{
    struct br_blob text = BR_BLOB_EMPTY;
    char reason[BR_WHY_MAX] = "";
    struct reader reader = {
        .options = options, .count = count, .target = target, .owned = owned, .path = path};
    int error = br_file_read(path, &text, reason);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "Error reading '%.300s': %.600s", path, reason);
    else
        error = decode(&reader, (const char *)text.data, text.size, why);
    br_blob_release(&text);
    return error;
}

/* ------------------------------------------------------------------ what is wrong with it */

static void mistake(struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void mistake(struct reader *reader, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    if (reader->mistake_count == MISTAKES_MAX)
        return;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        reader->failed = true;
    else
        reader->mistakes[reader->mistake_count++] = text;
}

/* The name of a JSON value's type in Go, and of its kind where only that is told. */
static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return "string";
    case JSON_INTEGER:
    case JSON_REAL: return "float64";
    case JSON_TRUE:
    case JSON_FALSE: return "bool";
    case JSON_ARRAY: return "[]interface {}";
    case JSON_OBJECT: return "map[string]interface {}";
    case JSON_NULL: break;
    }
    return "nil";
}

static const char *kind_name(const json_t *value)
{
    return json_is_array(value) ? "slice" : json_is_object(value) ? "map" : type_name(value);
}

/* A value as Go prints it; of lists and objects only that they are such. */
static void print_value(const json_t *value, char out[64])
{
    if (json_is_string(value))
        (void)snprintf(out, 64, "%.60s", json_string_value(value));
    else if (json_is_number(value))
        (void)snprintf(out, 64, "%.15g", json_number_value(value));
    else if (json_is_array(value) || json_is_object(value))
        (void)snprintf(out, 64, json_is_array(value) ? "[...]" : "map[...]");
    else
        (void)snprintf(out, 64, "%s", json_is_true(value) ? "true" : "false");
}

static void wrong_type(struct reader *reader, const char *name, const char *expected, const json_t *value)
{
    char shown[64];
    print_value(value, shown);
    mistake(reader, "'%.100s' expected type '%s', got unconvertible type '%s', value: '%s'", name, expected,
            type_name(value), shown);
}

static int tell_mistakes(struct reader *reader, char *why)
{
    struct br_blob text = BR_BLOB_EMPTY;
    qsort(reader->mistakes, reader->mistake_count, sizeof reader->mistakes[0], compare_texts);
    br_blob_printf(&text, "Error decoding '%.300s': %zu error(s) decoding:\n", reader->path,
                   reader->mistake_count);
    for (size_t i = 0; i < reader->mistake_count; i++)
        br_blob_printf(&text, "\n* %s", reader->mistakes[i]);
    if (reader->advice[0] != 0)
        br_blob_printf(&text, ": %s", reader->advice);
    (void)snprintf(why, BR_WHY_MAX, "%s", br_blob_string(&text));
    br_blob_release(&text);
    return BRUIT_EINVAL;
}

/* ------------------------------------------------------------------ reading */

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == 0)
            return false;
    return true;
}

static int refuse_decode(const struct reader *reader, char *why, const char *reason)
{
    (void)snprintf(why, BR_WHY_MAX, "Error decoding '%.300s': %.600s", reader->path, reason);
    return BRUIT_EINVAL;
}

static int decode(struct reader *reader, const char *text, size_t size, char *why)
{
    json_error_t problem;
    char reason[320];
    if (is_blank(text, size))
        return refuse_decode(reader, why, "EOF");
    json_t *root = json_loadb(text, size, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &problem);
    if (root == NULL) {
        (void)snprintf(reason, sizeof reason, "%s%.200s (line %d, column %d)",
                       json_error_code(&problem) == json_error_premature_end_of_input ? "unexpected EOF: "
                                                                                      : "",
                       problem.text, problem.line, problem.column);
        return refuse_decode(reader, why, reason);
    }
    int error = 0;
    if (json_is_object(root)) {
        read_object(reader, root, "");
        if (reader->failed)
            error = out_of_memory(why);
        else if (reader->mistake_count > 0)
            error = tell_mistakes(reader, why);
        else
            error = read_durations(reader, root, why);
    } else if (!json_is_null(root)) {
        (void)snprintf(reason, sizeof reason, "'' expected a map, got '%s'", kind_name(root));
        error = refuse_decode(reader, why, reason);
    }
    for (size_t i = 0; i < reader->mistake_count; i++)
        free(reader->mistakes[i]);
    json_decref(root);
    return error;
}

/* The rest of the option's key inside `group` ("" or "mdns."), or NULL when it is not directly in there. */
static const char *key_in(const struct br_option *option, const char *group)
{
    size_t size = strlen(group);
    if (option->key == NULL || strncmp(option->key, group, size) != 0 ||
        strchr(option->key + size, '.') != NULL)
        return NULL;
    return option->key + size;
}

/* The value of `key`: the exact one, or else the first that differs in case only. */
static const json_t *find_key(const json_t *object, const char *key, const char **found)
{
    const char *name;
    json_t *value = json_object_get(object, key);
    *found = key;
    if (value != NULL)
        return value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (strcasecmp(name, key) == 0) {
            *found = name;
            return value;
        }
    }
    return NULL;
}

static void read_text(struct reader *reader, const char *name, const json_t *value, const char **out)
{
    if (!json_is_string(value))
        wrong_type(reader, name, "string", value);
    else if (out != NULL &&
             !keep_text(reader->owned, json_string_value(value), json_string_length(value), out))
        reader->failed = true;
}

static void read_list(struct reader *reader, const char *name, const json_t *value, struct br_values *out)
{
    char element[128];
    if (!json_is_array(value)) {
        mistake(reader, "'%s': source data must be an array or slice, got %s", name, kind_name(value));
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = NULL;
        (void)snprintf(element, sizeof element, "%.80s[%zu]", name, i);
        if (!json_is_null(json_array_get(value, i)))
            read_text(reader, element, json_array_get(value, i), &text);
        if (text != NULL && !br_values_add(out, text))
            reader->failed = true;
    }
}

/* An object of texts becomes a list of key=value. The first '=' splits it again, so a key must not have one. */
static void read_map(struct reader *reader, const char *name, const json_t *value, struct br_values *out)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value)) {
        mistake(reader, "'%s' expected a map, got '%s'", name, kind_name(value));
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        struct br_blob pair = BR_BLOB_EMPTY;
        const char *kept = NULL;
        char element[128];
        (void)snprintf(element, sizeof element, "%.40s[%.60s]", name, key);
        if (json_is_null(text))
            continue;
        if (!json_is_string(text)) {
            wrong_type(reader, element, "string", text);
            continue;
        }
        if (key[0] == 0 || strchr(key, '=') != NULL) {
            mistake(reader, "'%s' is no name of a tag: it is empty, or has a '=' in it", element);
            continue;
        }
        br_blob_printf(&pair, "%s=%s", key, json_string_value(text));
        if (pair.failed || !keep_text(reader->owned, (const char *)pair.data, pair.size, &kept) ||
            !br_values_add(out, kept))
            reader->failed = true;
        br_blob_release(&pair);
    }
}

static void read_int(struct reader *reader, const char *name, const json_t *value, int64_t *out)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > -2147483649.0 && number < 2147483648.0))
        wrong_type(reader, name, "int", value);
    else if (out != NULL)
        *out = (int64_t)number;
}

static void read_bool(struct reader *reader, const char *name, const json_t *value, bool *out)
{
    if (!json_is_boolean(value))
        wrong_type(reader, name, "bool", value);
    else if (out != NULL)
        *out = json_is_true(value);
}

static void read_value(struct reader *reader, const struct br_option *option, const json_t *value)
{
    void *member = option->shape == BR_OPTION_NO_EFFECT ? NULL : (char *)reader->target + option->flag.offset;
    if (json_is_null(value))
        return;
    if (option->shape == BR_OPTION_MAP) {
        read_map(reader, option->key, value, member);
        return;
    }
    switch (option->flag.kind) {
    case BR_FLAG_TEXT: read_text(reader, option->key, value, member); break;
    case BR_FLAG_SWITCH: read_bool(reader, option->key, value, member); break;
    case BR_FLAG_INT: read_int(reader, option->key, value, member); break;
    case BR_FLAG_LIST: read_list(reader, option->key, value, member); break;
    case BR_FLAG_DURATION: read_text(reader, option->key, value, NULL); break; /* read_durations reads it */
    }
}

/* Does any option live in this object of its own? */
static bool is_group(const struct reader *reader, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < reader->count; i++) {
        const char *key = reader->options[i].key;
        if (key != NULL && strncasecmp(key, name, size) == 0 && key[size] == '.')
            return true;
    }
    return false;
}

static void read_group(struct reader *reader, const char *name, const json_t *value)
{
    char group[64];
    if (json_is_null(value))
        return;
    if (!json_is_object(value)) {
        mistake(reader, "'%s' expected a map, got '%s'", name, kind_name(value));
        return;
    }
    size_t size = strlen(name);
    for (size_t i = 0; i <= size; i++)
        group[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    memcpy(group + size, ".", 2);
    read_object(reader, value, group);
}

static bool is_known(const struct reader *reader, const json_t *object, const char *name, const char *group)
{
    for (size_t i = 0; i < reader->count; i++) {
        const char *key = key_in(&reader->options[i], group), *found;
        if (key != NULL && strcasecmp(key, name) == 0 && find_key(object, key, &found) != NULL &&
            strcmp(found, name) == 0)
            return true;
    }
    return false;
}

/* The known key of the group that is nearest to what was written, if one may have been meant. */
static const char *nearest_key(const struct reader *reader, const char *name, const char *group)
{
    unsigned best = br_word_reach(name);
    const char *found = NULL;
    for (size_t i = 0; i < reader->count; i++) {
        const char *key = key_in(&reader->options[i], group);
        if (key != NULL && br_word_is_nearer(name, key, &best))
            found = key;
    }
    return found;
}

static void advise(struct reader *reader, const char *name, const char *group)
{
    const char *near = nearest_key(reader, name, group);
    if (near != NULL)
        (void)snprintf(reader->advice, sizeof reader->advice, "did you mean '%s%s'?", group, near);
    else
        (void)snprintf(reader->advice, sizeof reader->advice,
                       "most keys are called like the flags of \"bruit agent -help\", with _ for -");
}

static void tell_unknown(struct reader *reader, const char **names, size_t count, const char *group)
{
    struct br_blob text = BR_BLOB_EMPTY;
    size_t group_size = strlen(group);
    qsort(names, count, sizeof names[0], compare_texts);
    for (size_t i = 0; i < count; i++)
        br_blob_printf(&text, "%s%.100s", i == 0 ? "" : ", ", names[i]);
    mistake(reader, "'%.*s' has invalid keys: %s", (int)(group_size > 0 ? group_size - 1 : 0), group,
            br_blob_string(&text));
    br_blob_release(&text);
    advise(reader, names[0], group);
}

static void read_object(struct reader *reader, const json_t *object, const char *group)
{
    struct br_values unknown = {.items = NULL};
    const char *name;
    json_t *each;
    for (size_t i = 0; i < reader->count; i++) {
        const char *key = key_in(&reader->options[i], group), *found;
        const json_t *value = key == NULL ? NULL : find_key(object, key, &found);
        if (value != NULL)
            read_value(reader, &reader->options[i], value);
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, each)
    {
        if (is_known(reader, object, name, group))
            continue;
        if (group[0] == 0 && strlen(name) < 40 && is_group(reader, name))
            read_group(reader, name, each);
        else if (!br_values_add(&unknown, name))
            reader->failed = true;
    }
    if (unknown.count > 0)
        tell_unknown(reader, unknown.items, unknown.count, group);
    free(unknown.items);
}

/* Serf reads them when all else was found right, and stops at the first that is not. */
static int read_durations(struct reader *reader, const json_t *root, char *why)
{
    char reason[BR_WHY_MAX];
    for (size_t i = 0; i < reader->count; i++) {
        const struct br_option *option = &reader->options[i];
        const char *key = key_in(option, ""), *found;
        const json_t *value = NULL;
        if (key != NULL && option->flag.kind == BR_FLAG_DURATION)
            value = find_key(root, key, &found);
        if (value == NULL || !json_is_string(value))
            continue;
        bruit_time *member = (void *)((char *)reader->target + option->flag.offset);
        if (json_string_length(value) > 0 && br_duration_parse(member, json_string_value(value), reason) != 0)
            return refuse_decode(reader, why, reason);
    }
    return 0;
}

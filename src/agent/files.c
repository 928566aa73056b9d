/* Tags and keyring files; see files.h. */
#include "agent/files.h"

#include "agent/blob.h"
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ writing */

/* As Go writes a text in JSON: what HTML minds is escaped, too. Invalid UTF-8 becomes U+FFFD. */
static size_t utf8_size(struct bruit_bytes text, size_t at)
{
    uint8_t first = text.data[at];
    size_t size = first < 0x80                     ? 1
                  : first >= 0xc2 && first <= 0xdf ? 2
                  : first >= 0xe0 && first <= 0xef ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    if (size == 0 || size > text.size - at)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text.data[at + i] & 0xc0) != 0x80)
            return 0;
    uint8_t second = size > 1 ? text.data[at + 1] : 0x80;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    return size;
}

static void write_char(struct br_blob *out, struct bruit_bytes text, size_t *at)
{
    uint8_t c = text.data[*at];
    size_t size = utf8_size(text, *at);
    if (size == 0)
        br_blob_text(out, "\\ufffd");
    else if (size == 3 && c == 0xe2 && text.data[*at + 1] == 0x80 && (text.data[*at + 2] | 1) == 0xa9)
        br_blob_text(out, text.data[*at + 2] == 0xa8 ? "\\u2028" : "\\u2029");
    else if (c == '"' || c == '\\')
        br_blob_printf(out, "\\%c", c);
    else if (c == '\n' || c == '\r' || c == '\t')
        br_blob_text(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    else if (c < 0x20 || c == '<' || c == '>' || c == '&')
        br_blob_printf(out, "\\u%04x", c);
    else
        br_blob_add(out, br_bytes(text.data + *at, size));
    *at += size == 0 ? 1 : size;
}

static void write_text(struct br_blob *out, struct bruit_bytes text)
{
    br_blob_text(out, "\"");
    for (size_t at = 0; at < text.size;)
        write_char(out, text, &at);
    br_blob_text(out, "\"");
}

static bool write_whole(int fd, struct bruit_bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t size = write(fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return false;
        bytes = br_bytes(bytes.data + size, bytes.size - (size_t)size);
    }
    return true;
}

static int write_file(const char *path, struct br_blob *text, const char *what, char why[BR_WHY_MAX])
{
    int fd = text->failed ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600);
    bool is_written = fd >= 0 && write_whole(fd, br_blob_bytes(text));
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    if (is_written)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Failed to write %s file: open %.300s: %s", what, path,
                   text->failed ? "out of memory" : strerror(errno));
    return BRUIT_EIO;
}

/* ------------------------------------------------------------------ reading */

/* The names of JSON's types in Go's sentences. */
static const char *json_type_name(const json_t *value)
{
    return json_is_object(value)    ? "object"
           : json_is_array(value)   ? "array"
           : json_is_string(value)  ? "string"
           : json_is_number(value)  ? "number"
           : json_is_boolean(value) ? "bool"
                                    : "null";
}

static int cannot_decode(const char *what, const json_t *value, const char *go_type, char why[BR_WHY_MAX])
{
    (void)snprintf(why, BR_WHY_MAX,
                   "Failed to decode %s file: json: cannot unmarshal %s into Go value of type %s", what,
                   json_type_name(value), go_type);
    return BRUIT_EINVAL;
}

/* All of it must be one value. NULL with the sentence in `why`. */
static json_t *load(const char *path, const char *what, char why[BR_WHY_MAX])
{
    struct br_blob text = BR_BLOB_EMPTY;
    char reason[BR_WHY_MAX] = "";
    json_error_t problem;
    json_t *root = NULL;
    if (br_file_read(path, &text, reason) != 0)
        (void)snprintf(why, BR_WHY_MAX, "Failed to read %s file: %.900s", what, reason);
    else if ((root = json_loadb((const char *)text.data, text.size, JSON_DECODE_ANY, &problem)) == NULL)
        (void)snprintf(why, BR_WHY_MAX, "Failed to decode %s file: %s%.200s (line %d, column %d)", what,
                       text.size == 0 ? "unexpected end of JSON input: " : "", problem.text, problem.line,
                       problem.column);
    if (text.data != NULL)
        explicit_bzero(text.data, text.size); /* keys, perhaps */
    br_blob_release(&text);
    return root;
}

/* ------------------------------------------------------------------ tags */

static struct bruit_bytes json_bytes(const json_t *text)
{
    return json_is_string(text) ? br_bytes(json_string_value(text), json_string_length(text))
                                : br_bytes("", 0);
}

static int collect_tags(const json_t *root, struct br_tag_set *set, char why[BR_WHY_MAX])
{
    const char *key;
    json_t *value;
    if (!json_is_object(root) && !json_is_null(root))
        return cannot_decode("tags", root, "map[string]string", why);
    json_object_foreach((json_t *)(uintptr_t)root, key, value)
    {
        if (!json_is_string(value) && !json_is_null(value))
            return cannot_decode("tags", value, "string", why);
        if (br_tag_set_put(set, br_bytes_string(key), json_bytes(value)) != 0) {
            (void)snprintf(why, BR_WHY_MAX, "Failed to decode tags file: more than %d tags", BR_TAGS_MAX);
            return BRUIT_EFULL;
        }
    }
    return 0;
}

int br_tags_file_read(const char *path, unsigned protocol, uint8_t meta[BRUIT_META_MAX], size_t *meta_size,
                      size_t *count, bool *is_there, char why[BR_WHY_MAX])
{
    struct br_tag_set set = {.count = 0};
    struct stat status;
    *is_there = stat(path, &status) == 0 || errno != ENOENT;
    json_t *root = *is_there ? load(path, "tags", why) : json_object();
    int error = root == NULL ? BRUIT_EINVAL : collect_tags(root, &set, why);
    if (error == 0) {
        error = br_tag_set_encode(&set, protocol, meta, meta_size);
        if (error != 0)
            (void)snprintf(why, BR_WHY_MAX, "Encoded length of tags exceeds limit of %d bytes",
                           BRUIT_META_MAX);
    }
    *count = set.count;
    json_decref(root);
    return error;
}

int br_tags_file_write(const char *path, const struct br_tag_set *set, char why[BR_WHY_MAX])
{
    struct br_blob text = BR_BLOB_EMPTY;
    br_blob_text(&text, "{");
    for (size_t i = 0; i < set->count; i++) {
        br_blob_text(&text, i == 0 ? "\n  " : ",\n  ");
        write_text(&text, set->tags[i].key);
        br_blob_text(&text, ": ");
        write_text(&text, set->tags[i].value);
    }
    br_blob_text(&text, set->count == 0 ? "}" : "\n}");
    int error = write_file(path, &text, "tags", why);
    br_blob_release(&text);
    return error;
}

/* ------------------------------------------------------------------ keys */

static int decode_key(const json_t *text, struct br_keyring_file *out, char why[BR_WHY_MAX])
{
    char reason[BR_WHY_MAX];
    size_t size = BRUIT_KEY_MAX;
    if (!json_is_string(text) && !json_is_null(text))
        return cannot_decode("keyring", text, "string", why);
    int error = br_base64_decode(json_is_null(text) ? "" : json_string_value(text),
                                 out->keys[out->count].bytes, &size, reason);
    if (error == BRUIT_ETOOBIG) {
        size = 0; /* of no right size, which is told when all have been decoded */
    } else if (error != 0) {
        (void)snprintf(why, BR_WHY_MAX, "Failed to decode key from keyring: %.900s", reason);
        return error;
    }
    out->keys[out->count++].size = size;
    return 0;
}

static int decode_keys(const json_t *root, struct br_keyring_file *out, char why[BR_WHY_MAX])
{
    if (!json_is_array(root) && !json_is_null(root))
        return cannot_decode("keyring", root, "[]string", why);
    for (size_t i = 0; i < json_array_size(root); i++) {
        if (out->count == BR_KEYRING_KEYS_MAX) {
            (void)snprintf(why, BR_WHY_MAX, "Failed to restore keyring: more than %d keys",
                           BR_KEYRING_KEYS_MAX);
            return BRUIT_EFULL;
        }
        int error = decode_key(json_array_get(root, i), out, why);
        if (error != 0)
            return error;
    }
    if (out->count == 0) {
        (void)snprintf(why, BR_WHY_MAX, "Keyring file contains no keys");
        return BRUIT_EINVAL;
    }
    for (size_t i = 0; i < out->count; i++) {
        size_t size = out->keys[i].size;
        if (size == 16 || size == 24 || size == 32)
            continue;
        (void)snprintf(why, BR_WHY_MAX, "Failed to restore keyring: key size must be 16, 24 or 32 bytes");
        return BRUIT_EINVAL;
    }
    return 0;
}

int br_keyring_file_read(const char *path, struct br_keyring_file *out, char why[BR_WHY_MAX])
{
    struct stat status;
    out->count = 0;
    if (stat(path, &status) != 0) {
        (void)snprintf(why, BR_WHY_MAX,
                       "stat %.300s: %s: write a JSON list of keys, which \"bruit keygen\" makes", path,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
        return BRUIT_ENOENT;
    }
    json_t *root = load(path, "keyring", why);
    int error = root == NULL ? BRUIT_EINVAL : decode_keys(root, out, why);
    json_decref(root);
    return error;
}

int br_keyring_file_write(const char *path, const struct bruit_engine *engine, char why[BR_WHY_MAX])
{
    struct br_blob text = BR_BLOB_EMPTY;
    struct bruit_bytes key;
    char encoded[4 * ((BRUIT_KEY_MAX + 2) / 3) + 1];
    br_blob_text(&text, "[");
    for (size_t i = 0; (key = bruit_key_get(engine, i)).size > 0 && key.size <= BRUIT_KEY_MAX; i++) {
        br_base64_encode(key, encoded);
        br_blob_printf(&text, "%s\"%s\"", i == 0 ? "\n  " : ",\n  ", encoded);
    }
    br_blob_text(&text, "\n]");
    int error = write_file(path, &text, "keyring", why);
    if (text.data != NULL)
        explicit_bzero(text.data, text.size);
    explicit_bzero(encoded, sizeof encoded);
    br_blob_release(&text);
    return error;
}

/* Sets of tags; see tags.h. */
#include "agent/tags.h"

#include <bruit/error.h>

/* Where `key` is or belongs. */
static size_t find(const struct br_tag_set *set, struct bruit_bytes key, bool *is_there)
{
    size_t low = 0, high = set->count;
    *is_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = br_bytes_compare(set->tags[middle].key, key);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int br_tag_set_put(struct br_tag_set *set, struct bruit_bytes key, struct bruit_bytes value)
{
    bool is_there;
    size_t place = find(set, key, &is_there);
    if (!is_there) {
        if (set->count == BR_TAGS_MAX)
            return BRUIT_EFULL;
        memmove(&set->tags[place + 1], &set->tags[place], (set->count - place) * sizeof set->tags[0]);
        set->count++;
    }
    set->tags[place] = (struct br_serf_tag){.key = key, .value = value};
    return 0;
}

void br_tag_set_remove(struct br_tag_set *set, struct bruit_bytes key)
{
    bool is_there;
    size_t place = find(set, key, &is_there);
    if (!is_there)
        return;
    set->count--;
    memmove(&set->tags[place], &set->tags[place + 1], (set->count - place) * sizeof set->tags[0]);
}

struct bruit_bytes br_tag_set_get(const struct br_tag_set *set, struct bruit_bytes key)
{
    bool is_there;
    size_t place = find(set, key, &is_there);
    return is_there ? set->tags[place].value : br_bytes(NULL, 0);
}

void br_tag_set_read(struct br_tag_set *set, struct bruit_bytes meta)
{
    struct br_serf_tags walk;
    struct br_serf_tag tag;
    set->count = 0;
    br_serf_tags_open(&walk, meta);
    while (br_serf_tags_next(&walk, &tag))
        if (br_tag_set_put(set, tag.key, tag.value) != 0)
            return;
}

int br_tag_set_encode(const struct br_tag_set *set, unsigned protocol, uint8_t out[BRUIT_META_MAX],
                      size_t *size)
{
    struct br_writer w;
    br_writer_init(&w, out, BRUIT_META_MAX);
    int error = protocol < 3 ? br_serf_role_encode(&w, set->tags, set->count)
                             : br_serf_tags_encode(&w, set->tags, set->count);
    *size = error == 0 ? br_writer_size(&w) : 0;
    return error;
}

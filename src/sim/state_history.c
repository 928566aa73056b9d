/*
 * The history of a run: every write, and what it replaced. What must be shown follows from it alone.
 *
 * Of each write two sets of earlier writes of the same key are kept, as bits: those that its writer was shown, which
 * it replaces; and with them those that they replaced, and so on. Two writes are concurrent when neither is in the
 * other's second set.
 */
#include "sim/state.h"

#include <stdlib.h>
#include <string.h>

void *br_state_room(void *old, size_t count, size_t size)
{
    void *room = realloc(old, count * size + 1);
    if (room != NULL)
        return room;
    (void)fprintf(stderr, "bruit-sim state: no memory: take fewer nodes, keys or jobs.\n");
    exit(BR_OUTCOME_REFUSED);
}

void br_history_init(struct br_history *history, uint32_t keys)
{
    *history = (struct br_history){.key_count = keys};
    history->keys = br_state_room(NULL, keys, sizeof *history->keys);
    memset(history->keys, 0, keys * sizeof *history->keys);
}

void br_history_fini(struct br_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        free(history->writes[i].seen);
        free(history->writes[i].covered);
    }
    for (uint32_t i = 0; i < history->key_count; i++)
        free(history->keys[i].writes);
    free(history->writes);
    free(history->keys);
}

static uint64_t *no_bits(uint32_t words)
{
    uint64_t *bits = br_state_room(NULL, words, sizeof *bits);
    memset(bits, 0, words * sizeof *bits);
    return bits;
}

static bool has_bit(const uint64_t *bits, uint32_t words, uint32_t index)
{
    return index / 64 < words && (bits[index / 64] >> index % 64 & 1u) != 0;
}

static void add_seen(struct br_write *write, const struct br_write *earlier)
{
    uint64_t bit = UINT64_C(1) << earlier->index % 64;
    write->seen[earlier->index / 64] |= bit;
    write->covered[earlier->index / 64] |= bit;
    for (uint32_t i = 0; i < earlier->words; i++)
        write->covered[i] |= earlier->covered[i];
}

uint32_t br_history_add(struct br_history *history, uint32_t key, const uint32_t *seen, uint32_t seen_count)
{
    struct br_key_history *of_key = &history->keys[key];
    if (history->count == history->capacity) {
        history->capacity += history->capacity / 2 + 64;
        history->writes = br_state_room(history->writes, history->capacity, sizeof *history->writes);
    }
    if (of_key->count == of_key->capacity) {
        of_key->capacity += of_key->capacity / 2 + 4;
        of_key->writes = br_state_room(of_key->writes, of_key->capacity, sizeof *of_key->writes);
    }
    uint32_t number = history->count++;
    struct br_write *write = &history->writes[number];
    *write = (struct br_write){.key = key, .index = of_key->count, .words = of_key->count / 64 + 1};
    write->seen = no_bits(write->words);
    write->covered = no_bits(write->words);
    for (uint32_t i = 0; i < seen_count; i++)
        add_seen(write, &history->writes[seen[i]]);
    of_key->writes[of_key->count++] = number;
    return number;
}

bool br_history_covers(const struct br_history *history, uint32_t later, uint32_t earlier)
{
    const struct br_write *write = &history->writes[later];
    return has_bit(write->covered, write->words, history->writes[earlier].index);
}

bool br_history_saw(const struct br_history *history, uint32_t later, uint32_t earlier)
{
    const struct br_write *write = &history->writes[later];
    return has_bit(write->seen, write->words, history->writes[earlier].index);
}

uint32_t br_history_named(const struct br_history *history, uint32_t key, uint64_t actor, uint64_t counter)
{
    const struct br_key_history *of_key = &history->keys[key];
    for (uint32_t i = of_key->count; i-- > 0;) {
        const struct br_write *write = &history->writes[of_key->writes[i]];
        if (write->actor == actor && write->counter == counter)
            return of_key->writes[i];
    }
    return BR_STATE_NONE;
}

/*
 * How keys and siblings come and go: the hand movements behind kv_store.h, each of which keeps tables, order, hash
 * tree, heaps, counts and the context's count of siblings in step. Nothing here fails: room was reserved.
 */
#ifndef BR_MODULE_KV_KEEP_H
#define BR_MODULE_KV_KEEP_H

#include "module/kv_store.h"

/* The hash under which names are in the table. */
uint64_t br_kv_keep_hash(const struct br_kv_store *s, struct bruit_bytes name);

/* A new key without siblings; `name` (of `size` bytes) becomes the store's. */
uint32_t br_kv_keep_key(struct br_kv_store *s, uint8_t *name, uint16_t size);

/* Forgets a key that has no siblings and of which no change is remembered. True: it is gone. */
bool br_kv_keep_release(struct br_kv_store *s, uint32_t key);

/* Adds a sibling of an actor whose number is known; `data` and `pending` become the store's. Returns its slot. */
uint32_t br_kv_keep_add(struct br_kv_store *s, uint32_t key, const struct br_kv_write *write, uint32_t actor,
                        uint8_t *data, struct br_kv_pending *pending, bruit_time now);

/* Takes a sibling out; the key stays, even if it was the last one. */
void br_kv_keep_remove(struct br_kv_store *s, uint32_t sibling);

/* Makes a tombstone of a sibling, which keeps its dot: it is there for what is pending with it. */
void br_kv_keep_bury(struct br_kv_store *s, uint32_t sibling, bruit_time now);

/* Gives a sibling another list of what is pending (NULL: none), which becomes the store's. */
void br_kv_keep_pending(struct br_kv_store *s, uint32_t sibling, struct br_kv_pending *pending);

/* Remembers a change, for which there is room or an older one to be forgotten. */
void br_kv_keep_change(struct br_kv_store *s, uint32_t key, enum br_kv_change_kind kind, struct br_kv_dot dot);

/* Is it covered by now? Then it need not be pending. */
bool br_kv_keep_is_settled(const struct br_kv_store *s, const struct br_kv_past *past);

size_t br_kv_keep_pending_size(uint32_t count);

#endif

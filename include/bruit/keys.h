/*
 * The keys of the whole cluster: installed, put to use, removed and listed on every member at once. A module; it asks
 * through the query module, which must be there.
 *
 * A question is asked of everybody, ourselves included; each answer is an event, and the last event says that it is
 * over: as soon as everybody who was alive has answered, else after the default timeout of queries. A key is put into
 * use in three steps, each when the one before has succeeded everywhere: install, use, remove the old one.
 *
 * The module also answers when others ask. Rules: docs/wire/serf.md, sections 8.2 and 8.3.
 */
#ifndef BRUIT_KEYS_H
#define BRUIT_KEYS_H

#include <bruit/engine.h>
#include <bruit/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For bruit_config.modules. */
BRUIT_API extern const struct bruit_module bruit_keys_module;

/* Module events of this module. */
#define BRUIT_EVENT_KEYS_ANSWER (BRUIT_EVENT_MODULE + 24) /* `request`: bruit_keys_answer_read() */
#define BRUIT_EVENT_KEYS_DONE (BRUIT_EVENT_MODULE + 25)   /* `request`; `changes` members were asked */

/*
 * What keeps the ring for the next start: called after each change, before it is answered for. Returns 0, or an error
 * with a sentence in `why`, which is what the member then answers. It must not make requests of the engine.
 */
typedef int (*bruit_keys_save_fn)(void *context, char *why, size_t size);

/* Returns 0, or BRUIT_ENOENT when the engine has no keys module. `save` may be NULL. */
BRUIT_API int bruit_keys_configure(struct bruit_engine *engine, bruit_keys_save_fn save, void *context);

enum bruit_keys_command {
    BRUIT_KEYS_INSTALL,
    BRUIT_KEYS_USE,
    BRUIT_KEYS_REMOVE,
    BRUIT_KEYS_LIST, /* the key is ignored */
};

/*
 * Asks everybody, and fills *request. One question at a time: BRUIT_EBUSY while one is under way. Returns 0,
 * BRUIT_ETOOBIG for a key of more than 512 bytes, BRUIT_ENOENT without this module or the query module, or what
 * bruit_query_start() returns. Members refuse keys of a wrong size by themselves.
 */
BRUIT_API int bruit_keys_ask(struct bruit_engine *engine, enum bruit_keys_command command, struct bruit_bytes key,
                             uint32_t *request, bruit_time now);

/* What one member answered. Everything lives as long as the event. */
struct bruit_keys_answer {
    struct bruit_bytes from;
    bool is_good;               /* it did as it was told; else `message` says why not */
    struct bruit_bytes message; /* may be there all the same: the list was cut short */
    struct bruit_bytes primary; /* of a list: the key in use, in base64 */
    struct bruit_bytes rest;    /* of a list: the keys that bruit_keys_next() has not given yet */
    uint32_t rest_count;
};

/* Returns 0, or BRUIT_EINVAL for another event. */
BRUIT_API int bruit_keys_answer_read(const struct bruit_event *event, struct bruit_keys_answer *out);

/* The next key of a list, in base64. False at the end. */
BRUIT_API bool bruit_keys_next(struct bruit_keys_answer *answer, struct bruit_bytes *key);

#ifdef __cplusplus
}
#endif

#endif

/*
 * The module door: how a feature is added to the engine without the engine knowing it.
 *
 * A module is a table of hooks and a state of fixed size. The engine calls the hooks; the module acts
 * through the `struct bruit_host` services it was given at init, and through nothing else. Hooks may call
 * every service. Modules do not know each other; an absent one costs nothing. examples/my_module.c is a
 * whole module on one page.
 *
 * Threads and time are the engine's: hooks run inside an input or a pull, `bruit_host_now()` is its time.
 */
#ifndef BRUIT_MODULE_H
#define BRUIT_MODULE_H

#include <bruit/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bruit_host; /* the services; one per module and engine */

/* A broadcast that is under way; 0 is none. */
typedef uint64_t bruit_handle;

/*
 * The one document of Serf's push/pull (docs/wire/serf.md, section 6). Modules contribute values to it by
 * key; a merge finds the keys of the other side's. It is exchanged when at least one module claims a key;
 * keys that nobody claims get the value of a Serf that never saw an event.
 */
struct bruit_document;

/*
 * Questions: one member's module asks the same module of others. They travel as internal queries ("_serf_" and the
 * name), so they need the query module (<bruit/query.h>), which is the one that carries them.
 */
struct bruit_question {
    uint64_t id;             /* for bruit_host_answer() */
    struct bruit_bytes name; /* without "_serf_" */
    struct bruit_bytes payload;
    struct bruit_bytes source; /* who asks; empty from old peers */
    bruit_time deadline;
};

struct bruit_answer {
    uint32_t ask;    /* the number that bruit_host_ask() gave */
    bool is_last;    /* the question is over: no name, no payload */
    bool is_early;   /* and it is, because everybody who was asked has answered */
    uint32_t expected; /* how many were asked, as far as we know; with is_last */
    struct bruit_bytes from;
    struct bruit_bytes payload;
};

struct bruit_module {
    size_t struct_size;
    const char *name;  /* of its random stream and its trace; unique in an engine */
    size_t state_size; /* bytes of state, zeroed before init */

    /* First bytes of the user messages that are this module's. Two claims of one byte: configuration error. */
    const uint8_t *message_types;
    size_t message_type_count;

    /* Keys of the push/pull document that export_section writes. Two claims of one key: error. */
    const char *const *section_keys;
    size_t section_key_count;

    /*
     * For what bruit speaks and Serf does not: one bit of a byte (1, 2, 4, ... 128), or 0. Members that carry a module
     * with a bit say so (docs/protocol.md), and its broadcasts are told to those alone; on_member() with
     * BRUIT_CHANGE_PEER says who turned out to be one, bruit_host_is_peer() who is. A member that does not carry the
     * module must never be sent its messages: a Serf agent would log that it does not know them. Two modules of one
     * bit: configuration error. bruit's own: 1 kv, 2 aggregate.
     */
    uint8_t capability;

    /* Names of the questions that on_question answers, without "_serf_". Two claims of one name: error. */
    const char *const *questions;
    size_t question_count;

    /* All hooks may be NULL. `self` is the module's state. */

    int (*init)(void *self, struct bruit_host *host); /* 0, or an error that fails bruit_engine_new() */
    void (*fini)(void *self);

    /* A member changed (enum bruit_change bits). Called once the change is complete. */
    void (*on_member)(void *self, bruit_node node, uint32_t changes);
    /* A message of a claimed type: `body` is what follows the type byte, `message` is all of it. */
    void (*on_message)(void *self, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from);
    /* A broadcast was sent as often as it will be, or was dropped for others. `status` is 0. */
    void (*on_broadcast_done)(void *self, bruit_handle handle, int status);

    /* Writes the msgpack value of `key` (a claimed one) with bruit_document_write(); `join` as in merge. */
    int (*export_section)(void *self, struct bruit_document *document, const char *key, bool join);
    /* The other side's document; `join`: the exchange is part of a join; `active`: and we asked for it. */
    void (*merge_sections)(void *self, const struct bruit_document *document, bool join, bool active);

    /* Bytes to put into acks (at most `room`; valid until the next call), and what came back in one. */
    struct bruit_bytes (*ack_payload)(void *self, size_t room);
    void (*on_ack)(void *self, bruit_node node, bruit_time rtt, struct bruit_bytes payload);

    /* The module's own next deadline, and that it has come. */
    bruit_time (*deadline)(const void *self);
    void (*on_time)(void *self);

    /* An explicit bruit_join() ended and reached `contacted` members. */
    void (*on_joined)(void *self, uint32_t contacted, uint32_t flags);
    /* bruit_leave() begins. True: hold membership's goodbye until bruit_host_leave_ready(). */
    bool (*on_leave)(void *self);

    /* A question of a claimed name: answer it with bruit_host_answer(), now or before its deadline, or never. */
    void (*on_question)(void *self, const struct bruit_question *question);
    /* An answer to a question of ours; the last call for each says that it is over. */
    void (*on_answer)(void *self, const struct bruit_answer *answer);

    /* Of what bruit_host_store() wrote, all up to and with `token` is durable (0), or failed and may be lost. */
    void (*on_stored)(void *self, uint64_t token, int status);
};

/* ------------------------------------------------------------------ services */

BRUIT_API bruit_time bruit_host_now(const struct bruit_host *host);
BRUIT_API uint64_t bruit_host_random(struct bruit_host *host); /* the module's own stream */
BRUIT_API uint64_t bruit_host_random_below(struct bruit_host *host, uint64_t bound); /* bound > 0 */

/* Accounted memory: as env.resize, refused beyond memory_max. */
BRUIT_API void *bruit_host_resize(struct bruit_host *host, void *old, size_t old_size, size_t new_size);

/* The engine's configuration. Keys, modules and metadata are not in it: ask the engine. */
BRUIT_API const struct bruit_config *bruit_host_config(const struct bruit_host *host);

/* The flags of all bruit_join() that are under way, or'ed. */
BRUIT_API uint32_t bruit_host_join_flags(const struct bruit_host *host);

/* The engine, for the read-only functions of <bruit/member.h>. */
BRUIT_API const struct bruit_engine *bruit_host_engine(const struct bruit_host *host);

/*
 * Broadcasts `message` (its first byte is a claimed type, except when a received message is passed on)
 * to the whole cluster by gossip. `order` 0 goes out before 1 before 2 when room is short (Serf: intents,
 * queries, events). Copied. Returns a handle, or 0 without memory. Beyond BRUIT_QUEUE_MAX
 * what was told most often is dropped, and done.
 *
 * From a module with a capability it is told to those alone who carry the module, in a queue of its own, whatever
 * `order` says; 0 is also returned when nobody else does, or when the message does not fit a packet
 * (bruit_host_message_room() says what does), and then nothing is told.
 */
BRUIT_API bruit_handle bruit_host_broadcast(struct bruit_host *host, struct bruit_bytes message,
                                            uint32_t order);

/* The longest message, in bytes, that a datagram of its own or a broadcast can carry; it changes with the keyring. */
BRUIT_API size_t bruit_host_message_room(const struct bruit_host *host);

/*
 * A copy of what we broadcast came back: others tell it, too, so we tell it once less. It never keeps the first
 * round of gossip from telling it. Any handle will do, also of one that is done.
 */
BRUIT_API void bruit_host_heard(struct bruit_host *host, bruit_handle handle);

/* How many broadcasts of one order may wait. */
#define BRUIT_QUEUE_MAX 4096

/* How many broadcasts of `order` wait. */
BRUIT_API size_t bruit_host_queued(const struct bruit_host *host, uint32_t order);

/* Sends `message` to one address, as a datagram of its own, soon. Copied. 0, BRUIT_ENOMEM, BRUIT_EFULL. */
BRUIT_API int bruit_host_send(struct bruit_host *host, const struct bruit_addr *to,
                              struct bruit_bytes message);

/*
 * Sends `message` (at most BRUIT_STREAM_MESSAGE_MAX bytes) to one address over a stream of its own: for what does not
 * fit a datagram or must not get lost on the way. Copied; may fail later without a word. Returns 0, BRUIT_ENOMEM,
 * BRUIT_ETOOBIG, or BRUIT_EFULL when modules have BRUIT_MODULE_STREAMS_MAX under way: try again later.
 */
BRUIT_API int bruit_host_send_stream(struct bruit_host *host, const struct bruit_addr *to,
                                     struct bruit_bytes message);
#define BRUIT_MODULE_STREAMS_MAX 64
#define BRUIT_STREAM_MESSAGE_MAX 4194304

/* Does this member carry our module, too, as far as we know? Never true of dead members, or without a capability. */
BRUIT_API bool bruit_host_is_peer(const struct bruit_host *host, bruit_node node);

/*
 * Writes to the disk of whoever hosts the engine: `value` under `key` in our module's own space; `value.data` NULL
 * deletes the key. Copied. Operations are carried out in order; fills *token, which grows from call to call, and
 * on_stored() says when it is durable. Returns 0, BRUIT_ENOSYS when config.has_store is false, BRUIT_ENOMEM, or
 * BRUIT_EFULL when BRUIT_STORE_QUEUE_MAX bytes wait. What was written before a restart the host hands back by the
 * module's own function, before any input (kv: bruit_kv_load).
 */
BRUIT_API int bruit_host_store(struct bruit_host *host, struct bruit_bytes key, struct bruit_bytes value,
                               uint64_t *token);
#define BRUIT_STORE_QUEUE_MAX 16777216

/* Syncs with whoever is at `addr`, as a join does, but without on_joined() and without an event. */
BRUIT_API int bruit_host_reconnect(struct bruit_host *host, const struct bruit_addr *addr);

/* Hands an event to the program. `data` is copied. 0, BRUIT_ENOMEM, or BRUIT_EFULL (4,096 are waiting). */
BRUIT_API int bruit_host_emit(struct bruit_host *host, const struct bruit_event *event);

/*
 * Asks everybody, ourselves included, and fills *ask. With `until_all` the question is over as soon as all who are
 * alive have answered, else after the default timeout of queries. 0, BRUIT_ENOENT without the query module, or what
 * bruit_query_start() returns.
 */
BRUIT_API int bruit_host_ask(struct bruit_host *host, const char *name, struct bruit_bytes payload,
                             bool until_all, uint32_t *ask);
/* Answers a question. 0, BRUIT_ENOENT without the query module, or what bruit_query_respond() returns. */
BRUIT_API int bruit_host_answer(struct bruit_host *host, uint64_t question, struct bruit_bytes payload);
/* The longest payload of an answer to a question, in bytes. */
BRUIT_API size_t bruit_host_answer_room(struct bruit_host *host, uint64_t question);

/* Ends the hold of on_leave(). */
BRUIT_API void bruit_host_leave_ready(struct bruit_host *host);

/* Writes raw msgpack into a document: only inside export_section(). */
BRUIT_API int bruit_document_write(struct bruit_document *document, struct bruit_bytes msgpack);
/* The raw msgpack value of `key` in the other side's document; empty when it is missing. */
BRUIT_API struct bruit_bytes bruit_document_find(const struct bruit_document *document, const char *key);

#ifdef __cplusplus
}
#endif

#endif

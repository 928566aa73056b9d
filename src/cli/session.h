/*
 * A conversation with an agent, ours or Serf's, from the client's side (docs/wire/serf-rpc.md).
 *
 * Blocking: a command asks, waits for the answer and prints it. Connecting and writing give up after 10 s as
 * Serf's command line does; an answer may take as long as the agent needs.
 */
#ifndef BR_CLI_SESSION_H
#define BR_CLI_SESSION_H

#include "agent/blob.h"
#include "agent/value.h"
#include "codec/msgpack.h"

/* An answer larger than this comes from nobody we want to talk to. */
#define BR_SESSION_OBJECT_MAX ((size_t)256 << 20)

struct br_session {
    int fd;              /* -1: not open */
    bruit_time deadline; /* on the monotonic clock, when the last answer must have come; 0: when it comes */
    uint64_t seq;
    void (*on_record)(
        struct bruit_bytes object); /* of an earlier command, while an answer is awaited; NULL: an error */
    struct br_blob input;
    size_t done;    /* bytes of it that were handed out */
    char why[1024]; /* the sentence about the last failure */
};

/*
 * Connects to "host:port", shakes hands and, unless `auth` is empty, authenticates. 0, or an error with
 * `why`.
 */
int br_session_open(struct br_session *session, const char *address, const char *auth);
void br_session_close(struct br_session *session);

/* The same, and from connecting on nothing waits beyond `deadline`: BRUIT_ETIMEOUT then. */
int br_session_open_until(struct br_session *session, const char *address, const char *auth,
                          bruit_time deadline);

/*
 * Sends a command with its encoded body (empty: it has none) and reads the header of the answer. Returns 0,
 * BRUIT_EREMOTE when the agent answered with an error, or another error; `why` says what. The sequence number
 * it went out with is session->seq.
 */
int br_session_call(struct br_session *session, const char *command, struct bruit_bytes body);

/* The same for a command that only bruit's agents have (agent/feature.h): to any other agent's "no" `why` says so. */
int br_session_call_own(struct br_session *session, const char *command, struct bruit_bytes body);

/* The same with the body {key: value}. */
int br_session_call_text(struct br_session *session, const char *command, const char *key, const char *value);

/* The next object that the agent sent, borrowed until the next call. 0, or an error with `why`. */
int br_session_read(struct br_session *session, struct bruit_bytes *object);

/* Reads a header alone: of a record, or of an answer. `error` is borrowed as above. */
int br_session_read_header(struct br_session *session, uint64_t *seq, struct bruit_bytes *error);

#endif

/*
 * Stream framing (docs/wire/memberlist.md sections 4.4, 4.6 and 5.1).
 *
 *     dialled:   [f4 len label]  [0a length:u32 envelope] or plain
 *     accepted:                  [0a length:u32 envelope] or plain
 *     inside:    [09 map with LZW] or plain: one message
 *
 * One message each way, then the stream is closed. A plain stream has no outer length: nothing but the
 * message itself says where it ends, so the reader works on a prefix that grows. What stands in a frame
 * or in a compress message is complete when it is handed on, and nothing of it is used before its tag was
 * verified.
 */
#ifndef BR_CODEC_FRAME_H
#define BR_CODEC_FRAME_H

#include "codec/msgpack.h"
#include "codec/wire.h"

/* ---- in ---------------------------------------------------------------------------------------------- */

enum br_frame_step {
    BR_FRAME_MORE = 1, /* nothing to see yet */
    BR_FRAME_MESSAGE,  /* *message was filled */
    BR_FRAME_REFUSED,  /* reader->drop says why; if reader->answer, br_frame_write_error; then close */
};

struct br_frame_message {
    uint8_t type;  /* BR_PING, BR_ACK, BR_PUSHPULL, BR_USER, BR_ERR or BR_HEARTBEAT */
    bool complete; /* `body` is all there will be. Otherwise it goes on: read again when more has come */
    struct bruit_bytes body; /* what follows the type byte */
};

struct br_frame_reader {
    const struct br_wire *wire; /* borrowed */
    struct br_scratch *scratch; /* borrowed */
    uint8_t stage;
    bool accepted; /* they dialled: a label header may come, and an err answer may go */
    bool answer;
    bool sealed;
    bool compressed;
    uint8_t seal_version;
    uint8_t key_index;
    enum bruit_drop drop;
    size_t offset;     /* in the received bytes: what is dealt with */
    size_t frame_size; /* of the envelope */
    struct br_mp_scanner scanner;
    struct br_buffer plain;    /* the opened frame; owned */
    struct br_buffer inflated; /* owned */
    struct br_frame_message message;
};

/* `accepted`: the stream was dialled by the other side. */
void br_frame_reader_init(struct br_frame_reader *reader, const struct br_wire *wire,
                          struct br_scratch *scratch, bool accepted);
void br_frame_reader_fini(struct br_frame_reader *reader);

/*
 * Goes on with `received`: all bytes of the stream so far, which only ever grow. Returns an enum
 * br_frame_step, or BRUIT_ENOMEM, after which the stream should be closed. `message->body` is borrowed
 * from the reader when it is complete (the received bytes are then needed no longer), and from `received`
 * when it is not.
 */
int br_frame_read(struct br_frame_reader *reader, struct bruit_bytes received,
                  struct br_frame_message *message);

/*
 * How many bytes there will be up to the end of the frame, as far as that is known: 0 when it is not.
 * Lets a caller reserve once; never more than BR_FRAME_SIZE_MAX and a few.
 */
size_t br_frame_expected(const struct br_frame_reader *reader);

/* ---- out --------------------------------------------------------------------------------------------- */

/* The bytes of one direction; free them with br_frame_free. */
struct br_frame {
    struct br_buffer memory;
    struct bruit_bytes bytes; /* in `memory` */
};

/*
 * Whether what is sent goes out as it is, so that a caller may write it in chunks (after the label
 * header).
 */
bool br_frame_is_plain(const struct br_wire *wire);

/*
 * Makes a message that needs no wrapping a frame as it stands: takes over `buffer`, in which it is. False, and
 * nothing was taken, when it has to be wrapped.
 */
bool br_frame_take(const struct br_wire *wire, struct br_buffer *buffer, struct bruit_bytes message,
                   bool dialled, struct br_frame *out);

/*
 * Wraps a message (type byte and body) for sending: compressed if that is on, whether it gets shorter or
 * not, and sealed if there are keys. `dialled`: we opened the stream, so the label header goes first.
 * Returns 0, or BRUIT_ENOMEM, BRUIT_EIO (entropy, cipher), BRUIT_ETOOBIG (the frame would pass what a
 * receiver accepts).
 */
int br_frame_write(const struct br_wire *wire, struct br_scratch *scratch, struct bruit_bytes message,
                   bool dialled, struct br_frame *out);

/* Wraps the err answer for a refused stream, with the sentence of `reason` as its text. */
int br_frame_write_error(const struct br_wire *wire, struct br_scratch *scratch, enum bruit_drop reason,
                         struct br_frame *out);

void br_frame_free(struct br_frame *frame, struct br_alloc *alloc);

#endif

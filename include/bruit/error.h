/*
 * Error codes.
 *
 * Every function that can fail returns 0 or one of these negative codes, and has then changed nothing.
 * What a peer did wrong is never an error of ours: it is counted under a drop reason (see engine.h).
 */
#ifndef BRUIT_ERROR_H
#define BRUIT_ERROR_H

#include <bruit/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*        name       value  sentence for people: what is wrong, and what to do */
#define BRUIT_ERRORS(X)                                                                              \
    X(BRUIT_EINVAL, -1, "invalid argument: see the function's description for the ranges")           \
    X(BRUIT_ENOMEM, -2, "out of memory: raise memory_max, or free some")                             \
    X(BRUIT_ECLOSED, -3, "the engine has left the cluster: make a new one to join again")            \
    X(BRUIT_EBUSY, -4, "another request of this kind is still running: wait for its event")          \
    X(BRUIT_ENOENT, -5, "not found")                                                                 \
    X(BRUIT_ETOOBIG, -6, "too big for the wire: see the limit in the function's description")        \
    X(BRUIT_EEXIST, -7, "exists already")                                                            \
    X(BRUIT_EFORMAT, -8, "malformed bytes")                                                          \
    X(BRUIT_EFULL, -9, "a bounded table or queue is full: try again later")                          \
    X(BRUIT_ETIMEOUT, -10, "timed out")                                                              \
    X(BRUIT_EREFUSED, -11, "refused by the other side")                                              \
    X(BRUIT_EUNREACHABLE, -12, "the address cannot be reached from here")                            \
    X(BRUIT_ERESET, -13, "the connection ended before the exchange was complete")                    \
    X(BRUIT_EVERSION, -14, "incompatible protocol versions")                                         \
    X(BRUIT_EKEY, -15, "encryption keys do not match, or none is installed")                         \
    X(BRUIT_ENOSYS, -16, "not available in this build or with this configuration")                   \
    X(BRUIT_EIO, -17, "an input/output operation failed locally")                                    \
    X(BRUIT_EREMOTE, -18, "the other side answered with an error")                                   \
    X(BRUIT_ECHANGED, -19, "what was compared has changed meanwhile: read it again")

enum bruit_error {
    BRUIT_OK = 0,
#define BRUIT_ERROR_ENUM(name, value, text) name = value,
    BRUIT_ERRORS(BRUIT_ERROR_ENUM)
#undef BRUIT_ERROR_ENUM
};

/* One sentence for `code`; a static string, also for codes that do not exist. */
BRUIT_API const char *bruit_strerror(int code);

/* The name of `code`, such as "BRUIT_EINVAL"; a static string. */
BRUIT_API const char *bruit_error_name(int code);

#ifdef __cplusplus
}
#endif

#endif

/*
 * The names and sentences of the error codes, from the one list in <bruit/error.h>.
 */
#include <bruit/error.h>

const char *bruit_strerror(int code)
{
    switch (code) {
    case BRUIT_OK: return "success";
#define SENTENCE(name, value, text) \
    case name: return text;
        BRUIT_ERRORS(SENTENCE)
#undef SENTENCE
    default: return "unknown error";
    }
}

const char *bruit_error_name(int code)
{
    switch (code) {
    case BRUIT_OK: return "BRUIT_OK";
#define NAME(name, value, text) \
    case name: return #name;
        BRUIT_ERRORS(NAME)
#undef NAME
    default: return "BRUIT_UNKNOWN";
    }
}

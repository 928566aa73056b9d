/*
 * Names and sentences of the drop reasons (<bruit/stats.h>).
 */
#include <bruit/stats.h>

const char *bruit_drop_name(enum bruit_drop reason)
{
    static const char *const names[] = {
#define NAME(name, text) #name,
        BRUIT_DROPS(NAME)
#undef NAME
    };

    _Static_assert(BRUIT_DROP_COUNT <= BRUIT_DROP_MAX, "struct bruit_stats has room for every reason");
    return (size_t)reason < BRUIT_DROP_COUNT ? names[reason] : "NONE";
}

const char *bruit_drop_text(enum bruit_drop reason)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        BRUIT_DROPS(TEXT)
#undef TEXT
    };

    return (size_t)reason < BRUIT_DROP_COUNT ? texts[reason] : "nothing was dropped";
}

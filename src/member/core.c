/*
 * The common ground: see core.h.
 */
#include "member/core.h"

#include "base/check.h"
#include "codec/addr.h"

#include <string.h>

static struct bruit_addr long_addr(const struct br_fragment *fragment)
{
    struct bruit_addr addr;
    if (br_addr_make(&addr, br_fragment_addr(fragment), fragment->port) != 0)
        return (struct bruit_addr){0};
    return br_addr_unmapped(&addr);
}

/* Nearly always IPv4. It is written where it is wanted: to copy it from here would take longer than all the rest. */
struct bruit_addr br_core_addr(const struct br_core *core, uint32_t slot)
{
    const struct br_fragment *fragment = br_core_fragment(core, slot);
    struct bruit_bytes ip = br_fragment_addr(fragment);
    struct bruit_addr addr = {.port = fragment->port, .size = 4};
    if (BR_LIKELY(ip.size == 4))
        memcpy(addr.ip, ip.data, 4);
    else
        addr = long_addr(fragment);
    return addr;
}

/*
 * The common ground: see core.h.
 */
#include "member/core.h"

#include "base/check.h"
#include "codec/addr.h"

static struct bruit_addr long_addr(const struct br_fragment *fragment)
{
    struct bruit_addr addr;
    if (br_addr_make(&addr, br_fragment_addr(fragment), fragment->port) != 0)
        return (struct bruit_addr){0};
    return br_addr_unmapped(&addr);
}

/* Nearly always IPv4, written where it is wanted: to copy it once more would take longer than all the rest. */
struct bruit_addr br_core_addr(const struct br_core *core, uint32_t slot)
{
    const struct br_fragment *fragment = br_core_fragment(core, slot);
    struct bruit_bytes ip = br_fragment_addr(fragment);
    if (BR_UNLIKELY(ip.size != 4))
        return long_addr(fragment);
    return (struct bruit_addr){
        .ip = {ip.data[0], ip.data[1], ip.data[2], ip.data[3]}, .port = fragment->port, .size = 4};
}

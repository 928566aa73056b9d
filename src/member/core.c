/*
 * The common ground: see core.h.
 */
#include "member/core.h"

#include "codec/addr.h"

struct bruit_addr br_core_addr(const struct br_core *core, uint32_t slot)
{
    const struct br_fragment *fragment = br_core_fragment(core, slot);
    struct bruit_addr addr;
    if (br_addr_make(&addr, br_fragment_addr(fragment), fragment->port) != 0)
        return (struct bruit_addr){0};
    return br_addr_unmapped(&addr);
}

/*
 * The common ground: see core.h.
 */
#include "member/core.h"

#include "codec/addr.h"

#include <string.h>

struct bruit_addr br_core_addr(const struct br_core *core, uint32_t slot)
{
    const struct br_fragment *fragment = br_core_fragment(core, slot);
    struct bruit_bytes ip = br_fragment_addr(fragment);
    struct bruit_addr addr = {.port = fragment->port, .size = 4};
    if (ip.size == 4) { /* nearly always: and copying it once more would take longer than all of this */
        memcpy(addr.ip, ip.data, 4);
        return addr;
    }
    if (br_addr_make(&addr, ip, fragment->port) != 0)
        return (struct bruit_addr){0};
    return br_addr_unmapped(&addr);
}

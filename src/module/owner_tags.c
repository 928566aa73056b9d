/* Weight and zone of a member from Serf's tags (<bruit/owner.h>): bytes that the member itself chose. */
#include "base/bytes.h"
#include "codec/serf.h"

#include <bruit/owner.h>

/* Digits alone; a number that does not fit is the greatest. Anything else: what the caller has. */
static uint32_t parse_weight(struct bruit_bytes text, uint32_t otherwise)
{
    uint32_t weight = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return otherwise;
        weight = weight > BRUIT_OWNER_WEIGHT_MAX ? weight : weight * 10 + (uint32_t)(text.data[i] - '0');
    }
    return text.size == 0 ? otherwise : weight;
}

void bruit_owner_site_of_tags(void *context, const struct bruit_member *member, struct bruit_owner_site *site)
{
    struct bruit_bytes weight;
    (void)context;
    if (br_serf_tags_find(member->meta, br_bytes_text("weight"), &weight))
        site->weight = parse_weight(weight, site->weight);
    (void)br_serf_tags_find(member->meta, br_bytes_text("zone"), &site->zone); /* else it stays empty */
}

/*
 * Ownership as a module (<bruit/owner.h>): keeps a table of the live members for owner_map.h.
 *
 * The table is made anew when somebody asks and members have come, gone or changed since: a change costs nothing until
 * then, and a crowd of changes costs one table. Suspicion changes nothing, so it moves no keys.
 */
#include "module/owner_map.h"

#include <bruit/error.h>

#define CHANGES_THAT_COUNT \
    (BRUIT_CHANGE_JOINED | BRUIT_CHANGE_UPDATED | BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT)

struct owner {
    struct bruit_host *host;
    bruit_owner_site_fn site;
    void *context;
    struct br_owner_map map;
    uint32_t capacity; /* of its entries */
    bool is_stale;
};

/* ---- the table ---- */

static struct bruit_owner_site site_of(const struct owner *o, const struct bruit_member *member)
{
    struct bruit_owner_site site = {.weight = 1};
    if (o->site != NULL)
        o->site(o->context, member, &site);
    if (site.weight > BRUIT_OWNER_WEIGHT_MAX)
        site.weight = BRUIT_OWNER_WEIGHT_MAX;
    return site;
}

static bool is_live(const struct bruit_member *member)
{
    return member->state == BRUIT_ALIVE || member->state == BRUIT_SUSPECT;
}

/* A little more than are needed, and less again when far fewer are. */
static int reserve(struct owner *o, size_t count)
{
    if (count <= o->capacity && o->capacity <= 4 * count + 16)
        return 0;
    size_t capacity = count + count / 8 + 4;
    struct br_owner_entry *entries = bruit_host_resize(
        o->host, o->map.entries, o->capacity * sizeof entries[0], capacity * sizeof entries[0]);
    if (entries == NULL)
        return count <= o->capacity ? 0 : BRUIT_ENOMEM;
    o->map.entries = entries;
    o->capacity = (uint32_t)capacity;
    return 0;
}

static void add(struct owner *o, bruit_node node)
{
    struct bruit_member member;
    if (bruit_member_get(bruit_host_engine(o->host), node, &member) != 0 || !is_live(&member))
        return;
    struct bruit_owner_site site = site_of(o, &member);
    if (site.weight > 0 && o->map.count < o->capacity)
        o->map.entries[o->map.count++] = br_owner_entry(member.name, node, site.weight, site.zone);
}

static int refresh(struct owner *o)
{
    const struct bruit_engine *engine = bruit_host_engine(o->host);
    if (!o->is_stale)
        return 0;
    int error = reserve(o, bruit_member_alive_count(engine));
    if (error != 0)
        return error;
    o->map.count = 0;
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;)
        add(o, node);
    br_owner_map_finish(&o->map);
    o->is_stale = false;
    return 0;
}

/* ---- hooks ---- */

static int init(void *self, struct bruit_host *host)
{
    struct owner *o = self;
    o->host = host;
    o->is_stale = true;
    return 0;
}

static void fini(void *self)
{
    struct owner *o = self;
    (void)bruit_host_resize(o->host, o->map.entries, o->capacity * sizeof o->map.entries[0], 0); /* frees */
}

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct owner *o = self;
    (void)node;
    o->is_stale |= (changes & CHANGES_THAT_COUNT) != 0;
}

const struct bruit_module bruit_owner_module = {
    .struct_size = sizeof bruit_owner_module,
    .name = "owner",
    .state_size = sizeof(struct owner),
    .init = init,
    .fini = fini,
    .on_member = on_member,
};

/* ---- asking ---- */

int bruit_owner_configure(struct bruit_engine *engine, bruit_owner_site_fn site, void *context)
{
    struct owner *o = bruit_engine_module(engine, &bruit_owner_module);
    if (o == NULL)
        return BRUIT_ENOENT;
    o->site = site;
    o->context = context;
    o->is_stale = true;
    return 0;
}

int bruit_owner_find(struct bruit_engine *engine, struct bruit_bytes key, bruit_node *owners, size_t count)
{
    struct owner *o = bruit_engine_module(engine, &bruit_owner_module);
    if (o == NULL)
        return BRUIT_ENOENT;
    if (count == 0 || count > BRUIT_OWNERS_MAX)
        return BRUIT_EINVAL;
    int error = refresh(o);
    return error != 0 ? error : (int)br_owner_map_find(&o->map, key, owners, count);
}

int bruit_owner_get(struct bruit_engine *engine, bruit_node node, struct bruit_owner_info *out)
{
    struct owner *o = bruit_engine_module(engine, &bruit_owner_module);
    struct bruit_member member;
    if (o == NULL || bruit_member_get(engine, node, &member) != 0)
        return BRUIT_ENOENT;
    int error = refresh(o);
    if (error != 0)
        return error;
    out->site = site_of(o, &member);
    bool owns = is_live(&member) && o->map.total_weight > 0;
    out->share = owns ? (double)out->site.weight / (double)o->map.total_weight : 0.0;
    return 0;
}

/*
 * Ownership for RPC clients: which members keys belong to (<bruit/owner.h>), by the tags `zone` and `weight`.
 *
 *     owner          {Count: 1..32, Keys: [text, ...]} -> {Owners: [[{Addr, Name, Zone}, ...], ...], View}
 *                    a list for each key, the first owner first; Addr is "ip:port"
 *     owner-shares   -> {Members: [{Addr, Name, Share, Weight, Zone}, ...], View}
 *                    every live member; Share is what part of all keys it is the first owner of
 *
 * View is the checksum of the view that answered, as text of 16 hexadecimal digits: agents that give the same one give
 * the same owners.
 */
#include "agent/agent.h"
#include "agent/feature.h"

#include "codec/addr.h"

#include <bruit/owner.h>

#include <stdio.h>

/*
 * Keys of one request. At 10,000 members each costs 14 to 47 us (docs/ownership.md), so one request holds everything
 * else up by some 10 ms, less than a turn of all clients' commands; clients with more keys ask again.
 */
#define KEYS_MAX 256

/* All keys of a member, its numbers, the headers of its texts, and its address. */
#define MEMBER_FIXED (128 + BRUIT_ADDR_TEXT_MAX)

static int open_owner(struct br_agent *agent, char why[BR_WHY_MAX])
{
    (void)why;
    return bruit_owner_configure(bruit_uv_engine(agent->uv), bruit_owner_site_of_tags, NULL);
}

/* ------------------------------------------------------------------ answers */

static void write_text(struct br_writer *w, const char *key, struct bruit_bytes text)
{
    br_mp_write_key(w, key);
    br_mp_write_str8(w, text);
}

static void write_address(struct br_writer *w, const struct bruit_addr *addr)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    struct bruit_addr shown = br_addr_unmapped(addr);
    br_addr_format(&shown, text);
    write_text(w, "Addr", br_bytes_string(text));
}

static void write_view(struct br_blob *out, const struct bruit_engine *engine)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)bruit_view_checksum(engine));
    br_rpc_write_text(out, br_bytes_text("View"));
    br_rpc_write_text(out, br_bytes_string(text));
}

static void write_owner(struct br_blob *out, struct bruit_engine *engine, bruit_node node)
{
    struct bruit_member member = {.node = 0};
    struct bruit_owner_info info = {.share = 0};
    (void)bruit_member_get(engine, node, &member); /* an owner is a member */
    (void)bruit_owner_get(engine, node, &info);
    struct br_writer w = br_blob_writer(out, MEMBER_FIXED + member.name.size + info.site.zone.size);
    br_mp_write_map(&w, 3);
    write_address(&w, &member.addr);
    write_text(&w, "Name", member.name);
    write_text(&w, "Zone", info.site.zone);
    br_blob_written(out, &w);
}

static void write_share(struct br_blob *out, const struct bruit_member *member,
                        const struct bruit_owner_info *info)
{
    struct br_writer w = br_blob_writer(out, MEMBER_FIXED + member->name.size + info->site.zone.size);
    br_mp_write_map(&w, 5);
    write_address(&w, &member->addr);
    write_text(&w, "Name", member->name);
    br_mp_write_key(&w, "Share");
    br_mp_write_float(&w, info->share);
    br_mp_write_key(&w, "Weight");
    br_mp_write_uint(&w, info->site.weight);
    write_text(&w, "Zone", info->site.zone);
    br_blob_written(out, &w);
}

/* ------------------------------------------------------------------ owner */

struct request {
    struct br_mp_list keys;
    uint32_t count;
};

static const struct br_mp_field fields[] = {
    BR_MP_FIELD(struct request, count, "Count", BR_MP_U32, 1, 0),
    BR_MP_FIELD(struct request, keys, "Keys", BR_MP_LIST, 0, 0),
};

/* The owners of one key; 0, or an error. */
static int write_owners(struct br_blob *out, struct bruit_engine *engine, struct bruit_bytes key,
                        uint32_t count)
{
    bruit_node owners[BRUIT_OWNERS_MAX];
    int found = bruit_owner_find(engine, key, owners, count);
    br_rpc_write_array(out, found < 0 ? 0 : (size_t)found);
    for (int i = 0; i < found; i++)
        write_owner(out, engine, owners[i]);
    return found < 0 ? found : 0;
}

static int find_owners(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct bruit_engine *engine = br_client_engine(client);
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_bytes key;
    struct request request;
    struct br_reader r;
    br_reader_init(&r, body);
    br_mp_read_struct(&r, fields, sizeof fields / sizeof fields[0], &request);
    if (r.failed || !br_rpc_holds_texts(&request.keys, 1))
        return BRUIT_EFORMAT;
    if (request.count == 0 || request.count > BRUIT_OWNERS_MAX || request.keys.count > KEYS_MAX) {
        br_client_answer(client, seq, "A key has 1 to 32 owners, and a request 256 keys at most");
        return 0;
    }
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 2);
    br_rpc_write_text(&out, br_bytes_text("Owners"));
    br_rpc_write_array(&out, request.keys.count);
    int error = 0;
    while (error == 0 && br_rpc_next_text(&request.keys, &key))
        error = write_owners(&out, engine, key, request.count);
    write_view(&out, engine);
    if (error != 0) {
        br_blob_release(&out);
        br_client_answer(client, seq, bruit_strerror(error));
        return 0;
    }
    br_client_send(client, &out, NULL);
    return 0;
}

/* ------------------------------------------------------------------ shares */

static bool is_live(const struct bruit_member *member)
{
    return member->state == BRUIT_ALIVE || member->state == BRUIT_SUSPECT;
}

static int tell_shares(struct br_client *client, uint64_t seq, struct bruit_bytes body)
{
    struct bruit_engine *engine = br_client_engine(client);
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_member member;
    struct bruit_owner_info info;
    int error = 0;
    (void)body; /* there is none */
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_map(&out, 2);
    br_rpc_write_text(&out, br_bytes_text("Members"));
    br_rpc_write_array(&out, bruit_member_alive_count(engine));
    for (bruit_node node = 0; error == 0 && (node = bruit_member_next(engine, node)) != 0;) {
        if (bruit_member_get(engine, node, &member) != 0 || !is_live(&member))
            continue;
        error = bruit_owner_get(engine, node, &info);
        if (error == 0)
            write_share(&out, &member, &info);
    }
    write_view(&out, engine);
    if (error != 0) {
        br_blob_release(&out);
        br_client_answer(client, seq, bruit_strerror(error));
        return 0;
    }
    br_client_send(client, &out, NULL);
    return 0;
}

static const struct br_feature_command feature_commands[] = {
    {"owner", true, find_owners},
    {"owner-shares", false, tell_shares},
};

const struct br_feature br_feature_owner = {
    .name = "owner",
    .module = &bruit_owner_module,
    .commands = feature_commands,
    .command_count = sizeof feature_commands / sizeof feature_commands[0],
    .open = open_owner,
};

/* A member as an agent describes it; see member.h. */
#include "cli/member.h"

#include "codec/addr.h"

static const struct br_mp_field member_fields[] = {
    BR_MP_FIELD(struct br_member, addr, "Addr", BR_MP_BYTES, 1, 0),
    BR_MP_FIELD(struct br_member, delegate_current, "DelegateCur", BR_MP_U8, 10, 0),
    BR_MP_FIELD(struct br_member, delegate_max, "DelegateMax", BR_MP_U8, 9, 0),
    BR_MP_FIELD(struct br_member, delegate_min, "DelegateMin", BR_MP_U8, 8, 0),
    BR_MP_FIELD(struct br_member, name, "Name", BR_MP_TEXT, 0, 0),
    BR_MP_FIELD(struct br_member, port, "Port", BR_MP_U16, 2, 0),
    BR_MP_FIELD(struct br_member, status, "Status", BR_MP_TEXT, 4, 0),
    BR_MP_FIELD(struct br_member, tags, "Tags", BR_MP_PAIRS, 3, 0),
};

bool br_members_open(struct bruit_bytes answer, struct br_reader *r, uint32_t *count)
{
    br_reader_init(r, answer);
    uint32_t pairs = br_mp_read_map(r);
    for (uint32_t i = 0; i < pairs && !r->failed; i++) {
        if (br_bytes_equal(br_mp_read_bytes(r), br_bytes_text("Members"))) {
            *count = br_mp_read_array(r);
            return !r->failed;
        }
        br_mp_skip(r);
    }
    return false;
}

bool br_member_read(struct br_reader *r, struct br_member *member, struct br_tag_set *tags)
{
    br_mp_read_struct(r, member_fields, sizeof member_fields / sizeof member_fields[0], member);
    tags->count = 0;
    struct br_reader pairs;
    br_reader_init(&pairs, member->tags.items);
    for (uint32_t i = 0; i < member->tags.count && !pairs.failed; i++) {
        struct bruit_bytes key = br_mp_read_bytes(&pairs);
        struct bruit_bytes value = br_mp_read_bytes(&pairs);
        if (!pairs.failed)
            (void)br_tag_set_put(tags, key, value); /* beyond 256 tags, which no metadata has room for */
    }
    return !r->failed && !pairs.failed;
}

void br_member_address(const struct br_member *member, char out[BRUIT_ADDR_TEXT_MAX])
{
    struct bruit_addr addr;
    if (br_addr_make(&addr, member->addr, member->port) == 0) {
        struct bruit_addr shown = br_addr_unmapped(&addr);
        br_addr_format(&shown, out);
    } else {
        (void)memcpy(out, "?", 2);
    }
}

static void write_number(struct br_json *json, const char *key, uint64_t number)
{
    br_json_name(json, key);
    br_json_number(json, number);
}

void br_member_write(struct br_json *json, const struct br_member *member, const struct br_tag_set *tags)
{
    char address[BRUIT_ADDR_TEXT_MAX];
    br_member_address(member, address);
    br_json_item(json);
    br_json_open(json, '{');
    br_json_name(json, "name");
    br_json_text(json, member->name);
    br_json_name(json, "addr");
    br_json_text(json, br_bytes_string(address));
    write_number(json, "port", member->port);
    br_json_name(json, "tags");
    br_json_open(json, '{');
    for (size_t i = 0; i < tags->count; i++) {
        br_json_key(json, tags->tags[i].key);
        br_json_text(json, tags->tags[i].value);
    }
    br_json_close(json, '}');
    br_json_name(json, "status");
    br_json_text(json, member->status);
    br_json_name(json, "protocol");
    br_json_open(json, '{');
    write_number(json, "max", member->delegate_max);
    write_number(json, "min", member->delegate_min);
    write_number(json, "version", member->delegate_current);
    br_json_close(json, '}');
    br_json_close(json, '}');
}

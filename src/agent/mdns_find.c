/* Who answered; see mdns_find.h. */
#include "agent/mdns_find.h"

#include "codec/addr.h"

void br_mdns_finder_init(struct br_mdns_finder *finder, const struct br_mdns_name *service)
{
    finder->service = *service;
    finder->count = 0;
}

/* The one of this instance, made if need be; NULL: it is of another service, or there is no room. */
static struct br_mdns_find *find(struct br_mdns_finder *finder, const struct br_mdns_name *instance)
{
    if (!br_mdns_name_is_below(instance, &finder->service))
        return NULL;
    for (size_t i = 0; i < finder->count; i++)
        if (br_mdns_name_equal(&finder->finds[i].instance, instance))
            return &finder->finds[i];
    if (finder->count == BR_MDNS_FINDS_MAX)
        return NULL;
    struct br_mdns_find *found = &finder->finds[finder->count++];
    *found = (struct br_mdns_find){.instance = *instance};
    return found;
}

static void take_instance(struct br_mdns_finder *finder, const struct br_mdns_record *record)
{
    const struct br_mdns_name *instance = record->type == BR_MDNS_PTR ? &record->target : &record->name;
    struct br_mdns_find *found = NULL;
    if (record->type == BR_MDNS_PTR ? br_mdns_name_equal(&record->name, &finder->service)
                                    : record->type == BR_MDNS_SRV || record->type == BR_MDNS_TXT)
        found = find(finder, instance);
    if (found == NULL)
        return;
    if (record->type == BR_MDNS_SRV) {
        found->host = record->target;
        found->addr.port = record->port;
        found->was_named = true;
    } else if (record->type == BR_MDNS_TXT) {
        found->has_text = true;
    }
}

/*
 * The address of a host. Several agents may share a host's name and not its address: those whose host this message
 * named are meant, or else all that wait for it. The first IPv4 address wins, then the first IPv6 address.
 */
static void take_addr(struct br_mdns_finder *finder, const struct br_mdns_record *record, bool only_named)
{
    struct bruit_addr addr;
    if (br_addr_make(&addr, record->data, 0) != 0 || br_addr_is_unspecified(&addr))
        return;
    for (size_t i = 0; i < finder->count; i++) {
        struct br_mdns_find *found = &finder->finds[i];
        bool is_better = found->addr.size == 0 || (found->addr.size == 16 && addr.size == 4);
        if (found->was_named != only_named || !is_better || !br_mdns_name_equal(&found->host, &record->name))
            continue;
        addr.port = found->addr.port;
        found->addr = addr;
    }
}

bool br_mdns_finder_take(struct br_mdns_finder *finder, struct bruit_bytes message)
{
    struct br_mdns_reader reader;
    struct br_mdns_question question;
    struct br_mdns_record record;
    if (br_mdns_open(&reader, message) != 0 || !reader.is_response || !reader.is_plain)
        return false;
    for (size_t i = 0; i < finder->count; i++)
        finder->finds[i].was_named = false;
    while (br_mdns_next_question(&reader, &question))
        continue;
    struct br_mdns_reader again = reader;
    while (br_mdns_next_record(&reader, &record))
        if (record.is_internet)
            take_instance(finder, &record);
    bool any_named = false;
    for (size_t i = 0; i < finder->count; i++)
        any_named = any_named || finder->finds[i].was_named;
    while (br_mdns_next_record(&again, &record))
        if (record.is_internet && (record.type == BR_MDNS_A || record.type == BR_MDNS_AAAA))
            take_addr(finder, &record, any_named);
    return true;
}

static bool is_complete(const struct br_mdns_find *found)
{
    return found->addr.size != 0 && found->addr.port != 0 && found->has_text;
}

bool br_mdns_finder_found(struct br_mdns_finder *finder, struct bruit_addr *out)
{
    for (size_t i = 0; i < finder->count; i++) {
        if (!is_complete(&finder->finds[i]))
            continue;
        *out = finder->finds[i].addr;
        finder->finds[i] = finder->finds[--finder->count];
        return true;
    }
    return false;
}

bool br_mdns_finder_missing(struct br_mdns_finder *finder, struct br_mdns_name *out)
{
    for (size_t i = 0; i < finder->count; i++) {
        if (finder->finds[i].was_asked)
            continue;
        finder->finds[i].was_asked = true;
        *out = finder->finds[i].instance;
        return true;
    }
    return false;
}

/*
 * Multicast DNS: one message to an agent that announces itself and looks for others.
 *
 * Whatever comes is a question to be answered and an answer to be used. What we answer must be a message that can be
 * read, of whole records, and an agent that is found must have an address and a port.
 */
#include "fuzz.h"

#include "agent/mdns_find.h"
#include "codec/addr.h"

#include <stdlib.h>

static void answer(const struct br_mdns_service *service, struct bruit_bytes message, bool by_unicast)
{
    uint8_t out[BR_MDNS_ANSWER_MAX];
    struct br_mdns_reader reader;
    struct br_mdns_record record;
    size_t size = br_mdns_answer(service, message, by_unicast, out, sizeof out), count = 0;
    if (size == 0)
        return;
    if (size > sizeof out || br_mdns_open(&reader, br_bytes(out, size)) != 0 || !reader.is_response)
        abort();
    while (br_mdns_next_record(&reader, &record))
        count += record.is_internet;
    if (count == 0)
        abort();
}

static void find(const struct br_mdns_service *service, struct bruit_bytes message)
{
    static struct br_mdns_finder finder;
    struct bruit_addr addr;
    struct br_mdns_name missing;
    br_mdns_finder_init(&finder, &service->service);
    for (int i = 0; i < 2; i++) { /* the second one meets what the first left */
        (void)br_mdns_finder_take(&finder, message);
        if (finder.count > BR_MDNS_FINDS_MAX)
            abort();
    }
    while (br_mdns_finder_found(&finder, &addr))
        if (addr.port == 0 || br_addr_is_unspecified(&addr))
            abort();
    while (br_mdns_finder_missing(&finder, &missing))
        if (!br_mdns_name_is_below(&missing, &service->service))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct br_mdns_service service;
    struct bruit_addr addr;
    char why[BR_WHY_MAX];
    if (br_addr_parse(&addr, "10.1.2.3:7946", 0) != 0 ||
        br_mdns_service_init(&service, "demo", "n1", "h", &addr, why) != 0)
        abort();
    struct bruit_bytes message = br_bytes(data, size);
    answer(&service, message, false);
    answer(&service, message, true);
    find(&service, message);
    return 0;
}

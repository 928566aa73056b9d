/*
 * Who answered: addresses of agents, put together from the records of multicast DNS that came in.
 *
 * An agent is found when its instance has an address, a port and a text, in one message or in several (docs/wire/
 * serf-agent.md section 4.5). Instances of other services count for nothing. What is still incomplete is kept, up to a
 * number, and is worth one more question.
 */
#ifndef BR_AGENT_MDNS_FIND_H
#define BR_AGENT_MDNS_FIND_H

#include "agent/mdns_message.h"

/* Instances that are incomplete at once: they usually are for as long as it takes to read one message. */
#define BR_MDNS_FINDS_MAX 32

struct br_mdns_find {
    struct br_mdns_name instance;
    struct br_mdns_name host; /* empty until it is known */
    struct bruit_addr addr;   /* size 0 until it is known; the port with the host */
    bool has_text;
    bool was_asked;
    bool was_named; /* in the message at hand */
};

struct br_mdns_finder {
    struct br_mdns_name service;
    struct br_mdns_find finds[BR_MDNS_FINDS_MAX];
    size_t count;
};

void br_mdns_finder_init(struct br_mdns_finder *finder, const struct br_mdns_name *service);

/* A message, of any kind. Returns whether it held a response that could be read. */
bool br_mdns_finder_take(struct br_mdns_finder *finder, struct bruit_bytes message);

/* The next that is complete, once. False: none is. */
bool br_mdns_finder_found(struct br_mdns_finder *finder, struct bruit_addr *out);

/* The next that is not, and was not asked for yet: ask for ANY of it. */
bool br_mdns_finder_missing(struct br_mdns_finder *finder, struct br_mdns_name *out);

#endif

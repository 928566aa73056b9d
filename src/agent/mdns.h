/*
 * Discovery by multicast DNS: agents of one cluster name on one link find each other (docs/wire/serf-agent.md section
 * 4.5), real Serf agents among them.
 *
 * Two halves. The responder listens on port 5353 of both groups and tells by unicast where we are. The asker asks both
 * groups for our service at once and every minute, listens for a second, and hands each address out once, ever: when
 * no new one has come for 100 ms, all that have come, together.
 *
 * Only what was sent to the group is answered, and IPv6 only on the link, so nobody outside can use us as a reflector;
 * answers are bounded in number. At rest there is one timer, which fires once a minute.
 */
#ifndef BR_AGENT_MDNS_H
#define BR_AGENT_MDNS_H

#include "agent/log.h"
#include "agent/mdns_message.h"

#include <uv.h>

#define BR_MDNS_PORT 5353

/* Serf's numbers. */
#define BR_MDNS_ASK_EVERY_MS 60000
#define BR_MDNS_LISTEN_MS 1000
#define BR_MDNS_QUIET_MS 100

/* Addresses that are remembered as handed out; what comes beyond is not joined. */
#define BR_MDNS_SEEN_MAX 4096

/* Answers in a second: as many as a large link full of agents may ask for when it is switched on. */
#define BR_MDNS_ANSWERS_MAX 1000

struct br_mdns;

struct br_mdns_options {
    uv_loop_t *loop;
    struct br_log *log;
    struct br_mdns_service service;
    unsigned interface;    /* its index; 0: the system's choice */
    bool no_ipv4, no_ipv6; /* do not ask there */
    /* New addresses, never our own; borrowed for the call. */
    void (*found)(void *context, const struct bruit_addr *addrs, size_t count);
    void *context;
};

/* Returns 0, or an error with a sentence in `why`: no socket could be had for either family. */
int br_mdns_new(struct br_mdns **out, const struct br_mdns_options *options, char why[BR_WHY_MAX]);

/* Frees on a later turn of the loop. NULL is fine. */
void br_mdns_close(struct br_mdns *mdns);

#endif

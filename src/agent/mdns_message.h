/*
 * Messages of multicast DNS (RFC 6762, on RFC 1035's format), as far as an agent that announces itself needs them:
 * docs/wire/serf-agent.md section 4.5.
 *
 * Reading is strict and bounded, since anybody on the link can send: a name has at most 255 bytes, a compression
 * pointer leads backwards only, records of the types below must have the form of their type, and a message with
 * anything wrong in it, or with something behind its end, counts for nothing. Writing never compresses: what we say
 * has some 300 bytes. Nothing here knows sockets or time.
 */
#ifndef BR_AGENT_MDNS_MESSAGE_H
#define BR_AGENT_MDNS_MESSAGE_H

#include "agent/value.h"
#include "base/bytes.h"

/* What RFC 6762 (17) allows a message to have, and what we write: no fragments on Ethernet. */
#define BR_MDNS_MESSAGE_MAX 9000
#define BR_MDNS_ANSWER_MAX 1400

/* RFC 1035 (2.3.4): bytes of a name, its final zero included. */
#define BR_MDNS_NAME_MAX 255

/* Seconds for which our records are good: Serf's library's. */
#define BR_MDNS_TTL 120

enum br_mdns_type {
    BR_MDNS_A = 1,
    BR_MDNS_PTR = 12,
    BR_MDNS_TXT = 16,
    BR_MDNS_AAAA = 28,
    BR_MDNS_SRV = 33,
    BR_MDNS_ANY = 255,
};

/* Labels, each behind its length, and a zero. Compared without regard to ASCII case. */
struct br_mdns_name {
    uint8_t size;
    uint8_t labels[BR_MDNS_NAME_MAX];
};

/*
 * From text with dots between the labels; the final dot may be missing. Returns 0, or BRUIT_EINVAL when it has an
 * empty label, one of more than 63 bytes, or more than 255 bytes in all.
 */
int br_mdns_name_parse(struct br_mdns_name *out, const char *text);
bool br_mdns_name_equal(const struct br_mdns_name *a, const struct br_mdns_name *b);
/* Whether `name` is one or more labels in front of `parent`. */
bool br_mdns_name_is_below(const struct br_mdns_name *name, const struct br_mdns_name *parent);

/* ------------------------------------------------------------------ reading */

/* Of one message, which is borrowed. */
struct br_mdns_reader {
    struct bruit_bytes message;
    struct br_reader in;
    uint16_t id;
    bool is_response;
    bool is_plain;      /* neither another operation than a query, nor an error, nor cut short */
    uint32_t questions; /* that are still to be read */
    uint32_t records;   /* and of all three kinds: answers, authorities, additional ones */
};

struct br_mdns_question {
    struct br_mdns_name name;
    uint16_t type;
    bool is_internet;   /* of a class that can be ours */
    bool wants_unicast; /* the bit that RFC 6762 (5.4) puts on top of the class */
};

struct br_mdns_record {
    struct br_mdns_name name;
    uint16_t type;
    bool is_internet;
    struct br_mdns_name target; /* of PTR and SRV */
    uint16_t port;              /* of SRV */
    struct bruit_bytes data;    /* of A (4 bytes), AAAA (16), TXT */
};

/* Looks at all of the message. Returns 0, or BRUIT_EFORMAT: then there is nothing to be read. */
int br_mdns_open(struct br_mdns_reader *reader, struct bruit_bytes message);

/* The questions first, then the records; false at the end of each. */
bool br_mdns_next_question(struct br_mdns_reader *reader, struct br_mdns_question *out);
bool br_mdns_next_record(struct br_mdns_reader *reader, struct br_mdns_record *out);

/* ------------------------------------------------------------------ asking */

/* A question about `name`, with id 0, since answers are told by what they say. Returns the bytes written. */
size_t br_mdns_ask(const struct br_mdns_name *name, uint16_t type, uint8_t *out, size_t capacity);

/* ------------------------------------------------------------------ answering */

/* What an agent announces. */
struct br_mdns_service {
    struct br_mdns_name service;     /* _serf_CLUSTER._tcp.local. */
    struct br_mdns_name instance;    /* NODE._serf_CLUSTER._tcp.local. */
    struct br_mdns_name host;        /* HOST. */
    struct br_mdns_name enumeration; /* _services._dns-sd._udp.local. */
    struct bruit_addr addr;
    char text[BRUIT_NAME_MAX + 1];
};

/*
 * Returns 0, or BRUIT_EINVAL with a sentence in `why`: a name that does not fit. `addr` is where gossip is spoken, with
 * its port. An empty `host` stands for the node's name.
 */
int br_mdns_service_init(struct br_mdns_service *service, const char *cluster, const char *node,
                         const char *host, const struct bruit_addr *addr, char why[BR_WHY_MAX]);

/*
 * Our answer to the questions of `query` that do (or do not) want it by unicast: those two differ in the id that
 * their asker expects. Returns its size, or 0 when nothing of it is about us, or it is none that is to be answered.
 */
size_t br_mdns_answer(const struct br_mdns_service *service, struct bruit_bytes query, bool by_unicast,
                      uint8_t *out, size_t capacity);

#endif

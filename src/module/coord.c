/*
 * Network coordinates as a module (docs/wire/serf.md, 10.1): our place goes out in each direct ack; what comes back in
 * one moves us, and is kept as that member's place. The arithmetic is vivaldi.h's.
 *
 * Memory: 128 bytes for each member that has answered a probe of ours.
 */
#include "base/bytes.h"
#include "codec/serf.h"
#include "module/host.h"
#include "module/vivaldi.h"

/* Version byte, map of four keys, nine floats: 130 bytes, rounded up. */
#define PAYLOAD_SIZE_MAX 160

/* What a member told of itself, and how long its answers took. */
struct known {
    struct bruit_coordinate place;
    struct br_vivaldi_filter filter;
    bool has_place;
};

struct coord {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct br_rng rng;
    struct br_vivaldi client;
    struct known **by_node; /* NULL: it told us nothing */
    uint32_t by_node_size;
    struct bruit_coord_stats stats;
    uint8_t payload[PAYLOAD_SIZE_MAX];
};

/* ---- on the wire ---- */

static struct br_serf_coordinate to_wire(const struct bruit_coordinate *place)
{
    struct br_serf_coordinate wire = {.adjustment = place->adjustment,
                                      .error = place->error,
                                      .height = place->height,
                                      .dimensions = BRUIT_COORD_DIMENSIONS};
    memcpy(wire.vec, place->vec, sizeof wire.vec);
    return wire;
}

static struct bruit_coordinate from_wire(const struct br_serf_coordinate *wire)
{
    struct bruit_coordinate place = {
        .adjustment = wire->adjustment, .error = wire->error, .height = wire->height};
    memcpy(place.vec, wire->vec, sizeof place.vec);
    return place;
}

static struct bruit_bytes ack_payload(void *self, size_t room)
{
    struct coord *c = self;
    struct br_serf_coordinate wire = to_wire(&c->client.place);
    struct br_writer w;
    br_writer_init(&w, c->payload, sizeof c->payload < room ? sizeof c->payload : room);
    br_serf_coordinate_encode(&w, &wire);
    return w.failed ? br_bytes(NULL, 0) : br_writer_bytes(&w);
}

/* ---- what is known of whom ---- */

static int reserve_node(struct coord *c, bruit_node node)
{
    if (node < c->by_node_size)
        return 0;
    uint32_t grown = node + node / 2 + 8;
    struct known **by_node = bruit_host_resize(c->host, c->by_node, c->by_node_size * sizeof(struct known *),
                                               grown * sizeof(struct known *));
    if (by_node == NULL)
        return BRUIT_ENOMEM;
    for (uint32_t i = c->by_node_size; i < grown; i++)
        by_node[i] = NULL;
    c->by_node = by_node;
    c->by_node_size = grown;
    return 0;
}

/* The entry of a member, made if need be; NULL without memory, and then its answer is passed over. */
static struct known *entry_of(struct coord *c, bruit_node node)
{
    if (reserve_node(c, node) != 0)
        return NULL;
    if (c->by_node[node] == NULL) {
        c->by_node[node] = bruit_host_resize(c->host, NULL, 0, sizeof(struct known));
        if (c->by_node[node] != NULL)
            *c->by_node[node] = (struct known){0};
    }
    return c->by_node[node];
}

static void forget(struct coord *c, bruit_node node)
{
    if (node >= c->by_node_size || c->by_node[node] == NULL)
        return;
    (void)bruit_host_resize(c->host, c->by_node[node], sizeof(struct known), 0); /* frees */
    c->by_node[node] = NULL;
}

/* ---- hooks ---- */

static void reject(struct coord *c, bruit_node node, const char *why)
{
    c->stats.rejected++;
    BR_TRACE(c->tracer, coordinate_rejected, .node = bruit_member_name(bruit_host_engine(c->host), node),
             .why = why);
}

static void on_ack(void *self, bruit_node node, bruit_time rtt, struct bruit_bytes payload)
{
    struct coord *c = self;
    struct br_serf_coordinate wire;
    if (payload.size == 0)
        return; /* a member without coordinates */
    int status = br_serf_coordinate_decode(&wire, payload);
    if (status != 0) {
        reject(c, node, status == BRUIT_EVERSION ? "unsupported ping version" : "cannot be decoded");
        return;
    }
    struct known *known = entry_of(c, node);
    if (known == NULL)
        return;
    struct bruit_coordinate place = from_wire(&wire);
    enum br_vivaldi_refusal refusal = br_vivaldi_update(&c->client, &known->filter, &place, wire.dimensions,
                                                        rtt > INT64_MAX ? -1 : (int64_t)rtt, &c->rng);
    if (refusal != BR_VIVALDI_TAKEN) {
        reject(c, node, br_vivaldi_text(refusal));
        return;
    }
    known->place = place;
    known->has_place = true;
    c->stats.updates++;
    c->stats.zero_rtt += rtt == 0 ? 1 : 0;
}

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    if (changes & BRUIT_CHANGE_FORGOTTEN)
        forget(self, node);
}

static int init(void *self, struct bruit_host *host)
{
    struct coord *c = self;
    c->host = host;
    c->tracer = br_host_tracer(host);
    br_rng_init(&c->rng, bruit_host_random(host), "directions");
    br_vivaldi_init(&c->client);
    return 0;
}

static void fini(void *self)
{
    struct coord *c = self;
    for (bruit_node node = 0; node < c->by_node_size; node++)
        forget(c, node);
    (void)bruit_host_resize(c->host, c->by_node, c->by_node_size * sizeof(struct known *), 0); /* frees */
}

const struct bruit_module bruit_coord_module = {
    .struct_size = sizeof bruit_coord_module,
    .name = "coord",
    .state_size = sizeof(struct coord),
    .init = init,
    .fini = fini,
    .on_member = on_member,
    .ack_payload = ack_payload,
    .on_ack = on_ack,
};

/* ---- reading ---- */

int bruit_coord_get(const struct bruit_engine *engine, struct bruit_bytes name, struct bruit_coordinate *out)
{
    const struct coord *c = bruit_engine_module(engine, &bruit_coord_module);
    bruit_node node = bruit_member_find(engine, name);
    if (c == NULL || node == 0)
        return BRUIT_ENOENT;
    if (node == bruit_member_self(engine)) {
        *out = c->client.place;
        return 0;
    }
    if (node >= c->by_node_size || c->by_node[node] == NULL || !c->by_node[node]->has_place)
        return BRUIT_ENOENT;
    *out = c->by_node[node]->place;
    return 0;
}

int bruit_coord_stats(const struct bruit_engine *engine, struct bruit_coord_stats *out)
{
    const struct coord *c = bruit_engine_module(engine, &bruit_coord_module);
    if (c == NULL)
        return BRUIT_ENOENT;
    *out = c->stats;
    out->resets = c->client.resets;
    return 0;
}

/*
 * A seed becomes a scenario: a cluster, its network, and what befalls it.
 *
 * What is drawn keeps to what the checks owe an answer for (scenario_run.c): links that lose a tenth at most while
 * all is well, Serf's reconnecting, processes that join somebody when they start. Everything else is fair game.
 */
#include "sim/swarm.h"

#include "base/rng.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct draw {
    struct br_rng rng;
    char *text;
    size_t size;
    uint32_t nodes;
    uint32_t zones;
    bool has_keys;
    bool has_events;  /* all modules */
    uint32_t timeout; /* of a probe, in ms: a network slower than that is not drawn */
};

static uint32_t below(struct draw *d, uint32_t bound)
{
    return br_rng_below(&d->rng, bound);
}

static bool one_in(struct draw *d, uint32_t n)
{
    return below(d, n) == 0;
}

static uint32_t between(struct draw *d, uint32_t least, uint32_t most)
{
    return least + below(d, most - least + 1);
}

static void say(struct draw *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct draw *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(d->text + d->size, BR_SWARM_TEXT_MAX - d->size, format, arguments);
    va_end(arguments);
    if (size > 0 && (size_t)size < BR_SWARM_TEXT_MAX - d->size)
        d->size += (size_t)size;
    d->text[d->size] = 0;
}

/* ------------------------------------------------------------------ the cluster */

struct choice {
    const char *format; /* of one number */
    uint32_t values[5];
    uint32_t count;
};

static const struct choice engine_choices[] = {
    {"indirect_checks %u\n", {0, 1, 2, 3, 4}, 5},          {"suspicion_mult %u\n", {2, 3, 4, 5, 6}, 5},
    {"suspicion_max_mult %u\n", {1, 2, 4, 6}, 4},          {"awareness_max %u\n", {1, 2, 4, 8}, 4},
    {"gossip_interval %ums\n", {0, 50, 100, 200, 500}, 5}, {"gossip_nodes %u\n", {1, 2, 3, 4, 5}, 5},
    {"retransmit_mult %u\n", {1, 2, 3, 4, 6}, 5},          {"gossip_to_the_dead %us\n", {5, 15, 30, 60}, 4},
    {"push_pull_interval %us\n", {5, 10, 15, 30, 60}, 5},  {"dead_reclaim %us\n", {0, 10, 30}, 3},
    {"packet_size_max %u\n", {1152, 1400, 8000}, 3},       {"early_sync_budget %u\n", {0, 4096, 32768}, 3},
};

static void draw_engine(struct draw *d)
{
    static const char *const profiles[] = {"lan", "lan", "lan", "local", "local", "wan"};
    uint32_t profile = below(d, 6);
    say(d, "profile %s\n", profiles[profile]);
    d->timeout = profile < 3 ? 500 : profile < 5 ? 200 : 3000;
    if (one_in(d, 3)) {
        static const uint32_t intervals[] = {200, 500, 1000, 2000};
        uint32_t interval = intervals[below(d, 4)];
        d->timeout = interval / (2 + 2 * below(d, 2));
        say(d, "probe_interval %ums\nprobe_timeout %ums\n", interval, d->timeout);
    }
    for (size_t i = 0; i < sizeof engine_choices / sizeof engine_choices[0]; i++)
        if (one_in(d, 5)) {
            const struct choice *c = &engine_choices[i];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            say(d, c->format, c->values[below(d, c->count)]);
#pragma GCC diagnostic pop
        }
    if (one_in(d, 4))
        say(d, "stream_pings %s\n", one_in(d, 2) ? "no" : "yes");
    if (one_in(d, 6))
        say(d, "compression yes\n");
    if (one_in(d, 6))
        say(d, "label \"swarm\"\n");
    d->has_keys = one_in(d, 8);
    if (d->has_keys)
        say(d, "keys 000102030405060708090a0b0c0d0e0f\n");
    d->has_events = one_in(d, 3);
    if (d->has_events)
        say(d, "modules status event query coord\n");
}

static void draw_network(struct draw *d)
{
    static const uint32_t latencies[] = {100, 500, 2000, 10000};
    d->zones = one_in(d, 4) && d->nodes >= 3 ? between(d, 2, 3) : 1;
    say(d, "latency %uus\njitter %uus%s\n", latencies[below(d, d->timeout < 200 ? 3 : 4)],
        between(d, 0, 5000), one_in(d, 4) ? " lognormal" : "");
    if (!one_in(d, 3)) /* a hundredth, about which no mistake is forgiven, or more */
        say(d, "loss %u.%u%%\n", one_in(d, 2) ? 0 : between(d, 1, 8), between(d, 1, 9));
    if (one_in(d, 4))
        say(d, "duplicate %u%%\n", between(d, 1, 20));
    if (one_in(d, 4))
        say(d, "reorder %u%% by %ums\n", between(d, 1, 30), between(d, 1, 50));
    if (d->zones > 1)
        say(d, "zones %u\nacross latency %ums\n", d->zones,
            between(d, 1, d->timeout < 200 ? d->timeout / 5 : 40));
}

/* ------------------------------------------------------------------ what befalls it */

static uint32_t node(struct draw *d)
{
    return below(d, d->nodes);
}

/* One node, some in a row, a share, a zone. */
static void say_nodes(struct draw *d)
{
    uint32_t first = node(d);
    switch (below(d, 6)) {
    case 0: say(d, "n%u..n%u", first, between(d, first, d->nodes - 1)); break;
    case 1: say(d, "%u%%", between(d, 10, 60)); break;
    case 2:
        if (d->zones > 1) {
            say(d, "zone%u", below(d, d->zones));
            break;
        }
        say(d, "n%u", first);
        break;
    default: say(d, "n%u", first); break;
    }
}

static void say_for(struct draw *d)
{
    if (!one_in(d, 4))
        say(d, " for %ums", between(d, 200, 40000));
    say(d, "\n");
}

static void draw_process(struct draw *d)
{
    switch (below(d, 6)) {
    case 0:
    case 1:
        say(d, "kill ");
        say_nodes(d);
        say(d, "\n");
        break;
    case 2: say(d, "start n%u\n", node(d)); break;
    case 3:
        say(d, "restart ");
        say_nodes(d);
        say(d, "%s", one_in(d, 2) ? " without state" : "");
        if (one_in(d, 2))
            say(d, " after %ums", between(d, 10, 30000));
        say(d, "%s\n", one_in(d, 8) ? " at new address" : "");
        break;
    case 4: say(d, "leave n%u\n", node(d)); break;
    default: say(d, "wipe n%u\n", node(d)); break;
    }
}

static void draw_slowness(struct draw *d)
{
    switch (below(d, 5)) {
    case 0:
    case 1: say(d, "pause "); break;
    case 2:
        say(d, "starve n%u run %ums stall %ums", node(d), between(d, 1, 500), between(d, 10, 5000));
        say_for(d);
        return;
    case 3:
        say(d, "cpu n%u %uus", node(d), between(d, 10, 20000));
        say_for(d);
        return;
    default:
        say(d, "bandwidth n%u %ukB", node(d), between(d, 2, 100));
        say_for(d);
        return;
    }
    say_nodes(d);
    say_for(d);
}

static void draw_oddity(struct draw *d)
{
    switch (below(d, d->has_events ? 7 : 5)) {
    case 0: say(d, "clock n%u forward %ums\n", node(d), between(d, 1, 100000)); break;
    case 1: say(d, "clock n%u back %ums\n", node(d), between(d, 1, 5000)); break;
    case 2: say(d, "clock n%u %s %u%%\n", node(d), one_in(d, 2) ? "drift" : "slow", between(d, 1, 20)); break;
    case 3:
        say(d, "memory n%u %u%%", node(d), between(d, 1, 50));
        say_for(d);
        break;
    case 4: say(d, "meta n%u \"m%u\"\n", node(d), below(d, 1000)); break;
    case 5: say(d, "query n%u \"q\" timeout %ums\n", node(d), between(d, 100, 10000)); break;
    default:
        say(d, "event n%u \"e\" %u every %ums for %ums\n", node(d), below(d, 400), between(d, 10, 2000),
            between(d, 1, 20000));
        break;
    }
}

static void say_path(struct draw *d)
{
    switch (below(d, 3)) {
    case 0:
        say(d, "of ");
        say_nodes(d);
        break;
    case 1:
        say(d, "between n%u and ", node(d));
        say_nodes(d);
        break;
    default:
        say(d, "from ");
        say_nodes(d);
        say(d, " to ");
        say_nodes(d);
        break;
    }
    if (one_in(d, 4))
        say(d, " %s", one_in(d, 2) ? "datagrams" : "streams");
    if (one_in(d, 4))
        say(d, " pairs %u%%", between(d, 5, 95));
}

static void draw_link(struct draw *d)
{
    switch (below(d, 8)) {
    case 0:
    case 1:
        say(d, "partition ");
        say_nodes(d);
        say_for(d);
        return;
    case 2: say(d, "cut %s", one_in(d, 4) ? "refusing " : ""); break;
    case 3: say(d, "lose %u%% ", between(d, 10, 100)); break;
    case 4: say(d, "delay %ums jitter %ums ", between(d, 1, 2000), between(d, 0, 500)); break;
    case 5:
        say(d, "clog ");
        say_path(d);
        say(d, " for %ums\n", between(d, 100, 20000));
        return;
    case 6: say(d, d->has_keys ? "corrupt %u%% " : "duplicate %u%% ", between(d, 1, 50)); break;
    default: say(d, "network loss %u%%\n", between(d, 5, 60)); return;
    }
    say_path(d);
    say_for(d);
}

static void draw_fault(struct draw *d)
{
    switch (below(d, 8)) {
    case 0:
    case 1:
    case 2: draw_process(d); break;
    case 3:
    case 4: draw_slowness(d); break;
    case 5: draw_oddity(d); break;
    default: draw_link(d); break;
    }
}

size_t br_swarm_text(uint64_t seed, char text[BR_SWARM_TEXT_MAX])
{
    struct draw d = {.text = text};
    br_rng_init(&d.rng, seed, "swarm");
    d.nodes = one_in(&d, 10) ? between(&d, 17, 40) : between(&d, 2, 16);
    say(&d, "seed %" PRIu64 "\nnodes %u\n", seed, d.nodes);
    draw_engine(&d);
    draw_network(&d);
    if (one_in(&d, 3))
        say(&d, "begin stopped\nat 100ms start all over %ums\n", between(&d, 0, 5000));
    uint32_t faults = between(&d, 1, 12), now = 5000;
    for (uint32_t i = 0; i < faults; i++) {
        now += between(&d, 0, 15000);
        say(&d, "at %ums ", now);
        draw_fault(&d);
    }
    now += between(&d, 0, 30000);
    say(&d, "at %ums calm\n", now);
    if (!one_in(&d, 3)) /* the rest stays away, and must be found out */
        say(&d, "at %ums start all\n", now + 1000);
    say(&d, "settle 90s\n");
    return d.size;
}

/*
 * Three members of a cluster in one process, without a network, a clock or a thread.
 *
 * Everything an engine needs is in main(): it is told what arrives and what time it is, and asked what it wants done.
 * Here the "network" is a function call and the clock a number that jumps to the next deadline, so minutes pass in a
 * blink. One member falls silent half way; watch the others find out.
 *
 *     cc hello_engine.c $(pkg-config --cflags --libs bruit) && ./a.out
 */
#include <bruit/bruit.h>

#include <stdio.h>
#include <string.h>

#define MEMBERS 3

struct member {
    struct bruit_engine *engine;
    struct bruit_addr addr;
    char name[8];
    bool silent;
};

static struct member members[MEMBERS];
static bruit_time now = BRUIT_SECOND;

static struct bruit_bytes text(const char *string)
{
    return (struct bruit_bytes){(const uint8_t *)string, strlen(string)};
}

static struct member *member_at(const struct bruit_addr *addr)
{
    for (int i = 0; i < MEMBERS; i++)
        if (memcmp(members[i].addr.ip, addr->ip, sizeof addr->ip) == 0)
            return &members[i];
    return NULL;
}

static void start(int i)
{
    struct member *m = &members[i];
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    snprintf(m->name, sizeof m->name, "n%d", i);
    m->addr = (struct bruit_addr){.ip = {10, 0, 0, (uint8_t)(i + 1)}, .size = 4, .port = 7946};
    bruit_config_lan(&config);
    config.name = text(m->name);
    config.advertise = m->addr;
    config.seed = (uint64_t)i + 1;
    int status = bruit_engine_new(&m->engine, &config, &env, now);
    if (status != 0)
        printf("%s: %s\n", m->name, bruit_strerror(status));
}

/* ---- the network ---- */

static bool deliver_datagrams(struct member *m)
{
    uint8_t buffer[2048];
    struct bruit_datagram out;
    bool any = false;
    while (bruit_next_datagram(m->engine, buffer, sizeof buffer, &out, now)) {
        struct member *to = member_at(&out.to);
        any = true;
        if (to != NULL && !to->silent && !m->silent)
            bruit_recv_datagram(to->engine, &m->addr, (struct bruit_bytes){buffer, out.size}, now);
    }
    return any;
}

/* A connection: the two ends' numbers. One at a time is enough here, since each is one request and one answer. */
static struct {
    struct member *ours, *theirs;
    uint32_t our_stream, their_stream;
} line;

static void open_line(struct member *m, const struct bruit_stream_op *op)
{
    struct member *to = member_at(&op->to);
    if (to == NULL || to->silent || line.ours != NULL ||
        bruit_stream_accepted(to->engine, &m->addr, &line.their_stream, now) != 0) {
        bruit_stream_closed(m->engine, op->stream, BRUIT_EREFUSED, now);
        return;
    }
    line.ours = m;
    line.theirs = to;
    line.our_stream = op->stream;
    bruit_stream_opened(m->engine, op->stream, now);
}

static void carry(struct member *m, const struct bruit_stream_op *op)
{
    bool from_us = m == line.ours;
    bruit_recv_stream(from_us ? line.theirs->engine : line.ours->engine,
                      from_us ? line.their_stream : line.our_stream, op->bytes, now);
    bruit_stream_sent(m->engine, op->stream, now);
}

static void close_line(struct member *m)
{
    bool from_us = m == line.ours;
    if (line.ours != NULL)
        bruit_stream_closed(from_us ? line.theirs->engine : line.ours->engine,
                            from_us ? line.their_stream : line.our_stream, 0, now);
    line.ours = NULL;
}

static bool do_streams(struct member *m)
{
    struct bruit_stream_op op;
    bool any = false;
    while (bruit_next_stream_op(m->engine, &op)) {
        any = true;
        if (op.type == BRUIT_STREAM_OPEN)
            open_line(m, &op);
        else if (op.type == BRUIT_STREAM_SEND)
            carry(m, &op);
        else
            close_line(m);
    }
    return any;
}

/* ---- the program ---- */

static bool tell_events(struct member *m)
{
    struct bruit_event event;
    struct bruit_member who;
    bool any = false;
    while (bruit_next_event(m->engine, &event)) {
        any = true;
        if (event.type != BRUIT_EVENT_MEMBER || bruit_member_get(m->engine, event.node, &who) != 0 ||
            who.is_self)
            continue;
        const char *what = event.changes & BRUIT_CHANGE_JOINED      ? "has joined"
                           : event.changes & BRUIT_CHANGE_SUSPECTED ? "does not answer"
                           : event.changes & BRUIT_CHANGE_FAILED    ? "is dead"
                                                                    : "changed";
        printf("%7.3f s  %s: %.*s %s\n", (double)now / 1e9, m->name, (int)who.name.size,
               (const char *)who.name.data, what);
    }
    return any;
}

static void pull_all(void)
{
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < MEMBERS; i++) {
            any |= deliver_datagrams(&members[i]);
            any |= do_streams(&members[i]);
            any |= tell_events(&members[i]);
        }
    }
}

static bruit_time next_deadline(void)
{
    bruit_time next = BRUIT_NEVER;
    for (int i = 0; i < MEMBERS; i++)
        if (!members[i].silent && bruit_deadline(members[i].engine) < next)
            next = bruit_deadline(members[i].engine);
    return next;
}

static void run_until(bruit_time end)
{
    pull_all();
    while (next_deadline() <= end) {
        if (next_deadline() > now)
            now = next_deadline();
        for (int i = 0; i < MEMBERS; i++)
            if (!members[i].silent && bruit_deadline(members[i].engine) <= now)
                bruit_tick(members[i].engine, now);
        pull_all();
    }
    now = end;
}

int main(void)
{
    uint32_t request;
    for (int i = 0; i < MEMBERS; i++)
        start(i);
    for (int i = 1; i < MEMBERS; i++) {
        bruit_join(members[i].engine, &(struct bruit_join_target){.addr = members[0].addr}, 1, 0, &request,
                   now);
        pull_all();
    }
    run_until(10 * BRUIT_SECOND);
    printf("%7.3f s  n2 falls silent\n", (double)now / 1e9);
    members[2].silent = true;
    run_until(60 * BRUIT_SECOND);
    size_t alive = bruit_member_alive_count(members[0].engine);
    printf("%7.3f s  n0 sees %zu alive\n", (double)now / 1e9, alive);
    for (int i = 0; i < MEMBERS; i++)
        bruit_engine_free(members[i].engine);
    return alive == MEMBERS - 1 ? 0 : 1;
}

/*
 * Aggregates on hostile bytes: messages by themselves, and a whole engine with three peers who say anything.
 *
 * The first byte says how names go; the rest is a list of acts: a byte that says which, and what it needs behind it.
 *
 * Besides not crashing: what decodes can be walked to its end; what the engine sends of the module goes to peers alone
 * and decodes; answers are numbers, and no error is negative; one peer cannot make it hold more than its share; and in
 * the end no memory is left.
 */
#include "fuzz.h"

#include "base/check.h"
#include "codec/aggregate.h"
#include "codec/packet.h"
#include "engine/engine.h"
#include "support/memory.h"

#include <bruit/bruit.h>

#include <string.h>

enum act {
    MESSAGE, /* kind, sender, size (2), bytes: the message behind the sender's name */
    RAW,     /* size (2), bytes: behind the type byte */
    TELL,    /* sender, owner, epoch (8), from, to, slot, version, kind, number (8): well made */
    TIME,    /* tenths of a second */
    DEADLINE,
    NUMBER, /* name, number (8) */
    TEXT,   /* name, size */
    WITHDRAW,
    SURVEY,
    MODE,      /* name, mode */
    FAIL,      /* peer: is accused until it is dead */
    NO_MEMORY, /* after how many */
    ACTS,
};

#define PEERS 3
#define STEPS_MAX 200
#define CAPABILITY 2

struct world {
    struct test_memory memory;
    struct bruit_engine *engine;
    bruit_time now;
    bool was_short;
};

static struct test_memory scratch_memory;
static struct br_alloc scratch_alloc;
static struct br_scratch scratch;
static const struct br_wire wire = {.seal_version = 1};
static uint8_t packet[2048];

static uint8_t take(struct br_reader *in)
{
    return br_reader_left(in) == 0 ? 0 : br_read_u8(in);
}

static uint64_t take_u64(struct br_reader *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | take(in);
    return value;
}

static double take_double(struct br_reader *in)
{
    uint64_t bits = take_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct bruit_bytes take_bytes(struct br_reader *in)
{
    size_t size = (size_t)take(in) << 8;
    size |= take(in);
    if (size > br_reader_left(in))
        size = br_reader_left(in);
    return br_read_bytes(in, size);
}

static struct bruit_bytes name_of(uint8_t number)
{
    static const char *const names[] = {"self", "a", "b", "c", "stranger"};
    return br_bytes_string(names[number % 5]);
}

static struct bruit_bytes topic_of(uint8_t number)
{
    static const char *const names[] = {"x", "load", "version", "y"};
    return br_bytes_string(names[number % 4]);
}

static struct bruit_addr addr_of(uint8_t number)
{
    return (struct bruit_addr){.ip = {10, 0, 0, (uint8_t)(number + 1)}, .size = 4, .port = 7946};
}

/* ---- messages by themselves ---- */

static void walk_mass(const struct br_aggregate_mass *mass)
{
    struct bruit_bytes cells = mass->cells;
    struct bruit_bytes tops = mass->tops;
    struct br_aggregate_cell cell = {0};
    struct br_aggregate_top top;
    uint32_t count = 0;
    while (br_aggregate_next_cell(&cells, mass->is_text, &cell))
        count++;
    BR_ASSERT(count == mass->cell_count && cells.size == 0);
    for (count = 0; br_aggregate_next_top(&tops, &top); count++)
        BR_ASSERT(br_aggregate_is_number(top.number));
    BR_ASSERT(count == mass->top_count && tops.size == 0);
}

static void walk(struct bruit_bytes body)
{
    struct br_aggregate_message message;
    struct br_aggregate_group group;
    struct br_aggregate_record record;
    struct br_aggregate_entry entry;
    if (br_aggregate_decode(&message, body) != 0)
        return;
    while (message.kind == BR_AGGREGATE_TELL && br_aggregate_next_group(&message.list, &group)) {
        uint32_t count = 0;
        while (br_aggregate_next_record(&group.records, &record))
            count++;
        BR_ASSERT(count == group.count);
    }
    while (message.kind != BR_AGGREGATE_TELL && br_aggregate_next_entry(&message.list, &entry))
        BR_ASSERT(entry.owner.size > 0);
    BR_ASSERT(message.list.size == 0);
    if (message.kind == BR_AGGREGATE_ASK || message.kind == BR_AGGREGATE_GIVE)
        walk_mass(&message.mass);
}

/* ---- what the engine sends ---- */

static int look_at_leaf(void *context, enum br_message_type type, struct bruit_bytes body)
{
    struct br_aggregate_message message;
    const struct bruit_addr *to = context;
    if (type != BR_USER)
        return 0;
    BR_ASSERT(body.size > 1 && body.data[0] == BR_AGGREGATE_TYPE);
    BR_ASSERT(br_aggregate_decode(&message, br_bytes(body.data + 1, body.size - 1)) == 0);
    BR_ASSERT(to->ip[3] >= 2 && to->ip[3] <= PEERS + 1); /* addr_of(1) to addr_of(PEERS) */
    return 0;
}

static void look_at_drop(void *context, enum bruit_drop reason)
{
    (void)context;
    BR_ASSERT(reason == BRUIT_DROP_NONE);
}

static void pull(struct world *w)
{
    struct bruit_datagram out;
    struct bruit_stream_op op;
    struct bruit_event event;
    while (bruit_next_datagram(w->engine, packet, sizeof packet, &out, w->now)) {
        const struct br_packet_sink sink = {&out.to, look_at_leaf, look_at_drop};
        (void)br_packet_open(&wire, &scratch, br_bytes(packet, out.size), &sink, NULL); /* look_at_leaf returns 0 */
    }
    while (bruit_next_stream_op(w->engine, &op))
        if (op.type == BRUIT_STREAM_OPEN)
            (void)bruit_stream_closed(w->engine, op.stream, BRUIT_EREFUSED, w->now);
    while (bruit_next_event(w->engine, &event))
        BR_ASSERT(event.type != 0);
}

/* ---- acts ---- */

static void hear(struct world *w, uint8_t sender, struct bruit_bytes message)
{
    struct bruit_addr from = addr_of(sender % 5);
    int status = bruit_recv_datagram(w->engine, &from, message, w->now);
    BR_ASSERT(status == 0 || w->was_short);
}

static void introduce(struct world *w, uint8_t peer, uint32_t incarnation)
{
    struct bruit_addr addr = addr_of(peer);
    uint8_t bytes[256];
    struct br_writer writer;
    static const uint8_t vsn[] = {1, 5, 2, 2, 5, 5};
    br_writer_init(&writer, bytes, sizeof bytes);
    br_alive_encode(&writer, &(struct br_alive){.incarnation = incarnation,
                                                .port = addr.port,
                                                .carries = CAPABILITY,
                                                .node = name_of(peer),
                                                .addr = br_bytes(addr.ip, 4),
                                                .vsn = br_bytes(vsn, sizeof vsn)});
    hear(w, peer, br_writer_bytes(&writer));
}

static void say(struct world *w, uint8_t kind, uint8_t sender, struct bruit_bytes rest)
{
    static uint8_t bytes[1 << 17];
    struct br_writer writer;
    br_writer_init(&writer, bytes, sizeof bytes);
    br_write_u8(&writer, BR_USER);
    br_aggregate_begin(&writer, (enum br_aggregate_kind)(kind % 12), name_of(sender));
    br_write_bytes(&writer, rest);
    walk(br_bytes(bytes + 2, br_writer_size(&writer) - 2));
    hear(w, sender, br_writer_bytes(&writer));
}

static void say_raw(struct world *w, struct bruit_bytes body)
{
    static uint8_t bytes[1 << 17];
    struct br_writer writer;
    br_writer_init(&writer, bytes, sizeof bytes);
    br_write_u8(&writer, BR_USER);
    br_write_u8(&writer, BR_AGGREGATE_TYPE);
    br_write_bytes(&writer, body);
    walk(body);
    hear(w, 1, br_writer_bytes(&writer));
}

static void tell(struct world *w, struct br_reader *in)
{
    uint8_t bytes[512];
    struct br_writer writer;
    uint8_t sender = take(in);
    struct br_aggregate_group group = {.owner = name_of(take(in)), .epoch = take_u64(in), .count = 1};
    group.from = take(in);
    group.to = group.from + take(in);
    struct br_aggregate_record record = {.slot = take(in) % 16, .version = group.from + 1};
    record.kind = take(in) % 3;
    record.name = topic_of(take(in));
    record.text = br_bytes_text("1.2.3");
    record.number = take_double(in);
    br_writer_init(&writer, bytes, sizeof bytes);
    br_write_u8(&writer, 0);
    br_aggregate_write_group(&writer, &group);
    br_aggregate_write_record(&writer, &record);
    say(w, BR_AGGREGATE_TELL, sender, br_writer_bytes(&writer));
}

static void pass(struct world *w, bruit_time by)
{
    w->now += by;
    (void)bruit_tick(w->engine, w->now);
}

static void pass_to_deadline(struct world *w)
{
    bruit_time deadline = bruit_deadline(w->engine);
    if (deadline != BRUIT_NEVER && deadline > w->now && deadline - w->now < 60 * BRUIT_SECOND)
        w->now = deadline;
    (void)bruit_tick(w->engine, w->now);
}

static void accuse(struct world *w, uint8_t peer)
{
    uint8_t bytes[256];
    struct br_writer writer;
    br_writer_init(&writer, bytes, sizeof bytes);
    br_dead_encode(&writer, &(struct br_dead){
                                .incarnation = 200, .node = name_of((uint8_t)(1 + peer % PEERS)), .from = name_of(2)});
    hear(w, 2, br_writer_bytes(&writer));
}

static void do_act(struct world *w, struct br_reader *in)
{
    static const uint8_t text[64] = "a text of sixty-four bytes at most, the rest of it is zero bytes";
    uint8_t act = take(in);
    uint8_t kind;
    uint8_t sender;
    struct bruit_bytes topic;
    switch ((enum act)(act % ACTS)) {
    case MESSAGE:
        kind = take(in);
        sender = take(in);
        say(w, kind, sender, take_bytes(in));
        return;
    case RAW: say_raw(w, take_bytes(in)); return;
    case TELL: tell(w, in); return;
    case TIME: pass(w, take(in) * 100 * BRUIT_MILLISECOND); return;
    case DEADLINE: pass_to_deadline(w); return;
    case NUMBER:
        topic = topic_of(take(in));
        (void)bruit_aggregate_publish_number(w->engine, topic, take_double(in), w->now); /* refusals are fine, here */
        return;
    case TEXT: /* and below */
        topic = topic_of(take(in));
        (void)bruit_aggregate_publish_text(w->engine, topic, br_bytes(text, take(in) % 70), w->now);
        return;
    case WITHDRAW: (void)bruit_aggregate_withdraw(w->engine, topic_of(take(in)), w->now); return;
    case SURVEY: (void)bruit_aggregate_survey(w->engine, w->now); return;
    case MODE:
        topic = topic_of(take(in));
        (void)bruit_aggregate_set_mode(w->engine, topic, (enum bruit_aggregate_mode)(take(in) % 3), w->now);
        return;
    case FAIL: accuse(w, take(in)); return;
    case NO_MEMORY:
        w->memory.fail_at = w->memory.count + 1 + take(in);
        w->was_short = true;
        return;
    case ACTS: return;
    }
}

/* ---- what must hold ---- */

static void look_at_answers(struct world *w)
{
    for (uint8_t topic = 0; topic < 4; topic++)
        for (int what = 0; what <= BRUIT_AGGREGATE_DISTINCT; what++) {
            struct bruit_aggregate_answer answer;
            int status = bruit_aggregate_ask(w->engine, topic_of(topic), (enum bruit_aggregate_what)what, 0.3, &answer,
                                             w->now);
            if (status != 0)
                continue;
            BR_ASSERT(answer.value - answer.value == 0 && answer.error - answer.error == 0);
            BR_ASSERT(answer.error >= 0 && answer.members >= answer.is_exact);
        }
    struct bruit_aggregate_stats stats;
    BR_ASSERT(bruit_aggregate_stats(w->engine, &stats) == 0);
    BR_ASSERT(stats.held <= (PEERS + 1) * BRUIT_AGGREGATE_NAMES_MAX);
}

static void look_at_lists(struct world *w)
{
    struct bruit_aggregate_item items[8];
    struct bruit_aggregate_value value;
    struct bruit_aggregate_views views;
    uint64_t cursor = 0;
    uint32_t count = 0;
    for (uint8_t topic = 0; topic < 4; topic++) {
        size_t size = 8;
        (void)bruit_aggregate_top(w->engine, topic_of(topic), items, &size, NULL, w->now); /* may have none */
        BR_ASSERT(size <= 8);
    }
    while (bruit_aggregate_next(w->engine, &cursor, &value))
        count++;
    BR_ASSERT(count <= (PEERS + 2) * BRUIT_AGGREGATE_NAMES_MAX);
    if (bruit_aggregate_views(w->engine, &views) == 0)
        BR_ASSERT(views.different <= views.answered && views.answered <= views.asked);
}

static void start(struct world *w, uint8_t mode)
{
    static const struct bruit_module *const modules[] = {&bruit_aggregate_module};
    struct bruit_aggregate_options options;
    struct bruit_config config;
    bruit_config_lan(&config);
    config.name = name_of(0);
    config.advertise = addr_of(0);
    config.seed = mode;
    config.memory_max = (size_t)8 << 20;
    config.modules = modules;
    config.module_count = 1;
    struct bruit_env env = test_memory_env(&w->memory);
    w->now = BRUIT_SECOND;
    BR_ASSERT(bruit_engine_new(&w->engine, &config, &env, w->now) == 0);
    bruit_aggregate_options_default(&options);
    options.mode = (enum bruit_aggregate_mode)(mode % 3);
    options.exact_max = mode / 3 % 4 + 1;
    BR_ASSERT(bruit_aggregate_configure(w->engine, &options) == 0);
    for (uint8_t peer = 1; peer <= PEERS; peer++)
        introduce(w, peer, 1);
    pull(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct br_reader in;
    if (scratch_alloc.resize == NULL) {
        struct bruit_env env = test_memory_env(&scratch_memory);
        br_alloc_init(&scratch_alloc, &env, 0);
        br_scratch_init(&scratch, &scratch_alloc);
    }
    w = (struct world){.was_short = false};
    test_memory_init(&w.memory);
    br_reader_init(&in, br_bytes(data, size));
    start(&w, take(&in));
    for (unsigned i = 0; i < STEPS_MAX && br_reader_left(&in) > 0; i++) {
        do_act(&w, &in);
        pull(&w);
    }
    w.memory.fail_at = 0;
    look_at_answers(&w);
    look_at_lists(&w);
    bruit_engine_free(w.engine);
    BR_ASSERT(w.memory.in_use == 0);
    return 0;
}

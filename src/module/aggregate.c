/*
 * Aggregates as a module: the hooks, the options, and what we publish (docs/aggregates.md). What others publish and
 * how it gets around is in the files that aggregate_state.h lists.
 *
 * A message that cannot be decoded, or whose sender is no peer of ours, is counted and dropped: who is a peer
 * membership says, never the message.
 */
#include "module/aggregate_state.h"

#include "base/check.h"
#include "base/time.h"

#include <bruit/error.h>

/* What a datagram needs besides our message: type byte, checksum, nonce, tag and padding of the seal, label's head. */
#define OUTSIDE 64

#define INTERVAL_MIN (10 * BRUIT_MILLISECOND)
#define INTERVAL_MAX (3600 * BRUIT_SECOND)

static struct br_aggregate *aggregate_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_aggregate_module);
}

/* ------------------------------------------------------------------ sending */

void br_aggregate_begin_ours(struct br_aggregate *a, struct br_writer *w, uint8_t *buffer, size_t size,
                             enum br_aggregate_kind kind)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    br_writer_init(w, buffer, size);
    br_aggregate_begin(w, kind, bruit_member_name(engine, bruit_member_self(engine)));
}

void br_aggregate_send(struct br_aggregate *a, bruit_node to, const struct br_writer *w)
{
    struct bruit_member member;
    BR_ASSERT(!w->failed);
    if (!bruit_host_is_peer(a->host, to) || bruit_member_get(bruit_host_engine(a->host), to, &member) != 0)
        return;
    /* Lost here or on the way is the same: news is told several times, everything else is asked for again. */
    if (bruit_host_send(a->host, &member.addr, br_writer_bytes(w)) == 0) {
        a->stats.messages_out++;
        a->stats.bytes_out += br_writer_size(w);
    }
}

static bool may_draw(struct br_aggregate *a, bruit_node node, bruit_node not)
{
    return node != not && node != bruit_member_self(bruit_host_engine(a->host)) &&
           bruit_host_is_peer(a->host, node);
}

bruit_node br_aggregate_draw(struct br_aggregate *a, bruit_node not)
{
    if (a->store.count == 0)
        return 0;
    uint32_t at = (uint32_t)bruit_host_random_below(a->host, a->store.count);
    for (uint32_t i = 0; i < a->store.count; i++, at = at + 1 == a->store.count ? 0 : at + 1)
        if (may_draw(a, a->store.order[at], not))
            return a->store.order[at];
    return 0;
}

/* ------------------------------------------------------------------ who counts */

bruit_node br_aggregate_self(struct br_aggregate *a)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    bruit_node self = bruit_member_self(engine);
    if (br_aggregate_enter(&a->store, self, bruit_member_name(engine, self)) != 0)
        return 0;
    struct br_aggregate_owner *owner = br_aggregate_owner(&a->store, self);
    if (owner->epoch == 0) /* 20 random bits tell two lives apart that have no other order */
        br_aggregate_restart(&a->store, owner,
                             (a->options.life << 20) + 1 + bruit_host_random_below(a->host, (1 << 20) - 1));
    return self;
}

/* With some slack on the way back, so that a cluster at the border does not go to and fro. */
static void choose_size(struct br_aggregate *a);

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct br_aggregate *a = self;
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    if (node == bruit_member_self(engine))
        return;
    if (changes & BRUIT_CHANGE_FORGOTTEN) {
        br_aggregate_forget(&a->store, node);
    } else if (!bruit_host_is_peer(a->host, node)) {
        br_aggregate_leave(&a->store, node);
    } else if (br_aggregate_self(a) == 0 ||
               br_aggregate_enter(&a->store, node, bruit_member_name(engine, node)) != 0) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_FULL); /* does not count until its next change */
    }
    choose_size(a);
    br_aggregate_peers_changed(a);
}

/* ------------------------------------------------------------------ which way a name goes */

enum bruit_aggregate_mode br_aggregate_mode_of(const struct br_aggregate *a, struct bruit_bytes name)
{
    enum bruit_aggregate_mode mode = a->options.mode;
    for (uint32_t i = 0; i < a->choice_count; i++)
        if (br_bytes_equal(br_bytes(a->choices[i].name, a->choices[i].name_size), name))
            mode = a->choices[i].mode;
    if (mode != BRUIT_AGGREGATE_AUTO)
        return mode;
    return a->is_large ? BRUIT_AGGREGATE_ESTIMATE : BRUIT_AGGREGATE_EXACT;
}

static struct bruit_bytes own_name(const struct br_aggregate_own *own)
{
    return br_bytes(own->name, own->name_size);
}

/* Puts what we publish into our slot, or, when it goes by estimates, nothing where something was. */
static int settle(struct br_aggregate *a, struct br_aggregate_own *own)
{
    bruit_node self = br_aggregate_self(a);
    bool is_exact = own->kind != BR_AGGREGATE_NOTHING &&
                    br_aggregate_mode_of(a, own_name(own)) == BRUIT_AGGREGATE_EXACT;
    uint8_t slot = (uint8_t)(own - a->own);
    struct br_aggregate_record record = {.slot = slot, .kind = BR_AGGREGATE_NOTHING};
    if (self == 0)
        return BRUIT_ENOMEM;
    if (is_exact) {
        record.kind = own->kind;
        record.name = own_name(own);
        record.number = own->number;
        record.text = br_bytes(own->text, own->text_size);
    }
    if (is_exact || own->is_exact) {
        int status = br_aggregate_put(&a->store, self, &record, bruit_host_now(a->host));
        if (status != 0)
            return status;
        br_aggregate_note_news(&a->store, self, UINT32_C(1) << slot, 0);
        br_aggregate_tell_soon(a);
    }
    own->is_exact = is_exact;
    return is_exact || own->kind == BR_AGGREGATE_NOTHING ? 0 : br_aggregate_estimate_begin(a, own_name(own));
}

/* Whatever goes another way than it did. Without memory it stays where it is until the next time. */
static void settle_all(struct br_aggregate *a)
{
    for (unsigned i = 0; i < BRUIT_AGGREGATE_NAMES_MAX; i++) {
        struct br_aggregate_own *own = &a->own[i];
        if (own->kind == BR_AGGREGATE_NOTHING)
            continue;
        if (own->is_exact != (br_aggregate_mode_of(a, own_name(own)) == BRUIT_AGGREGATE_EXACT))
            (void)settle(a, own);
    }
}

static void choose_size(struct br_aggregate *a)
{
    bool was_large = a->is_large;
    if (a->store.count > a->options.exact_max)
        a->is_large = true;
    if (a->store.count < a->options.exact_max - a->options.exact_max / 4)
        a->is_large = false;
    if (a->is_large != was_large)
        settle_all(a);
}

int bruit_aggregate_set_mode(struct bruit_engine *engine, struct bruit_bytes name, enum bruit_aggregate_mode mode,
                             bruit_time now)
{
    struct br_aggregate *a = aggregate_of(engine);
    uint32_t at = 0;
    if (a == NULL)
        return BRUIT_ENOENT;
    if (name.size == 0 || name.size > BRUIT_AGGREGATE_NAME_MAX || mode > BRUIT_AGGREGATE_ESTIMATE)
        return BRUIT_EINVAL;
    while (at < a->choice_count && !br_bytes_equal(br_bytes(a->choices[at].name, a->choices[at].name_size), name))
        at++;
    if (at == BRUIT_AGGREGATE_NAMES_MAX)
        return BRUIT_EFULL;
    br_host_input(a->host, now);
    a->choices[at] = (struct br_aggregate_choice){.name_size = (uint8_t)name.size, .mode = mode};
    memcpy(a->choices[at].name, name.data, name.size);
    a->choice_count += at == a->choice_count ? 1 : 0;
    settle_all(a);
    return 0;
}

/* ------------------------------------------------------------------ publishing */

const struct br_aggregate_own *br_aggregate_find_own(const struct br_aggregate *a, struct bruit_bytes name)
{
    for (unsigned i = 0; i < BRUIT_AGGREGATE_NAMES_MAX; i++)
        if (a->own[i].kind != BR_AGGREGATE_NOTHING && br_bytes_equal(own_name(&a->own[i]), name))
            return &a->own[i];
    return NULL;
}

static bool is_same(const struct br_aggregate_own *a, const struct br_aggregate_own *b)
{
    return a->kind == b->kind && a->number == b->number &&
           br_bytes_equal(br_bytes(a->text, a->text_size), br_bytes(b->text, b->text_size));
}

static int publish(struct bruit_engine *engine, struct bruit_bytes name, struct br_aggregate_own *value,
                   bruit_time now)
{
    struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return BRUIT_ENOENT;
    if (name.size == 0 || name.size > BRUIT_AGGREGATE_NAME_MAX)
        return name.size == 0 ? BRUIT_EINVAL : BRUIT_ETOOBIG;
    br_host_input(a->host, now);
    value->name_size = (uint8_t)name.size;
    memcpy(value->name, name.data, name.size);
    unsigned at = 0;
    const struct br_aggregate_own *held = br_aggregate_find_own(a, name);
    if (held != NULL && is_same(held, value))
        return 0;
    if (held != NULL)
        at = (unsigned)(held - a->own);
    else
        while (at < BRUIT_AGGREGATE_NAMES_MAX && a->own[at].kind != BR_AGGREGATE_NOTHING)
            at++;
    if (at == BRUIT_AGGREGATE_NAMES_MAX)
        return BRUIT_EFULL;
    struct br_aggregate_own before = a->own[at];
    value->is_exact = before.is_exact;
    a->own[at] = *value;
    int status = settle(a, &a->own[at]);
    if (status != 0)
        a->own[at] = before;
    return status;
}

int bruit_aggregate_publish_number(struct bruit_engine *engine, struct bruit_bytes name, double value,
                                   bruit_time now)
{
    struct br_aggregate_own own = {.kind = BR_AGGREGATE_NUMBER, .number = value == 0 ? 0 : value};
    return br_aggregate_is_number(value) ? publish(engine, name, &own, now) : BRUIT_EINVAL;
}

int bruit_aggregate_publish_text(struct bruit_engine *engine, struct bruit_bytes name, struct bruit_bytes text,
                                 bruit_time now)
{
    struct br_aggregate_own own = {.kind = BR_AGGREGATE_TEXT};
    if (text.size == 0 || text.size > BRUIT_AGGREGATE_TEXT_MAX)
        return text.size == 0 ? BRUIT_EINVAL : BRUIT_ETOOBIG;
    own.text_size = (uint8_t)text.size;
    memcpy(own.text, text.data, text.size);
    return publish(engine, name, &own, now);
}

int bruit_aggregate_withdraw(struct bruit_engine *engine, struct bruit_bytes name, bruit_time now)
{
    struct br_aggregate *a = aggregate_of(engine);
    const struct br_aggregate_own *held = a == NULL ? NULL : br_aggregate_find_own(a, name);
    if (held == NULL)
        return BRUIT_ENOENT;
    br_host_input(a->host, now);
    struct br_aggregate_own *own = &a->own[held - a->own];
    uint8_t kind = own->kind;
    own->kind = BR_AGGREGATE_NOTHING;
    int status = settle(a, own);
    if (status != 0)
        own->kind = kind;
    return status;
}

/* ------------------------------------------------------------------ messages */

static void hand_on(struct br_aggregate *a, const struct br_aggregate_message *message, bruit_node sender,
                    const struct bruit_addr *from)
{
    switch (message->kind) {
    case BR_AGGREGATE_TELL: br_aggregate_on_tell(a, message, sender, from); return;
    case BR_AGGREGATE_SUMMARY: br_aggregate_on_summary(a, message, sender); return;
    case BR_AGGREGATE_BUCKET_HASHES: br_aggregate_on_buckets(a, message, sender); return;
    case BR_AGGREGATE_HAVE: br_aggregate_on_have(a, message, sender); return;
    case BR_AGGREGATE_WANT: br_aggregate_on_want(a, message, sender); return;
    case BR_AGGREGATE_ASK: br_aggregate_on_ask(a, message, sender); return;
    case BR_AGGREGATE_GIVE: br_aggregate_on_give(a, message, sender); return;
    case BR_AGGREGATE_DONE: br_aggregate_on_done(a, message, sender); return;
    case BR_AGGREGATE_VIEW: br_aggregate_on_view(a, message, sender); return;
    case BR_AGGREGATE_VIEW_IS: br_aggregate_on_view_is(a, message, sender); return;
    }
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from)
{
    struct br_aggregate *a = self;
    struct br_aggregate_message decoded;
    (void)message; /* nothing is passed on as it came */
    if (br_aggregate_decode(&decoded, body) != 0) {
        BR_TRACE(a->tracer, bad_message, .what = "an aggregate message", .from = *from);
        br_host_drop(a->host, BRUIT_DROP_MALFORMED);
        return;
    }
    bruit_node sender = bruit_member_find(bruit_host_engine(a->host), decoded.sender);
    if (sender == 0 || sender == bruit_member_self(bruit_host_engine(a->host)) ||
        !bruit_host_is_peer(a->host, sender)) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_STRANGER);
        return;
    }
    hand_on(a, &decoded, sender, from);
}

/* ------------------------------------------------------------------ life */

static bruit_time deadline(const void *self)
{
    const struct br_aggregate *a = self;
    return br_time_min(br_time_min(br_aggregate_tell_deadline(a), br_aggregate_epoch_deadline(a)), a->survey.at);
}

static void on_time(void *self)
{
    struct br_aggregate *a = self;
    br_aggregate_tell_on_time(a);
    br_aggregate_epoch_on_time(a);
    br_aggregate_survey_on_time(a);
}

void bruit_aggregate_options_default(struct bruit_aggregate_options *options)
{
    *options = (struct bruit_aggregate_options){.struct_size = sizeof *options,
                                                .exact_max = BRUIT_AGGREGATE_EXACT_MAX,
                                                .tell_interval = 200 * BRUIT_MILLISECOND,
                                                .compare_interval = 5 * BRUIT_SECOND,
                                                .epoch_round = 500 * BRUIT_MILLISECOND};
}

static bool is_interval(bruit_time interval)
{
    return interval >= INTERVAL_MIN && interval <= INTERVAL_MAX;
}

int bruit_aggregate_configure(struct bruit_engine *engine, const struct bruit_aggregate_options *options)
{
    struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return BRUIT_ENOENT;
    if (options->struct_size != sizeof *options || options->mode > BRUIT_AGGREGATE_ESTIMATE ||
        options->life >= UINT64_C(1) << 32 || !is_interval(options->tell_interval) ||
        !is_interval(options->compare_interval) || !is_interval(options->epoch_round))
        return BRUIT_EINVAL;
    for (unsigned i = 0; i < BRUIT_AGGREGATE_NAMES_MAX; i++)
        if (a->own[i].kind != BR_AGGREGATE_NOTHING)
            return BRUIT_EBUSY;
    a->options = *options;
    struct br_aggregate_owner *owner =
        br_aggregate_owner(&a->store, bruit_member_self(bruit_host_engine(a->host)));
    if (owner != NULL && owner->complete == 0)
        br_aggregate_restart(&a->store, owner, 0); /* the next word begins a life with the hint */
    return 0;
}

static int init(void *self, struct bruit_host *host)
{
    struct br_aggregate *a = self;
    const struct bruit_config *config = bruit_host_config(host);
    a->host = host;
    a->tracer = br_host_tracer(host);
    a->room = config->packet_size_max - config->label.size - OUTSIDE;
    if (a->room > BR_AGGREGATE_ROOM_MAX)
        a->room = BR_AGGREGATE_ROOM_MAX;
    bruit_aggregate_options_default(&a->options);
    br_aggregate_store_init(&a->store, br_host_alloc(host));
    br_aggregate_tell_init(a);
    br_aggregate_epoch_init(a);
    br_aggregate_survey_init(a);
    return 0;
}

static void fini(void *self)
{
    struct br_aggregate *a = self;
    br_aggregate_survey_fini(a);
    br_aggregate_epoch_fini(a);
    br_aggregate_store_fini(&a->store);
}

static const uint8_t message_types[] = {BR_AGGREGATE_TYPE};

const struct bruit_module bruit_aggregate_module = {
    .struct_size = sizeof bruit_aggregate_module,
    .name = "aggregate",
    .state_size = sizeof(struct br_aggregate),
    .message_types = message_types,
    .message_type_count = sizeof message_types,
    .capability = 2,
    .init = init,
    .fini = fini,
    .on_member = on_member,
    .on_message = on_message,
    .deadline = deadline,
    .on_time = on_time,
};

int bruit_aggregate_size(const struct bruit_engine *engine, uint32_t *members, uint32_t *peers)
{
    struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return BRUIT_ENOENT;
    *members = (uint32_t)bruit_member_alive_count(engine);
    *peers = 1;
    for (uint32_t i = 0; i < a->store.count; i++)
        *peers += a->store.order[i] != bruit_member_self(engine) ? 1 : 0;
    return 0;
}

int bruit_aggregate_stats(const struct bruit_engine *engine, struct bruit_aggregate_stats *out)
{
    const struct br_aggregate *a = aggregate_of(engine);
    if (a == NULL)
        return BRUIT_ENOENT;
    *out = a->stats;
    out->hot_dropped = a->store.news_dropped;
    out->held = a->store.held;
    out->memory = a->store.memory;
    return 0;
}

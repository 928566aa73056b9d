/*
 * Estimates: averaging in epochs (Jelasity, Montresor and Babaoglu 2005).
 *
 * In each round every node asks a random peer to average with it, for each name. Asking changes nothing; whoever is
 * asked takes half of the difference and gives it back (GIVE); that it arrived is confirmed (DONE), and until it is, it
 * is told again each round. So a lost datagram costs a moment and no mass; GIVE_TRIES lost in a row, or a death
 * between, cost one exchange's difference, once, in one epoch.
 *
 * Everybody begins a new epoch from its present values after 10 + log2(n) rounds: an exchange each way in every round
 * makes the variance 0.3 times smaller, so 20 rounds make differences a hundred thousand times smaller. Answers
 * come from the last epoch that was finished. That is why nothing can drift: not through lost mass, nor through nodes
 * that died with theirs, nor through values that changed. (Push-flow and flow updating need no epochs, but a fixed
 * small neighbourhood, state for each neighbour as long as the vector, and they jump at a node whose neighbour dies,
 * which a cluster with churn would see all the time.)
 *
 * Messages say how long their epoch has gone on, and the slower goes along with the faster, so that all come to the end
 * together, whatever their clocks; who hears of the next epoch in the last quarter of its own finishes it and begins
 * that one. Newcomers learn the epoch from whoever asks them, and take part from the next one on;
 * until then they are asked in vain. A share of all is counted against the members that we see, which is what turns
 * averages into counts and sums: every engine has the full membership, if not the values.
 */
#include "module/aggregate_state.h"

#include "base/check.h"
#include "base/time.h"

#include <bruit/error.h>

#define ROUNDS_BASE 10
#define GIVE_TRIES 5

/* Who knows no epoch listens so many rounds, and up to as many more, before it begins the first. */
#define LISTEN_ROUNDS 4

/* After so many epochs in which nobody published it, a name is forgotten. */
#define IDLE_MAX 3

/* A share of less than this is nobody: one of 65,536 has more. */
#define NOBODY 1e-7

/* Of ASK and GIVE, without the names: type, kind, exchange, two numbers at their longest, two lengths. */
#define HEAD (1 + 1 + 4 + 10 + 10 + 2)

/* How far behind we may have been: partitions heal. What is further is made up. */
#define EPOCHS_AHEAD_MAX (1u << 24)

void br_aggregate_epoch_init(struct br_aggregate *a)
{
    a->epochs.round_at = a->epochs.ends = BRUIT_NEVER;
}

void br_aggregate_epoch_fini(struct br_aggregate *a)
{
    struct br_epochs *e = &a->epochs;
    for (uint32_t i = 0; i < e->count; i++)
        (void)bruit_host_resize(a->host, e->items[i], sizeof *e->items[i], 0); /* frees */
    if (e->gifts != NULL)
        (void)bruit_host_resize(a->host, e->gifts, BR_GIFTS_MAX * sizeof *e->gifts, 0);
}

bruit_time br_aggregate_epoch_deadline(const struct br_aggregate *a)
{
    return br_time_min(a->epochs.round_at, a->epochs.ends);
}

/* ------------------------------------------------------------------ names */

struct br_estimate *br_aggregate_estimate(const struct br_aggregate *a, struct bruit_bytes name)
{
    for (uint32_t i = 0; i < a->epochs.count; i++)
        if (br_bytes_equal(br_bytes(a->epochs.items[i]->name, a->epochs.items[i]->name_size), name))
            return a->epochs.items[i];
    return NULL;
}

static struct bruit_bytes name_of(const struct br_estimate *estimate)
{
    return br_bytes(estimate->name, estimate->name_size);
}

static int reserve_gifts(struct br_aggregate *a)
{
    struct br_epochs *e = &a->epochs;
    if (e->gifts == NULL)
        e->gifts = bruit_host_resize(a->host, NULL, 0, BR_GIFTS_MAX * sizeof *e->gifts);
    if (e->gifts == NULL)
        return BRUIT_ENOMEM;
    for (unsigned i = 0; i < BR_GIFTS_MAX && e->count == 0; i++)
        e->gifts[i].to = 0;
    return 0;
}

/* A name that is new here: we have nothing of it in this epoch, as if we had been in it with nothing. */
static int add_estimate(struct br_aggregate *a, struct bruit_bytes name, bool is_text)
{
    struct br_epochs *e = &a->epochs;
    if (e->count == BR_ESTIMATES_MAX)
        return BRUIT_EFULL;
    if (reserve_gifts(a) != 0)
        return BRUIT_ENOMEM;
    struct br_estimate *estimate = bruit_host_resize(a->host, NULL, 0, sizeof *estimate);
    if (estimate == NULL)
        return BRUIT_ENOMEM;
    memset(estimate, 0, sizeof *estimate);
    estimate->name_size = (uint8_t)name.size;
    memcpy(estimate->name, name.data, name.size);
    br_mass_clear(&estimate->now, is_text);
    e->items[e->count++] = estimate;
    if (e->round_at != BRUIT_NEVER)
        return 0;
    bruit_time round = a->options.epoch_round;
    bruit_time now = bruit_host_now(a->host);
    e->round_at = br_time_add(now, bruit_host_random_below(a->host, round));
    e->began = now;
    e->ends = br_time_add(now, LISTEN_ROUNDS * round + bruit_host_random_below(a->host, LISTEN_ROUNDS * round));
    return 0;
}

static void remove_estimate(struct br_aggregate *a, uint32_t at)
{
    struct br_epochs *e = &a->epochs;
    (void)bruit_host_resize(a->host, e->items[at], sizeof *e->items[at], 0); /* frees */
    e->count--;
    for (uint32_t i = at; i < e->count; i++)
        e->items[i] = e->items[i + 1];
}

int br_aggregate_estimate_begin(struct br_aggregate *a, struct bruit_bytes name)
{
    const struct br_aggregate_own *own = br_aggregate_find_own(a, name);
    if (br_aggregate_estimate(a, name) != NULL)
        return 0; /* its next epoch begins with what we publish then */
    return add_estimate(a, name, own != NULL && own->kind == BR_AGGREGATE_TEXT);
}

/* ------------------------------------------------------------------ epochs */

static bruit_time length_of(const struct br_aggregate *a)
{
    uint32_t rounds = ROUNDS_BASE;
    for (uint32_t n = a->store.count; n > 1; n = n / 2 + n % 2)
        rounds++;
    return rounds * a->options.epoch_round;
}

static void begin_mass(struct br_aggregate *a, struct br_estimate *estimate)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    const struct br_aggregate_own *own = br_aggregate_find_own(a, name_of(estimate));
    bool is_ours = own != NULL && !own->is_exact;
    if (is_ours && own->kind == BR_AGGREGATE_NUMBER)
        br_mass_begin_number(&estimate->now, bruit_member_name(engine, bruit_member_self(engine)), own->number);
    else if (is_ours)
        br_mass_begin_text(&estimate->now, br_bytes(own->text, own->text_size));
    else
        br_mass_clear(&estimate->now, estimate->now.is_text);
    memset(estimate->outstanding, 0, sizeof estimate->outstanding);
    estimate->spread_next = 0;
}

static void forget_gifts(struct br_aggregate *a)
{
    for (unsigned i = 0; i < BR_GIFTS_MAX && a->epochs.gifts != NULL; i++)
        a->epochs.gifts[i].to = 0;
}

/* It has gone on for `elapsed` at whom we hear it from. */
static void begin_epoch(struct br_aggregate *a, uint64_t epoch, bruit_time elapsed)
{
    struct br_epochs *e = &a->epochs;
    e->epoch = epoch;
    /* Later than that our values would not get around any more. The very first has to reach everybody to begin with. */
    e->is_in = elapsed <= length_of(a) / (epoch == 1 ? 2 : 4);
    e->began = br_time_since(elapsed, bruit_host_now(a->host));
    e->ends = br_time_add(e->began, length_of(a));
    forget_gifts(a);
    for (uint32_t i = 0; i < e->count; i++)
        begin_mass(a, e->items[i]);
}

static double highest(const double *spreads)
{
    double most = 0;
    for (unsigned i = 0; i < BR_SPREADS; i++)
        most = spreads[i] > most ? spreads[i] : most;
    return most;
}

static void finish(struct br_aggregate *a, struct br_estimate *estimate)
{
    estimate->result = estimate->now;
    estimate->result_began = a->epochs.began;
    estimate->result_members = a->store.count;
    estimate->has_result = true;
    estimate->mean_error = highest(estimate->mean_spread);
    estimate->has_error = highest(estimate->has_spread);
}

/* What this epoch found is the answer from now on, if we were in it. Names that nobody has go. */
static void finish_epoch(struct br_aggregate *a)
{
    struct br_epochs *e = &a->epochs;
    if (!e->is_in)
        return;
    a->stats.epochs++;
    for (uint32_t i = e->count; i-- > 0;) {
        struct br_estimate *estimate = e->items[i];
        finish(a, estimate);
        bool is_idle = estimate->now.has < NOBODY && br_aggregate_find_own(a, name_of(estimate)) == NULL;
        estimate->idle = is_idle ? (uint8_t)(estimate->idle + 1) : 0;
        if (estimate->idle >= IDLE_MAX)
            remove_estimate(a, i);
    }
}

/* ------------------------------------------------------------------ a round */

static struct br_gift *free_gift(struct br_aggregate *a)
{
    for (unsigned i = 0; i < BR_GIFTS_MAX; i++)
        if (a->epochs.gifts[i].to == 0)
            return &a->epochs.gifts[i];
    return NULL;
}

static void send_gift(struct br_aggregate *a, struct br_gift *gift)
{
    struct br_writer w;
    br_writer_init(&w, gift->bytes, sizeof gift->bytes);
    (void)br_write_space(&w, gift->size); /* as it stands there */
    gift->tries++;
    br_aggregate_send(a, gift->to, &w);
}

static void repeat_gifts(struct br_aggregate *a)
{
    for (unsigned i = 0; i < BR_GIFTS_MAX && a->epochs.gifts != NULL; i++) {
        struct br_gift *gift = &a->epochs.gifts[i];
        if (gift->to == 0)
            continue;
        if (gift->tries < GIVE_TRIES && bruit_host_is_peer(a->host, gift->to)) {
            send_gift(a, gift);
            continue;
        }
        a->stats.exchanges_lost++;
        gift->to = 0;
    }
}

/* What the mass may take of a datagram about this name: all but the head at its longest. */
static size_t mass_room(const struct br_aggregate *a, struct bruit_bytes name)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    return a->room - HEAD - bruit_member_name(engine, bruit_member_self(engine)).size - name.size;
}

static uint64_t elapsed_ms(const struct br_aggregate *a)
{
    return br_time_since(a->epochs.began, bruit_host_now(a->host)) / BRUIT_MILLISECOND;
}

static void ask(struct br_aggregate *a, struct br_estimate *estimate)
{
    struct br_epochs *e = &a->epochs;
    bruit_node to = br_aggregate_draw(a, 0);
    size_t room = mass_room(a, name_of(estimate));
    struct br_writer w;
    if (to == 0)
        return;
    e->next_exchange = e->next_exchange == UINT32_MAX ? 1 : e->next_exchange + 1; /* 0 is none */
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_ASK);
    br_aggregate_write_exchange(&w, e->next_exchange, e->epoch, elapsed_ms(a), name_of(estimate));
    br_mass_fit(&estimate->now, room);
    br_mass_write(&estimate->now, &w, room);
    BR_ASSERT(!w.failed);
    estimate->outstanding[estimate->outstanding_next++ % BR_OUTSTANDING_MAX] = e->next_exchange;
    br_aggregate_send(a, to, &w);
}

void br_aggregate_epoch_on_time(struct br_aggregate *a)
{
    struct br_epochs *e = &a->epochs;
    bruit_time now = bruit_host_now(a->host);
    if (e->count == 0) {
        e->round_at = e->ends = BRUIT_NEVER;
        e->epoch = 0;
        e->is_in = false;
        return;
    }
    if (e->ends <= now) {
        finish_epoch(a);
        begin_epoch(a, e->epoch + 1, 0);
    }
    if (e->round_at > now)
        return;
    e->round_at = br_time_add(now, a->options.epoch_round);
    repeat_gifts(a);
    for (uint32_t i = 0; e->is_in && i < e->count; i++)
        ask(a, e->items[i]);
}

/* ------------------------------------------------------------------ whose epoch */

/* Who is ahead in our own epoch takes us along, so that all come to its end together, and leave nobody's values out. */
static void keep_step(struct br_aggregate *a, bruit_time elapsed)
{
    struct br_epochs *e = &a->epochs;
    bruit_time ours = br_time_since(e->began, bruit_host_now(a->host));
    if (elapsed <= ours || elapsed - ours > length_of(a) / 4)
        return;
    e->began -= elapsed - ours;
    e->ends = br_time_add(e->began, length_of(a));
}

static bool is_early(const struct br_aggregate *a)
{
    bruit_time left = br_time_since(bruit_host_now(a->host), a->epochs.ends);
    return a->epochs.is_in && left > length_of(a) / 4;
}

/*
 * Whether we are in the epoch of a message that came, after following it there if need be. A message of a former epoch,
 * of the next one too early, or of one that cannot be is none of ours.
 */
static bool is_in_epoch(struct br_aggregate *a, uint64_t epoch, uint64_t elapsed_ms)
{
    struct br_epochs *e = &a->epochs;
    bruit_time elapsed = br_time_min(br_time_mul(BRUIT_MILLISECOND, elapsed_ms), length_of(a));
    if (epoch == e->epoch)
        keep_step(a, elapsed);
    if (epoch <= e->epoch)
        return e->is_in && epoch == e->epoch;
    if (epoch > BR_AGGREGATE_EPOCH_MAX || (e->epoch != 0 && epoch - e->epoch > EPOCHS_AHEAD_MAX)) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_EPOCH);
        return false;
    }
    if (epoch == e->epoch + 1 && is_early(a))
        return false;
    if (epoch == e->epoch + 1)
        finish_epoch(a);
    begin_epoch(a, epoch, elapsed);
    return e->is_in;
}

/* ------------------------------------------------------------------ exchanges */

static double distance(double x, double y)
{
    return x > y ? x - y : y - x;
}

/* How far apart we are is how far either may be off. */
static void note_spread(struct br_estimate *estimate, const struct br_mass *theirs)
{
    const struct br_mass *mine = &estimate->now;
    uint32_t at = estimate->spread_next++ % BR_SPREADS;
    estimate->has_spread[at] = distance(mine->has, theirs->has);
    estimate->mean_spread[at] =
        mine->has > 0 && theirs->has > 0 ? distance(br_mass_mean(mine), br_mass_mean(theirs)) : 0;
}

/* Texts and numbers under one name do not mix: who has nothing of it goes along. */
static bool is_of_a_kind(struct br_mass *mine, const struct br_mass *theirs)
{
    if (mine->is_text != theirs->is_text && br_mass_is_empty(mine))
        br_mass_clear(mine, theirs->is_text);
    return mine->is_text == theirs->is_text;
}

static struct br_estimate *asked_estimate(struct br_aggregate *a, const struct br_aggregate_message *message)
{
    struct br_estimate *estimate = br_aggregate_estimate(a, message->name);
    if (estimate != NULL)
        return estimate;
    if (add_estimate(a, message->name, message->mass.is_text) != 0) {
        br_host_drop(a->host, BRUIT_DROP_AGGREGATE_FULL);
        return NULL;
    }
    return br_aggregate_estimate(a, message->name);
}

void br_aggregate_on_ask(struct br_aggregate *a, const struct br_aggregate_message *message, bruit_node sender)
{
    struct br_estimate *estimate = asked_estimate(a, message);
    struct br_gift *gift;
    struct br_writer w;
    if (estimate == NULL || !is_in_epoch(a, message->epoch, message->elapsed) || (gift = free_gift(a)) == NULL)
        return;
    estimate = br_aggregate_estimate(a, message->name); /* an epoch that ended may have dropped it */
    if (estimate == NULL)
        return;
    br_mass_read(&a->theirs, &message->mass);
    if (!is_of_a_kind(&estimate->now, &a->theirs))
        return;
    br_aggregate_begin_ours(a, &w, gift->bytes, a->room, BR_AGGREGATE_GIVE);
    br_aggregate_write_exchange(&w, message->number, message->epoch, elapsed_ms(a), message->name);
    size_t room = mass_room(a, message->name);
    note_spread(estimate, &a->theirs);
    br_mass_average(&estimate->now, &a->theirs, &a->gift, room);
    br_mass_write(&a->gift, &w, room);
    BR_ASSERT(!w.failed); /* made to fit, and taken from ours already */
    a->stats.exchanges++;
    gift->to = sender;
    gift->exchange = message->number;
    gift->tries = 0;
    gift->size = (uint32_t)br_writer_size(&w);
    send_gift(a, gift);
}

/* One of ours that was not answered yet: it is from now on. */
static bool is_outstanding(struct br_estimate *estimate, uint32_t exchange)
{
    for (unsigned i = 0; i < BR_OUTSTANDING_MAX; i++)
        if (exchange != 0 && estimate->outstanding[i] == exchange) {
            estimate->outstanding[i] = 0;
            return true;
        }
    return false;
}

void br_aggregate_on_give(struct br_aggregate *a, const struct br_aggregate_message *message, bruit_node sender)
{
    struct br_estimate *estimate = br_aggregate_estimate(a, message->name);
    struct br_writer w;
    if (estimate != NULL && message->epoch == a->epochs.epoch && is_outstanding(estimate, message->number)) {
        br_mass_read(&a->theirs, &message->mass);
        if (is_of_a_kind(&estimate->now, &a->theirs)) {
            br_mass_add(&estimate->now, &a->theirs, mass_room(a, message->name));
            a->stats.exchanges++;
        }
    }
    /* Also when it was here before, or its epoch is over: they would tell it again. */
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_DONE);
    br_write_u32(&w, message->number);
    br_aggregate_send(a, sender, &w);
}

void br_aggregate_on_done(struct br_aggregate *a, const struct br_aggregate_message *message, bruit_node sender)
{
    for (unsigned i = 0; i < BR_GIFTS_MAX && a->epochs.gifts != NULL; i++)
        if (a->epochs.gifts[i].to == sender && a->epochs.gifts[i].exchange == message->number)
            a->epochs.gifts[i].to = 0;
}

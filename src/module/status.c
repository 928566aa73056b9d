/*
 * Serf's member status: a module over the engine's membership (docs/wire/serf.md, sections 4 to 6 and 13).
 *
 * Two sources feed the roll: what the engine finds out (joined, failed, left, updated) and what members
 * announce of themselves (join and leave intents with Lamport times). A member that stops answering after
 * its leave intent has *left*; one that stops without has *failed*.
 *
 * Timers, all of which exist only while somebody needs them:
 *   reap        every reap_interval: failed and left members past their timeout, old intents
 *   reconnect   every reconnect_interval: maybe one sync with one failed member
 *   prune       of a leaving member, broadcast_timeout + leave_propagate_delay after it was asked for
 *   goodbye     our own leave intent is waited for, at most broadcast_timeout
 *   removals    each force-leave's intent likewise
 *
 * Differences from Serf: the wait of a prune is a timer here, where Serf sleeps under its member lock; and the
 * bound of kept intents.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/time.h"
#include "codec/serf.h"
#include "module/host.h"
#include "module/intents.h"
#include "module/lamport.h"
#include "module/namelist.h"
#include "module/roll.h"

#include <bruit/status.h>

/* Force-leaves under way at once; a further one is refused. Nothing special about 16. */
#define REMOVALS_MAX 16

/* Type byte, map of three keys, a time of 9 bytes and the longest name: 1+1+6+9+5+3+255+6+1, rounded up. */
#define INTENT_SIZE_MAX 320

struct removal {
    bruit_handle handle;
    bruit_time deadline;
    uint32_t request; /* 0: free */
};

struct status {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    struct bruit_status_options options;
    struct br_lamport clock;
    struct br_roll roll;
    struct br_intents intents;
    struct br_namelist left; /* the left list of the document that is being merged */
    struct removal removals[REMOVALS_MAX];
    uint32_t request_last;
    uint32_t removal_count;
    uint32_t prune_count; /* entries whose prune_at is set */
    bruit_handle goodbye;
    bruit_time goodbye_deadline;
    bruit_time reap_at;
    bruit_time reconnect_at;
    bool leaving; /* the instance's state, not our member status (section 5.10) */
};

static bruit_time now_of(const struct status *s)
{
    return bruit_host_now(s->host);
}

static struct bruit_status_member describe(const struct status *s, uint32_t entry)
{
    struct bruit_status_member member;
    br_roll_describe(&s->roll, entry, &member);
    return member;
}

/* ------------------------------------------------------------------ telling the program and the log */

/* The event's data is the member, its name and its metadata in one piece: it outlives what it describes. */
#define EVENT_SIZE_MAX (sizeof(struct bruit_status_member) + BRUIT_NAME_MAX + BRUIT_META_MAX)

static void emit(struct status *s, uint32_t entry, uint32_t change)
{
    uint8_t data[EVENT_SIZE_MAX];
    struct bruit_status_member member = describe(s, entry);
    if (member.meta.size > BRUIT_META_MAX)
        member.meta.size = BRUIT_META_MAX;
    struct br_writer w;
    br_writer_init(&w, data, sizeof data);
    br_write_bytes(&w, br_bytes(&member, sizeof member));
    br_write_bytes(&w, member.name);
    br_write_bytes(&w, member.meta);
    struct bruit_event event = {.type = BRUIT_EVENT_STATUS,
                                .node = s->roll.entries[entry].node,
                                .changes = change,
                                .data = br_writer_bytes(&w)};
    if (bruit_host_emit(s->host, &event) != 0)
        BR_TRACE(s->tracer, event_lost, .name = member.name);
}

int bruit_status_event(const struct bruit_event *event, struct bruit_status_member *out)
{
    if (event->type != BRUIT_EVENT_STATUS || event->data.size < sizeof *out)
        return BRUIT_EINVAL;
    memcpy(out, event->data.data, sizeof *out);
    out->name.data = event->data.data + sizeof *out;
    out->meta.data = out->name.data + out->name.size;
    return 0;
}

static void report_join(struct status *s, uint32_t entry)
{
    struct bruit_status_member member = describe(s, entry);
    BR_TRACE(s->tracer, member_join, .name = member.name, .ip = member.addr);
    emit(s, entry, BRUIT_MEMBER_JOIN);
}

static void report_leave(struct status *s, uint32_t entry, bool forced)
{
    struct bruit_status_member member = describe(s, entry);
    if (forced)
        BR_TRACE(s->tracer, member_leave_forced, .name = member.name, .ip = member.addr);
    else
        BR_TRACE(s->tracer, member_leave, .name = member.name, .ip = member.addr);
    emit(s, entry, BRUIT_MEMBER_LEAVE);
}

static void report_failed(struct status *s, uint32_t entry)
{
    struct bruit_status_member member = describe(s, entry);
    BR_TRACE(s->tracer, member_failed, .name = member.name, .ip = member.addr);
    emit(s, entry, BRUIT_MEMBER_FAILED);
}

static void report_update(struct status *s, uint32_t entry)
{
    BR_TRACE(s->tracer, member_update, .name = br_roll_name(&s->roll, entry));
    emit(s, entry, BRUIT_MEMBER_UPDATE);
}

/* ------------------------------------------------------------------ the timers' grids */

static void arm(bruit_time *timer, bruit_time now, bruit_time interval)
{
    if (*timer == BRUIT_NEVER && interval != 0)
        *timer = br_time_add(now, interval);
}

/* Reaping and reconnecting have work to do only while somebody is gone, or an intent is kept. */
static void arm_timers(struct status *s)
{
    const uint32_t *count = s->roll.count;
    if (count[BRUIT_STATUS_FAILED] > 0)
        arm(&s->reconnect_at, now_of(s), s->options.reconnect_interval);
    if (count[BRUIT_STATUS_FAILED] > 0 || count[BRUIT_STATUS_LEFT] > 0 || s->intents.count > 0)
        arm(&s->reap_at, now_of(s), s->options.reap_interval);
}

/* ------------------------------------------------------------------ erasing */

static void set_prune(struct status *s, uint32_t entry, bruit_time at)
{
    bruit_time *prune_at = &s->roll.entries[entry].prune_at;
    if (*prune_at != BRUIT_NEVER)
        s->prune_count--;
    if (at != BRUIT_NEVER)
        s->prune_count++;
    *prune_at = at;
}

static void erase(struct status *s, uint32_t entry, bool forced)
{
    struct bruit_status_member member = describe(s, entry);
    if (forced)
        BR_TRACE(s->tracer, member_reap_forced, .name = member.name, .ip = member.addr);
    else
        BR_TRACE(s->tracer, member_reap, .name = member.name);
    emit(s, entry, BRUIT_MEMBER_REAP);
    set_prune(s, entry, BRUIT_NEVER);
    br_roll_erase(&s->roll, entry);
}

/* Section 5.8: a member that is still leaving gets the time to be seen to leave. */
static void prune(struct status *s, uint32_t entry)
{
    if (s->roll.entries[entry].status == BRUIT_STATUS_LEAVING) {
        bruit_time wait = br_time_add(s->options.broadcast_timeout, s->options.leave_propagate_delay);
        set_prune(s, entry, br_time_add(now_of(s), wait));
        return;
    }
    erase(s, entry, true);
}

static void prune_due(struct status *s, bruit_time now)
{
    for (uint32_t i = 0; i < s->roll.used && s->prune_count > 0; i++) {
        struct br_roll_entry *entry = &s->roll.entries[i];
        if (!entry->used || entry->prune_at > now)
            continue;
        set_prune(s, i, BRUIT_NEVER);
        if (entry->status == BRUIT_STATUS_LEAVING || entry->status == BRUIT_STATUS_LEFT)
            erase(s, i, true);
    }
}

/* ------------------------------------------------------------------ what the engine finds out */

/* Section 5.2: an intent that came before its member gives it its first status time. */
static void apply_recent_intent(struct status *s, uint32_t entry)
{
    const struct br_intent *intent = br_intents_find(&s->intents, br_roll_name(&s->roll, entry));
    if (intent == NULL)
        return;
    s->roll.entries[entry].status_time = intent->time;
    if (intent->is_leave)
        br_roll_set_status(&s->roll, entry, BRUIT_STATUS_LEAVING);
}

/* Section 5.3. The status time of a returning member is kept. */
static void member_joined(struct status *s, bruit_node node)
{
    struct bruit_member member;
    if (bruit_member_get(s->roll.engine, node, &member) != 0)
        return;
    uint32_t entry = br_roll_find(&s->roll, member.name);
    bool is_new = entry == BR_ROLL_NONE;
    if (is_new)
        entry = br_roll_add(&s->roll, node);
    if (entry == BR_ROLL_NONE || br_roll_bind(&s->roll, entry, node) != 0) {
        BR_TRACE(s->tracer, event_lost, .name = member.name);
        return;
    }
    br_roll_set_status(&s->roll, entry, BRUIT_STATUS_ALIVE);
    s->roll.entries[entry].leave_time = 0;
    set_prune(s, entry, BRUIT_NEVER);
    if (is_new)
        apply_recent_intent(s, entry);
    report_join(s, entry);
}

/* Section 5.4: what was announced decides between left and failed. */
static void member_gone(struct status *s, uint32_t entry)
{
    struct br_roll_entry *e = &s->roll.entries[entry];
    if (e->status != BRUIT_STATUS_LEAVING && e->status != BRUIT_STATUS_ALIVE)
        return;
    bool announced = e->status == BRUIT_STATUS_LEAVING;
    br_roll_set_status(&s->roll, entry, announced ? BRUIT_STATUS_LEFT : BRUIT_STATUS_FAILED);
    e->leave_time = now_of(s);
    if (announced)
        report_leave(s, entry, false);
    else
        report_failed(s, entry);
    arm_timers(s);
}

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct status *s = self;
    if (changes & BRUIT_CHANGE_JOINED)
        member_joined(s, node);
    uint32_t entry = br_roll_of_node(&s->roll, node);
    if (entry == BR_ROLL_NONE)
        return;
    if (changes & (BRUIT_CHANGE_FAILED | BRUIT_CHANGE_LEFT))
        member_gone(s, entry);
    else if (changes & BRUIT_CHANGE_UPDATED)
        report_update(s, entry);
    if (changes & BRUIT_CHANGE_FORGOTTEN && br_roll_unbind(&s->roll, entry) != 0)
        BR_TRACE(s->tracer, event_lost, .name = br_bytes(NULL, 0));
}

/* ------------------------------------------------------------------ intents */

static struct bruit_bytes encode_join(uint8_t *buffer, uint64_t time, struct bruit_bytes name)
{
    struct br_writer w;
    br_writer_init(&w, buffer, INTENT_SIZE_MAX);
    br_serf_join_encode(&w, &(struct br_serf_join){.ltime = time, .node = name});
    BR_ASSERT(!w.failed);
    return br_writer_bytes(&w);
}

static struct bruit_bytes encode_leave(uint8_t *buffer, uint64_t time, struct bruit_bytes name,
                                       bool prune_too)
{
    struct br_writer w;
    br_writer_init(&w, buffer, INTENT_SIZE_MAX);
    br_serf_leave_encode(&w, &(struct br_serf_leave){.ltime = time, .node = name, .prune = prune_too});
    BR_ASSERT(!w.failed);
    return br_writer_bytes(&w);
}

static bool keep_intent(struct status *s, struct bruit_bytes name, bool is_leave, uint64_t time)
{
    bool is_newest = br_intents_put(&s->intents, name, is_leave, time, now_of(s));
    arm_timers(s);
    return is_newest;
}

/* Section 5.6. True: it was news, pass it on. */
static bool handle_join(struct status *s, uint64_t time, struct bruit_bytes name)
{
    br_lamport_witness(&s->clock, time);
    uint32_t entry = br_roll_find(&s->roll, name);
    if (entry == BR_ROLL_NONE)
        return keep_intent(s, name, false, time);
    struct br_roll_entry *e = &s->roll.entries[entry];
    if (time <= e->status_time)
        return false;
    e->status_time = time;
    if (e->status == BRUIT_STATUS_LEAVING)
        br_roll_set_status(&s->roll, entry, BRUIT_STATUS_ALIVE);
    return true;
}

/* Tells everybody that we are here, with the clock as it stands. */
static void announce_join(struct status *s)
{
    uint8_t buffer[INTENT_SIZE_MAX];
    struct bruit_member self;
    int status = bruit_member_get(s->roll.engine, bruit_member_self(s->roll.engine), &self);
    BR_ASSERT(status == 0);
    uint64_t time = s->clock.time;
    handle_join(s, time, self.name);
    (void)bruit_host_broadcast(s->host, encode_join(buffer, time, self.name),
                               0); /* best effort, as all gossip */
}

/* Section 5.7, step 6, after its status time was set. */
static bool apply_leave(struct status *s, uint32_t entry, bool prune_too)
{
    enum bruit_status status = (enum bruit_status)s->roll.entries[entry].status;
    if (status == BRUIT_STATUS_NONE)
        return false;
    if (status == BRUIT_STATUS_ALIVE)
        br_roll_set_status(&s->roll, entry, BRUIT_STATUS_LEAVING);
    if (status == BRUIT_STATUS_FAILED) {
        br_roll_set_status(&s->roll, entry, BRUIT_STATUS_LEFT);
        report_leave(s, entry, true);
    }
    if (prune_too)
        prune(s, entry);
    return true;
}

/*
 * Section 5.7. A leave of ours that we did not ask for is refuted with a join intent; it must not touch our
 * status, else we would appear to leave.
 */
static bool handle_leave(struct status *s, uint64_t time, struct bruit_bytes name, bool prune_too)
{
    br_lamport_witness(&s->clock, time);
    uint32_t entry = br_roll_find(&s->roll, name);
    if (entry == BR_ROLL_NONE)
        return keep_intent(s, name, true, time);
    struct br_roll_entry *e = &s->roll.entries[entry];
    if (time <= e->status_time)
        return false;
    if (e->node != 0 && e->node == bruit_member_self(s->roll.engine) && !s->leaving) {
        BR_TRACE(s->tracer, refuting_leave, .ltime = time);
        announce_join(s);
        return false;
    }
    e->status_time = time;
    return apply_leave(s, entry, prune_too);
}

static void on_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                       const struct bruit_addr *from)
{
    struct status *s = self;
    struct br_serf_join join;
    struct br_serf_leave leave;
    bool is_news = false;
    if (message.data[0] == BR_SERF_JOIN && br_serf_join_decode(&join, body) == 0) {
        BR_TRACE(s->tracer, join_intent, .name = join.node, .ltime = join.ltime);
        is_news = handle_join(s, join.ltime, join.node);
    } else if (message.data[0] == BR_SERF_LEAVE && br_serf_leave_decode(&leave, body) == 0) {
        BR_TRACE(s->tracer, leave_intent, .name = leave.node, .ltime = leave.ltime);
        is_news = handle_leave(s, leave.ltime, leave.node, leave.prune);
    } else {
        BR_TRACE(s->tracer, bad_intent, .from = *from);
    }
    if (is_news)
        (void)bruit_host_broadcast(s->host, message, 0); /* the bytes as they came; best effort */
}

/* ------------------------------------------------------------------ push/pull */

static int write_uint(struct bruit_document *document, uint64_t value)
{
    uint8_t buffer[9];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    br_mp_write_uint(&w, value);
    return bruit_document_write(document, br_writer_bytes(&w));
}

/* A name (or the header of a list) is written through a small buffer: 5 bytes of header, name, 9 of time. */
#define PIECE_SIZE_MAX (5 + BRUIT_NAME_MAX + 9)

static int write_header(struct bruit_document *document, bool is_map, uint32_t count)
{
    uint8_t buffer[5];
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    if (is_map)
        br_mp_write_map(&w, count);
    else
        br_mp_write_array(&w, count);
    return bruit_document_write(document, br_writer_bytes(&w));
}

static int write_left_members(const struct status *s, struct bruit_document *document)
{
    int status = write_header(document, false, s->roll.count[BRUIT_STATUS_LEFT]);
    for (uint32_t i = 0; i < s->roll.used && status == 0; i++) {
        if (!s->roll.entries[i].used || s->roll.entries[i].status != BRUIT_STATUS_LEFT)
            continue;
        uint8_t buffer[PIECE_SIZE_MAX];
        struct br_writer w;
        br_writer_init(&w, buffer, sizeof buffer);
        br_mp_write_str(&w, br_roll_name(&s->roll, i));
        status = bruit_document_write(document, br_writer_bytes(&w));
    }
    return status;
}

static int write_status_times(const struct status *s, struct bruit_document *document)
{
    int status = write_header(document, true, br_roll_count(&s->roll));
    for (uint32_t i = 0; i < s->roll.used && status == 0; i++) {
        if (!s->roll.entries[i].used)
            continue;
        uint8_t buffer[PIECE_SIZE_MAX];
        struct br_writer w;
        br_writer_init(&w, buffer, sizeof buffer);
        br_mp_write_str(&w, br_roll_name(&s->roll, i));
        br_mp_write_uint(&w, s->roll.entries[i].status_time);
        status = bruit_document_write(document, br_writer_bytes(&w));
    }
    return status;
}

static int export_section(void *self, struct bruit_document *document, const char *key, bool join)
{
    const struct status *s = self;
    (void)join; /* the same whatever the exchange is part of */
    if (strcmp(key, "LTime") == 0)
        return write_uint(document, s->clock.time);
    if (strcmp(key, "LeftMembers") == 0)
        return write_left_members(s, document);
    return write_status_times(s, document);
}

static struct br_mp_list list_of(const struct bruit_document *document, const char *key, bool is_map)
{
    struct br_reader r;
    br_reader_init(&r, bruit_document_find(document, key));
    if (br_reader_left(&r) == 0)
        return (struct br_mp_list){0};
    return is_map ? br_mp_read_pairs(&r) : br_mp_read_list(&r);
}

static uint64_t uint_of(const struct bruit_document *document, const char *key)
{
    struct br_reader r;
    br_reader_init(&r, bruit_document_find(document, key));
    return br_reader_left(&r) == 0 ? 0 : br_mp_read_uint(&r, UINT64_MAX);
}

/*
 * A leave from a peer's left list. A member that is still alive here, although the peer's list of nodes was merged
 * just before, has come back since: our incarnation of it is the newer one. Serf applies the stale leave all the
 * same, and the member may then be "leaving" for good, since the times of left members creep up by one a sync until
 * its own join intent is the older one. About ourselves every leave is heard, to be refuted.
 */
static void merge_leave(struct status *s, uint64_t time, struct bruit_bytes name)
{
    uint32_t entry = br_roll_find(&s->roll, name);
    bool has_returned = entry != BR_ROLL_NONE && s->roll.entries[entry].status == BRUIT_STATUS_ALIVE &&
                        s->roll.entries[entry].node != bruit_member_self(s->roll.engine);
    if (has_returned)
        br_lamport_witness(&s->clock, time);
    else
        (void)handle_leave(s, time, name, false);
}

/*
 * The time of a member's newest intent, of which kind is not said. If it is about ourselves and newer than any of ours,
 * it is of an earlier life: perhaps its leave, and whoever heard that but never saw us gone would call us "leaving" for
 * good (Serf does). A join intent with a newer time settles it.
 */
static void merge_time(struct status *s, uint64_t time, struct bruit_bytes name)
{
    uint32_t entry = br_roll_find(&s->roll, name);
    bool is_self = entry != BR_ROLL_NONE && s->roll.entries[entry].node != 0 &&
                   s->roll.entries[entry].node == bruit_member_self(s->roll.engine);
    if (!is_self || s->leaving || time <= s->roll.entries[entry].status_time) {
        (void)handle_join(s, time, name);
        return;
    }
    br_lamport_witness(&s->clock, time);
    announce_join(s);
}

/*
 * Section 6, steps 3 and 4: every name with a time gets a synthetic intent, a leave with the next time if it
 * is on the left list; left names without a time count as 0. Results are not passed on.
 */
static void merge_intents(struct status *s, struct br_mp_list times)
{
    struct bruit_bytes name;
    uint64_t time;
    while (br_serf_next_status(&times, &name, &time)) {
        if (br_namelist_take(&s->left, name))
            merge_leave(s, time == UINT64_MAX ? time : time + 1, name);
        else
            merge_time(s, time, name);
    }
    while (br_namelist_take_any(&s->left, &name))
        merge_leave(s, 1, name);
}

/* The left list into a set, so that a long list of a hostile peer costs a hash a name and not a walk. */
static int load_left(struct status *s, struct br_mp_list left)
{
    int status = br_namelist_reset(&s->left, left.count);
    struct bruit_bytes name;
    while (status == 0 && br_serf_next_name(&left, &name))
        br_namelist_put(&s->left, name);
    return status;
}

static void merge_sections(void *self, const struct bruit_document *document, bool join, bool active)
{
    struct status *s = self;
    (void)join;
    (void)active; /* old events are the event module's concern */
    uint64_t time = uint_of(document, "LTime");
    if (time > 0)
        br_lamport_witness(&s->clock, time - 1);
    if (load_left(s, list_of(document, "LeftMembers", false)) == 0)
        merge_intents(s, list_of(document, "StatusLTimes", true));
}

/* ------------------------------------------------------------------ joining and leaving */

static void on_joined(void *self, uint32_t contacted, uint32_t flags)
{
    (void)flags;
    if (contacted > 0)
        announce_join(self);
}

static bool is_anybody_else_alive(const struct status *s)
{
    const struct bruit_engine *engine = s->roll.engine;
    struct bruit_status_info self = {0};
    uint32_t alive = s->roll.count[BRUIT_STATUS_ALIVE];
    uint32_t entry = br_roll_of_node(&s->roll, bruit_member_self(engine));
    if (entry != BR_ROLL_NONE)
        self.status = (enum bruit_status)s->roll.entries[entry].status;
    return alive > (self.status == BRUIT_STATUS_ALIVE ? 1u : 0u);
}

/* A leave intent of our making: the clock moves on, we are the first to hear it. */
static struct bruit_bytes make_leave(struct status *s, uint8_t *buffer, struct bruit_bytes name,
                                     bool prune_too)
{
    uint64_t time = s->clock.time;
    br_lamport_increment(&s->clock);
    struct bruit_bytes message = encode_leave(buffer, time, name, prune_too);
    handle_leave(s, time, name, prune_too);
    return message;
}

/* Section 5.10, steps 2 to 4: the intent first, fully transmitted; then membership's goodbye. */
static bool on_leave(void *self)
{
    struct status *s = self;
    uint8_t buffer[INTENT_SIZE_MAX];
    struct bruit_member member;
    int status = bruit_member_get(s->roll.engine, bruit_member_self(s->roll.engine), &member);
    BR_ASSERT(status == 0);
    s->leaving = true;
    struct bruit_bytes message = make_leave(s, buffer, member.name, false);
    if (!is_anybody_else_alive(s))
        return false;
    s->goodbye = bruit_host_broadcast(s->host, message, 0);
    s->goodbye_deadline = br_time_add(now_of(s), s->options.broadcast_timeout);
    return s->goodbye != 0;
}

static void end_goodbye(struct status *s)
{
    s->goodbye = 0;
    s->goodbye_deadline = BRUIT_NEVER;
    bruit_host_leave_ready(s->host);
}

/* ------------------------------------------------------------------ force-leave */

static void emit_removal(struct status *s, uint32_t request, int error)
{
    struct bruit_event event = {.type = BRUIT_EVENT_FORCE_LEAVE, .request = request, .error = error};
    if (bruit_host_emit(s->host, &event) != 0)
        BR_TRACE(s->tracer, event_lost, .name = br_bytes(NULL, 0));
}

static void end_removal(struct status *s, struct removal *removal, int error)
{
    emit_removal(s, removal->request, error);
    *removal = (struct removal){.deadline = BRUIT_NEVER};
    s->removal_count--;
}

static struct removal *free_removal(struct status *s)
{
    for (size_t i = 0; i < REMOVALS_MAX; i++)
        if (s->removals[i].request == 0)
            return &s->removals[i];
    return NULL;
}

static struct status *status_of(const struct bruit_engine *engine)
{
    return bruit_engine_module(engine, &bruit_status_module);
}

int bruit_force_leave(struct bruit_engine *engine, struct bruit_bytes name, bool prune_too, uint32_t *request,
                      bruit_time now)
{
    struct status *s = status_of(engine);
    if (s == NULL)
        return BRUIT_ENOENT;
    br_host_input(s->host, now);
    struct removal *removal = free_removal(s);
    if (name.size == 0 || name.size > BRUIT_NAME_MAX)
        return BRUIT_EINVAL;
    if (removal == NULL)
        return BRUIT_EBUSY;
    uint8_t buffer[INTENT_SIZE_MAX];
    struct bruit_bytes message = make_leave(s, buffer, name, prune_too);
    *request = ++s->request_last == 0 ? ++s->request_last : s->request_last;
    bruit_handle handle = is_anybody_else_alive(s) ? bruit_host_broadcast(s->host, message, 0) : 0;
    if (handle == 0) {
        emit_removal(s, *request, 0);
        return 0;
    }
    *removal = (struct removal){.handle = handle,
                                .request = *request,
                                .deadline = br_time_add(now_of(s), s->options.broadcast_timeout)};
    s->removal_count++;
    return 0;
}

static void on_broadcast_done(void *self, bruit_handle handle, int status)
{
    struct status *s = self;
    (void)status; /* given up is as far as it will go */
    if (handle == s->goodbye)
        end_goodbye(s);
    for (size_t i = 0; i < REMOVALS_MAX; i++)
        if (s->removals[i].request != 0 && s->removals[i].handle == handle)
            end_removal(s, &s->removals[i], 0);
}

/* ------------------------------------------------------------------ time */

static bruit_time deadline(const void *self)
{
    const struct status *s = self;
    bruit_time next = br_time_min(s->goodbye_deadline, br_time_min(s->reap_at, s->reconnect_at));
    for (size_t i = 0; i < REMOVALS_MAX && s->removal_count > 0; i++)
        next = br_time_min(next, s->removals[i].deadline);
    for (uint32_t i = 0; i < s->roll.used && s->prune_count > 0; i++)
        if (s->roll.entries[i].used)
            next = br_time_min(next, s->roll.entries[i].prune_at);
    return next;
}

static bool is_expired(const struct status *s, const struct br_roll_entry *entry)
{
    bruit_time gone = br_time_since(entry->leave_time, now_of(s));
    return (entry->status == BRUIT_STATUS_FAILED && gone > s->options.reconnect_timeout) ||
           (entry->status == BRUIT_STATUS_LEFT && gone > s->options.tombstone_timeout);
}

static void reap(struct status *s)
{
    for (uint32_t i = 0; i < s->roll.used; i++)
        if (s->roll.entries[i].used && is_expired(s, &s->roll.entries[i]))
            erase(s, i, false);
    if (now_of(s) > s->options.intent_timeout)
        br_intents_expire(&s->intents, now_of(s) - s->options.intent_timeout);
}

/* The nth of the failed members. */
static uint32_t failed_at(const struct status *s, uint64_t n)
{
    for (uint32_t i = 0;; i++) {
        const struct br_roll_entry *entry = &s->roll.entries[i];
        if (entry->used && entry->status == BRUIT_STATUS_FAILED && n-- == 0)
            return i;
    }
}

/*
 * Section 13: everybody tries with a probability of failed / alive, so that the whole cluster makes about as many
 * attempts as there are failed members.
 */
static void reconnect(struct status *s)
{
    uint64_t failed = s->roll.count[BRUIT_STATUS_FAILED];
    uint64_t rest = br_roll_count(&s->roll) - failed - s->roll.count[BRUIT_STATUS_LEFT];
    if (failed == 0 || (rest > 0 && bruit_host_random_below(s->host, rest) >= failed))
        return;
    struct bruit_status_member member = describe(s, failed_at(s, bruit_host_random_below(s->host, failed)));
    BR_TRACE(s->tracer, reconnecting, .name = member.name, .addr = member.addr);
    (void)bruit_host_reconnect(s->host, &member.addr); /* there is a next time */
}

static bool is_due(bruit_time *timer, bruit_time now)
{
    if (*timer > now)
        return false;
    *timer = BRUIT_NEVER;
    return true;
}

static void on_time(void *self)
{
    struct status *s = self;
    bruit_time now = now_of(s);
    if (is_due(&s->goodbye_deadline, now))
        end_goodbye(s);
    for (size_t i = 0; i < REMOVALS_MAX && s->removal_count > 0; i++)
        if (s->removals[i].request != 0 && s->removals[i].deadline <= now)
            end_removal(s, &s->removals[i], BRUIT_ETIMEOUT);
    prune_due(s, now);
    if (is_due(&s->reap_at, now))
        reap(s);
    if (is_due(&s->reconnect_at, now))
        reconnect(s);
    arm_timers(s);
}

/* ------------------------------------------------------------------ life */

void bruit_status_options_default(struct bruit_status_options *options)
{
    *options = (struct bruit_status_options){
        .struct_size = sizeof *options,
        .reconnect_interval = 30 * BRUIT_SECOND,
        .reconnect_timeout = 24 * 3600 * BRUIT_SECOND,
        .tombstone_timeout = 24 * 3600 * BRUIT_SECOND,
        .reap_interval = 15 * BRUIT_SECOND,
        .intent_timeout = 300 * BRUIT_SECOND,
        .broadcast_timeout = 5 * BRUIT_SECOND,
        .leave_propagate_delay = BRUIT_SECOND,
    };
}

static int init(void *self, struct bruit_host *host)
{
    struct status *s = self;
    struct br_alloc *alloc = br_host_alloc(host);
    uint8_t key[16];
    br_store_u64(key, bruit_host_random(host));
    br_store_u64(key + 8, bruit_host_random(host));
    s->host = host;
    s->tracer = br_host_tracer(host);
    bruit_status_options_default(&s->options);
    br_lamport_init(&s->clock);
    br_roll_init(&s->roll, alloc, bruit_host_engine(host), key);
    br_intents_init(&s->intents, alloc, key);
    br_namelist_init(&s->left, alloc, key);
    s->goodbye_deadline = s->reap_at = s->reconnect_at = BRUIT_NEVER;
    for (size_t i = 0; i < REMOVALS_MAX; i++)
        s->removals[i].deadline = BRUIT_NEVER;
    return 0;
}

static void fini(void *self)
{
    struct status *s = self;
    br_roll_fini(&s->roll);
    br_intents_fini(&s->intents);
    br_namelist_fini(&s->left);
}

static const uint8_t message_types[] = {BR_SERF_LEAVE, BR_SERF_JOIN};
static const char *const section_keys[] = {"LTime", "LeftMembers", "StatusLTimes"};

const struct bruit_module bruit_status_module = {
    .struct_size = sizeof bruit_status_module,
    .name = "status",
    .state_size = sizeof(struct status),
    .message_types = message_types,
    .message_type_count = sizeof message_types,
    .section_keys = section_keys,
    .section_key_count = sizeof section_keys / sizeof section_keys[0],
    .init = init,
    .fini = fini,
    .on_member = on_member,
    .on_message = on_message,
    .on_broadcast_done = on_broadcast_done,
    .export_section = export_section,
    .merge_sections = merge_sections,
    .deadline = deadline,
    .on_time = on_time,
    .on_joined = on_joined,
    .on_leave = on_leave,
};

/* ------------------------------------------------------------------ reading */

const char *bruit_status_text(enum bruit_status status)
{
    static const char *const texts[] = {"none", "alive", "leaving", "left", "failed"};
    return (unsigned)status < sizeof texts / sizeof texts[0] ? texts[status] : "none";
}

int bruit_status_configure(struct bruit_engine *engine, const struct bruit_status_options *options)
{
    struct status *s = status_of(engine);
    if (s == NULL)
        return BRUIT_ENOENT;
    if (options->struct_size != sizeof *options)
        return BRUIT_EINVAL;
    s->options = *options;
    return 0;
}

int bruit_status_get(const struct bruit_engine *engine, bruit_node node, struct bruit_status_info *out)
{
    const struct status *s = status_of(engine);
    uint32_t entry = s == NULL ? BR_ROLL_NONE : br_roll_of_node(&s->roll, node);
    if (entry == BR_ROLL_NONE)
        return BRUIT_ENOENT;
    const struct br_roll_entry *e = &s->roll.entries[entry];
    *out = (struct bruit_status_info){(enum bruit_status)e->status, e->status_time, e->leave_time};
    return 0;
}

size_t bruit_status_count(const struct bruit_engine *engine)
{
    const struct status *s = status_of(engine);
    return s == NULL ? 0 : br_roll_count(&s->roll);
}

bool bruit_status_next(const struct bruit_engine *engine, size_t *position, struct bruit_status_member *out)
{
    const struct status *s = status_of(engine);
    if (s == NULL)
        return false;
    while (*position < s->roll.used) {
        uint32_t entry = (uint32_t)(*position)++;
        if (!s->roll.entries[entry].used)
            continue;
        br_roll_describe(&s->roll, entry, out);
        return true;
    }
    return false;
}

int bruit_status_find(const struct bruit_engine *engine, struct bruit_bytes name,
                      struct bruit_status_member *out)
{
    const struct status *s = status_of(engine);
    uint32_t entry = s == NULL ? BR_ROLL_NONE : br_roll_find(&s->roll, name);
    if (entry == BR_ROLL_NONE)
        return BRUIT_ENOENT;
    br_roll_describe(&s->roll, entry, out);
    return 0;
}

void bruit_status_witness(struct bruit_engine *engine, uint64_t seen)
{
    struct status *s = status_of(engine);
    if (s != NULL)
        br_lamport_witness(&s->clock, seen);
}

size_t bruit_status_queued(const struct bruit_engine *engine)
{
    const struct status *s = status_of(engine);
    return s == NULL ? 0 : bruit_host_queued(s->host, 0);
}

void bruit_status_counts(const struct bruit_engine *engine, struct bruit_status_counts *out)
{
    const struct status *s = status_of(engine);
    *out = (struct bruit_status_counts){0};
    if (s == NULL)
        return;
    out->member_time = s->clock.time;
    out->members = br_roll_count(&s->roll);
    out->failed = s->roll.count[BRUIT_STATUS_FAILED];
    out->left = s->roll.count[BRUIT_STATUS_LEFT];
}

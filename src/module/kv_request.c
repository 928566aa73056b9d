/*
 * Writes of ours that somebody waits for: until they are durable here, and until k members hold them.
 *
 * Who is to hold a write is told it directly, with a number, and says so once it is durable there. So many as are still
 * missing are asked at once; every ASK_AGAIN those who said nothing are asked again and as many others besides, so that
 * a few who do not answer cost time and not the outcome. At the timeout the program is told how many hold it.
 *
 * An event that cannot be given (nobody fetches them) is kept until it can.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "module/kv_core.h"

/* A round trip and a write to disk fit in it twice on a bad day; nothing special about the number. */
#define ASK_AGAIN (500 * BRUIT_MILLISECOND)
#define TELL_AGAIN (100 * BRUIT_MILLISECOND)
#define ASKED_MAX 128

/* A number is a slot, and above it how many requests came before: what comes late meets another number. */
static struct br_kv_request *find(const struct br_kv *kv, uint64_t number)
{
    uint64_t slot = number % BRUIT_KV_REQUESTS_MAX;
    if (number == 0 || slot >= kv->request_capacity || kv->requests[slot].number != number)
        return NULL;
    return &kv->requests[slot];
}

/* As many slots as were ever in use at once: most members have few. */
static bool grow(struct br_kv *kv)
{
    uint32_t capacity = kv->request_capacity == 0 ? 8 : 2 * kv->request_capacity;
    struct br_kv_request *more = br_alloc_resize(kv->alloc, kv->requests, kv->request_capacity * sizeof *more,
                                                 capacity * sizeof *more);
    if (more == NULL)
        return false;
    memset(more + kv->request_capacity, 0, (capacity - kv->request_capacity) * sizeof *more);
    kv->requests = more;
    kv->request_capacity = capacity;
    return true;
}

static struct br_kv_request *find_free(struct br_kv *kv, uint32_t *number)
{
    uint32_t slot = 0;
    if (kv->request_count == kv->request_capacity && !grow(kv))
        return NULL;
    while (kv->requests[slot].number != 0)
        slot++;
    if (++kv->request_last > UINT32_MAX / BRUIT_KV_REQUESTS_MAX)
        kv->request_last = 1;
    *number = kv->request_last * BRUIT_KV_REQUESTS_MAX + slot;
    return &kv->requests[slot];
}

uint32_t br_kv_request_new(struct br_kv *kv, uint32_t wanted, bruit_time timeout)
{
    uint32_t number = 0;
    if (kv->request_count >= BRUIT_KV_REQUESTS_MAX)
        return 0;
    struct br_kv_request *r = find_free(kv, &number);
    if (r == NULL)
        return 0;
    *r = (struct br_kv_request){.number = number,
                                .wanted = wanted == 0 ? 1 : wanted,
                                .deadline = br_time_add(br_kv_now(kv), timeout),
                                .retry_at = BRUIT_NEVER};
    kv->request_count++;
    kv->requests_at = br_time_min(kv->requests_at, r->deadline);
    return number;
}

static void release(struct br_kv *kv, struct br_kv_request *r)
{
    br_buf_drop(kv->alloc, r->item);
    br_alloc_free(kv->alloc, r->asked, r->asked_capacity * sizeof *r->asked);
    *r = (struct br_kv_request){0};
    kv->request_count--;
}

void br_kv_requests_fini(struct br_kv *kv)
{
    for (uint32_t i = 0; i < kv->request_capacity; i++)
        if (kv->requests[i].number != 0)
            release(kv, &kv->requests[i]);
    br_alloc_free(kv->alloc, kv->requests, kv->request_capacity * sizeof *kv->requests);
}

void br_kv_request_drop(struct br_kv *kv, uint32_t number)
{
    struct br_kv_request *r = find(kv, number);
    if (r != NULL)
        release(kv, r);
}

/* ------------------------------------------------------------------ the end */

static void end(struct br_kv *kv, struct br_kv_request *r, int error)
{
    if (!r->is_over)
        r->error = error;
    r->is_over = true;
    struct bruit_kv_done done;
    memset(&done, 0, sizeof done); /* all of it is copied, gaps too */
    done.request = r->number;
    done.wanted = r->wanted;
    done.held = r->held;
    done.error = r->error;
    struct bruit_event event = {.type = BRUIT_EVENT_KV_DONE,
                                .request = r->number,
                                .error = r->error,
                                .data = br_bytes(&done, sizeof done)};
    if (bruit_host_emit(kv->host, &event) == 0) {
        release(kv, r);
        return;
    }
    r->retry_at = br_time_add(br_kv_now(kv), TELL_AGAIN);
    kv->requests_at = br_time_min(kv->requests_at, r->retry_at);
}

/* ------------------------------------------------------------------ asking */

static bool was_asked(const struct br_kv_request *r, bruit_node node)
{
    for (uint32_t i = 0; i < r->asked_count; i++)
        if (r->asked[i].node == node)
            return true;
    return false;
}

/* Up to `count` peers more, each as likely as any other. */
static void choose(struct br_kv *kv, struct br_kv_request *r, uint32_t count)
{
    const struct bruit_engine *engine = bruit_host_engine(kv->host);
    uint32_t first = r->asked_count, room = r->asked_capacity - first;
    uint64_t seen = 0;
    count = count < room ? count : room;
    for (bruit_node node = 0; (node = bruit_member_next(engine, node)) != 0;) {
        if (node == bruit_member_self(engine) || !bruit_host_is_peer(kv->host, node) ||
            (first > 0 && was_asked(r, node)))
            continue;
        uint64_t place = seen < count ? seen : bruit_host_random_below(kv->host, seen + 1);
        seen++;
        if (place >= count)
            continue;
        r->asked[first + place] = (struct br_kv_asked){.node = node};
        if (first + place >= r->asked_count)
            r->asked_count = first + (uint32_t)place + 1;
    }
}

/* Those who have not said anything, and for each that is still missing one more. */
static void ask(struct br_kv *kv, struct br_kv_request *r)
{
    choose(kv, r, r->wanted - r->held);
    for (uint32_t i = 0; i < r->asked_count; i++)
        if (!r->asked[i].has && !r->asked[i].is_refused && bruit_host_is_peer(kv->host, r->asked[i].node))
            (void)br_kv_tell_one(kv, r->asked[i].node, r->item, r->number); /* lost: asked again */
    r->retry_at = br_time_add(br_kv_now(kv), ASK_AGAIN);
    kv->requests_at = br_time_min(kv->requests_at, r->retry_at);
}

void br_kv_request_durable(struct br_kv *kv, uint32_t number, struct br_kv_dot dot, struct br_buf *item, int error)
{
    struct br_kv_request *r = find(kv, number);
    if (r == NULL)
        return;
    r->dot = dot;
    r->is_durable = error == 0;
    r->held = error == 0;
    if (error != 0 || r->wanted <= 1 || item == NULL) {
        end(kv, r, error);
        return;
    }
    r->asked = br_alloc_array(kv->alloc, ASKED_MAX, sizeof *r->asked);
    r->asked_capacity = r->asked == NULL ? 0 : ASKED_MAX;
    r->item = br_buf_hold(item);
    ask(kv, r);
}

void br_kv_request_acked(struct br_kv *kv, uint64_t ack, struct br_kv_dot dot, bruit_node node, uint8_t status)
{
    struct br_kv_request *r = find(kv, ack);
    if (r == NULL || r->is_over || !br_kv_dot_equal(r->dot, dot))
        return;
    for (uint32_t i = 0; i < r->asked_count; i++) {
        struct br_kv_asked *asked = &r->asked[i];
        if (asked->node != node || asked->has)
            continue;
        asked->is_refused = status != 0;
        asked->has = status == 0;
        r->held += asked->has;
    }
    if (r->held >= r->wanted)
        end(kv, r, 0);
}

/* ------------------------------------------------------------------ time */

static void tick(struct br_kv *kv, struct br_kv_request *r, bruit_time now)
{
    if (r->is_over && r->retry_at <= now)
        end(kv, r, r->error);
    else if (!r->is_over && r->is_durable && r->deadline <= now)
        end(kv, r, BRUIT_ETIMEOUT);
    else if (!r->is_over && r->retry_at <= now)
        ask(kv, r);
}

/* A write that is not durable yet has no timeout: the disk says what becomes of it, and only then is it known. */
static bruit_time next_of(const struct br_kv_request *r)
{
    if (r->is_over)
        return r->retry_at;
    return r->is_durable ? br_time_min(r->deadline, r->retry_at) : BRUIT_NEVER;
}

void br_kv_requests_tick(struct br_kv *kv)
{
    bruit_time now = br_kv_now(kv), next = BRUIT_NEVER;
    for (uint32_t i = 0; i < kv->request_capacity; i++) {
        struct br_kv_request *r = &kv->requests[i];
        if (r->number != 0)
            tick(kv, r, now);
        if (r->number != 0)
            next = br_time_min(next, next_of(r));
    }
    kv->requests_at = next;
}

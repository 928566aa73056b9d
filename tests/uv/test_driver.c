/* The driver's turn, with an engine that plays along: what it is told, in which order, and what it costs. */
#include "uv/fake_engine.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* A peer: a plain UDP socket of the test. */
static int peer_open(struct bruit_addr *at)
{
    union br_sockaddr address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval timeout = {.tv_sec = 2};
    socklen_t size = br_sockaddr_write(&address, at, AF_INET);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &address.any, size), 0);
    assert_int_equal(getsockname(fd, &address.any, &size), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_true(br_sockaddr_read(at, &address));
    return fd;
}

static void peer_send(int fd, const struct bruit_addr *to, const char *text)
{
    union br_sockaddr address;
    socklen_t size = br_sockaddr_write(&address, to, AF_INET);
    assert_int_equal(sendto(fd, text, strlen(text), 0, &address.any, size), strlen(text));
}

static void peer_expect(int fd, const char *text)
{
    char buffer[100];
    ssize_t size = recv(fd, buffer, sizeof buffer - 1, 0);
    assert_true(size >= 0);
    buffer[size] = '\0';
    assert_string_equal(buffer, text);
}

static int peer_fd;
static struct bruit_addr peer_at;

static void rig_with_peer(struct rig *rig)
{
    peer_at = addr4(127, 83, 2, 9, 0);
    peer_fd = peer_open(&peer_at);
    rig_init(rig, addr4(127, 83, 2, 1, 0));
    rig_start(rig);
}

static void rig_with_peer_end(struct rig *rig)
{
    rig_end(rig);
    close(peer_fd);
}

/* ------------------------------------------------------------------ datagrams */

static void echo(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    (void)stream;
    if (strncmp(input, "datagram", 8) == 0)
        fake_send(engine, &peer_at, engine->datagram_count, "pong");
}

static bool got_one_datagram(struct rig *rig)
{
    (void)rig;
    return fake->datagram_count == 1;
}

/* A ping comes in: the engine hears it with its source, and the answer leaves in the same turn of the
 * loop, from the socket that listens. */
static void test_answers_in_the_same_turn(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    fake->hook = echo;
    struct bruit_addr bound = bruit_uv_bound(rig.uv);
    peer_send(peer_fd, &bound, "ping");
    rig_run(&rig, got_one_datagram);
    peer_expect(peer_fd, "pong");
    struct bruit_uv_stats stats;
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.datagrams_received, 1);
    assert_int_equal(stats.datagrams_sent, 1);
    assert_int_equal(stats.receive_calls, 1); /* fewer than a batch came: nobody asks for more */
    assert_int_equal(stats.send_calls, 1);
    rig_with_peer_end(&rig);
}

static bool got_two_hundred(struct rig *rig)
{
    (void)rig;
    return fake->datagram_count == 200;
}

/* A burst: 200 packets wait. They are taken in batches of 64, and every batch is answered in one call. */
static void test_a_burst_is_taken_in_batches(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    fake->hook = echo;
    struct bruit_addr bound = bruit_uv_bound(rig.uv);
    for (int i = 0; i < 200; i++)
        peer_send(peer_fd, &bound, "ping");
    rig_run(&rig, got_two_hundred);
    struct bruit_uv_stats stats;
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.receive_calls, 4);
    assert_int_equal(stats.send_calls, 4);
    assert_int_equal(stats.datagrams_sent, 200);
    for (int i = 0; i < 200; i++)
        peer_expect(peer_fd, "pong");
    rig_with_peer_end(&rig);
}

/* The same where batches do not exist, and with batches of one. */
static void test_works_one_by_one(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        struct rig rig;
        peer_at = addr4(127, 83, 2, 9, 0);
        peer_fd = peer_open(&peer_at);
        rig_init(&rig, addr4(127, 83, 2, 1, 0));
        rig.options.one_by_one = variant == 0;
        rig.options.receive_batch = rig.options.send_batch = variant == 1;
        rig_start(&rig);
        fake->hook = echo;
        struct bruit_addr bound = bruit_uv_bound(rig.uv);
        for (int i = 0; i < 200; i++)
            peer_send(peer_fd, &bound, "ping");
        rig_run(&rig, got_two_hundred);
        for (int i = 0; i < 200; i++)
            peer_expect(peer_fd, "pong");
        rig_with_peer_end(&rig);
    }
}

/* A program makes a request outside any callback of ours: what it produced leaves with the kick. */
static void test_a_kick_sends_what_a_request_produced(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    fake_send(fake, &peer_at, 1, "requested");
    bruit_uv_kick(rig.uv);
    peer_expect(peer_fd, "requested");
    rig_with_peer_end(&rig);
}

/* ------------------------------------------------------------------ a kernel that will not take them */

static int accepts; /* how many datagrams it still takes; refusals come after that */
static int refusal;

static int stingy_send(int fd, struct br_message *messages, unsigned count)
{
    if (accepts == 0) {
        errno = refusal;
        return -1;
    }
    unsigned taken = count < (unsigned)accepts ? count : (unsigned)accepts;
    accepts -= (int)taken;
    return br_udp_batched.send(fd, messages, taken);
}

static int plain_receive(int fd, struct br_message *messages, unsigned count)
{
    return br_udp_batched.receive(fd, messages, count);
}

static const struct br_udp_calls stingy = {plain_receive, stingy_send};

static bool is_blocked(struct rig *rig)
{
    return rig->uv->wants_write;
}

static bool is_unblocked(struct rig *rig)
{
    return !rig->uv->wants_write;
}

/* The socket's buffer is full after two of a hundred datagrams: what was pulled is kept, and nothing more is
 * pulled, since the engine would count it as sent. Once the kernel takes them again, all arrive, in order. */
static void test_pulls_no_more_until_the_kernel_takes_them(void **state)
{
    (void)state;
    struct rig rig;
    char text[16];
    struct bruit_uv_stats stats;
    rig_with_peer(&rig);
    rig.uv->udp.calls = &stingy;
    accepts = 2;
    refusal = EAGAIN;
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof text, "datagram %u", i);
        fake_send(fake, &peer_at, i, text);
    }
    bruit_uv_kick(rig.uv);
    assert_true(is_blocked(&rig));
    assert_int_equal(fake->pulls, 64);
    rig_run_for(&rig, 10 * BRUIT_MILLISECOND); /* it tries again, and again in vain */
    bruit_uv_kick(rig.uv);
    assert_int_equal(fake->pulls, 64);
    assert_true(is_blocked(&rig));
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.send_blocked, 1);
    assert_int_equal(stats.datagrams_sent, 2);

    accepts = 1000;
    rig_run(&rig, is_unblocked);
    assert_int_equal(fake->pulls, 100);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof text, "datagram %u", i);
        peer_expect(peer_fd, text);
    }
    rig_with_peer_end(&rig);
}

/* The kernel refuses for good: the engine is told, with the token, and what it does about it (another
 * packet by another way) leaves in the same turn. */
static void answer_failure(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    (void)stream;
    if (strcmp(input, "send_failed") == 0)
        fake_send(engine, &peer_at, 8, "instead");
}

static void test_hard_errors_reach_the_engine(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_addr v6 = addr_of("[2001:db8::1]:7946"); /* unreachable from an IPv4 socket */
    rig_with_peer(&rig);
    fake->hook = answer_failure;
    fake_send(fake, &v6, 7, "lost");
    bruit_uv_kick(rig.uv);
    assert_int_equal(fake_lines("send_failed 7 BRUIT_EUNREACHABLE"), 1);
    peer_expect(peer_fd, "instead");
    struct bruit_uv_stats stats;
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.send_failed, 1);
    assert_int_equal(stats.datagrams_sent, 1);
    rig_with_peer_end(&rig);
}

/* Nobody listens where we send: the kernel hears so by ICMP, and we go on as if nothing had happened. */
static void test_icmp_errors_kill_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    fake->hook = echo;
    struct bruit_addr bound = bruit_uv_bound(rig.uv), nobody = addr4(127, 83, 2, 8, 1);
    for (uint64_t i = 0; i < 20; i++)
        fake_send(fake, &nobody, i, "anybody?");
    bruit_uv_kick(rig.uv);
    rig_run_for(&rig, 20 * BRUIT_MILLISECOND);
    peer_send(peer_fd, &bound, "ping");
    rig_run(&rig, got_one_datagram);
    peer_expect(peer_fd, "pong");
    rig_with_peer_end(&rig);
}

/* ------------------------------------------------------------------ time */

static bruit_time period, first_deadline, worst_delay;
static size_t ticks;

static void tick_again(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    (void)stream;
    if (strcmp(input, "tick") != 0)
        return;
    ticks++;
    bruit_time due = first_deadline + (ticks - 1) * period;
    worst_delay = engine->now - due > worst_delay ? engine->now - due : worst_delay;
    engine->deadline = first_deadline + ticks * period;
}

/* At rest there is one wakeup for each deadline: the timer is never early, nor does it spin towards it. */
static void test_one_wakeup_for_one_deadline(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_uv_stats before, after;
    rig_with_peer(&rig);
    rig_run_for(&rig, 5 * BRUIT_MILLISECOND); /* the first turn is over */
    bruit_uv_stats_get(rig.uv, &before);
    fake->hook = tick_again;
    ticks = 0;
    worst_delay = 0;
    period = 33 * BRUIT_MILLISECOND + 333333; /* no whole milliseconds */
    first_deadline = bruit_uv_now(rig.uv) + period;
    fake->deadline = first_deadline;
    bruit_uv_kick(rig.uv);
    while (ticks < 15)
        uv_run(&rig.loop, UV_RUN_ONCE);
    bruit_uv_stats_get(rig.uv, &after);
    assert_int_equal(after.wakeups - before.wakeups, 15);
    assert_int_equal(after.ticks, 15);
    assert_true(worst_delay < 500 * BRUIT_MILLISECOND); /* the fake asserts that none was early */
    rig_with_peer_end(&rig);
}

/* The engine changes its mind: an earlier deadline is kept, a later one costs no wakeup at the old one. */
static void test_a_changed_deadline_moves_the_timer(void **state)
{
    (void)state;
    struct rig rig;
    struct bruit_uv_stats stats;
    rig_with_peer(&rig);
    bruit_time start = bruit_uv_now(rig.uv);
    fake->deadline = start + 60 * BRUIT_SECOND;
    bruit_uv_kick(rig.uv);
    fake->deadline = start + 20 * BRUIT_MILLISECOND;
    bruit_uv_kick(rig.uv);
    rig_run_for(&rig, 60 * BRUIT_MILLISECOND);
    assert_int_equal(fake_lines("tick"), 1);

    fake->deadline = bruit_uv_now(rig.uv) + 20 * BRUIT_MILLISECOND;
    bruit_uv_kick(rig.uv);
    fake->deadline = bruit_uv_now(rig.uv) + 60 * BRUIT_SECOND;
    bruit_uv_kick(rig.uv);
    bruit_uv_stats_get(rig.uv, &stats);
    uint64_t wakeups = stats.wakeups;
    rig_run_for(&rig, 60 * BRUIT_MILLISECOND);
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.wakeups, wakeups);
    assert_int_equal(fake_lines("tick"), 1);

    fake->deadline = BRUIT_NEVER;
    bruit_uv_kick(rig.uv);
    assert_false(uv_is_active((uv_handle_t *)&rig.uv->timer));
    rig_with_peer_end(&rig);
}

/* A deadline that stays in the past must not take the whole processor, nor starve the sockets. */
static void never_satisfied(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    (void)stream;
    if (strcmp(input, "tick") == 0)
        engine->deadline = engine->now;
}

static void test_an_impatient_engine_cannot_take_the_loop(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    fake->hook = never_satisfied;
    fake->deadline = bruit_uv_now(rig.uv);
    bruit_uv_kick(rig.uv);
    uint64_t end = uv_hrtime() + 50 * BRUIT_MILLISECOND;
    while (uv_hrtime() < end)
        uv_run(&rig.loop, UV_RUN_ONCE);
    assert_true(fake->log_count < 80); /* about one a millisecond */
    rig_with_peer_end(&rig);
}

static bool has_ticked(struct rig *rig)
{
    (void)rig;
    return fake_line("tick") >= 0;
}

static bool has_accepted(struct rig *rig)
{
    (void)rig;
    return fake_line("accepted") >= 0;
}

/* The process was stopped for a while, in which an ack came as a datagram and another on a stream. Both
 * are told before the tick: what was late were we. */
static void test_a_late_tick_comes_after_all_that_waited(void **state)
{
    (void)state;
    struct rig rig;
    union br_sockaddr address;
    rig_with_peer(&rig);
    struct bruit_addr bound = bruit_uv_bound(rig.uv);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = br_sockaddr_write(&address, &bound, AF_INET);
    assert_int_equal(connect(stream, &address.any, size), 0);
    rig_run(&rig, has_accepted);
    fake->deadline = bruit_uv_now(rig.uv) + 5 * BRUIT_MILLISECOND;
    bruit_uv_kick(rig.uv);

    usleep(60 * 1000); /* SIGSTOP, seen from inside */
    peer_send(peer_fd, &bound, "ack");
    assert_int_equal(write(stream, "ack too", 7), 7);
    rig_run(&rig, has_ticked);
    int tick = fake_line("tick"), datagram = fake_line("datagram"), bytes = fake_line("stream");
    assert_true(datagram >= 0 && datagram < tick);
    assert_true(bytes >= 0 && bytes < tick);
    assert_int_equal(fake_lines("tick"), 1);
    close(stream);
    rig_with_peer_end(&rig);
}

/* ------------------------------------------------------------------ events and callbacks */

static void count_event(struct bruit_uv *uv, void *context, const struct bruit_event *event)
{
    struct rig *rig = context;
    assert_ptr_equal(uv, rig->uv);
    assert_int_equal(event->type, BRUIT_EVENT_MEMBER);
    rig->events++;
    if (event->node ==
        1) { /* the callback asks for something: no kick needed inside a turn, but none harms */
        fake_send(fake, &peer_at, 1, "from a callback");
        bruit_uv_kick(uv);
    }
}

static void test_events_reach_the_program(void **state)
{
    (void)state;
    struct rig rig;
    peer_at = addr4(127, 83, 2, 9, 0);
    peer_fd = peer_open(&peer_at);
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig.options.on_event = count_event;
    rig_start(&rig);
    for (bruit_node node = 0; node < 3; node++)
        fake_event(fake, &(struct bruit_event){.type = BRUIT_EVENT_MEMBER, .node = node});
    uv_run(&rig.loop, UV_RUN_ONCE); /* what the engine owes from its making is asked for without a kick */
    assert_int_equal(rig.events, 3);
    peer_expect(peer_fd, "from a callback");
    rig_with_peer_end(&rig);
}

static void close_on_event(struct bruit_uv *uv, void *context, const struct bruit_event *event)
{
    struct rig *rig = context;
    (void)event;
    rig->events++;
    bruit_uv_close(uv, rig_on_closed, rig);
    bruit_uv_close(uv, rig_on_closed, rig); /* twice is once */
    bruit_uv_kick(uv);
    assert_int_equal(rig->closed, 0); /* never from inside the call */
}

/* The program closes the driver from an event, with more events waiting: they are not handed over any
 * more. */
static void test_closes_from_inside_a_callback(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig.options.on_event = close_on_event;
    rig_start(&rig);
    for (int i = 0; i < 3; i++)
        fake_event(fake, &(struct bruit_event){.type = BRUIT_EVENT_MEMBER});
    bruit_uv_kick(rig.uv);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    assert_int_equal(rig.events, 1);
    assert_int_equal(rig.closed, 1);
    assert_int_equal(uv_loop_close(&rig.loop), 0);
}

/* ------------------------------------------------------------------ closing at any moment */

static size_t joined_calls, posted_calls, posted_dropped;

static void on_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    (void)uv, (void)context;
    assert_int_equal(joined->contacted, 0);
    joined_calls++;
}

static void on_posted(struct bruit_uv *uv, void *context)
{
    struct rig *rig = context;
    posted_calls++;
    if (uv == NULL)
        posted_dropped++;
    else
        assert_int_equal(bruit_uv_post(rig->uv, on_posted, rig), 0); /* for ever */
}

static const struct bruit_addr *churn_target;

/* Traffic of every kind, for ever: each tick opens a stream, writes into the streams that stand and closes
 * others. */
static void churn(struct bruit_engine *engine, const char *input, uint32_t stream)
{
    static const uint8_t page[4096];
    struct bruit_bytes bytes = {page, sizeof page};
    if (strcmp(input, "tick") == 0) {
        engine->deadline = engine->now + BRUIT_MILLISECOND;
        fake_op(engine, BRUIT_STREAM_OPEN, (uint32_t)engine->log_count, churn_target,
                (struct bruit_bytes){0});
        fake_send(engine, churn_target, 1, "datagram to ourselves");
    } else if (strcmp(input, "opened") == 0 || strcmp(input, "sent") == 0) {
        bool enough = engine->log_count % 5 == 0;
        fake_op(engine, enough ? BRUIT_STREAM_CLOSE : BRUIT_STREAM_SEND, stream, NULL, bytes);
    } else if (strcmp(input, "stream") == 0 && engine->log_count % 7 == 0) {
        fake_op(engine, BRUIT_STREAM_CLOSE, stream, NULL, bytes);
    }
}

/* Whatever is under way (datagrams, streams in both directions and every state, a name being resolved, a
 * thread's call), the driver can be closed: after 0, 1, ... 50 turns of the loop everything is given back,
 * each promise of a callback is kept once, and the loop is empty. Run with ASan, this is the test of all
 * memory. */
static void test_closes_at_any_moment(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "127.83.2.77:1", "no..such.host"};
    for (int turns = 0; turns <= 50; turns++) {
        struct rig rig;
        rig_init(&rig, addr4(127, 83, 2, 1, 0));
        rig_start(&rig);
        struct bruit_addr self = bruit_uv_bound(rig.uv);
        churn_target = &self;
        fake->hook = churn;
        fake->deadline = bruit_uv_now(rig.uv);
        joined_calls = posted_calls = posted_dropped = 0;
        assert_int_equal(bruit_uv_join_names(rig.uv, names, turns % 2 == 0 ? 1 : 3, 0, on_joined, NULL), 0);
        assert_int_equal(bruit_uv_post(rig.uv, on_posted, &rig), 0);
        for (int i = 0; i < turns; i++)
            uv_run(&rig.loop, UV_RUN_NOWAIT);
        if (turns % 3 == 0)
            usleep(1500); /* a deadline passes unseen */
        bruit_uv_close(rig.uv, rig_on_closed, &rig);
        assert_int_equal(bruit_uv_post(rig.uv, on_posted, &rig), BRUIT_ECLOSED);
        assert_int_equal(bruit_uv_join_names(rig.uv, names, 1, 0, on_joined, NULL), BRUIT_ECLOSED);
        uv_run(&rig.loop, UV_RUN_DEFAULT);
        assert_int_equal(rig.closed, 1);
        assert_int_equal(joined_calls, 1);
        assert_int_equal(posted_dropped, 1);
        assert_int_equal(uv_loop_close(&rig.loop), 0);
    }
}

/* ------------------------------------------------------------------ other threads */

enum { POSTS = 2000, THREADS = 4 };
static size_t posts_run;
static pthread_t loop_thread;

static void count_post(struct bruit_uv *uv, void *context)
{
    assert_true(pthread_equal(pthread_self(), loop_thread));
    posts_run++;
    fake_send(bruit_uv_engine(uv), &peer_at, 1, "posted");
    free(context);
}

static void *post_many(void *context)
{
    struct bruit_uv *uv = context;
    for (int i = 0; i < POSTS; i++) {
        int *payload = malloc(sizeof *payload);
        *payload = i;
        while (bruit_uv_post(uv, count_post, payload) != 0)
            usleep(100);
    }
    return NULL;
}

static bool all_posts_ran(struct rig *rig)
{
    (void)rig;
    return posts_run == (size_t)POSTS * THREADS;
}

/* Four threads post while the loop works: each call runs once, on the loop's thread, and what it asks for
 * is sent without a kick. Run with TSan, this is the test of the one lock there is. */
static void test_posts_from_other_threads_run_on_the_loop(void **state)
{
    (void)state;
    struct rig rig;
    pthread_t threads[THREADS];
    rig_with_peer(&rig);
    posts_run = 0;
    loop_thread = pthread_self();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, rig.uv), 0);
    rig_run(&rig, all_posts_ran);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    peer_expect(peer_fd, "posted");
    rig_with_peer_end(&rig);
}

static void free_only(struct bruit_uv *uv, void *context)
{
    (void)uv;
    free(context);
}

static void *post_until_closed(void *context)
{
    for (;;) {
        void *payload = malloc(16);
        if (bruit_uv_post(context, free_only, payload) != 0) {
            free(payload);
            return NULL;
        }
    }
}

/* Closing while another thread posts: it is told, and what it posted before is not lost. */
static void test_closing_ends_the_posts(void **state)
{
    (void)state;
    struct rig rig;
    pthread_t thread;
    rig_with_peer(&rig);
    assert_int_equal(pthread_create(&thread, NULL, post_until_closed, rig.uv), 0);
    rig_run_for(&rig, 10 * BRUIT_MILLISECOND);
    bruit_uv_close(rig.uv, rig_on_closed, &rig);
    pthread_join(thread, NULL);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    assert_int_equal(rig.closed, 1);
    assert_int_equal(uv_loop_close(&rig.loop), 0);
    close(peer_fd);
}

/* ------------------------------------------------------------------ starting */

/* Port 0: both sockets get the same free one, and the engine is told which. What the caller left empty is
 * filled in, in a copy. */
static void test_a_free_port_is_one_for_both(void **state)
{
    (void)state;
    struct rig rig;
    union br_sockaddr address;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig_start(&rig);
    struct bruit_addr bound = bruit_uv_bound(rig.uv);
    assert_int_not_equal(bound.port, 0);
    assert_true(br_addr_equal(&fake->config.advertise, &bound));
    assert_int_equal(fake->config.bind_port, bound.port);
    assert_int_not_equal(fake->config.seed, 0);
    assert_int_equal(rig.config.advertise.size, 0);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = br_sockaddr_write(&address, &bound, AF_INET);
    assert_int_equal(connect(stream, &address.any, size), 0);
    close(stream);
    rig_end(&rig);
}

static void expect_refusal(struct rig *rig, int error, const char *part)
{
    assert_int_equal(bruit_uv_new(&rig->uv, &rig->loop, &rig->options, rig->why, sizeof rig->why), error);
    assert_null(rig->uv);
    if (strstr(rig->why, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", rig->why, part);
    assert_int_equal(bruit_uv_new(&rig->uv, &rig->loop, &rig->options, NULL, 0), error);
    rig_end(rig);
}

/* Each way to fail leaves nothing behind, and says in a sentence what to do. */
static void test_says_that_the_port_is_in_use(void **state)
{
    (void)state;
    struct rig first, second;
    rig_init(&first, addr4(127, 83, 2, 1, 0));
    rig_start(&first);
    rig_init(&second, bruit_uv_bound(first.uv));
    expect_refusal(&second, BRUIT_EEXIST, "is in use");
    rig_end(&first);
}

static void test_says_that_tcp_alone_is_in_use(void **state)
{
    (void)state;
    struct rig rig;
    union br_sockaddr address;
    struct bruit_addr at = addr4(127, 83, 2, 3, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = br_sockaddr_write(&address, &at, AF_INET);
    assert_int_equal(bind(fd, &address.any, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &address.any, &size), 0);
    assert_true(br_sockaddr_read(&at, &address));
    rig_init(&rig, at);
    expect_refusal(&rig, BRUIT_EEXIST, "is in use");
    close(fd);
}

static void test_says_that_the_address_is_not_ours(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(192, 0, 2, 1, 0)); /* TEST-NET-1: nobody has it */
    expect_refusal(&rig, BRUIT_EIO, "no such address");
}

static void test_says_what_the_engine_refuses(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    fake_new_error = BRUIT_EINVAL;
    expect_refusal(&rig, BRUIT_EINVAL, "the fake engine was told to refuse this");
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    fake_new_error = BRUIT_ENOSYS;
    expect_refusal(&rig, BRUIT_ENOSYS, "not available");
    fake_new_error = 0;
}

static void test_refuses_to_advertise_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig.config.advertise = addr4(0, 0, 0, 0, 7946);
    expect_refusal(&rig, BRUIT_EINVAL, "0.0.0.0");
}

static void test_refuses_options_that_nobody_filled(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig.options.config = NULL;
    expect_refusal(&rig, BRUIT_EINVAL, "bruit_uv_options_init");
}

/* Two drivers on one loop, one closed: the other does not notice. */
static void test_drivers_share_a_loop(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_peer(&rig);
    struct bruit_engine *first = fake;
    struct bruit_uv *second;
    assert_int_equal(bruit_uv_new(&second, &rig.loop, &rig.options, NULL, 0), 0);
    bruit_uv_close(second, NULL, NULL);
    for (int i = 0; i < 5; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_null(fake); /* the second one's engine is gone */
    fake = first;
    fake->hook = echo;
    struct bruit_addr bound = bruit_uv_bound(rig.uv);
    peer_send(peer_fd, &bound, "ping");
    rig_run(&rig, got_one_datagram);
    peer_expect(peer_fd, "pong");
    rig_with_peer_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_in_the_same_turn),
        cmocka_unit_test(test_a_burst_is_taken_in_batches),
        cmocka_unit_test(test_works_one_by_one),
        cmocka_unit_test(test_a_kick_sends_what_a_request_produced),
        cmocka_unit_test(test_pulls_no_more_until_the_kernel_takes_them),
        cmocka_unit_test(test_hard_errors_reach_the_engine),
        cmocka_unit_test(test_icmp_errors_kill_nothing),
        cmocka_unit_test(test_one_wakeup_for_one_deadline),
        cmocka_unit_test(test_a_changed_deadline_moves_the_timer),
        cmocka_unit_test(test_an_impatient_engine_cannot_take_the_loop),
        cmocka_unit_test(test_a_late_tick_comes_after_all_that_waited),
        cmocka_unit_test(test_events_reach_the_program),
        cmocka_unit_test(test_closes_from_inside_a_callback),
        cmocka_unit_test(test_closes_at_any_moment),
        cmocka_unit_test(test_posts_from_other_threads_run_on_the_loop),
        cmocka_unit_test(test_closing_ends_the_posts),
        cmocka_unit_test(test_a_free_port_is_one_for_both),
        cmocka_unit_test(test_says_that_the_port_is_in_use),
        cmocka_unit_test(test_says_that_tcp_alone_is_in_use),
        cmocka_unit_test(test_says_that_the_address_is_not_ours),
        cmocka_unit_test(test_says_what_the_engine_refuses),
        cmocka_unit_test(test_refuses_to_advertise_nothing),
        cmocka_unit_test(test_refuses_options_that_nobody_filled),
        cmocka_unit_test(test_drivers_share_a_loop),
    };
    return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}

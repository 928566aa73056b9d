/*
 * The driver's store: what the engine wants on the disk reaches the program on another thread, in order, in batches,
 * and whatever the disk does, the loop goes on.
 */
#include "uv/fake_engine.h"

#include <pthread.h>
#include <unistd.h>

/* The program's disk: a journal of what is durable, a gate that a test can shut, and a status to answer with. */
static struct {
    uv_mutex_t lock;
    uv_cond_t changed;
    bool is_shut;
    int status;
    size_t waiting; /* calls that stand at the gate */
    size_t calls;
    size_t sizes[64]; /* of each call */
    char journal[65536];
} disk;

static pthread_t loop_thread;

static void disk_init(void)
{
    memset(&disk, 0, sizeof disk);
    assert_int_equal(uv_mutex_init(&disk.lock), 0);
    assert_int_equal(uv_cond_init(&disk.changed), 0);
    loop_thread = pthread_self();
}

static void disk_end(void)
{
    uv_cond_destroy(&disk.changed);
    uv_mutex_destroy(&disk.lock);
}

static void disk_set(bool is_shut, int status)
{
    uv_mutex_lock(&disk.lock);
    disk.is_shut = is_shut;
    disk.status = status;
    uv_cond_broadcast(&disk.changed);
    uv_mutex_unlock(&disk.lock);
}

static void enter_into_journal(const struct bruit_store_op *op)
{
    size_t used = strlen(disk.journal);
    (void)snprintf(disk.journal + used, sizeof disk.journal - used, "%.*s.%.*s%s%.*s ", (int)op->space.size,
                   (const char *)op->space.data, (int)op->key.size, (const char *)op->key.data,
                   op->is_delete ? "-" : "=", (int)op->value.size, (const char *)op->value.data);
}

static int disk_write(void *context, const struct bruit_store_op *ops, size_t count)
{
    assert_ptr_equal(context, &disk);
    assert_false(pthread_equal(pthread_self(), loop_thread));
    uv_mutex_lock(&disk.lock);
    disk.waiting++;
    while (disk.is_shut)
        uv_cond_wait(&disk.changed, &disk.lock);
    disk.waiting--;
    disk.sizes[disk.calls++ % 64] = count;
    for (size_t i = 0; i < count && disk.status == 0; i++)
        enter_into_journal(&ops[i]);
    int status = disk.status;
    uv_mutex_unlock(&disk.lock);
    return status;
}

static void rig_with_disk(struct rig *rig)
{
    disk_init();
    rig_init(rig, addr4(127, 83, 2, 1, 0));
    rig->options.store = disk_write;
    rig->options.store_context = &disk;
    rig_start(rig);
}

static void rig_with_disk_end(struct rig *rig)
{
    disk_set(false, 0);
    rig_end(rig);
    disk_end();
}

static bool all_is_stored(struct rig *rig)
{
    (void)rig;
    return fake->stored == fake->store_end;
}

static bool somebody_waits(struct rig *rig)
{
    (void)rig;
    uv_mutex_lock(&disk.lock);
    bool waits = disk.waiting > 0;
    uv_mutex_unlock(&disk.lock);
    return waits;
}

/* Who has no store callback must not be asked to store: the engine would queue without end. */
static void test_without_a_store_the_engine_is_told_so(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, addr4(127, 83, 2, 1, 0));
    rig.config.has_store = true;
    rig_start(&rig);
    assert_false(fake->config.has_store);
    bruit_uv_kick(rig.uv); /* the fake engine fails the test if it is asked */
    rig_end(&rig);
}

/* A request produces two writes; they reach the disk together and in order, and the engine hears of it once. */
static void test_writes_of_one_turn_are_one_batch(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    assert_true(fake->config.has_store);
    fake_store(fake, "a", "1");
    fake_store(fake, "b", NULL);
    bruit_uv_kick(rig.uv);
    rig_run(&rig, all_is_stored);
    assert_string_equal(disk.journal, "kv.a=1 kv.b- ");
    assert_int_equal(disk.calls, 1);
    assert_int_equal(fake_lines("stored 2 ok"), 1);
    assert_int_equal(fake_lines("stored"), 1);
    struct bruit_uv_stats stats;
    bruit_uv_stats_get(rig.uv, &stats);
    assert_int_equal(stats.store_batches, 1);
    assert_int_equal(stats.store_ops, 2);
    assert_int_equal(stats.store_failed, 0);
    rig_with_disk_end(&rig);
}

static void ask_for_more(struct bruit_engine *engine, const char *input, uint32_t token)
{
    if (strcmp(input, "stored") == 0 && token < 5)
        fake_store(engine, "next", "x");
}

/* What the engine wants because something was stored is stored without anybody else's help. */
static void test_an_answer_may_ask_for_more(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    fake->hook = ask_for_more;
    fake_store(fake, "first", "x");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, all_is_stored);
    assert_int_equal(fake->stored, 5);
    assert_int_equal(disk.calls, 5);
    rig_with_disk_end(&rig);
}

static bool ticked(struct rig *rig)
{
    (void)rig;
    return fake_lines("tick") > 0;
}

/* The disk hangs. Time goes on in the loop, and 1,000 writes that come meanwhile share the next wait. */
static void test_a_slow_disk_stops_nobody_and_gathers_writes(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    disk_set(true, 0);
    fake_store(fake, "a", "1");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, somebody_waits);
    for (int i = 0; i < 1000; i++) {
        fake_store(fake, "b", "2");
        bruit_uv_kick(rig.uv);
    }
    fake->deadline = bruit_uv_now(rig.uv) + 5 * BRUIT_MILLISECOND;
    bruit_uv_kick(rig.uv);
    rig_run(&rig, ticked);
    assert_int_equal(fake_lines("stored"), 0);
    disk_set(false, 0);
    rig_run(&rig, all_is_stored);
    assert_int_equal(disk.calls, 2);
    assert_int_equal(disk.sizes[1], 1000);
    assert_int_equal(fake_lines("stored 1 ok"), 1);
    assert_int_equal(fake_lines("stored 1001 ok"), 1);
    rig_with_disk_end(&rig);
}

static bool failed_once(struct rig *rig)
{
    (void)rig;
    return fake_lines("stored 1 BRUIT_EFULL") == 1;
}

static bool journal_is_whole(struct rig *rig)
{
    (void)rig;
    uv_mutex_lock(&disk.lock);
    bool is_whole = strcmp(disk.journal, "kv.a=1 kv.b=2 ") == 0;
    uv_mutex_unlock(&disk.lock);
    return is_whole;
}

/*
 * The disk is full, and later has room again: whoever waited for the first write was told; but the second one, which
 * may say that the first is there, does not reach the disk without it. Within two seconds both are there.
 */
static void test_nothing_is_written_without_what_failed_before(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    disk_set(false, BRUIT_EFULL);
    fake_store(fake, "a", "1");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, failed_once);
    fake_store(fake, "b", "2");
    bruit_uv_kick(rig.uv);
    disk_set(false, 0);
    rig_run(&rig, all_is_stored);
    assert_true(journal_is_whole(&rig));
    assert_int_equal(fake_lines("stored 2 ok"), 1);
    rig_with_disk_end(&rig);
}

/* The same when nobody ever writes again: the driver tries by itself. */
static void test_what_failed_is_tried_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    disk_set(false, BRUIT_EIO);
    fake_store(fake, "a", "1");
    fake_store(fake, "b", "2");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, all_is_stored);
    disk_set(false, 0);
    rig_run(&rig, journal_is_whole);
    assert_int_equal(fake_lines("stored"), 1); /* it was told already */
    rig_with_disk_end(&rig);
}

/* A flood: none of 4,000 writes is lost. */
static void test_a_flood_is_stored_whole(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    for (int i = 0; i < 4000; i++)
        fake_store(fake, "k", "v");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, all_is_stored);
    assert_int_equal(strlen(disk.journal), 4000 * strlen("kv.k=v "));
    rig_with_disk_end(&rig);
}

/* Closed while the disk hangs: what was asked for, before and meanwhile, is there when `on_closed` is called. */
static void test_closing_writes_what_waits(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    disk_set(true, 0);
    fake_store(fake, "a", "1");
    bruit_uv_kick(rig.uv);
    rig_run(&rig, somebody_waits);
    fake_store(fake, "b", "2");
    bruit_uv_close(rig.uv, rig_on_closed, &rig);
    for (int i = 0; i < 20; i++)
        uv_run(&rig.loop, UV_RUN_NOWAIT);
    assert_int_equal(rig.closed, 0);
    rig_with_disk_end(&rig);
    assert_string_equal(disk.journal, "kv.a=1 kv.b=2 ");
}

/* Closing does not wait for a disk that refuses. */
static void test_closing_gives_up_on_a_disk_that_refuses(void **state)
{
    (void)state;
    struct rig rig;
    rig_with_disk(&rig);
    disk_set(false, BRUIT_EIO);
    fake_store(fake, "a", "1");
    bruit_uv_close(rig.uv, rig_on_closed, &rig);
    rig_end(&rig);
    assert_int_equal(disk.calls, 1);
    assert_string_equal(disk.journal, "");
    disk_end();
}

/* After 0, 1, 2, ... 30 turns with writes under way: closed in good order, and ASan sees nothing left. */
static void test_closes_at_any_moment(void **state)
{
    (void)state;
    for (int turns = 0; turns < 30; turns++) {
        struct rig rig;
        rig_with_disk(&rig);
        for (int i = 0; i < turns; i++) {
            fake_store(fake, "k", "v");
            bruit_uv_kick(rig.uv);
            uv_run(&rig.loop, UV_RUN_NOWAIT);
        }
        rig_with_disk_end(&rig);
        assert_int_equal(strlen(disk.journal), (size_t)turns * strlen("kv.k=v "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_store_the_engine_is_told_so),
        cmocka_unit_test(test_writes_of_one_turn_are_one_batch),
        cmocka_unit_test(test_an_answer_may_ask_for_more),
        cmocka_unit_test(test_a_slow_disk_stops_nobody_and_gathers_writes),
        cmocka_unit_test(test_nothing_is_written_without_what_failed_before),
        cmocka_unit_test(test_what_failed_is_tried_again),
        cmocka_unit_test(test_a_flood_is_stored_whole),
        cmocka_unit_test(test_closing_writes_what_waits),
        cmocka_unit_test(test_closing_gives_up_on_a_disk_that_refuses),
        cmocka_unit_test(test_closes_at_any_moment),
    };
    (void)alarm(120); /* a test that fails leaves its gate shut, and a thread behind it */
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

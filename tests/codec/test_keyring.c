/*
 * The keyring: order, duplicates, bounds, and that secrets do not stay behind.
 */
#include "codec/keyring.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "support/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A cipher that only counts its keys: the ring's order is what is tested here. */
struct counting {
    int keys;
    bool refuses;
};

static void *key_new(void *context, const uint8_t *key, size_t size)
{
    struct counting *counting = context;
    if (counting->refuses)
        return NULL;
    counting->keys++;
    uint8_t *prepared = malloc(1);
    assert_true(size >= 16);
    *prepared = key[0];
    return prepared;
}

static void key_free(void *context, void *key)
{
    struct counting *counting = context;
    counting->keys--;
    free(key);
}

struct fixture {
    struct test_memory memory;
    struct bruit_env env;
    struct br_alloc alloc;
    struct counting counting;
    struct bruit_cipher cipher;
    struct br_keyring ring;
    uint8_t bytes[BRUIT_KEY_MAX];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_memory_init(&f->memory);
    f->env = test_memory_env(&f->memory);
    br_alloc_init(&f->alloc, &f->env, 0);
    f->cipher = (struct bruit_cipher){.context = &f->counting, .key_new = key_new, .key_free = key_free};
    br_keyring_init(&f->ring, &f->cipher, &f->alloc);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    br_keyring_fini(&f->ring);
    assert_int_equal(f->counting.keys, 0);
    assert_int_equal(f->memory.in_use, 0);
    free(f);
    return 0;
}

/* A key of 16 bytes that is all `name`. */
static struct bruit_bytes key(struct fixture *f, char name)
{
    memset(f->bytes, name, sizeof f->bytes);
    return br_bytes(f->bytes, 16);
}

static void assert_order(struct fixture *f, const char *names)
{
    assert_int_equal(f->ring.count, strlen(names));
    for (size_t i = 0; names[i] != '\0'; i++) {
        struct bruit_bytes got = br_keyring_get(&f->ring, i);
        assert_true(br_bytes_equal(got, key(f, names[i])));
        assert_int_equal(*(uint8_t *)f->ring.keys[i].prepared, names[i]);
    }
    assert_int_equal(br_keyring_get(&f->ring, f->ring.count).size, 0);
    assert_int_equal(f->counting.keys, f->ring.count);
}

/* The first key becomes primary; later ones go to the end; one that is there is left where it is. */
static void test_adds_in_order_without_duplicates(void **state)
{
    struct fixture *f = *state;
    assert_false(br_keyring_has_keys(NULL));
    assert_false(br_keyring_has_keys(&f->ring));
    for (const char *name = "abcabca"; *name != '\0'; name++)
        assert_int_equal(br_keyring_add(&f->ring, key(f, *name)), 0);
    assert_true(br_keyring_has_keys(&f->ring));
    assert_order(f, "abc");
}

/* Using a key puts it in front and leaves the others in their order. */
static void test_using_a_key_moves_it_to_the_front(void **state)
{
    struct fixture *f = *state;
    for (const char *name = "abcd"; *name != '\0'; name++)
        assert_int_equal(br_keyring_add(&f->ring, key(f, *name)), 0);
    assert_int_equal(br_keyring_use(&f->ring, key(f, 'c')), 0);
    assert_order(f, "cabd");
    assert_int_equal(br_keyring_use(&f->ring, key(f, 'c')), 0);
    assert_order(f, "cabd");
    assert_int_equal(br_keyring_use(&f->ring, key(f, 'd')), 0);
    assert_order(f, "dcab");
    assert_int_equal(br_keyring_use(&f->ring, key(f, 'x')), BRUIT_ENOENT);
    assert_order(f, "dcab");
}

/* The primary key cannot go; any other can, from wherever it stands; one that is not there is no error. */
static void test_removes_any_key_but_the_primary(void **state)
{
    struct fixture *f = *state;
    for (const char *name = "abcd"; *name != '\0'; name++)
        assert_int_equal(br_keyring_add(&f->ring, key(f, *name)), 0);
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'a')), BRUIT_EINVAL);
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'x')), 0);
    assert_order(f, "abcd");
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'b')), 0);
    assert_order(f, "acd");
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'd')), 0);
    assert_order(f, "ac");
    assert_int_equal(br_keyring_add(&f->ring, key(f, 'b')), 0);
    assert_order(f, "acb");
}

/* AES has three key sizes: 15, 17, 23, 25, 31 and 33 bytes are none. */
static void test_takes_aes_key_sizes_only(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[40];
    for (size_t size = 0; size <= sizeof bytes; size++) {
        memset(bytes, (int)size, sizeof bytes);
        int expected = size == 16 || size == 24 || size == 32 ? 0 : BRUIT_EINVAL;
        assert_int_equal(br_keyring_add(&f->ring, br_bytes(bytes, size)), expected);
    }
    assert_int_equal(f->ring.count, 3);
}

/* A ring without a cipher is an ordinary member without encryption: keys are refused, nothing else. */
static void test_refuses_keys_without_a_cipher(void **state)
{
    struct fixture *f = *state;
    f->ring.cipher = NULL;
    assert_int_equal(br_keyring_add(&f->ring, key(f, 'a')), BRUIT_ENOSYS);
    assert_false(br_keyring_has_keys(&f->ring));
}

/* The cipher cannot prepare the key: the ring stays as it was. */
static void test_a_key_the_cipher_refuses_is_not_added(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(br_keyring_add(&f->ring, key(f, 'a')), 0);
    f->counting.refuses = true;
    assert_int_equal(br_keyring_add(&f->ring, key(f, 'b')), BRUIT_EKEY);
    assert_order(f, "a");
}

/* Strangers' packets cost a try for each key, so there is a last one: the 64th fits, the 65th does not. */
static void test_the_ring_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < BR_KEYRING_MAX; i++)
        assert_int_equal(br_keyring_add(&f->ring, key(f, (char)i)), 0);
    assert_int_equal(br_keyring_add(&f->ring, key(f, 'x')), BRUIT_EFULL);
    assert_int_equal(f->ring.count, BR_KEYRING_MAX);
    assert_int_equal(br_keyring_add(&f->ring, key(f, 3)), 0);
}

/* Memory runs out at any one allocation: the ring is as before, and the next try works. */
static void test_survives_every_allocation_failing(void **state)
{
    struct fixture *f = *state;
    const char names[] = "abcdefghi";
    size_t failures = 0;
    for (size_t i = 0; i < sizeof names - 1; i++) {
        f->memory.fail_at = f->memory.count + 1;
        uint32_t count = f->ring.count;
        int error = br_keyring_add(&f->ring, key(f, names[i]));
        if (error != 0) {
            failures++;
            assert_int_equal(error, BRUIT_ENOMEM);
            assert_int_equal(f->ring.count, count);
            f->memory.fail_at = 0;
            assert_int_equal(br_keyring_add(&f->ring, key(f, names[i])), 0);
        }
    }
    assert_true(failures >= 3);
    assert_order(f, names);
}

static bool holds(const uint8_t *memory, size_t size, char name)
{
    uint8_t wanted[16];
    memset(wanted, name, sizeof wanted);
    for (size_t i = 0; i + sizeof wanted <= size; i++)
        if (memcmp(memory + i, wanted, sizeof wanted) == 0)
            return true;
    return false;
}

/* Somebody reads our memory after a key was removed: the key is not there any more. */
static void test_removed_keys_are_wiped(void **state)
{
    struct fixture *f = *state;
    for (const char *name = "abc"; *name != '\0'; name++)
        assert_int_equal(br_keyring_add(&f->ring, key(f, *name)), 0);
    const uint8_t *memory = (const uint8_t *)f->ring.keys;
    size_t size = f->ring.capacity * sizeof *f->ring.keys;
    assert_true(holds(memory, size, 'b'));
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'b')), 0);
    assert_false(holds(memory, size, 'b'));
    assert_true(holds(memory, size, 'c'));
    assert_int_equal(br_keyring_remove(&f->ring, key(f, 'c')), 0);
    assert_false(holds(memory, size, 'c'));
    assert_true(holds(memory, size, 'a'));
}

/* Memory that shows, when it is given back, what was left in it. */
struct spy {
    bool saw_secret;
};

static void *spying_resize(void *context, void *old, size_t old_size, size_t new_size)
{
    struct spy *spy = context;
    if (old != NULL && holds(old, old_size, 's'))
        spy->saw_secret = true;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    assert_null(old);
    return malloc(new_size);
}

/* Growing the ring and freeing it give memory back: it must not carry keys out. */
static void test_memory_is_given_back_without_keys_in_it(void **state)
{
    struct fixture *f = *state;
    struct spy spy = {.saw_secret = false};
    struct bruit_env env = {.context = &spy, .resize = spying_resize};
    struct br_alloc alloc;
    struct br_keyring ring;
    br_alloc_init(&alloc, &env, 0);
    br_keyring_init(&ring, &f->cipher, &alloc);
    for (const char *name = "sabcdefgh"; *name != '\0'; name++)
        assert_int_equal(br_keyring_add(&ring, key(f, *name)), 0);
    br_keyring_fini(&ring);
    assert_false(spy.saw_secret);
    assert_int_equal(alloc.in_use, 0);
}

int main(void)
{
#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_RING(test_adds_in_order_without_duplicates),
        WITH_RING(test_using_a_key_moves_it_to_the_front),
        WITH_RING(test_removes_any_key_but_the_primary),
        WITH_RING(test_takes_aes_key_sizes_only),
        WITH_RING(test_refuses_keys_without_a_cipher),
        WITH_RING(test_a_key_the_cipher_refuses_is_not_added),
        WITH_RING(test_the_ring_is_bounded),
        WITH_RING(test_survives_every_allocation_failing),
        WITH_RING(test_removed_keys_are_wiped),
        WITH_RING(test_memory_is_given_back_without_keys_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

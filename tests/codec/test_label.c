/*
 * The label header: who is let in, by each rule there is.
 */
#include "codec/label.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static enum bruit_drop check(const char *own, bool skip, struct bruit_bytes bytes, size_t *size,
                             size_t *needed)
{
    struct br_label_rule rule = {.label = br_bytes_string(own), .skip_inbound = skip};
    return br_label_check(&rule, bytes, size, needed);
}

static enum bruit_drop judge(const char *own, bool skip, struct bruit_bytes bytes)
{
    size_t size = 0;
    size_t needed = 0;
    return check(own, skip, bytes, &size, &needed);
}

/* Our label is taken off, and nothing more. */
/* conformance: memberlist 16 */
static void test_accepts_the_same_label(void **state)
{
    size_t size = 0;
    size_t needed = 0;
    (void)state;
    assert_int_equal(check("blue", false,
                           br_bytes_text("\xf4\x04"
                                         "blue"
                                         "\x08x"),
                           &size, &needed),
                     BRUIT_DROP_NONE);
    assert_int_equal(size, 6);
    assert_int_equal(needed, 0);
    assert_int_equal(check("", false, br_bytes_text("\x08x"), &size, &needed), BRUIT_DROP_NONE);
    assert_int_equal(size, 0);
}

/* Another cluster shares the network: its packets, and those without a label, are not for us. */
/* conformance: memberlist 16 */
static void test_refuses_other_missing_and_unexpected_labels(void **state)
{
    (void)state;
    assert_int_equal(judge("blue", false,
                           br_bytes_text("\xf4\x03"
                                         "red"
                                         "\x08x")),
                     BRUIT_DROP_LABEL_WRONG);
    assert_int_equal(judge("blue", false,
                           br_bytes_text("\xf4\x05"
                                         "blue2"
                                         "\x08x")),
                     BRUIT_DROP_LABEL_WRONG);
    assert_int_equal(judge("blue", false,
                           br_bytes_text("\xf4\x03"
                                         "blu"
                                         "e\x08x")),
                     BRUIT_DROP_LABEL_WRONG);
    assert_int_equal(judge("blue", false, br_bytes_text("\x08x")), BRUIT_DROP_LABEL_MISSING);
    assert_int_equal(judge("blue", false, br_bytes(NULL, 0)), BRUIT_DROP_LABEL_MISSING);
    assert_int_equal(judge("", false,
                           br_bytes_text("\xf4\x04"
                                         "blue"
                                         "\x08x")),
                     BRUIT_DROP_LABEL_UNEXPECTED);
}

/* A header without a label is an error whoever expects what. */
/* conformance: memberlist 16 */
static void test_refuses_an_empty_label(void **state)
{
    size_t size = 0;
    size_t needed = 0;
    (void)state;
    assert_int_equal(check("", false, br_bytes_text("\xf4\x00\x08x"), &size, &needed),
                     BRUIT_DROP_LABEL_MALFORMED);
    assert_int_equal(needed, 0);
    assert_int_equal(judge("blue", false, br_bytes_text("\xf4\x00\x08x")), BRUIT_DROP_LABEL_MALFORMED);
}

/* A header cut at any byte is malformed, and says how many bytes a stream should wait for. */
/* conformance: memberlist 16 */
static void test_says_how_much_of_a_cut_header_is_missing(void **state)
{
    struct bruit_bytes whole = br_bytes_text("\xf4\x04"
                                             "blue");
    (void)state;
    for (size_t cut = 1; cut < whole.size; cut++) {
        size_t size = 1;
        size_t needed = 0;
        assert_int_equal(check("blue", false, br_bytes(whole.data, cut), &size, &needed),
                         BRUIT_DROP_LABEL_MALFORMED);
        assert_int_equal(needed, cut == 1 ? 2 : 6);
        assert_int_equal(size, 0);
    }
}

/* Behind a front that strips labels none may come through, our own included; missing ones are fine. */
static void test_behind_a_front_no_label_may_come_through(void **state)
{
    (void)state;
    assert_int_equal(judge("blue", true, br_bytes_text("\x08x")), BRUIT_DROP_NONE);
    assert_int_equal(judge("blue", true,
                           br_bytes_text("\xf4\x04"
                                         "blue"
                                         "\x08x")),
                     BRUIT_DROP_LABEL_UNEXPECTED);
}

/* The longest label there is, and one byte's length more than none. */
static void test_writes_what_it_accepts(void **state)
{
    uint8_t label[BRUIT_LABEL_MAX];
    uint8_t header[BRUIT_LABEL_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof label; i++)
        label[i] = (uint8_t)i;
    for (size_t size = 1; size <= sizeof label; size++) {
        struct br_label_rule rule = {.label = br_bytes(label, size)};
        size_t header_size = 0;
        size_t needed = 0;
        assert_int_equal(br_label_write(header, rule.label), size + 2);
        assert_int_equal(br_label_size(rule.label), size + 2);
        assert_int_equal(br_label_check(&rule, br_bytes(header, size + 2), &header_size, &needed),
                         BRUIT_DROP_NONE);
        assert_int_equal(header_size, size + 2);
    }
    assert_int_equal(br_label_write(header, br_bytes(NULL, 0)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_the_same_label),
        cmocka_unit_test(test_refuses_other_missing_and_unexpected_labels),
        cmocka_unit_test(test_refuses_an_empty_label),
        cmocka_unit_test(test_says_how_much_of_a_cut_header_is_missing),
        cmocka_unit_test(test_behind_a_front_no_label_may_come_through),
        cmocka_unit_test(test_writes_what_it_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

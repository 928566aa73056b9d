/* Multicast DNS as messages: what we answer to whom, and how agents are put together from what others say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/mdns_find.h"
#include "codec/addr.h"

#include <bruit/error.h>

#include <stdio.h>

static const char addr_text[] = "10.1.2.3:7946";

static struct br_mdns_service service_at(const char *node, const char *addr)
{
    struct br_mdns_service service;
    struct bruit_addr at;
    char why[BR_WHY_MAX] = "";
    assert_int_equal(br_addr_parse(&at, addr, 0), 0);
    assert_int_equal(br_mdns_service_init(&service, "demo", node, "myhost", &at, why), 0);
    return service;
}

static struct br_mdns_name name_of(const char *text)
{
    struct br_mdns_name name;
    assert_int_equal(br_mdns_name_parse(&name, text), 0);
    return name;
}

static size_t ask(const char *name, uint16_t type, uint8_t out[512])
{
    struct br_mdns_name parsed = name_of(name);
    size_t size = br_mdns_ask(&parsed, type, out, 512);
    assert_true(size > 0);
    return size;
}

/* Name, type, TTL and data of each record, as text. */
static void describe(struct bruit_bytes message, char *out, size_t room)
{
    struct br_mdns_reader reader;
    struct br_mdns_record record;
    size_t used = 0;
    out[0] = 0;
    assert_int_equal(br_mdns_open(&reader, message), 0);
    while (br_mdns_next_record(&reader, &record)) {
        const struct br_mdns_name *names[] = {&record.name, &record.target};
        for (size_t n = 0; n < 2; n++) {
            for (size_t at = 0; at < names[n]->size && names[n]->labels[at] != 0;
                 at += 1u + names[n]->labels[at])
                used += (size_t)snprintf(out + used, room - used, "%.*s.", names[n]->labels[at],
                                         (const char *)names[n]->labels + at + 1);
            if (n == 0)
                used += (size_t)snprintf(out + used, room - used, " %u ", record.type);
        }
        if (record.type == BR_MDNS_SRV)
            used += (size_t)snprintf(out + used, room - used, " port %u", record.port);
        if (record.type == BR_MDNS_TXT)
            used += (size_t)snprintf(out + used, room - used, "%.*s", (int)record.data.size - 1,
                                     record.data.data + 1);
        for (size_t i = 0; i < record.data.size && (record.type == BR_MDNS_A || record.type == BR_MDNS_AAAA);
             i++)
            used += (size_t)snprintf(out + used, room - used, "%02x", record.data.data[i]);
        used += (size_t)snprintf(out + used, room - used, "\n");
        assert_true(used < room);
    }
}

static void expect_answer(const struct br_mdns_service *service, const char *name, uint16_t type,
                          const char *expected)
{
    uint8_t query[512], out[BR_MDNS_ANSWER_MAX];
    char text[2048];
    size_t size = br_mdns_answer(service, br_bytes(query, ask(name, type, query)), false, out, sizeof out);
    if (expected == NULL) {
        assert_int_equal(size, 0);
        return;
    }
    assert_true(size > 0);
    assert_memory_equal(out, "\0\0\x84\0\0\0", 6); /* no id, a response with authority, no questions */
    describe(br_bytes(out, size), text, sizeof text);
    assert_string_equal(text, expected);
}

#define SERVICE "_serf_demo._tcp.local."
#define SRV_A "n1." SERVICE " 33 myhost. port 7946\nmyhost. 1 0a010203\n"
#define TXT "n1." SERVICE " 16 Serf 'demo' cluster\n"

/* Somebody asks for the service, an instance, the host, or what services there are: each gets its records. */
/* conformance: agent 15 */
static void test_each_question_gets_its_records(void **state)
{
    (void)state;
    struct br_mdns_service service = service_at("n1", addr_text);
    expect_answer(&service, SERVICE, BR_MDNS_PTR, SERVICE " 12 n1." SERVICE "\n" SRV_A TXT);
    expect_answer(&service, SERVICE, BR_MDNS_ANY, SERVICE " 12 n1." SERVICE "\n" SRV_A TXT);
    expect_answer(&service, "n1." SERVICE, BR_MDNS_ANY, SRV_A TXT);
    expect_answer(&service, "N1._SERF_demo._tcp.LOCAL", BR_MDNS_SRV, SRV_A);
    expect_answer(&service, "n1." SERVICE, BR_MDNS_TXT, TXT);
    expect_answer(&service, "n1." SERVICE, BR_MDNS_A, "myhost. 1 0a010203\n");
    expect_answer(&service, "n1." SERVICE, BR_MDNS_AAAA, NULL);
    expect_answer(&service, "myhost.", BR_MDNS_A, "myhost. 1 0a010203\n");
    expect_answer(&service, "_services._dns-sd._udp.local.", BR_MDNS_PTR,
                  "_services._dns-sd._udp.local. 12 " SERVICE "\n");
    expect_answer(&service, SERVICE, BR_MDNS_SRV, NULL);
    expect_answer(&service, "n2." SERVICE, BR_MDNS_ANY, NULL);
    expect_answer(&service, "_serf_demos._tcp.local.", BR_MDNS_PTR, NULL);
}

/* The address is IPv6: AAAA takes the place of A. */
/* conformance: agent 15 */
static void test_an_ipv6_address_is_an_aaaa(void **state)
{
    (void)state;
    struct br_mdns_service service = service_at("n1", "[fd00::7]:7000");
    expect_answer(&service, "n1." SERVICE, BR_MDNS_SRV,
                  "n1." SERVICE " 33 myhost. port 7000\nmyhost. 28 fd000000000000000000000000000007\n");
}

/* Every record that we send is good for 120 s. */
/* conformance: agent 15 */
static void test_every_record_lives_120_seconds(void **state)
{
    uint8_t query[512], out[BR_MDNS_ANSWER_MAX];
    struct br_mdns_reader reader;
    struct br_mdns_record record;
    unsigned count = 0;
    (void)state;
    struct br_mdns_service service = service_at("n1", addr_text);
    size_t size =
        br_mdns_answer(&service, br_bytes(query, ask(SERVICE, BR_MDNS_PTR, query)), false, out, sizeof out);
    assert_int_equal(br_mdns_open(&reader, br_bytes(out, size)), 0);
    while (br_mdns_next_record(&reader, &record)) {
        /* Four bytes of TTL and two of the length stand before the data, wherever a name in it is. */
        const uint8_t *end = reader.in.at, *data = record.data.data;
        assert_ptr_equal(data + record.data.size, end);
        assert_memory_equal(data - 6, "\0\0\0\x78", 4);
        count++;
    }
    assert_int_equal(count, 4);
}

/* The bit for unicast answers: they carry the id of the question, others none. Each kind is answered apart. */
/* conformance: agent 15 */
static void test_unicast_answers_carry_the_id(void **state)
{
    uint8_t query[512], out[BR_MDNS_ANSWER_MAX];
    (void)state;
    struct br_mdns_service service = service_at("n1", addr_text);
    size_t size = ask(SERVICE, BR_MDNS_PTR, query);
    query[0] = 0x12;
    query[1] = 0x34;
    assert_int_equal(br_mdns_answer(&service, br_bytes(query, size), true, out, sizeof out), 0);
    assert_true(br_mdns_answer(&service, br_bytes(query, size), false, out, sizeof out) > 0);
    assert_memory_equal(out, "\0\0", 2);
    query[size - 2] = 0x80; /* of the class */
    assert_int_equal(br_mdns_answer(&service, br_bytes(query, size), false, out, sizeof out), 0);
    assert_true(br_mdns_answer(&service, br_bytes(query, size), true, out, sizeof out) > 0);
    assert_memory_equal(out, "\x12\x34", 2);
}

/* Another operation, an error, a message cut short, a response, another class: none of them is a question to us. */
/* conformance: agent 15 */
static void test_what_is_no_plain_query_is_ignored(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {{2, 0x08}, {2, 0x02}, {2, 0x80}, {3, 0x01}};
    uint8_t query[512], out[BR_MDNS_ANSWER_MAX];
    (void)state;
    struct br_mdns_service service = service_at("n1", addr_text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = ask(SERVICE, BR_MDNS_PTR, query);
        query[rows[i].at] = rows[i].value;
        assert_int_equal(br_mdns_answer(&service, br_bytes(query, size), false, out, sizeof out), 0);
    }
    size_t size = ask(SERVICE, BR_MDNS_PTR, query);
    query[size - 1] = 3; /* Chaos */
    assert_int_equal(br_mdns_answer(&service, br_bytes(query, size), false, out, sizeof out), 0);
}

/*
 * Pointers that lead in circles, forward or nowhere, names that are too long, records cut anywhere: nothing
 * of it counts.
 */
static void test_broken_messages_count_for_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } names[] = {
        {"\xc0\x0c", 2}, /* to itself */
        {"\xc0\x0e", 2}, /* forward */
        {"\xc0\x00", 2}, /* into the header */
        {"\xff\xff", 2}, /* beyond the end */
        {"\x80\x00", 2}, /* of no known kind */
        {"\x05"
         "ab",
         3},
    };
    uint8_t message[512] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, query[512], out[BR_MDNS_ANSWER_MAX];
    struct br_mdns_reader reader;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        memcpy(message + 12, names[i].bytes, names[i].size);
        memcpy(message + 12 + names[i].size, "\0\x0c\0\x01", 4);
        assert_int_equal(br_mdns_open(&reader, br_bytes(message, 16 + names[i].size)), BRUIT_EFORMAT);
    }
    /* Four labels of 63 bytes are 256 with their lengths. */
    for (size_t i = 0; i < 4; i++) {
        message[12 + 64 * i] = 63;
        memset(message + 13 + 64 * i, 'a', 63);
    }
    memcpy(message + 12 + 256, "\0\0\x0c\0\x01", 5);
    assert_int_equal(br_mdns_open(&reader, br_bytes(message, 12 + 256 + 5)), BRUIT_EFORMAT);

    struct br_mdns_service service = service_at("n1", addr_text);
    size_t size =
        br_mdns_answer(&service, br_bytes(query, ask(SERVICE, BR_MDNS_PTR, query)), false, out, sizeof out);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(br_mdns_open(&reader, br_bytes(out, cut)), BRUIT_EFORMAT);
    assert_int_equal(br_mdns_open(&reader, br_bytes(out, size)), 0);
    out[size] = 0;
    assert_int_equal(br_mdns_open(&reader, br_bytes(out, size + 1)), BRUIT_EFORMAT);
}

/* A name made of a pointer to an earlier one, as every other library writes them. */
static void test_compressed_names_are_read(void **state)
{
    static const char message[] = "\0\0\x84\0\0\0\0\x01\0\0\0\0"
                                  "\x0a_serf_demo\x04_tcp\x05local\0"
                                  "\0\x0c\0\x01\0\0\0\x78\0\x05"
                                  "\x02n1\xc0\x0c";
    struct br_mdns_reader reader;
    struct br_mdns_record record;
    struct br_mdns_name expected = name_of("n1." SERVICE);
    (void)state;
    assert_int_equal(br_mdns_open(&reader, br_bytes(message, sizeof message - 1)), 0);
    assert_true(br_mdns_next_record(&reader, &record));
    assert_true(br_mdns_name_equal(&record.target, &expected));
}

/* More questions than an answer has room for: whole records, as many as fit. */
static void test_an_answer_ends_with_a_whole_record(void **state)
{
    uint8_t query[1024], one[512], out[BR_MDNS_ANSWER_MAX];
    struct br_mdns_reader reader;
    (void)state;
    struct br_mdns_service service = service_at("n1", addr_text);
    size_t size = ask(SERVICE, BR_MDNS_PTR, one), total = 12;
    memcpy(query, one, 12);
    query[5] = 16;
    for (size_t i = 0; i < 16; i++, total += size - 12)
        memcpy(query + total, one + 12, size - 12);
    size = br_mdns_answer(&service, br_bytes(query, total), false, out, sizeof out);
    assert_true(size > 700);
    assert_int_equal(br_mdns_open(&reader, br_bytes(out, size)), 0);
    assert_int_equal(reader.records % 4, 0);
    query[5] = 17;
    memcpy(query + total, one + 12, size > 0 ? 32 : 0);
    assert_int_equal(br_mdns_answer(&service, br_bytes(query, total), false, out, sizeof out), 0);
}

/* A cluster or a node whose name DNS cannot carry. */
static void test_names_that_do_not_fit_are_refused(void **state)
{
    static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
    struct br_mdns_service service;
    struct bruit_addr addr;
    char why[BR_WHY_MAX];
    (void)state;
    assert_int_equal(br_addr_parse(&addr, addr_text, 0), 0);
    assert_int_equal(br_mdns_service_init(&service, long_name, "n", "h", &addr, why), BRUIT_EINVAL);
    assert_non_null(strstr(why, "-discover"));
    assert_int_equal(br_mdns_service_init(&service, "demo", long_name, "h", &addr, why), BRUIT_EINVAL);
    assert_non_null(strstr(why, "-node"));
    assert_int_equal(br_mdns_service_init(&service, "demo", "a..b", "h", &addr, why), BRUIT_EINVAL);
    assert_int_equal(br_mdns_service_init(&service, "demo", "a.b", "", &addr, why), 0);
    assert_true(br_mdns_name_equal(&service.host, &service.instance));
}

/* ------------------------------------------------------------------ finding */

static struct br_mdns_finder finder_of(const struct br_mdns_service *service)
{
    struct br_mdns_finder finder;
    br_mdns_finder_init(&finder, &service->service);
    return finder;
}

static void take_answer(struct br_mdns_finder *finder, const struct br_mdns_service *service,
                        const char *name, uint16_t type)
{
    uint8_t query[512], out[BR_MDNS_ANSWER_MAX];
    size_t size = br_mdns_answer(service, br_bytes(query, ask(name, type, query)), false, out, sizeof out);
    assert_true(br_mdns_finder_take(finder, br_bytes(out, size)));
}

static void expect_found(struct br_mdns_finder *finder, const char *expected)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    struct bruit_addr addr;
    bool is_found = br_mdns_finder_found(finder, &addr);
    assert_int_equal(is_found, expected != NULL);
    if (expected == NULL)
        return;
    br_addr_format(&addr, text);
    assert_string_equal(text, expected);
}

/* Two agents on one host, so one host name, with an address each: each is found at its own. */
static void test_agents_of_one_host_are_told_apart(void **state)
{
    (void)state;
    struct br_mdns_service a = service_at("a", "10.0.0.1:7946"), b = service_at("b", "10.0.0.2:7947");
    struct br_mdns_finder finder = finder_of(&a);
    take_answer(&finder, &a, SERVICE, BR_MDNS_PTR);
    take_answer(&finder, &b, SERVICE, BR_MDNS_PTR);
    expect_found(&finder, "10.0.0.1:7946");
    expect_found(&finder, "10.0.0.2:7947");
    expect_found(&finder, NULL);
    assert_int_equal(finder.count, 0);
}

/* What one message leaves open is asked for once, and the next completes it. */
static void test_what_is_missing_is_asked_for_once(void **state)
{
    struct br_mdns_name missing, instance = name_of("a." SERVICE);
    (void)state;
    struct br_mdns_service a = service_at("a", "10.0.0.1:7946");
    struct br_mdns_finder finder = finder_of(&a);
    take_answer(&finder, &a, "a." SERVICE, BR_MDNS_SRV);
    expect_found(&finder, NULL);
    assert_true(br_mdns_finder_missing(&finder, &missing));
    assert_true(br_mdns_name_equal(&missing, &instance));
    assert_false(br_mdns_finder_missing(&finder, &missing));
    take_answer(&finder, &a, "a." SERVICE, BR_MDNS_TXT);
    expect_found(&finder, "10.0.0.1:7946");
}

/* A printer, another cluster and a question say nothing about agents of ours. */
static void test_other_services_are_not_ours(void **state)
{
    uint8_t query[512];
    struct bruit_addr addr;
    struct br_mdns_service other;
    char why[BR_WHY_MAX];
    (void)state;
    struct br_mdns_service a = service_at("a", "10.0.0.1:7946");
    struct br_mdns_finder finder = finder_of(&a);
    assert_int_equal(br_addr_parse(&addr, addr_text, 0), 0);
    assert_int_equal(br_mdns_service_init(&other, "other", "x", "h", &addr, why), 0);
    take_answer(&finder, &other, "_serf_other._tcp.local.", BR_MDNS_PTR);
    assert_int_equal(finder.count, 0);
    assert_false(br_mdns_finder_take(&finder, br_bytes(query, ask(SERVICE, BR_MDNS_PTR, query))));
}

/* A flood of instances that stay incomplete takes no more room than there is. */
static void test_a_flood_of_instances_is_bounded(void **state)
{
    (void)state;
    struct br_mdns_service a = service_at("a", "10.0.0.1:7946");
    struct br_mdns_finder finder = finder_of(&a);
    for (unsigned i = 0; i < 3 * BR_MDNS_FINDS_MAX; i++) {
        char node[32], name[96];
        (void)snprintf(node, sizeof node, "n%u", i);
        (void)snprintf(name, sizeof name, "%s." SERVICE, node);
        struct br_mdns_service other = service_at(node, "10.0.0.2:7946");
        take_answer(&finder, &other, name, BR_MDNS_TXT);
    }
    assert_int_equal(finder.count, BR_MDNS_FINDS_MAX);
    expect_found(&finder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_question_gets_its_records),
        cmocka_unit_test(test_an_ipv6_address_is_an_aaaa),
        cmocka_unit_test(test_every_record_lives_120_seconds),
        cmocka_unit_test(test_unicast_answers_carry_the_id),
        cmocka_unit_test(test_what_is_no_plain_query_is_ignored),
        cmocka_unit_test(test_broken_messages_count_for_nothing),
        cmocka_unit_test(test_compressed_names_are_read),
        cmocka_unit_test(test_an_answer_ends_with_a_whole_record),
        cmocka_unit_test(test_names_that_do_not_fit_are_refused),
        cmocka_unit_test(test_agents_of_one_host_are_told_apart),
        cmocka_unit_test(test_what_is_missing_is_asked_for_once),
        cmocka_unit_test(test_other_services_are_not_ours),
        cmocka_unit_test(test_a_flood_of_instances_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

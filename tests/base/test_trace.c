/*
 * The trace: what each record says, in each of its readings, and that a record nobody wants costs nothing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "base/bytes.h"
#include "base/trace.h"

#include <bruit/error.h>

/* Keeps the readings of the last record. */
struct sink {
    int count;
    int level;
    bruit_time time;
    char text[512];
    char json[1024];
    uint64_t hash;
};

static void take(void *context, const struct bruit_trace_record *record)
{
    struct sink *sink = context;
    sink->count++;
    sink->level = record->level;
    sink->time = record->time;
    assert_true(bruit_trace_text(record, sink->text, sizeof sink->text) < sizeof sink->text);
    assert_true(bruit_trace_json(record, sink->json, sizeof sink->json) < sizeof sink->json);
    sink->hash = bruit_trace_hash(sink->hash, record);
}

static struct br_tracer tracer_to(struct sink *sink, int level_max)
{
    struct br_tracer tracer;
    memset(sink, 0, sizeof *sink);
    br_tracer_init(&tracer, take, sink, level_max);
    return tracer;
}

static struct bruit_addr some_addr(void)
{
    return (struct bruit_addr){.ip = {10, 0, 0, 7}, .size = 4, .port = 7946};
}

/* People's scripts match Serf's words: a member that joins must be reported in exactly these. */
static void test_a_join_is_reported_in_serfs_words(void **state)
{
    (void)state;
    struct sink sink;
    struct br_tracer tracer = tracer_to(&sink, BRUIT_TRACE_INFO);
    tracer.now = 1500 * BRUIT_MILLISECOND;
    BR_TRACE(&tracer, member_join, .name = br_bytes_text("n7"), .ip = some_addr());
    assert_int_equal(sink.count, 1);
    assert_int_equal(sink.level, BRUIT_TRACE_INFO);
    assert_string_equal(sink.text, "EventMemberJoin: n7 10.0.0.7");
    assert_string_equal(sink.json, "{\"time\":1500000000,\"level\":\"INFO\",\"component\":\"serf\","
                                   "\"event\":\"member_join\",\"name\":\"n7\",\"ip\":\"10.0.0.7\"}");
}

/* A member's name holds a line feed and a quote: the sentence stays one line, the JSON stays JSON. */
static void test_a_hostile_name_stays_in_its_place(void **state)
{
    (void)state;
    struct sink sink;
    struct br_tracer tracer = tracer_to(&sink, BRUIT_TRACE_INFO);
    BR_TRACE(&tracer, member_update, .name = br_bytes_text("a\n\"{name}\""));
    assert_string_equal(sink.text, "EventMemberUpdate: a\\n\"{name}\"");
    json_error_t error;
    json_t *object = json_loads(sink.json, 0, &error);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "name")), "a\n\"{name}\"");
    json_decref(object);
}

static int evaluated;

static struct bruit_bytes gather(void)
{
    evaluated++;
    return br_bytes_text("n7");
}

/* The level is INFO: a record of INFO is made, one of DEBUG is not, and its arguments are not even
 * computed. Without a sink none is, whatever the level. */
static void test_an_unwanted_record_costs_nothing(void **state)
{
    (void)state;
    struct sink sink;
    struct br_tracer tracer = tracer_to(&sink, BRUIT_TRACE_WARN);
    evaluated = 0;
    BR_TRACE(&tracer, member_update, .name = gather());
    assert_int_equal(sink.count, 0);
    assert_int_equal(evaluated, 0);
    assert_false(BR_TRACE_IS_WANTED(&tracer, member_update));

    tracer.level_max = BRUIT_TRACE_INFO;
    BR_TRACE(&tracer, member_update, .name = gather());
    assert_int_equal(sink.count, 1);
    assert_int_equal(evaluated, 1);
    assert_true(BR_TRACE_IS_WANTED(&tracer, member_update));

    br_tracer_init(&tracer, NULL, NULL, BRUIT_TRACE_TRACE);
    BR_TRACE(&tracer, member_update, .name = gather());
    assert_int_equal(evaluated, 1);
}

/* A test, or `bruit why`, asks for one field of a record. */
static void test_fields_can_be_asked_for_by_name(void **state)
{
    (void)state;
    struct br_trace_probe_failed fields = {
        .node = br_bytes_text("n7"),
        .waited = 500 * BRUIT_MILLISECOND,
        .relays = 3,
    };
    struct bruit_trace_record record = {
        .id = br_trace_id_probe_failed, .level = BRUIT_TRACE_INFO, .fields = &fields};
    char text[16];
    int64_t number = -1;
    assert_string_equal(bruit_trace_name(&record), "probe_failed");
    assert_int_equal(bruit_trace_field_text(&record, "node", text, sizeof text), 2);
    assert_string_equal(text, "n7");
    assert_int_equal(bruit_trace_field_text(&record, "waited", text, sizeof text), 6);
    assert_string_equal(text, "500 ms");
    assert_int_equal(bruit_trace_field_text(&record, "waited", text, 4), 6);
    assert_string_equal(text, "500");
    assert_int_equal(bruit_trace_field_number(&record, "relays", &number), 0);
    assert_int_equal(number, 3);
    assert_int_equal(bruit_trace_field_number(&record, "node", &number), BRUIT_ENOENT);
    assert_int_equal(bruit_trace_field_number(&record, "nod", &number), BRUIT_ENOENT);
    assert_int_equal(bruit_trace_field_text(&record, "", text, sizeof text), BRUIT_ENOENT);
}

/* Two runs differ in one field, in the time, or in the order: each must change the hash. */
static void test_the_hash_sees_every_difference(void **state)
{
    (void)state;
    struct br_trace_member_join fields = {.name = br_bytes_text("n7"), .ip = some_addr()};
    struct bruit_trace_record record = {.id = br_trace_id_member_join, .time = 5, .fields = &fields};
    uint64_t hash = bruit_trace_hash(0, &record);
    assert_true(hash == bruit_trace_hash(0, &record));
    assert_true(hash != bruit_trace_hash(1, &record));

    record.time = 6;
    assert_true(hash != bruit_trace_hash(0, &record));
    record.time = 5;
    record.id = br_trace_id_member_leave;
    assert_true(hash != bruit_trace_hash(0, &record));
    record.id = br_trace_id_member_join;
    fields.name = br_bytes_text("n8");
    assert_true(hash != bruit_trace_hash(0, &record));
    fields.name = br_bytes_text("n7");
    fields.ip.ip[3] = 8;
    assert_true(hash != bruit_trace_hash(0, &record));
    fields.ip = some_addr();

    /* What is no part of the content must not change it: another copy of the name, the unused bytes. */
    char copy[] = "n7";
    fields.name = br_bytes(copy, 2);
    fields.br_unused = 9;
    fields.ip.scope = 3;
    assert_true(hash == bruit_trace_hash(0, &record));
}

/* The hash of this content was recorded on one machine: every other must compute the same. The record's
 * number is taken out, since it changes with each record that is added before it. */
static void test_the_hash_is_the_same_everywhere(void **state)
{
    (void)state;
    struct br_trace_packet_dropped fields = {.reason = "checksum", .from = some_addr()};
    struct bruit_trace_record record = {.id = br_trace_id_packet_dropped, .time = 77, .fields = &fields};
    uint64_t start = UINT64_C(0x1234567890abcdef) ^ (record.id + UINT64_C(1));
    assert_true(bruit_trace_hash(start, &record) == UINT64_C(0x67e96a28f30af6c6));
}

/* A record of a newer library, or none at all, reaches a reader: no crash, and something is shown. */
static void test_an_unknown_record_is_harmless(void **state)
{
    (void)state;
    char text[200];
    struct bruit_trace_record record = {.id = UINT16_MAX, .level = 99, .fields = text};
    assert_string_equal(bruit_trace_name(&record), "?");
    assert_string_equal(bruit_trace_component(&record), "?");
    assert_string_equal(bruit_trace_level_name(record.level), "?");
    assert_int_equal(bruit_trace_text(&record, text, sizeof text), 1);
    assert_true(bruit_trace_json(&record, text, sizeof text) < sizeof text);
    assert_null(bruit_trace_field_name(&record, 0));
    (void)bruit_trace_hash(0, &record); /* reads no field */
}

/* ---- over every record of trace.def ---- */

/* For each type a value, and what the sentence shows for it. */
#define VALUE_TEXT br_bytes_text("a \"name\"")
#define VALUE_BYTES br_bytes_text("\x01\xff")
#define VALUE_U32 UINT32_MAX
#define VALUE_U64 UINT64_MAX
#define VALUE_I64 INT64_MIN
#define VALUE_BOOL true
#define VALUE_TIME BRUIT_NEVER
#define VALUE_ADDR some_addr()
#define VALUE_IP some_addr()
#define VALUE_WORD "word"
#define SHOWN_TEXT "a \"name\""
#define SHOWN_BYTES "01ff"
#define SHOWN_U32 "4294967295"
#define SHOWN_U64 "18446744073709551615"
#define SHOWN_I64 "-9223372036854775808"
#define SHOWN_BOOL "true"
#define SHOWN_TIME "never"
#define SHOWN_ADDR "10.0.0.7:7946"
#define SHOWN_IP "10.0.0.7"
#define SHOWN_WORD "word"

typedef void (*check_fn)(const struct bruit_trace_record *record, const char *sentence);
typedef void (*field_fn)(const struct bruit_trace_record *record, const char *name, const char *shown);

static void check_field(const struct bruit_trace_record *record, const char *name, const char *shown)
{
    char text[100];
    assert_int_equal(bruit_trace_field_text(record, name, text, sizeof text), strlen(shown));
    assert_string_equal(text, shown);
}

#define RECORD(name, level, component, sentence, fields)                                        \
    static void check_fields_of_##name(check_fn check, field_fn each)                           \
    {                                                                                           \
        struct br_trace_##name self = {.br_unused = 0};                                         \
        struct bruit_trace_record record = {br_trace_id_##name, BRUIT_TRACE_##level, 3, &self}; \
        assert_string_equal(bruit_trace_name(&record), #name);                                  \
        assert_string_equal(bruit_trace_component(&record), component);                         \
        (void)each;                                                                             \
        fields;                                                                                 \
        check(&record, sentence);                                                               \
    }
#define FIELD(type, name)     \
    self.name = VALUE_##type; \
    each(&record, #name, SHOWN_##type);
#include "base/trace.def"
#undef RECORD
#undef FIELD

static void for_every_record(check_fn check)
{
#define RECORD(name, level, component, sentence, fields) check_fields_of_##name(check, check_field);
#define FIELD(type, name)
#include "base/trace.def"
#undef RECORD
#undef FIELD
}

/* Each {word} of the sentence must be a field: a misspelt one would be shown as it stands. */
static void check_sentence(const struct bruit_trace_record *record, const char *sentence)
{
    char text[1000], expected[1000] = "";
    const char *at = sentence;
    while (*at != '\0') {
        const char *open = strchr(at, '{');
        if (open == NULL) {
            strcat(expected, at);
            break;
        }
        char name[40] = "", field[100];
        strncat(expected, at, (size_t)(open - at));
        at = strchr(open, '}') + 1;
        strncat(name, open + 1, (size_t)(at - open - 2));
        if (bruit_trace_field_text(record, name, field, sizeof field) < 0)
            fail_msg("%s has no field {%s}", bruit_trace_name(record), name);
        strcat(expected, field);
    }
    assert_int_equal(bruit_trace_text(record, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_every_sentence_shows_its_fields(void **state)
{
    (void)state;
    for_every_record(check_sentence);
}

/* Each record is one JSON object in which no key comes twice. */
static void check_json(const struct bruit_trace_record *record, const char *sentence)
{
    (void)sentence;
    char line[2000];
    size_t length = bruit_trace_json(record, line, sizeof line);
    assert_true(length < sizeof line);
    json_error_t error;
    /* Whole numbers beyond 2^63 are JSON, if more than jansson's integers hold. */
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (object == NULL)
        fail_msg("%s: %s", error.text, line);
    assert_true(json_is_object(object));
    size_t fields = 0;
    for (const char *name; (name = bruit_trace_field_name(record, fields)) != NULL; fields++)
        assert_non_null(json_object_get(object, name));
    assert_int_equal(json_object_size(object), 4 + fields);
    assert_null(strchr(line, '\n'));
    json_decref(object);
}

static void test_every_record_is_an_object_with_distinct_keys(void **state)
{
    (void)state;
    for_every_record(check_json);
}

/* Names are keys of tools: lower case with underscores. */
static void check_names(const struct bruit_trace_record *record, const char *sentence)
{
    (void)sentence;
    for (const char *c = bruit_trace_name(record); *c != '\0'; c++)
        assert_true(islower(*c) || isdigit(*c) || *c == '_');
    assert_string_not_equal(bruit_trace_level_name(record->level), "?");
}

static void test_every_name_is_lower_case(void **state)
{
    (void)state;
    for_every_record(check_names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_join_is_reported_in_serfs_words),
        cmocka_unit_test(test_a_hostile_name_stays_in_its_place),
        cmocka_unit_test(test_an_unwanted_record_costs_nothing),
        cmocka_unit_test(test_fields_can_be_asked_for_by_name),
        cmocka_unit_test(test_the_hash_sees_every_difference),
        cmocka_unit_test(test_the_hash_is_the_same_everywhere),
        cmocka_unit_test(test_an_unknown_record_is_harmless),
        cmocka_unit_test(test_every_sentence_shows_its_fields),
        cmocka_unit_test(test_every_record_is_an_object_with_distinct_keys),
        cmocka_unit_test(test_every_name_is_lower_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

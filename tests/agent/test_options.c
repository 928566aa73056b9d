/* The agent's command line: what is taken, what is refused, and that a refusal is one sentence that helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/blob.h"
#include "agent/options.h"
#include "codec/addr.h"

#include <bruit/trace.h>

static char why[BR_WHY_MAX];
static char notes[1024];
static struct br_options options;

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static int count(char **words)
{
    int size = 0;
    while (words[size] != NULL)
        size++;
    return size;
}

static enum br_flags_result parse(char **words)
{
    why[0] = 0;
    br_options_release(&options);
    return br_options_parse(&options, count(words), words, why);
}

static void on_note(void *context, const char *sentence)
{
    (void)context;
    strncat(notes, sentence, sizeof notes - strlen(notes) - 2);
    strcat(notes, "\n");
}

static int check(char **words)
{
    notes[0] = 0;
    assert_int_equal(parse(words), BR_FLAGS_OK);
    int error = br_options_check(&options, on_note, NULL, NULL, why);
    return error != 0 ? error : br_options_check_start(&options, why);
}

static const char *refusal(char **words)
{
    assert_true(check(words) < 0);
    assert_null(strchr(why, '\n'));
    return why;
}

static int teardown(void **state)
{
    (void)state;
    br_options_release(&options);
    return 0;
}

/* An agent started without a word binds where Serf would. */
static void test_defaults_are_serfs(void **state)
{
    (void)state;
    assert_int_equal(check(WORDS("-node", "n")), 0);
    char text[BRUIT_ADDR_TEXT_MAX];
    br_addr_format(&options.bind_addr, text);
    assert_string_equal(text, "0.0.0.0:7946");
    assert_string_equal(options.rpc_addr, "127.0.0.1:7373");
    assert_int_equal(options.protocol, 5);
    assert_int_equal(options.retry_interval, 30 * BRUIT_SECOND);
    assert_int_equal(options.broadcast_timeout, 5 * BRUIT_SECOND);
    assert_int_equal(options.level, BRUIT_TRACE_INFO);
    assert_int_equal(options.meta_size, 2); /* ff 80: no tags */
    assert_string_equal(notes, "");
}

/* One dash or two, a sign or a blank: all the ways in which Go lets people write a flag. */
static void test_flags_are_written_in_all_of_gos_ways(void **state)
{
    (void)state;
    assert_int_equal(parse(WORDS("-node", "a", "--bind=127.0.0.1:80", "-tag", "x=1", "--tag", "y=2",
                                 "-protocol=4", "-disable-compression")),
                     BR_FLAGS_OK);
    assert_string_equal(options.node, "a");
    assert_string_equal(options.bind, "127.0.0.1:80");
    assert_int_equal(options.tags.count, 2);
    assert_string_equal(options.tags.items[1], "y=2");
    assert_int_equal(options.protocol, 4);
    assert_true(options.disable_compression);
    assert_int_equal(parse(WORDS("-disable-compression=false")), BR_FLAGS_OK);
    assert_false(options.disable_compression);
}

/* A switch takes no word behind it: "false" is then the first word that is no flag, and ends them. */
static void test_flags_end_at_the_first_word_that_is_none(void **state)
{
    (void)state;
    assert_int_equal(parse(WORDS("-disable-compression", "false", "-node", "a")), BR_FLAGS_OK);
    assert_true(options.disable_compression);
    assert_null(options.node);
    assert_int_equal(parse(WORDS("--", "-node", "a")), BR_FLAGS_OK);
    assert_null(options.node);
}

/* Somebody writes "-replay true -bind X": the address is not read, and silence about it would cost an afternoon. */
static void test_a_word_that_is_no_flag_is_told(void **state)
{
    (void)state;
    assert_int_equal(check(WORDS("-bind=127.0.0.1", "-replay", "true", "-node", "a")), 0);
    assert_string_equal(notes, "Warning: 'true' is no flag, and nothing from there on is read: "
                               "write switches as -name=true\n");
    assert_int_equal(check(WORDS("-bind=127.0.0.1", "-replay=true", "-node", "a")), 0);
    assert_string_equal(notes, "");
}

/* A mistyped flag: the sentence names the one that was meant. */
static void test_unknown_flag_suggests_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(parse(WORDS("-nod", "a")), BR_FLAGS_BAD_USAGE);
    assert_string_equal(
        why, "flag provided but not defined: -nod; did you mean -node? \"bruit agent -help\" lists all");
    assert_int_equal(parse(WORDS("-retry-jion=x")), BR_FLAGS_BAD_USAGE);
    assert_non_null(strstr(why, "did you mean -retry-join?"));
    assert_int_equal(parse(WORDS("-zzz")), BR_FLAGS_BAD_USAGE);
    assert_string_equal(why,
                        "flag provided but not defined: -zzz; \"bruit agent -help\" lists those that are");
    assert_int_equal(parse(WORDS("---node", "a")), BR_FLAGS_BAD_USAGE);
    assert_string_equal(why, "bad flag syntax: ---node; \"bruit agent -help\" lists all");
    assert_int_equal(parse(WORDS("-=a")), BR_FLAGS_BAD_USAGE);
    assert_non_null(strstr(why, "bad flag syntax: -=a"));
}

static void test_missing_and_malformed_values_are_refused(void **state)
{
    (void)state;
    assert_int_equal(parse(WORDS("-bind")), BR_FLAGS_BAD_USAGE);
    assert_non_null(strstr(why, "flag needs an argument: -bind"));
    assert_int_equal(parse(WORDS("-protocol", "x")), BR_FLAGS_BAD_USAGE);
    assert_non_null(strstr(why, "invalid value \"x\" for flag -protocol"));
    assert_int_equal(parse(WORDS("-disable-compression=maybe")), BR_FLAGS_BAD_USAGE);
    assert_non_null(strstr(why, "invalid boolean value \"maybe\""));
    assert_int_equal(parse(WORDS("-retry-interval", "5")), BR_FLAGS_BAD_VALUE);
    assert_non_null(strstr(why, "time: missing unit in duration \"5\""));
    assert_int_equal(parse(WORDS("-help")), BR_FLAGS_HELP);
}

/* Discovery: an interface without it, one that is not there, and nobody to ask. */
static void test_discovery_is_checked_in_serfs_words(void **state)
{
    (void)state;
    assert_string_equal(refusal(WORDS("-mdns-iface", "lo")),
                        "mDNS interface specified without enabling mDNS discovery");
    assert_string_equal(refusal(WORDS("-discover", "c", "-mdns-iface", "nope0")),
                        "Invalid mDNS network interface: 'nope0' does not exist: \"ip link\" lists those that do");
    assert_string_equal(refusal(WORDS("-discover", "c", "-mdns-disable-ipv4", "-mdns-disable-ipv6")),
                        "Invalid mDNS configuration: both IPv4 and IPv6 are disabled: leave one of them on");
    assert_int_equal(check(WORDS("-discover", "c", "-mdns-iface", "lo", "-mdns-disable-ipv6")), 0);
}

/* The values that Serf refuses are refused with Serf's words, and what to do instead. */
static void test_bad_values_get_serfs_sentences(void **state)
{
    (void)state;
    assert_string_equal(refusal(WORDS("-tag", "novalue")), "Error: Invalid tag: 'novalue': write NAME=VALUE");
    assert_string_equal(refusal(WORDS("-tag", "=v")), "Error: Invalid tag: '=v': write NAME=VALUE");
    assert_string_equal(refusal(WORDS("-log-level", "loud")),
                        "Invalid log level: LOUD. Valid log levels are: [TRACE DEBUG INFO WARN ERR]");
    assert_string_equal(refusal(WORDS("-bind", "127.0.0.1:99999")),
                        "Invalid bind address: address 99999: invalid port: write address or address:port, "
                        "such as 10.0.0.1:7946");
    assert_string_equal(refusal(WORDS("-advertise", "10.0.0.1:gossip")),
                        "Invalid advertise address: address tcp/gossip: unknown port: write address or "
                        "address:port, such as 10.0.0.1:7946");
    assert_string_equal(refusal(WORDS("-encrypt", "xxx")),
                        "Invalid encryption key: illegal base64 data at input byte 0: "
                        "\"bruit keygen\" makes a good one");
    assert_string_equal(refusal(WORDS("-profile", "fast")), "Unknown profile: fast: write lan, wan or local");
    assert_string_equal(refusal(WORDS("-protocol", "1")),
                        "Protocol version '1' too low. Must be in range: [2, 5]");
    assert_string_equal(refusal(WORDS("-protocol", "6")),
                        "Protocol version '6' too high. Must be in range: [2, 5]");
    assert_non_null(
        strstr(refusal(WORDS("-encrypt", "AAAAAAAAAAAAAAAA")), "key size must be 16, 24 or 32 bytes"));
    assert_non_null(strstr(refusal(WORDS("-iface", "nosuch0")), "Invalid network interface"));
    assert_string_equal(refusal(WORDS("-iface", "lo", "-bind", "192.0.2.1")),
                        "Interface 'lo' has no '192.0.2.1' address");
}

/* An agent that tells others to send to 0.0.0.0 can be reached by nobody. */
static void test_advertising_nowhere_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal(WORDS("-advertise", "0.0.0.0")), "nobody can reach 0.0.0.0"));
    assert_non_null(strstr(refusal(WORDS("-advertise", "[::]:7946")), "nobody can reach"));
    assert_int_equal(check(WORDS("-node", "n", "-advertise", "10.1.2.3")), 0);
    assert_int_equal(options.advertise_addr.port, 7946);
}

/* Keys of all three sizes are taken. */
static void test_keys_of_16_24_and_32_bytes_are_taken(void **state)
{
    (void)state;
    assert_int_equal(check(WORDS("-node", "n", "-encrypt", "AAAAAAAAAAAAAAAAAAAAAA==")), 0);
    assert_int_equal(options.key_size, 16);
    assert_int_equal(check(WORDS("-node", "n", "-encrypt", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")), 0);
    assert_int_equal(options.key_size, 24);
    assert_int_equal(check(WORDS("-node", "n", "-encrypt", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
                     0);
    assert_int_equal(options.key_size, 32);
}

/* An operator asks for intervals that would flood the network (docs/wire/serf-agent.md, item 13). */
/* conformance: agent 13 */
static void test_low_intervals_are_raised_with_a_warning(void **state)
{
    (void)state;
    assert_int_equal(
        check(WORDS("-node", "n", "-retry-interval", "999ms", "-broadcast-timeout", "1ms", "-rejoin")), 0);
    assert_int_equal(options.retry_interval, BRUIT_SECOND);
    assert_int_equal(options.broadcast_timeout, BRUIT_SECOND);
    assert_string_equal(notes, "Warning: 'RetryInterval' is too low. Setting to 1s\n"
                               "Warning: 'BroadcastTimeout' is too low. Setting to 1s\n"
                               "Warning: 'RejoinAfterLeave' enabled without snapshot file\n");
    assert_int_equal(check(WORDS("-node", "n", "-retry-interval", "0", "-protocol", "0")), 0);
    assert_int_equal(options.retry_interval, 30 * BRUIT_SECOND);
    assert_int_equal(options.protocol, 5);
}

/* A script still uses -role; an old cluster speaks protocol 2. */
/* conformance: agent 17 */
static void test_role_becomes_a_tag_and_protocol_2_tells_nothing_else(void **state)
{
    struct br_tag_set set;
    (void)state;
    assert_int_equal(check(WORDS("-node", "n", "-role", "web", "-tag", "role=other", "-tag", "x=y")), 0);
    assert_string_equal(notes, "Deprecation warning: 'Role' has been replaced with 'Tags'\n");
    br_tag_set_read(&set, br_bytes(options.meta, options.meta_size));
    assert_int_equal(set.count, 2);
    assert_true(br_bytes_equal(br_tag_set_get(&set, br_bytes_text("role")), br_bytes_text("web")));
    assert_int_equal(check(WORDS("-node", "n", "-protocol", "2", "-role", "web", "-tag", "x=y")), 0);
    assert_int_equal(options.meta_size, 3);
    assert_memory_equal(options.meta, "web", 3);
}

/*
 * Metadata of 512 bytes is the last that fits: ff, a map of one pair, a letter, and 505 bytes behind da xx
 * xx.
 */
/* conformance: serf 51 */
static void test_tags_fill_512_bytes_and_no_more(void **state)
{
    char tag[600];
    (void)state;
    memset(tag, 'x', sizeof tag);
    memcpy(tag, "a=", 2);
    tag[2 + 505] = 0;
    assert_int_equal(check(WORDS("-node", "n", "-tag", tag)), 0);
    assert_int_equal(options.meta_size, 512);
    memcpy(tag + 2 + 505, "x", 2);
    assert_string_equal(refusal(WORDS("-node", "n", "-tag", tag)),
                        "Encoded length of tags exceeds limit of 512 bytes");
}

static void test_names_have_1_to_255_bytes(void **state)
{
    char name[258];
    (void)state;
    memset(name, 'n', sizeof name);
    name[255] = 0;
    assert_int_equal(check(WORDS("-node", name)), 0);
    memcpy(name + 255, "n", 2);
    assert_non_null(strstr(refusal(WORDS("-node", name)), "Node name is 256 characters"));
    assert_int_equal(check(WORDS("-node", "")), 0); /* the host's */
    assert_true(strlen(options.name) > 0);
}

/* The RPC address is looked at last, with Go's sentences. */
static void test_rpc_address_needs_a_port(void **state)
{
    (void)state;
    assert_int_equal(check(WORDS("-node", "n", "-rpc-addr", "127.0.0.1")), 0);
    assert_int_equal(br_options_check_rpc(&options, why), BRUIT_EINVAL);
    assert_non_null(strstr(why, "listen tcp: address 127.0.0.1: missing port in address"));
    assert_int_equal(check(WORDS("-node", "n", "-rpc-addr", "127.0.0.1:99999")), 0);
    assert_int_equal(br_options_check_rpc(&options, why), BRUIT_EINVAL);
    assert_string_equal(why, "listen tcp: address 99999: invalid port: write host:port");
    assert_int_equal(check(WORDS("-node", "n", "-rpc-addr", "[::1]:80")), 0);
    assert_int_equal(br_options_check_rpc(&options, why), 0);
    assert_int_equal(options.rpc_bind.size, 16);
    assert_int_equal(options.rpc_bind.port, 80);
}

/* What was asked for is what the engine gets. */
static void test_configuration_carries_profile_label_and_versions(void **state)
{
    struct bruit_config config;
    struct bruit_bytes key[BR_KEYRING_KEYS_MAX];
    (void)state;
    assert_int_equal(check(WORDS("-node", "n", "-profile", "wan", "-label", "blue", "-protocol", "4",
                                 "-encrypt", "AAAAAAAAAAAAAAAAAAAAAA==", "-disable-compression")),
                     0);
    br_options_config(&options, &config, key);
    assert_null(bruit_config_check(&(struct bruit_config){0}) == NULL ? "an empty configuration passes"
                                                                      : NULL);
    assert_int_equal(config.probe_interval, 5 * BRUIT_SECOND);
    assert_int_equal(config.delegate_current, 4);
    assert_int_equal(config.delegate_min, 2);
    assert_int_equal(config.delegate_max, 5);
    assert_true(br_bytes_equal(config.label, br_bytes_text("blue")));
    assert_int_equal(config.key_count, 1);
    assert_int_equal(config.keys[0].size, 16);
    assert_false(config.compression);
}

/* The help comes from the same table: every flag is in it. */
static void test_help_lists_every_flag_once_and_is_80_wide(void **state)
{
    struct br_blob help = BR_BLOB_EMPTY;
    (void)state;
    br_options_help(&help);
    const char *text = br_blob_string(&help);
    assert_non_null(strstr(text, "  -advertise=addr[:port]"));
    assert_non_null(strstr(text, "  -tag=key=value"));
    assert_non_null(strstr(text, "  -rpc-auth=token"));
    assert_non_null(strstr(text, "  -discover=cluster"));
    for (const char *line = text; *line != 0; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    br_blob_release(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_serfs),
        cmocka_unit_test(test_flags_are_written_in_all_of_gos_ways),
        cmocka_unit_test(test_flags_end_at_the_first_word_that_is_none),
        cmocka_unit_test(test_a_word_that_is_no_flag_is_told),
        cmocka_unit_test(test_unknown_flag_suggests_the_nearest),
        cmocka_unit_test(test_missing_and_malformed_values_are_refused),
        cmocka_unit_test(test_discovery_is_checked_in_serfs_words),
        cmocka_unit_test(test_bad_values_get_serfs_sentences),
        cmocka_unit_test(test_advertising_nowhere_is_refused),
        cmocka_unit_test(test_keys_of_16_24_and_32_bytes_are_taken),
        cmocka_unit_test(test_low_intervals_are_raised_with_a_warning),
        cmocka_unit_test(test_role_becomes_a_tag_and_protocol_2_tells_nothing_else),
        cmocka_unit_test(test_tags_fill_512_bytes_and_no_more),
        cmocka_unit_test(test_names_have_1_to_255_bytes),
        cmocka_unit_test(test_rpc_address_needs_a_port),
        cmocka_unit_test(test_configuration_carries_profile_label_and_versions),
        cmocka_unit_test(test_help_lists_every_flag_once_and_is_80_wide),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}

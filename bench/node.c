/*
 * One member on the libuv driver, as the receiver of a flood and as one side of a state exchange: what
 * go/mlnode.go is for memberlist.
 *
 *     node NAME IP [key=HEX] [compress=no] [gossip=yes]
 *
 * It never probes, since the members it is told of are made up, and never syncs by itself. Without gossip=yes
 * it does not pass on what it hears. There are no modules, as memberlist has no delegate there.
 *
 * It prints {"ready": true} once it listens on port 7946, and then answers each line on its standard input with
 * a line of JSON: an empty one with its counters, `join IP` once that exchange is over. It ends with its input.
 */
#include "base/bytes.h"

#include <bruit/bruit.h>
#include <bruit/cipher.h>
#include <bruit/uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define PORT 7946

struct node {
    struct bruit_uv *uv;
    uv_pipe_t input;
    char line[256];
    size_t line_size;
    uint64_t join_start;
};

static struct bruit_cipher cipher;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "node: %s\n", what);
    exit(1);
}

static void on_joined(struct bruit_uv *uv, void *context, const struct bruit_uv_joined *joined)
{
    const struct node *node = context;
    struct bruit_stats stats;
    bruit_stats_get(bruit_uv_engine(uv), &stats);
    printf(
        "{\"contacted\": %u, \"wall_s\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu, \"members\": %zu}\n",
        joined->contacted, (double)(uv_hrtime() - node->join_start) / 1e9,
        (unsigned long long)stats.stream_bytes_in, (unsigned long long)stats.stream_bytes_out,
        bruit_member_count(bruit_uv_engine(uv)));
}

static void print_status(struct node *node)
{
    struct bruit_stats stats;
    struct bruit_uv_stats uv_stats;
    bruit_stats_get(bruit_uv_engine(node->uv), &stats);
    bruit_uv_stats_get(node->uv, &uv_stats);
    uint64_t drops = 0;
    for (size_t i = 0; i < BRUIT_DROP_COUNT; i++)
        drops += stats.drops[i];
    printf(
        "{\"members\": %zu, \"queue_full\": 0, \"drops\": %llu, \"messages\": %llu, \"allocations\": %llu, "
        "\"memory\": %llu, \"rumours\": %u, \"datagrams\": %llu, \"receive_calls\": %llu, \"send_calls\": %llu, "
        "\"wakeups\": %llu, \"sent\": %llu}\n",
        bruit_member_count(bruit_uv_engine(node->uv)), (unsigned long long)drops,
        (unsigned long long)stats.messages_in, (unsigned long long)stats.allocations,
        (unsigned long long)stats.memory, stats.rumours, (unsigned long long)stats.datagrams_in,
        (unsigned long long)uv_stats.receive_calls, (unsigned long long)uv_stats.send_calls,
        (unsigned long long)uv_stats.wakeups, (unsigned long long)stats.datagrams_out);
}

static void obey(struct node *node)
{
    const char *target = node->line + strlen("join ");
    if (strncmp(node->line, "join ", 5) != 0) {
        print_status(node);
        return;
    }
    node->join_start = uv_hrtime();
    if (bruit_uv_join_names(node->uv, &target, 1, 0, on_joined, node) != 0)
        fail("cannot join");
}

static void on_input(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct node *node = stream->data;
    if (size < 0)
        exit(0);
    for (ssize_t i = 0; i < size; i++) {
        if (buffer->base[i] == '\n') {
            node->line[node->line_size] = '\0';
            node->line_size = 0;
            obey(node);
        } else if (node->line_size + 1 < sizeof node->line) {
            node->line[node->line_size++] = buffer->base[i];
        }
    }
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char bytes[256];
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(bytes, sizeof bytes);
}

static void configure(struct bruit_config *config, const char *name, const char *ip)
{
    bruit_config_lan(config);
    config->name = br_bytes_string(name);
    config->advertise = (struct bruit_addr){.size = 4, .port = PORT};
    if (uv_inet_pton(AF_INET, ip, config->advertise.ip) != 0)
        fail("IP is not an IPv4 address");
    config->probe_interval = 0;
    config->push_pull_interval = 0;
    config->early_sync_budget = 0;
    config->gossip_interval = 0;
    config->retransmit_mult = 1; /* what is heard leaves soon, on acks */
    config->delegate_min = 2;    /* as Serf's, and the flood's members say */
    config->delegate_max = 5;
    config->delegate_current = 4;
}

static void use_key(struct bruit_config *config, const char *hex)
{
    static uint8_t key[32];
    static struct bruit_bytes keys[1];
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size && i < sizeof key; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        key[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    if (bruit_cipher_openssl(&cipher) != 0)
        fail(bruit_cipher_openssl_hint());
    keys[0] = br_bytes(key, size);
    config->keys = keys;
    config->key_count = 1;
}

static void use_option(struct bruit_config *config, const char *option)
{
    if (strncmp(option, "key=", 4) == 0) {
        use_key(config, option + 4);
    } else if (strcmp(option, "compress=no") == 0) {
        config->compression = false;
    } else if (strcmp(option, "gossip=yes") == 0) {
        config->gossip_interval = 200 * BRUIT_MILLISECOND;
        config->retransmit_mult = 4;
    } else {
        fail("usage: node NAME IP [key=HEX] [compress=no] [gossip=yes]");
    }
}

int main(int argc, char **argv)
{
    struct node node = {0};
    struct bruit_config config;
    struct bruit_uv_options options;
    struct bruit_env env = {.struct_size = sizeof env};
    char why[256];
    if (argc < 3)
        fail("usage: node NAME IP [key=HEX] [compress=no] [gossip=yes]");
    configure(&config, argv[1], argv[2]);
    for (int i = 3; i < argc; i++)
        use_option(&config, argv[i]);
    if (config.key_count > 0)
        env.cipher = &cipher;
    bruit_uv_options_init(&options);
    options.bind = config.advertise;
    options.config = &config;
    options.env = &env;
    if (bruit_uv_new(&node.uv, uv_default_loop(), &options, why, sizeof why) != 0)
        fail(why);
    setvbuf(stdout, NULL, _IOLBF, 0);
    node.input.data = &node;
    if (uv_pipe_init(uv_default_loop(), &node.input, 0) != 0 || uv_pipe_open(&node.input, 0) != 0 ||
        uv_read_start((uv_stream_t *)&node.input, give_buffer, on_input) != 0)
        fail("the standard input must be a pipe");
    printf("{\"ready\": true}\n");
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

/* The agent's command line; see options.h. */
#include "agent/options.h"

#include "agent/blob.h"
#include "codec/addr.h"

#include <bruit/status.h>
#include <bruit/trace.h>
#include <bruit/uv.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_INTERVAL_DEFAULT (30 * BRUIT_SECOND)
#define BROADCAST_TIMEOUT_DEFAULT (5 * BRUIT_SECOND)

/* Versions of Serf's protocol that its agents speak (docs/wire/serf.md section 14). */
#define PROTOCOL_MIN 2
#define PROTOCOL_MAX 5

#define AT(member) offsetof(struct br_options, member)
#define NOT_YET(name)                          \
    {                                          \
        name, BR_FLAG_LATER, 0, NULL, NULL, "" \
    }
#define NOT_YET_SWITCH(name)                          \
    {                                                 \
        name, BR_FLAG_LATER_SWITCH, 0, NULL, NULL, "" \
    }

static const struct br_flag flags[] = {
    {"advertise", BR_FLAG_TEXT, AT(advertise), "addr[:port]", NULL,
     "What the other members are told to send to. Default: the address bound to, or a private "
     "one of this host."},
    {"bind", BR_FLAG_TEXT, AT(bind), "addr[:port]", "0.0.0.0",
     "Where to listen for gossip, datagrams and streams. Default: 0.0.0.0:7946. IPv6 as [::1] "
     "or [::1]:7946."},
    {"broadcast-timeout", BR_FLAG_DURATION, AT(broadcast_timeout), "5s", "5s",
     "How long leaving, forcing others out and changing tags may wait until the news has been "
     "sent."},
    {"disable-compression", BR_FLAG_SWITCH, AT(disable_compression), NULL, NULL,
     "Send everything uncompressed. What comes in may be either."},
    {"encrypt", BR_FLAG_TEXT, AT(encrypt), "key", NULL,
     "Encrypt all gossip with this key, base64 of 16, 24 or 32 bytes: \"bruit keygen\" makes "
     "one. All members need the same."},
    {"iface", BR_FLAG_TEXT, AT(iface), "name", NULL,
     "Bind to the address of this network interface; with -bind, check that the interface has "
     "that address."},
    {"join", BR_FLAG_LIST, AT(join), "addr", NULL,
     "A member to join through; may be repeated. The agent exits if none of them can be reached."},
    {"label", BR_FLAG_TEXT, AT(label), "text", NULL,
     "A label that all members of the cluster must share, so that two clusters on one network "
     "never mix. Real Serf agents have no such flag and cannot join a cluster with a label."},
    {"leave-on-terminate", BR_FLAG_SWITCH, AT(leave_on_terminate), NULL, NULL,
     "Leave gracefully on SIGTERM too."},
    {"log-level", BR_FLAG_TEXT, AT(log_level), "info", "INFO", "TRACE, DEBUG, INFO, WARN or ERR."},
    {"node", BR_FLAG_TEXT, AT(node), "name", NULL,
     "The name of this member, unique in the cluster. Default: the name of the host."},
    {"profile", BR_FLAG_TEXT, AT(profile), "lan|wan|local", "lan", "The network to set all timings for."},
    {"protocol", BR_FLAG_INT, AT(protocol), "5", "5", "The Serf protocol to announce, 2 to 5."},
    {"rejoin", BR_FLAG_SWITCH, AT(rejoin), NULL, NULL,
     "Only of use with a snapshot, which this version has not."},
    {"retry-interval", BR_FLAG_DURATION, AT(retry_interval), "30s", "30s",
     "The pause between two attempts of -retry-join."},
    {"retry-join", BR_FLAG_LIST, AT(retry_join), "addr", NULL,
     "As -join, but tried again and again until it works; names are looked up anew each time. "
     "May be repeated."},
    {"retry-max", BR_FLAG_INT, AT(retry_max), "0", "0",
     "Give up and exit after so many retries; 0 means never."},
    {"role", BR_FLAG_TEXT, AT(role), "text", NULL, "Deprecated: the same as -tag role=text."},
    {"rpc-addr", BR_FLAG_TEXT, AT(rpc_addr), "addr:port", "127.0.0.1:7373",
     "Where to listen for \"bruit\" and other clients. Default: 127.0.0.1:7373."},
    {"rpc-auth", BR_FLAG_TEXT, AT(rpc_auth), "token", NULL, "The token that RPC clients must know."},
    {"skip-leave-on-interrupt", BR_FLAG_SWITCH, AT(skip_leave_on_interrupt), NULL, NULL,
     "Stop at once on SIGINT instead of leaving gracefully."},
    {"tag", BR_FLAG_LIST, AT(tags), "key=value", NULL,
     "A tag of this member; may be repeated. All of them together may take 512 bytes."},
    NOT_YET("config-dir"),
    NOT_YET("config-file"),
    NOT_YET("discover"),
    NOT_YET("event-handler"),
    NOT_YET("keyring-file"),
    NOT_YET("mdns-iface"),
    NOT_YET_SWITCH("mdns-disable-ipv4"),
    NOT_YET_SWITCH("mdns-disable-ipv6"),
    NOT_YET_SWITCH("replay"),
    NOT_YET("snapshot"),
    NOT_YET_SWITCH("syslog"),
    NOT_YET("tags-file"),
};
static const size_t flag_count = sizeof flags / sizeof flags[0];

static int check_tags(struct br_options *options, char *why);
static void check_intervals(struct br_options *options, br_options_note_fn note, void *context);
static int check_level(struct br_options *options, char *why);
static int check_bind(struct br_options *options, char *why);
static int check_interface(struct br_options *options, br_options_note_fn note, void *context, char *why);
static int check_advertise(struct br_options *options, char *why);
static int check_key(struct br_options *options, char *why);
static int check_profile(const struct br_options *options, char *why);

enum br_flags_result br_options_parse(struct br_options *options, int argc, char **argv, char why[BR_WHY_MAX])
{
    int rest;
    memset(options, 0, sizeof *options);
    return br_flags_parse(flags, flag_count, options, "bruit agent", argc, argv, &rest, why);
}

void br_options_release(struct br_options *options)
{
    br_flags_release(flags, flag_count, options);
    explicit_bzero(options->key, sizeof options->key);
}

void br_options_help(struct br_blob *out)
{
    br_blob_text(out, "Usage: bruit agent [options]\n\n"
                      "  Starts an agent, one member of a cluster, and runs until it is interrupted.\n"
                      "  It takes the flags of \"serf agent\" and lives in one cluster with real Serf\n"
                      "  agents.\n\n"
                      "Options:\n\n");
    br_flags_help(flags, flag_count, out);
}

int br_options_check(struct br_options *options, br_options_note_fn note, void *context, char why[BR_WHY_MAX])
{
    int error = check_tags(options, why);
    if (error == 0 && options->role != NULL && options->role[0] != 0)
        note(context, "Deprecation warning: 'Role' has been replaced with 'Tags'");
    if (error == 0) {
        check_intervals(options, note, context);
        if (options->rejoin)
            note(context, "Warning: 'RejoinAfterLeave' enabled without snapshot file");
        error = check_level(options, why);
    }
    if (error == 0)
        error = check_bind(options, why);
    if (error == 0)
        error = check_interface(options, note, context, why);
    if (error == 0)
        error = check_advertise(options, why);
    if (error == 0)
        error = check_key(options, why);
    return error != 0 ? error : check_profile(options, why);
}

/* ------------------------------------------------------------------ tags, intervals, level */

static int check_tags(struct br_options *options, char *why)
{
    for (size_t i = 0; i < options->tags.count; i++) {
        struct bruit_bytes key, value;
        if (br_pair_split(options->tags.items[i], &key, &value))
            continue;
        (void)snprintf(why, BR_WHY_MAX, "Error: Invalid tag: '%.120s'", options->tags.items[i]);
        return BRUIT_EINVAL;
    }
    return 0;
}

static void check_intervals(struct br_options *options, br_options_note_fn note, void *context)
{
    /* A zero replaces nothing when Serf merges its configurations, so it leaves the default. */
    if (options->retry_interval == 0)
        options->retry_interval = RETRY_INTERVAL_DEFAULT;
    if (options->broadcast_timeout == 0)
        options->broadcast_timeout = BROADCAST_TIMEOUT_DEFAULT;
    if (options->protocol <= 0)
        options->protocol = options->protocol == 0 ? PROTOCOL_MAX : options->protocol;
    if (options->retry_interval < BRUIT_SECOND) {
        note(context, "Warning: 'RetryInterval' is too low. Setting to 1s");
        options->retry_interval = BRUIT_SECOND;
    }
    if (options->broadcast_timeout < BRUIT_SECOND) {
        note(context, "Warning: 'BroadcastTimeout' is too low. Setting to 1s");
        options->broadcast_timeout = BRUIT_SECOND;
    }
}

static int check_level(struct br_options *options, char *why)
{
    options->level = br_level_parse(options->log_level, strlen(options->log_level));
    if (options->level >= 0)
        return 0;
    char upper[60];
    size_t i = 0;
    for (; i + 1 < sizeof upper && options->log_level[i] != 0; i++) {
        char c = options->log_level[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[i] = 0;
    (void)snprintf(why, BR_WHY_MAX,
                   "Invalid log level: %s. Valid log levels are: [TRACE DEBUG INFO WARN ERR]", upper);
    return BRUIT_EINVAL;
}

/* ------------------------------------------------------------------ addresses */

/*
 * "host:port" as an address; an empty host is 0.0.0.0. What is no literal is looked up, which may take
 * seconds.
 */
static int resolve(const char *text, uint16_t port, struct bruit_addr *out, char why[BR_WHY_MAX])
{
    char host[256];
    int error = br_endpoint_parse(text, host, &port, why);
    if (error != 0)
        return error;
    if (host[0] == 0)
        (void)snprintf(host, sizeof host, "0.0.0.0");
    if (br_addr_parse_ip(out, host) != 0) {
        if (bruit_uv_resolve(host, port, out, NULL, 0) != 0) {
            (void)snprintf(why, BR_WHY_MAX, "lookup %.200s: no such host", host);
            return BRUIT_ENOENT;
        }
    }
    out->port = port;
    return 0;
}

static int check_bind(struct br_options *options, char *why)
{
    char reason[BR_WHY_MAX];
    const char *text = options->bind[0] == 0 ? "0.0.0.0" : options->bind;
    int error = resolve(text, BR_GOSSIP_PORT, &options->bind_addr, reason);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "Invalid bind address: %.250s", reason);
    return error;
}

static bool interface_address(const struct ifaddrs *entry, const char *name, struct bruit_addr *out)
{
    if (entry->ifa_addr == NULL || strcmp(entry->ifa_name, name) != 0)
        return false;
    if (entry->ifa_addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)entry->ifa_addr;
        return br_addr_make(out, br_bytes(&in->sin_addr, 4), 0) == 0;
    }
    if (entry->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)entry->ifa_addr;
        return br_addr_make(out, br_bytes(&in6->sin6_addr, 16), 0) == 0;
    }
    return false;
}

static bool is_link_local(const struct bruit_addr *addr)
{
    return addr->size == 4 ? addr->ip[0] == 169 && addr->ip[1] == 254
                           : addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

/* The interface's address that is `wanted`, or its first that is not link-local when nothing is wanted. */
static bool find_on_interface(const char *name, const struct bruit_addr *wanted, struct bruit_addr *out)
{
    struct ifaddrs *list;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *entry = list; entry != NULL && !found; entry = entry->ifa_next) {
        if (interface_address(entry, name, out))
            found = wanted == NULL ? !is_link_local(out) : br_addr_same_host(wanted, out);
    }
    freeifaddrs(list);
    return found;
}

static int check_interface(struct br_options *options, br_options_note_fn note, void *context, char *why)
{
    if (options->iface == NULL || options->iface[0] == 0)
        return 0;
    char host[BRUIT_ADDR_TEXT_MAX];
    struct bruit_addr found;
    bool is_any = br_addr_is_unspecified(&options->bind_addr);
    if (if_nametoindex(options->iface) == 0) {
        (void)snprintf(why, BR_WHY_MAX,
                       "Invalid network interface: '%.60s' does not exist: \"ip link\" lists those that do",
                       options->iface);
        return BRUIT_ENOENT;
    }
    if (!find_on_interface(options->iface, is_any ? NULL : &options->bind_addr, &found)) {
        br_addr_format_ip(&options->bind_addr, host);
        if (is_any)
            (void)snprintf(why, BR_WHY_MAX, "Interface '%.60s' has no addresses", options->iface);
        else
            (void)snprintf(why, BR_WHY_MAX, "Interface '%.60s' has no '%s' address", options->iface, host);
        return BRUIT_ENOENT;
    }
    if (is_any) {
        char sentence[160];
        found.port = options->bind_addr.port;
        options->bind_addr = found;
        br_addr_format_ip(&found, host);
        (void)snprintf(sentence, sizeof sentence, "Using interface '%.60s' address '%s'", options->iface,
                       host);
        note(context, sentence);
    }
    return 0;
}

static int check_advertise(struct br_options *options, char *why)
{
    char reason[BR_WHY_MAX];
    if (options->advertise == NULL || options->advertise[0] == 0)
        return 0;
    int error = resolve(options->advertise, BR_GOSSIP_PORT, &options->advertise_addr, reason);
    if (error != 0) {
        (void)snprintf(why, BR_WHY_MAX, "Invalid advertise address: %.250s", reason);
        return error;
    }
    if (br_addr_is_unspecified(&options->advertise_addr)) {
        (void)snprintf(why, BR_WHY_MAX,
                       "Invalid advertise address: nobody can reach %.60s: give one that the other members "
                       "can send to",
                       options->advertise);
        return BRUIT_EINVAL;
    }
    return 0;
}

int br_options_check_rpc(struct br_options *options, char why[BR_WHY_MAX])
{
    char host[256];
    uint16_t port = 0;
    const char *text = options->rpc_addr;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (text[0] == '[' && colon[-1] != ']')) {
        (void)snprintf(why, BR_WHY_MAX,
                       "listen tcp: address %.200s: missing port in address: write host:port", text);
        return BRUIT_EINVAL;
    }
    char reason[BR_WHY_MAX];
    int error = br_endpoint_parse(text, host, &port, reason);
    if (error == 0)
        error = resolve(text, 0, &options->rpc_bind, reason);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "listen tcp: %.250s", reason);
    return error;
}

/* ------------------------------------------------------------------ key and profile */

static int check_key(struct br_options *options, char *why)
{
    char reason[BR_WHY_MAX];
    if (options->encrypt == NULL || options->encrypt[0] == 0)
        return 0;
    options->key_size = sizeof options->key;
    int error = br_base64_decode(options->encrypt, options->key, &options->key_size, reason);
    if (error == 0)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Invalid encryption key: %.250s", reason);
    return error;
}

static int check_profile(const struct br_options *options, char *why)
{
    if (strcmp(options->profile, "lan") == 0 || strcmp(options->profile, "wan") == 0 ||
        strcmp(options->profile, "local") == 0)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Unknown profile: %.60s", options->profile);
    return BRUIT_EINVAL;
}

/* ------------------------------------------------------------------ what Serf checks while it starts */

static int check_name(struct br_options *options, char *why)
{
    char host[BRUIT_NAME_MAX + 1] = "";
    const char *name = options->node;
    if (name == NULL || name[0] == 0) {
        if (gethostname(host, sizeof host - 1) != 0 || host[0] == 0) {
            (void)snprintf(why, BR_WHY_MAX, "this host has no name: give one with -node");
            return BRUIT_ENOENT;
        }
        name = host;
    }
    if (strlen(name) > BRUIT_NAME_MAX) {
        (void)snprintf(why, BR_WHY_MAX,
                       "Node name is %zu characters. Valid length is between 1 and %d characters",
                       strlen(name), BRUIT_NAME_MAX);
        return BRUIT_EINVAL;
    }
    memcpy(options->name, name, strlen(name) + 1);
    return 0;
}

static int check_protocol(const struct br_options *options, char *why)
{
    if (options->protocol >= PROTOCOL_MIN && options->protocol <= PROTOCOL_MAX)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Protocol version '%lld' too %s. Must be in range: [%d, %d]",
                   (long long)options->protocol, options->protocol < PROTOCOL_MIN ? "low" : "high",
                   PROTOCOL_MIN, PROTOCOL_MAX);
    return BRUIT_EINVAL;
}

/* -role comes last and wins over a tag of that name. */
static int encode_tags(struct br_options *options, char *why)
{
    struct br_tag_set set = {.count = 0};
    int error = 0;
    for (size_t i = 0; i < options->tags.count && error == 0; i++) {
        struct bruit_bytes key, value;
        if (br_pair_split(options->tags.items[i], &key, &value))
            error = br_tag_set_put(&set, key, value);
    }
    if (error == 0 && options->role != NULL && options->role[0] != 0)
        error = br_tag_set_put(&set, br_bytes_text("role"), br_bytes_string(options->role));
    if (error == 0)
        error = br_tag_set_encode(&set, (unsigned)options->protocol, options->meta, &options->meta_size);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "Encoded length of tags exceeds limit of %d bytes", BRUIT_META_MAX);
    return error;
}

int br_options_check_start(struct br_options *options, char why[BR_WHY_MAX])
{
    int error = check_name(options, why);
    if (error == 0)
        error = check_protocol(options, why);
    if (error == 0)
        error = encode_tags(options, why);
    if (error == 0 && options->key_size != 0 && options->key_size != 16 && options->key_size != 24 &&
        options->key_size != 32) {
        (void)snprintf(why, BR_WHY_MAX,
                       "key size must be 16, 24 or 32 bytes: \"bruit keygen\" makes a good one");
        error = BRUIT_EINVAL;
    }
    if (error == 0 && options->label != NULL && strlen(options->label) > BRUIT_LABEL_MAX) {
        (void)snprintf(why, BR_WHY_MAX, "a label may have at most %d bytes", BRUIT_LABEL_MAX);
        error = BRUIT_EINVAL;
    }
    return error;
}

void br_options_config(const struct br_options *options, struct bruit_config *config, struct bruit_bytes *key)
{
    if (strcmp(options->profile, "wan") == 0)
        bruit_config_wan(config);
    else if (strcmp(options->profile, "local") == 0)
        bruit_config_local(config);
    else
        bruit_config_lan(config);
    config->name = br_bytes_string(options->name);
    config->advertise = options->advertise_addr;
    config->meta = br_bytes(options->meta, options->meta_size);
    config->delegate_min = PROTOCOL_MIN;
    config->delegate_max = PROTOCOL_MAX;
    config->delegate_current = (uint8_t)options->protocol;
    config->compression = !options->disable_compression;
    if (options->label != NULL)
        config->label = br_bytes_string(options->label);
    if (options->key_size != 0) {
        *key = br_bytes(options->key, options->key_size);
        config->keys = key;
        config->key_count = 1;
    }
}

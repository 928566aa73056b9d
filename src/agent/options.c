/* The agent's command line; see options.h. */
#include "agent/options.h"

#include "agent/blob.h"
#include "agent/config.h"
#include "agent/syslog.h"
#include "codec/addr.h"

#include <bruit/event.h>
#include <bruit/status.h>
#include <bruit/trace.h>
#include <bruit/uv.h>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Versions of Serf's protocol that its agents speak (docs/wire/serf.md section 14). */
#define PROTOCOL_MIN 2
#define PROTOCOL_MAX 5

#define AT(member) offsetof(struct br_options, member)
/* A flag with its key (NULL: none), and a key without a flag. */
#define FLAG(name, kind, member, argument, fallback, key, help)                  \
    {                                                                            \
        {name, kind, AT(member), argument, fallback, help}, key, BR_OPTION_PLAIN \
    }
#define KEY(key, kind, member, fallback)                                     \
    {                                                                        \
        {NULL, kind, AT(member), NULL, fallback, NULL}, key, BR_OPTION_PLAIN \
    }
#define KEY_WITHOUT_EFFECT(key)                                               \
    {                                                                         \
        {NULL, BR_FLAG_SWITCH, 0, NULL, NULL, NULL}, key, BR_OPTION_NO_EFFECT \
    }

static const struct br_option table[] = {
    FLAG("advertise", BR_FLAG_TEXT, advertise, "addr[:port]", NULL, "advertise",
         "What the other members are told to send to. Default: the address bound to, or a private "
         "one of this host."),
    FLAG("bind", BR_FLAG_TEXT, bind, "addr[:port]", "0.0.0.0", "bind",
         "Where to listen for gossip, datagrams and streams. Default: 0.0.0.0:7946. IPv6 as [::1] "
         "or [::1]:7946."),
    FLAG("broadcast-timeout", BR_FLAG_DURATION, broadcast_timeout, "5s", "5s", "broadcast_timeout",
         "How long leaving, forcing others out and changing tags may wait until the news has been "
         "sent."),
    FLAG("config-dir", BR_FLAG_LIST, config_paths, "path", NULL, NULL,
         "The same as -config-file: of a directory, all its *.json are read, by name."),
    FLAG("config-file", BR_FLAG_LIST, config_paths, "path", NULL, NULL,
         "A JSON file with settings, or a directory of such; may be repeated. Later ones win over "
         "earlier ones, flags win over files, lists are joined. SIGHUP reads them again."),
    FLAG("data-dir", BR_FLAG_TEXT, data_dir, "path", NULL, "data_dir",
         "A directory to keep replicated state in, in the file state.db; a write that was confirmed survives "
         "any crash. Needs SQLite's library. Default: in memory alone."),
    FLAG("disable-compression", BR_FLAG_SWITCH, disable_compression, NULL, NULL, NULL,
         "Send everything uncompressed. What comes in may be either."),
    FLAG("discover", BR_FLAG_TEXT, discover, "cluster", NULL, "discover",
         "Find the agents of this cluster name on the local network by multicast DNS, and join them."),
    FLAG("encrypt", BR_FLAG_TEXT, encrypt, "key", NULL, "encrypt_key",
         "Encrypt all gossip with this key, base64 of 16, 24 or 32 bytes: \"bruit keygen\" makes "
         "one. All members need the same."),
    FLAG("event-handler", BR_FLAG_LIST, event_handlers, "script", NULL, "event_handlers",
         "A command for the shell to run at each event; may be repeated. [filters=]command, the "
         "filters of member-join, member-leave, member-failed, member-update, member-reap, "
         "user[:name] and query[:name], with commas."),
    FLAG("handler-timeout", BR_FLAG_DURATION, handler_timeout, "10m", "10m", "handler_timeout",
         "Kill an event handler that runs longer than this, and all that it started."),
    FLAG("iface", BR_FLAG_TEXT, iface, "name", NULL, "interface",
         "Bind to the address of this network interface; with -bind, check that the interface has "
         "that address."),
    FLAG("join", BR_FLAG_LIST, join, "addr", NULL, "start_join",
         "A member to join through; may be repeated. The agent exits if none of them can be reached."),
    FLAG("keyring-file", BR_FLAG_TEXT, keyring_file, "path", NULL, "keyring_file",
         "Encrypt with the keys in this file, a JSON list; the first encrypts, all decrypt. "
         "Changes of keys are written to it."),
    FLAG("label", BR_FLAG_TEXT, label, "text", NULL, NULL,
         "A label that all members of the cluster must share, so that two clusters on one network "
         "never mix. Real Serf agents have no such flag and cannot join a cluster with a label."),
    FLAG("leave-on-terminate", BR_FLAG_SWITCH, leave_on_terminate, NULL, NULL, "leave_on_terminate",
         "Leave gracefully on SIGTERM too."),
    FLAG("log-level", BR_FLAG_TEXT, log_level, "trace|debug|info|warn|err", "INFO", "log_level",
         "The least level to show, in any case. Default: info."),
    FLAG("mdns-disable-ipv4", BR_FLAG_SWITCH, mdns_disable_ipv4, NULL, NULL, "mdns.disable_ipv4",
         "With -discover: do not ask by IPv4."),
    FLAG("mdns-disable-ipv6", BR_FLAG_SWITCH, mdns_disable_ipv6, NULL, NULL, "mdns.disable_ipv6",
         "With -discover: do not ask by IPv6."),
    FLAG("mdns-iface", BR_FLAG_TEXT, mdns_iface, "name", NULL, "mdns.interface",
         "With -discover: the network interface to find others on. Default: that of -iface, or the "
         "system's choice."),
    FLAG("node", BR_FLAG_TEXT, node, "name", NULL, "node_name",
         "The name of this member, unique in the cluster. Default: the name of the host."),
    FLAG("profile", BR_FLAG_TEXT, profile, "lan|wan|local", "lan", "profile",
         "The network to set all timings for."),
    FLAG("protocol", BR_FLAG_INT, protocol, "5", "5", "protocol", "The Serf protocol to announce, 2 to 5."),
    FLAG("rejoin", BR_FLAG_SWITCH, rejoin, NULL, NULL, "rejoin_after_leave",
         "With -snapshot: find back even after leaving."),
    FLAG("replay", BR_FLAG_SWITCH, replay, NULL, NULL, "replay_on_join",
         "When joining, hear the user events that the others still remember."),
    FLAG("retry-interval", BR_FLAG_DURATION, retry_interval, "30s", "30s", "retry_interval",
         "The pause between two attempts of -retry-join."),
    FLAG("retry-join", BR_FLAG_LIST, retry_join, "addr", NULL, "retry_join",
         "As -join, but tried again and again until it works; names are looked up anew each time. "
         "May be repeated."),
    FLAG("retry-max", BR_FLAG_INT, retry_max, "0", "0", "retry_max_attempts",
         "Give up and exit after so many retries; 0 means never."),
    FLAG("role", BR_FLAG_TEXT, role, "text", NULL, "role", "Deprecated: the same as -tag role=text."),
    FLAG("rpc-addr", BR_FLAG_TEXT, rpc_addr, "addr:port", "127.0.0.1:7373", "rpc_addr",
         "Where to listen for \"bruit\" and other clients. Default: 127.0.0.1:7373."),
    FLAG("rpc-auth", BR_FLAG_TEXT, rpc_auth, "token", NULL, "rpc_auth",
         "The token that RPC clients must know."),
    FLAG("skip-leave-on-interrupt", BR_FLAG_SWITCH, skip_leave_on_interrupt, NULL, NULL,
         "skip_leave_on_interrupt", "Stop at once on SIGINT instead of leaving gracefully."),
    FLAG("snapshot", BR_FLAG_TEXT, snapshot, "path", NULL, "snapshot_path",
         "Remember the members and clocks in this file, and find back into the cluster after a "
         "restart."),
    FLAG("syslog", BR_FLAG_SWITCH, syslog, NULL, NULL, "enable_syslog", "Send the log to syslog, too."),
    {{"tag", BR_FLAG_LIST, AT(tags), "key=value", NULL,
      "A tag of this member; may be repeated. All of them together may take 512 bytes."},
     "tags",
     BR_OPTION_MAP},
    FLAG("tags-file", BR_FLAG_TEXT, tags_file, "path", NULL, "tags_file",
         "Keep the tags in this file: changes are written to it, and a new start reads them."),
    KEY("disable_name_resolution", BR_FLAG_SWITCH, disable_name_resolution, NULL),
    KEY("query_response_size_limit", BR_FLAG_INT, query_response_size_limit, "1024"),
    KEY("query_size_limit", BR_FLAG_INT, query_size_limit, "1024"),
    KEY("reconnect_interval", BR_FLAG_DURATION, reconnect_interval, "30s"),
    KEY("reconnect_timeout", BR_FLAG_DURATION, reconnect_timeout, "24h"),
    KEY("statsd_addr", BR_FLAG_TEXT, statsd_addr, NULL),
    KEY("statsite_addr", BR_FLAG_TEXT, statsite_addr, NULL),
    KEY("syslog_facility", BR_FLAG_TEXT, syslog_facility, "LOCAL0"),
    KEY("tombstone_timeout", BR_FLAG_DURATION, tombstone_timeout, "24h"),
    KEY("user_event_size_limit", BR_FLAG_INT, user_event_size_limit, "512"),
    /* Serf reads these and does nothing with them (docs/wire/serf-agent.md section 3.3). */
    KEY_WITHOUT_EFFECT("disable_coordinates"),
    KEY_WITHOUT_EFFECT("enable_compression"),
    KEY_WITHOUT_EFFECT("msgpackusenewtimeformat"),
    KEY_WITHOUT_EFFECT("validate_node_names"),
};
static const size_t table_size = sizeof table / sizeof table[0];

struct flags {
    struct br_flag items[sizeof table / sizeof table[0]];
    size_t count;
};

static struct flags flags_of_table(void);
static int read_files(struct br_options *into, const struct br_options *typed, char *why);
static void merge(struct br_options *into, struct br_options *from);
static void release_layer(struct br_options *layer);
static int check_scripts(struct br_options *options, char *why);
static int check_mdns(const struct br_options *options, char *why);
static int check_interface_name(const struct br_options *options, char *why);
static int check_tags(struct br_options *options, char *why);
static void check_intervals(struct br_options *options, br_options_note_fn note, void *context);
static int check_bind(struct br_options *options, char *why);
static int check_interface(struct br_options *options, br_options_note_fn note, void *context, char *why);
static int check_advertise(struct br_options *options, char *why);
static int check_key(struct br_options *options, char *why);
static int check_profile(const struct br_options *options, char *why);

enum br_flags_result br_options_parse(struct br_options *options, int argc, char **argv, char why[BR_WHY_MAX])
{
    int rest;
    struct flags flags = flags_of_table();
    memset(options, 0, sizeof *options);
    enum br_flags_result result =
        br_flags_read(flags.items, flags.count, options, "bruit agent", argc, argv, &rest, why);
    if (result == BR_FLAGS_OK && rest < argc)
        options->stray = argv[rest];
    return result;
}

void br_options_release(struct br_options *options)
{
    release_layer(options);
    br_scripts_release(&options->scripts);
    for (size_t i = 0; i < options->owned.count; i++)
        free((void *)(uintptr_t)options->owned.items[i]);
    free(options->owned.items);
    options->owned = (struct br_values){.items = NULL};
    explicit_bzero(options->key, sizeof options->key);
    if (options->keyring != NULL)
        explicit_bzero(options->keyring, sizeof *options->keyring);
    free(options->keyring);
    options->keyring = NULL;
}

void br_options_help(struct br_blob *out)
{
    struct flags flags = flags_of_table();
    br_blob_text(out, "Usage: bruit agent [options]\n\n"
                      "  Starts an agent, one member of a cluster, and runs until it is interrupted.\n"
                      "  It takes the flags of \"serf agent\" and lives in one cluster with real Serf\n"
                      "  agents.\n\n"
                      "Options:\n\n");
    br_flags_help(flags.items, flags.count, out);
}

size_t br_options_flags(struct br_flag *out, size_t room)
{
    struct flags flags = flags_of_table();
    size_t count = flags.count < room ? flags.count : room;
    memcpy(out, flags.items, count * sizeof *out);
    return count;
}

static struct flags flags_of_table(void)
{
    struct flags flags = {.count = 0};
    for (size_t i = 0; i < table_size; i++)
        if (table[i].flag.name != NULL)
            flags.items[flags.count++] = table[i].flag;
    return flags;
}

/* Go's flags end there, so "-replay true -bind X" binds to everything. Serf does not say so. */
static void note_stray(const char *word, br_options_note_fn note, void *context)
{
    char sentence[BR_WHY_MAX];
    (void)snprintf(sentence, sizeof sentence,
                   "Warning: '%.100s' is no flag, and nothing from there on is read: write switches as -name=true",
                   word);
    note(context, sentence);
}

int br_options_read(struct br_options *options, br_options_note_fn note, void *context, char why[BR_WHY_MAX])
{
    struct br_options typed = *options, merged = {.node = NULL};
    for (size_t i = 0; i < table_size; i++)
        if (table[i].shape != BR_OPTION_NO_EFFECT)
            br_flags_defaults(&table[i].flag, 1, &merged);
    int error = check_tags(&typed, why);
    if (error == 0)
        error = read_files(&merged, &typed, why);
    merge(&merged, &typed);
    merged.stray = typed.stray;
    release_layer(&typed);
    *options = merged;
    if (error == 0)
        error = check_scripts(options, why);
    if (error == 0)
        error = check_interface_name(options, why);
    if (error == 0)
        error = check_mdns(options, why);
    if (error != 0)
        return error;
    if (options->stray != NULL)
        note_stray(options->stray, note, context);
    if (options->role != NULL && options->role[0] != 0)
        note(context, "Deprecation warning: 'Role' has been replaced with 'Tags'");
    check_intervals(options, note, context);
    if (options->rejoin && (options->snapshot == NULL || options->snapshot[0] == 0))
        note(context, "Warning: 'RejoinAfterLeave' enabled without snapshot file");
    return 0;
}

static int check_syslog(const struct br_options *options, struct br_syslog *syslog, char *why)
{
    char reason[BR_WHY_MAX];
    if (!options->syslog || syslog == NULL)
        return 0;
    int error = br_syslog_open(syslog, options->syslog_facility, NULL, reason);
    if (error != 0)
        (void)snprintf(why, BR_WHY_MAX, "Syslog setup failed: %.600s", reason);
    return error;
}

int br_options_check(struct br_options *options, br_options_note_fn note, void *context,
                     struct br_syslog *syslog, char why[BR_WHY_MAX])
{
    int error = br_options_read(options, note, context, why);
    if (error == 0) {
        options->level = br_options_level(options, why);
        error = options->level < 0 ? BRUIT_EINVAL : 0;
    }
    if (error == 0)
        error = check_syslog(options, syslog, why);
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

/* ------------------------------------------------------------------ files, and which source wins */

static int read_file(struct br_options *into, const char *path, char *why)
{
    struct br_options layer = {.node = NULL};
    int error = br_config_read(table, table_size, &layer, &into->owned, path, why);
    if (error == 0)
        merge(into, &layer);
    release_layer(&layer);
    return error;
}

static int read_files(struct br_options *into, const struct br_options *typed, char *why)
{
    int error = 0;
    for (size_t i = 0; i < typed->config_paths.count && error == 0; i++) {
        struct br_values files = {.items = NULL};
        error = br_config_files(typed->config_paths.items[i], &files, &into->owned, why);
        for (size_t j = 0; j < files.count && error == 0; j++)
            error = read_file(into, files.items[j], why);
        free(files.items);
    }
    return error;
}

/* Lists are appended. Emptied in `from`, since -config-file and -config-dir fill the same. */
static void append(struct br_values *into, struct br_values *from)
{
    for (size_t i = 0; i < from->count; i++)
        (void)br_values_add(into, from->items[i]); /* without memory for a pointer we do not get far anyway */
    from->count = 0;
}

/*
 * The later source `from` on top of `into`: what is empty or zero replaces nothing, switches can only be turned on
 * (docs/wire/serf-agent.md section 3.1).
 */
static void merge(struct br_options *into, struct br_options *from)
{
    for (size_t i = 0; i < table_size; i++) {
        void *to = (char *)into + table[i].flag.offset;
        void *have = (char *)from + table[i].flag.offset;
        if (table[i].shape == BR_OPTION_NO_EFFECT)
            continue;
        switch (table[i].flag.kind) {
        case BR_FLAG_TEXT:
            if (*(const char **)have != NULL && **(const char **)have != 0)
                *(const char **)to = *(const char **)have;
            break;
        case BR_FLAG_SWITCH: *(bool *)to = *(bool *)to || *(bool *)have; break;
        case BR_FLAG_INT:
            if (*(int64_t *)have > 0 || (*(int64_t *)have < 0 && to != &into->protocol))
                *(int64_t *)to = *(int64_t *)have;
            break;
        case BR_FLAG_DURATION:
            if (*(bruit_time *)have != 0)
                *(bruit_time *)to = *(bruit_time *)have;
            break;
        case BR_FLAG_LIST: append(to, have); break;
        }
    }
}

/* The lists of one source; what they point to belongs to `owned`, or to the command line. */
static void release_layer(struct br_options *layer)
{
    for (size_t i = 0; i < table_size; i++)
        br_flags_release(&table[i].flag, 1, layer);
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != 0;
}

static int check_scripts(struct br_options *options, char *why)
{
    int error = 0;
    for (size_t i = 0; i < options->event_handlers.count && error == 0; i++)
        error = br_scripts_add(&options->scripts, options->event_handlers.items[i], why);
    return error;
}

/* Serf looks at both families only when there is an interface; whoever switches both off finds nobody either way. */
static int check_mdns(const struct br_options *options, char *why)
{
    bool has_interface = is_given(options->mdns_iface);
    if (has_interface && !is_given(options->discover))
        (void)snprintf(why, BR_WHY_MAX, "mDNS interface specified without enabling mDNS discovery");
    else if (has_interface && if_nametoindex(options->mdns_iface) == 0)
        (void)snprintf(why, BR_WHY_MAX,
                       "Invalid mDNS network interface: '%.60s' does not exist: \"ip link\" lists those that do",
                       options->mdns_iface);
    else if (is_given(options->discover) && options->mdns_disable_ipv4 && options->mdns_disable_ipv6)
        (void)snprintf(why, BR_WHY_MAX,
                       "Invalid mDNS configuration: both IPv4 and IPv6 are disabled: leave one of them on");
    else
        return 0;
    return BRUIT_EINVAL;
}

static int check_interface_name(const struct br_options *options, char *why)
{
    if (!is_given(options->iface) || if_nametoindex(options->iface) != 0)
        return 0;
    (void)snprintf(why, BR_WHY_MAX,
                   "Invalid network interface: '%.60s' does not exist: \"ip link\" lists those that do",
                   options->iface);
    return BRUIT_ENOENT;
}

/* ------------------------------------------------------------------ tags, intervals, level */

static int check_tags(struct br_options *options, char *why)
{
    for (size_t i = 0; i < options->tags.count; i++) {
        struct bruit_bytes key, value;
        if (br_pair_split(options->tags.items[i], &key, &value))
            continue;
        (void)snprintf(why, BR_WHY_MAX, "Error: Invalid tag: '%.120s': write NAME=VALUE", options->tags.items[i]);
        return BRUIT_EINVAL;
    }
    return 0;
}

static void check_intervals(struct br_options *options, br_options_note_fn note, void *context)
{
    if (options->retry_interval < BRUIT_SECOND) {
        note(context, "Warning: 'RetryInterval' is too low. Setting to 1s");
        options->retry_interval = BRUIT_SECOND;
    }
    if (options->broadcast_timeout < BRUIT_SECOND) {
        note(context, "Warning: 'BroadcastTimeout' is too low. Setting to 1s");
        options->broadcast_timeout = BRUIT_SECOND;
    }
}

int br_options_level(const struct br_options *options, char why[BR_WHY_MAX])
{
    int level = br_level_parse(options->log_level, strlen(options->log_level));
    if (level >= 0)
        return level;
    char upper[60];
    size_t i = 0;
    for (; i + 1 < sizeof upper && options->log_level[i] != 0; i++) {
        char c = options->log_level[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[i] = 0;
    (void)snprintf(why, BR_WHY_MAX,
                   "Invalid log level: %s. Valid log levels are: [TRACE DEBUG INFO WARN ERR]", upper);
    return -1;
}

/* ------------------------------------------------------------------ addresses */

/* What to do about one that cannot be; behind Serf's words. */
#define WRITE_ADDRESS ": write address or address:port, such as 10.0.0.1:7946"

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
        (void)snprintf(why, BR_WHY_MAX, "Invalid bind address: %.600s" WRITE_ADDRESS, reason);
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
        (void)snprintf(why, BR_WHY_MAX, "Invalid advertise address: %.600s" WRITE_ADDRESS, reason);
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
        (void)snprintf(why, BR_WHY_MAX, "listen tcp: %.600s: write host:port", reason);
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
    (void)snprintf(why, BR_WHY_MAX, "Invalid encryption key: %.600s: \"bruit keygen\" makes a good one", reason);
    return error;
}

static int check_profile(const struct br_options *options, char *why)
{
    if (strcmp(options->profile, "lan") == 0 || strcmp(options->profile, "wan") == 0 ||
        strcmp(options->profile, "local") == 0)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "Unknown profile: %.60s: write lan, wan or local", options->profile);
    return BRUIT_EINVAL;
}

/* ------------------------------------------------------------------ files it keeps */

static int load_tags(struct br_options *options, struct br_options_restored *restored, char *why)
{
    if (options->tags.count > 0 || is_given(options->role)) {
        (void)snprintf(why, BR_WHY_MAX, "Tags config not allowed while using tag files");
        return BRUIT_EINVAL;
    }
    return br_tags_file_read(options->tags_file, (unsigned)options->protocol, options->meta,
                             &options->meta_size, &restored->tags, &restored->has_tags, why);
}

static int load_keyring(struct br_options *options, struct br_options_restored *restored, char *why)
{
    if (options->key_size > 0) {
        (void)snprintf(why, BR_WHY_MAX, "Encryption key not allowed while using a keyring");
        return BRUIT_EINVAL;
    }
    options->keyring = calloc(1, sizeof *options->keyring);
    if (options->keyring == NULL)
        return BRUIT_ENOMEM;
    int error = br_keyring_file_read(options->keyring_file, options->keyring, why);
    if (error != 0)
        return error;
    restored->keys = options->keyring->count;
    options->key_size = options->keyring->keys[0].size;
    memcpy(options->key, options->keyring->keys[0].bytes, options->key_size);
    return 0;
}

int br_options_load(struct br_options *options, struct br_options_restored *restored, char why[BR_WHY_MAX])
{
    *restored = (struct br_options_restored){.tags = 0};
    int error = is_given(options->tags_file) ? load_tags(options, restored, why) : 0;
    if (error == 0 && is_given(options->keyring_file))
        error = load_keyring(options, restored, why);
    return error;
}

bool br_options_has_data(const struct br_options *options)
{
    return is_given(options->data_dir);
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
int br_options_encode_tags(struct br_options *options, char why[BR_WHY_MAX])
{
    struct br_tag_set set = {.count = 0};
    int error = 0;
    if (is_given(options->tags_file))
        return 0; /* they are there already, from the file */
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

static int check_event_size(const struct br_options *options, char *why)
{
    if (options->user_event_size_limit <= BRUIT_USER_EVENT_SIZE_MAX)
        return 0;
    (void)snprintf(why, BR_WHY_MAX, "user event size limit exceeds limit of %d bytes",
                   BRUIT_USER_EVENT_SIZE_MAX);
    return BRUIT_EINVAL;
}

int br_options_check_start(struct br_options *options, char why[BR_WHY_MAX])
{
    int error = check_event_size(options, why);
    if (error == 0)
        error = check_name(options, why);
    if (error == 0)
        error = check_protocol(options, why);
    if (error == 0)
        error = br_options_encode_tags(options, why);
    if (error == 0 && options->key_size != 0 && options->key_size != 16 && options->key_size != 24 &&
        options->key_size != 32) {
        (void)snprintf(why, BR_WHY_MAX,
                       "Failed to create memberlist: key size must be 16, 24 or 32 bytes: "
                       "\"bruit keygen\" makes a good one");
        error = BRUIT_EINVAL;
    }
    if (error == 0 && options->label != NULL && strlen(options->label) > BRUIT_LABEL_MAX) {
        (void)snprintf(why, BR_WHY_MAX, "a label may have at most %d bytes", BRUIT_LABEL_MAX);
        error = BRUIT_EINVAL;
    }
    return error;
}

void br_options_config(const struct br_options *options, struct bruit_config *config,
                       struct bruit_bytes keys[BR_KEYRING_KEYS_MAX])
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
    size_t count = options->key_size == 0 ? 0 : options->keyring == NULL ? 1 : options->keyring->count;
    for (size_t i = 0; i < count; i++)
        keys[i] = options->keyring == NULL
                      ? br_bytes(options->key, options->key_size)
                      : br_bytes(options->keyring->keys[i].bytes, options->keyring->keys[i].size);
    config->keys = count == 0 ? NULL : keys;
    config->key_count = count;
}

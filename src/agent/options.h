/*
 * What `bruit agent` can be told on its command line and in configuration files, and what becomes of it.
 *
 * Flags and keys are Serf's, with Serf's meanings and rules of merging (docs/wire/serf-agent.md sections 2 and 3); the
 * table in options.c is the one place that knows them. Checks and their order are section 3.4's, the sentences begin
 * with Serf's words and go on with what to do.
 */
#ifndef BR_AGENT_OPTIONS_H
#define BR_AGENT_OPTIONS_H

#include "agent/files.h"
#include "agent/flags.h"
#include "agent/script.h"
#include "agent/tags.h"

#include <bruit/config.h>

/* The port of gossip when none is given. */
#define BR_GOSSIP_PORT 7946

struct br_options {
    /* As typed: texts are borrowed from argv, or `owned`. After br_options_read, the merge of all sources. */
    const char *node, *bind, *advertise, *iface, *profile, *encrypt, *log_level, *role, *rpc_addr, *rpc_auth,
        *label, *tags_file, *keyring_file, *snapshot, *data_dir, *syslog_facility, *discover, *mdns_iface,
        *statsite_addr, *statsd_addr;
    struct br_values join, retry_join, tags, event_handlers, config_paths, owned;
    int64_t protocol, retry_max, query_response_size_limit, query_size_limit, user_event_size_limit;
    bruit_time retry_interval, broadcast_timeout, reconnect_interval, reconnect_timeout, tombstone_timeout,
        handler_timeout;
    bool disable_compression, rejoin, replay, leave_on_terminate, skip_leave_on_interrupt, syslog,
        disable_name_resolution, mdns_disable_ipv4, mdns_disable_ipv6;

    const char *stray; /* the first word on the command line that is no flag; or NULL */

    /* What br_options_read makes of it. */
    struct br_scripts scripts;

    /* What br_options_check makes of it. */
    char name[BRUIT_NAME_MAX + 1];
    struct bruit_addr bind_addr, advertise_addr; /* advertise_addr.size 0: not given */
    struct bruit_addr rpc_bind;
    int level; /* enum bruit_trace_level */
    uint8_t key[BRUIT_KEY_MAX];
    size_t key_size;                 /* 0: no encryption */
    struct br_keyring_file *keyring; /* of keyring_file, or NULL */
    uint8_t meta[BRUIT_META_MAX];
    size_t meta_size;
};

/*
 * Reads the words behind `bruit agent`, and no file yet. On failure `why` is the sentence; call
 * br_options_release in any case.
 */
enum br_flags_result br_options_parse(struct br_options *options, int argc, char **argv,
                                      char why[BR_WHY_MAX]);
void br_options_release(struct br_options *options);

struct br_syslog;

/* What is said while checking: warnings, each a sentence. */
typedef void (*br_options_note_fn)(void *context, const char *sentence);

/*
 * After br_options_parse, once: reads the configuration files and merges defaults, files and flags. It makes the
 * checks that a reload makes, too. Returns 0, or an error with a sentence in `why`.
 */
int br_options_read(struct br_options *options, br_options_note_fn note, void *context, char why[BR_WHY_MAX]);

/* -log-level to enum bruit_trace_level, or -1 with a sentence in `why`. */
int br_options_level(const struct br_options *options, char why[BR_WHY_MAX]);

/*
 * Reads (br_options_read), checks and completes; blocks while it resolves names. Returns 0, or an error with a
 * sentence in `why`. br_options_check stops before anything is opened; br_options_check_start makes the checks that
 * Serf makes after it has said that it starts. `syslog` is opened if that was asked for; NULL: it is not.
 */
int br_options_check(struct br_options *options, br_options_note_fn note, void *context,
                     struct br_syslog *syslog, char why[BR_WHY_MAX]);
int br_options_check_start(struct br_options *options, char why[BR_WHY_MAX]);

/* Where to listen for RPC clients, into rpc_bind: Serf looks at it last of all. */
int br_options_check_rpc(struct br_options *options, char why[BR_WHY_MAX]);

/* What br_options_load found in files. */
struct br_options_restored {
    bool has_tags; /* there is a tags file */
    size_t tags;
    size_t keys;
};

/*
 * Reads the tags file and the keyring file, after br_options_check and before br_options_check_start. Returns 0, or an
 * error with a sentence in `why`.
 */
int br_options_load(struct br_options *options, struct br_options_restored *restored, char why[BR_WHY_MAX]);

/* Whether -data-dir was given. */
bool br_options_has_data(const struct br_options *options);

/* The metadata that the configured tags make, into meta and meta_size. Part of br_options_check_start. */
int br_options_encode_tags(struct br_options *options, char why[BR_WHY_MAX]);

/* Fills the engine's configuration: the profile, and what was asked for. It borrows from `options` and `keys`. */
void br_options_config(const struct br_options *options, struct bruit_config *config,
                       struct bruit_bytes keys[BR_KEYRING_KEYS_MAX]);

struct br_blob;
void br_options_help(struct br_blob *out);

/* The flags, as many as there is room for. Returns how many. */
size_t br_options_flags(struct br_flag *out, size_t room);

#endif

/*
 * Configuration: the profiles, and what is refused (<bruit/config.h>).
 *
 * The profiles' numbers are memberlist's (docs/wire/memberlist.md section 10); what memberlist has no name for is
 * explained where it stands.
 */
#include "base/bytes.h"
#include "codec/addr.h"
#include "engine/document.h"
#include "engine/engine.h"

#include <string.h>

/* Bytes a second for early syncs: 50 members' states (some 5 kB each way) 13 times in a row, then one each 0.3 s. */
#define EARLY_SYNC_BUDGET 32768

/*
 * Of heartbeats: docs/heartbeat.md measures what they do. Arrivals of one member's beats scatter with loss, and a
 * tail that the normal distribution does not have; less than this deviation, and 20 % loss convicts the living.
 */
#define HEARTBEAT_DEVIATION_MIN BRUIT_SECOND
#define HEARTBEAT_FIRST_INTERVAL (2 * BRUIT_SECOND)
#define HEARTBEAT_WINDOW 100

void bruit_config_lan(struct bruit_config *config)
{
    *config = (struct bruit_config){
        .struct_size = sizeof *config,
        .protocol = 2,
        .delegate_min = 2, /* Serf's, so that an engine with default versions may join a Serf cluster */
        .delegate_max = 5,
        .delegate_current = 5,
        .memory_max = (size_t)256 << 20,
        .members_max = 65536,
        .heartbeat =
            {
                .interval = BRUIT_SECOND,
                .nodes = 2,
                .rate = 2000,
                .threshold = 8000,
                .deviation_min = HEARTBEAT_DEVIATION_MIN,
                .first_interval = HEARTBEAT_FIRST_INTERVAL,
                .window = HEARTBEAT_WINDOW,
                .rounds = 20,
            },
        .probe_interval = BRUIT_SECOND,
        .probe_timeout = 500 * BRUIT_MILLISECOND,
        .indirect_checks = 3,
        .suspicion_mult = 4,
        .suspicion_max_mult = 6,
        .awareness_max = 8,
        .stream_pings = true,
        .buddy_pings = true,
        .stall_guard = true,
        .gossip_interval = 200 * BRUIT_MILLISECOND,
        .gossip_nodes = 3,
        .retransmit_mult = 4,
        .gossip_to_the_dead = 30 * BRUIT_SECOND,
        .push_pull_interval = 30 * BRUIT_SECOND,
        .packet_size_max = 1400,
        .compression = true,
        .early_sync_budget = EARLY_SYNC_BUDGET,
        .early_sync_delay = 250 * BRUIT_MILLISECOND,
        .stream_timeout = 10 * BRUIT_SECOND,
        .streams_max = 128,
        .verify_incoming = true,
        .verify_outgoing = true,
    };
}

void bruit_config_wan(struct bruit_config *config)
{
    bruit_config_lan(config);
    config->stream_timeout = 30 * BRUIT_SECOND;
    config->suspicion_mult = 6;
    config->push_pull_interval = 60 * BRUIT_SECOND;
    config->probe_timeout = 3 * BRUIT_SECOND;
    config->probe_interval = 5 * BRUIT_SECOND;
    config->gossip_nodes = 4;
    config->gossip_interval = 500 * BRUIT_MILLISECOND;
    config->gossip_to_the_dead = 60 * BRUIT_SECOND;
    config->early_sync_delay = BRUIT_SECOND;
}

void bruit_config_local(struct bruit_config *config)
{
    bruit_config_lan(config);
    config->stream_timeout = BRUIT_SECOND;
    config->indirect_checks = 1;
    config->retransmit_mult = 2;
    config->suspicion_mult = 3;
    config->push_pull_interval = 15 * BRUIT_SECOND;
    config->probe_timeout = 200 * BRUIT_MILLISECOND;
    config->gossip_interval = 100 * BRUIT_MILLISECOND;
    config->gossip_to_the_dead = 15 * BRUIT_SECOND;
    config->early_sync_delay = 100 * BRUIT_MILLISECOND;
}

/* ---- checking ---- */

static const char *check_identity(const struct bruit_config *c)
{
    if (c->struct_size != sizeof *c)
        return "struct_size is not this library's: start from bruit_config_lan(), _wan() or _local()";
    if (c->name.size == 0 || c->name.size > BRUIT_NAME_MAX)
        return "name must have 1 to 255 bytes";
    if ((c->advertise.size != 4 && c->advertise.size != 16) || c->advertise.port == 0)
        return "advertise must be an IPv4 or IPv6 address with a port";
    if (br_addr_is_unspecified(&c->advertise))
        return "advertise must not be 0.0.0.0 or ::, since nobody can be reached there: set the host's address";
    if (c->meta.size > BRUIT_META_MAX)
        return "meta must have at most 512 bytes";
    if (c->protocol < 1 || c->protocol > 5)
        return "protocol must be 1 to 5";
    if (c->delegate_min > c->delegate_current || c->delegate_current > c->delegate_max)
        return "delegate_current must lie between delegate_min and delegate_max";
    return NULL;
}

static const char *check_timing(const struct bruit_config *c)
{
    if (c->probe_interval > 0 && (c->probe_timeout == 0 || c->probe_timeout >= c->probe_interval))
        return "probe_timeout must be above 0 and below probe_interval";
    if (c->indirect_checks > BR_PROBE_RELAYS_MAX)
        return "indirect_checks must be at most 16";
    if (c->suspicion_mult == 0 || c->suspicion_max_mult == 0 || c->retransmit_mult == 0)
        return "suspicion_mult, suspicion_max_mult and retransmit_mult must be at least 1";
    if (c->suspicion_mult > 1000 || c->suspicion_max_mult > 1000 || c->retransmit_mult > 1000)
        return "suspicion_mult, suspicion_max_mult and retransmit_mult must be at most 1000";
    if (c->awareness_max == 0 || c->awareness_max > 1000)
        return "awareness_max must be 1 to 1000";
    if (c->gossip_nodes > BR_PICK_MAX)
        return "gossip_nodes must be at most 32";
    if (c->stream_timeout == 0)
        return "stream_timeout must be above 0";
    return NULL;
}

static const char *check_heartbeat(const struct bruit_config *c)
{
    const struct bruit_heartbeat_config *h = &c->heartbeat;
    if (c->detector != BRUIT_DETECTOR_SWIM && c->detector != BRUIT_DETECTOR_HEARTBEAT)
        return "detector must be BRUIT_DETECTOR_SWIM or BRUIT_DETECTOR_HEARTBEAT";
    if (c->detector == BRUIT_DETECTOR_SWIM)
        return NULL;
    if (h->interval < 10 * BRUIT_MILLISECOND || h->interval > 3600 * BRUIT_SECOND)
        return "heartbeat.interval must be 10 ms to an hour";
    if (h->nodes == 0 || h->nodes > BR_PICK_MAX)
        return "heartbeat.nodes must be 1 to 32";
    if ((unsigned)h->mode > BRUIT_HEARTBEAT_PULL)
        return "heartbeat.mode must be push, pull or push-pull";
    if (h->rate < 500 || h->rate > 1000000000)
        return "heartbeat.rate must be 500 to 1,000,000,000 bytes a second";
    if (h->rule != BRUIT_HEARTBEAT_PHI && h->rule != BRUIT_HEARTBEAT_ROUNDS)
        return "heartbeat.rule must be BRUIT_HEARTBEAT_PHI or BRUIT_HEARTBEAT_ROUNDS";
    if (h->threshold < 500 || h->threshold > 30000)
        return "heartbeat.threshold must be 500 to 30000: phi in thousandths";
    if (h->first_interval == 0 || h->window < 2 || h->window > 10000 || h->rounds < 2 || h->rounds > 10000)
        return "heartbeat.first_interval must be above 0, and window and rounds 2 to 10000";
    if (h->generation > BR_HEARTBEAT_GENERATION_MAX)
        return "heartbeat.generation must be at most 2^31: a counter of starts, not a clock";
    return NULL;
}

/* Longer spans than this are mistakes of unit, and arithmetic on them could overflow. */
#define SPAN_MAX (UINT64_C(366) * 24 * 3600 * BRUIT_SECOND)

static const char *check_spans(const struct bruit_config *c)
{
    const bruit_time spans[] = {c->probe_interval,     c->probe_timeout,      c->gossip_interval,
                                c->gossip_to_the_dead, c->push_pull_interval, c->dead_reclaim,
                                c->early_sync_delay,   c->stream_timeout,     c->heartbeat.deviation_min,
                                c->heartbeat.first_interval};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (spans[i] > SPAN_MAX)
            return "a time is longer than a year: times are in nanoseconds, see BRUIT_SECOND";
    return NULL;
}

/*
 * What every message fits into, so that none waits for a packet it will never get: an alive with the longest name and
 * metadata takes 843 bytes, its length 2, a compound's head 2, the longest label 257 and the larger envelope 45. The
 * other end is what an IPv4 datagram can hold.
 */
#define PACKET_SIZE_MIN 1152
#define PACKET_SIZE_MAX 65507

static const char *check_limits(const struct bruit_config *c)
{
    if (c->packet_size_max < PACKET_SIZE_MIN || c->packet_size_max > PACKET_SIZE_MAX)
        return "packet_size_max must be 1152 to 65507";
    if (c->members_max == 0)
        return "members_max must be at least 1";
    if (c->streams_max == 0)
        return "streams_max must be at least 1";
    if (c->label.size > BRUIT_LABEL_MAX)
        return "label must have at most 255 bytes";
    if (c->cidr_count > 64)
        return "at most 64 address ranges";
    for (size_t i = 0; i < c->cidr_count; i++)
        if ((c->cidrs[i].size != 4 && c->cidrs[i].size != 16) || c->cidrs[i].bits > 8 * c->cidrs[i].size)
            return "an address range has a size of 4 or 16 and at most 8 bits for each of its bytes";
    if (c->key_count > BR_KEYRING_MAX)
        return "too many keys: at most 64";
    for (size_t i = 0; i < c->key_count; i++)
        if (c->keys[i].size != 16 && c->keys[i].size != 24 && c->keys[i].size != 32)
            return "a key must have 16, 24 or 32 bytes";
    return NULL;
}

/* Modules and what they claim: each name, message type, section and question once. */
static const char *check_pair(const struct bruit_module *a, const struct bruit_module *b)
{
    if (strcmp(a->name, b->name) == 0)
        return "two modules have the same name";
    if ((a->capability & b->capability) != 0)
        return "two modules have the same capability";
    for (size_t i = 0; i < a->message_type_count; i++)
        for (size_t j = 0; j < b->message_type_count; j++)
            if (a->message_types[i] == b->message_types[j])
                return "two modules claim the same message type";
    for (size_t i = 0; i < a->section_key_count; i++)
        for (size_t j = 0; j < b->section_key_count; j++)
            if (strcmp(a->section_keys[i], b->section_keys[j]) == 0)
                return "two modules claim the same section of the push/pull document";
    for (size_t i = 0; i < a->question_count; i++)
        for (size_t j = 0; j < b->question_count; j++)
            if (strcmp(a->questions[i], b->questions[j]) == 0)
                return "two modules claim the same question";
    return NULL;
}

static const char *check_module(const struct bruit_module *module)
{
    if (module->struct_size != sizeof *module || module->name == NULL)
        return "a module without a name, or of another version of the library";
    if ((module->capability & (module->capability - 1)) != 0)
        return "a module's capability is one bit, or none";
    if (module->message_type_count > 0 && module->on_message == NULL)
        return "a module claims message types and has no on_message";
    if (module->section_key_count > 0 && module->export_section == NULL)
        return "a module claims sections and has no export_section";
    if (module->question_count > 0 && module->on_question == NULL)
        return "a module claims questions and has no on_question";
    for (size_t i = 0; i < module->section_key_count; i++)
        if (br_document_key(module->section_keys[i]) == BR_SERF_STATE_KEYS)
            return "a module claims a section that the push/pull document does not have";
    return NULL;
}

static const char *check_modules(const struct bruit_config *c)
{
    if (c->module_count > BR_MODULES_MAX)
        return "at most 16 modules";
    for (size_t i = 0; i < c->module_count; i++) {
        const char *why = check_module(c->modules[i]);
        for (size_t j = 0; j < i && why == NULL; j++)
            why = check_pair(c->modules[i], c->modules[j]);
        if (why != NULL)
            return why;
    }
    return NULL;
}

const char *bruit_config_check(const struct bruit_config *config)
{
    const char *(*const checks[])(const struct bruit_config *) = {
        check_identity, check_timing, check_heartbeat, check_spans, check_limits, check_modules};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const char *why = checks[i](config);
        if (why != NULL)
            return why;
    }
    return NULL;
}

/*
 * The engine's life, and what can be read of it without an input.
 */
#include "engine/engine.h"

#include "base/check.h"
#include "codec/addr.h"
#include "engine/shared.h"

#include <string.h>

/* ---- birth ---- */

static struct bruit_bytes copy_bytes(uint8_t **at, const void *data, size_t size)
{
    uint8_t *copy = *at;
    if (size > 0)
        memcpy(copy, data, size);
    *at += size;
    return br_bytes(copy, size);
}

/* What the configuration points to and the machines read, in one block of ours; address ranges first, for alignment. */
static int copy_config(struct bruit_engine *engine, const struct bruit_config *config)
{
    struct bruit_config *c = &engine->core.config;
    size_t cidrs_size = config->cidr_count * sizeof *config->cidrs;
    *c = *config;
    engine->strings_size = cidrs_size + config->label.size + config->name.size;
    engine->strings = br_alloc_new(&engine->core.alloc, engine->strings_size);
    if (engine->strings == NULL)
        return BRUIT_ENOMEM;
    uint8_t *at = engine->strings;
    c->cidrs = (const struct bruit_cidr *)(const void *)copy_bytes(&at, config->cidrs, cidrs_size).data;
    c->label = copy_bytes(&at, config->label.data, config->label.size);
    c->name = copy_bytes(&at, config->name.data, config->name.size);
    if (c->detector == BRUIT_DETECTOR_HEARTBEAT)
        c->probe_interval = 0;
    if (c->bind_port == 0)
        c->bind_port = c->advertise.port;
    /* Borrowed for the call only: keys go into the keyring, metadata into the view. */
    c->keys = NULL;
    c->modules = NULL;
    c->meta = br_bytes(NULL, 0);
    return 0;
}

static int add_keys(struct bruit_engine *engine, const struct bruit_config *config)
{
    for (size_t i = 0; i < config->key_count; i++) {
        int status = bruit_key_add(engine, config->keys[i]);
        if (status != 0)
            return status;
    }
    return 0;
}

static void init_wire(struct bruit_engine *engine)
{
    const struct bruit_config *c = &engine->core.config;
    br_keyring_init(&engine->keyring, engine->env.cipher, &engine->core.alloc);
    br_scratch_init(&engine->scratch, &engine->core.alloc);
    engine->wire = (struct br_wire){
        .label = {.label = c->label, .skip_inbound = c->label_skip_inbound},
        .keyring = &engine->keyring,
        .verify_incoming = c->verify_incoming,
        .verify_outgoing = c->verify_outgoing,
        .compression = c->compression,
        .seal_version = c->protocol == 1 ? 0 : 1,
        .entropy = engine->env.entropy,
        .entropy_context = engine->env.context,
    };
}

static void init_machines(struct bruit_engine *engine, bruit_time now)
{
    struct br_core *core = &engine->core;
    br_rng_init(&engine->rng, core->config.seed, "members");
    br_beat_init(engine, now);
    br_awareness_init(&engine->awareness, core);
    br_suspicion_init(&engine->suspicion, core);
    br_probe_init(&engine->probe, core, &engine->awareness, now);
    br_answer_init(&engine->answer, core);
    br_gossip_init(&engine->gossip, core, now);
    br_broadcast_init(&engine->broadcast, core);
    br_sync_init(&engine->sync, core, now);
    br_join_init(&engine->join, &core->alloc);
    br_ring_init(&engine->user_sends, &core->alloc, sizeof(struct br_user_send), BR_USER_SENDS_MAX);
    br_ring_init(&engine->events, &core->alloc, sizeof(struct br_queued_event), BR_EVENTS_MAX);
    br_ring_init(&engine->spent, &core->alloc, sizeof(struct br_queued_event), BR_EVENTS_MAX);
    br_ring_init(&engine->store, &core->alloc, sizeof(struct br_store_write), BR_STORE_WRITES_MAX);
    br_ring_init(&engine->forgotten, &core->alloc, sizeof(uint32_t), UINT32_MAX / 2);
    engine->leave_deadline = BRUIT_NEVER;
}

static int add_module(struct bruit_engine *engine, const struct bruit_module *module)
{
    struct bruit_host *host = &engine->hosts[engine->host_count];
    void *state = br_alloc_new(&engine->core.alloc, module->state_size == 0 ? 1 : module->state_size);
    if (state == NULL)
        return BRUIT_ENOMEM;
    *host = (struct bruit_host){.engine = engine, .module = module, .state = state};
    br_rng_init(&host->rng, engine->core.config.seed, module->name);
    engine->host_count++;
    for (size_t i = 0; i < module->message_type_count; i++)
        engine->message_owner[module->message_types[i]] = (uint8_t)engine->host_count;
    engine->has_document |= module->section_key_count > 0;
    engine->wants_payload |= module->ack_payload != NULL;
    engine->core.carries |= module->capability;
    return module->init == NULL ? 0 : module->init(state, host);
}

static int add_modules(struct bruit_engine *engine, const struct bruit_config *config)
{
    for (size_t i = 0; i < config->module_count; i++) {
        int status = add_module(engine, config->modules[i]);
        if (status != 0)
            return status;
    }
    return 0;
}

static int be_born(struct bruit_engine *engine, const struct bruit_config *config)
{
    const uint8_t vsn[BR_VSN_SIZE] = {BR_PROTOCOL_MIN,      BR_PROTOCOL_MAX,      config->protocol,
                                      config->delegate_min, config->delegate_max, config->delegate_current};
    struct br_alive self = {.node = config->name,
                            .addr = br_addr_ip(&config->advertise),
                            .port = config->advertise.port,
                            .meta = config->meta,
                            .vsn = br_bytes(vsn, sizeof vsn)};
    int status = br_claim_self(engine, &self);
    if (status == 0)
        br_view_carry(&engine->core.view, engine->core.self, engine->core.carries);
    return status;
}

static int init_engine(struct bruit_engine *engine, const struct bruit_config *config)
{
    int status = add_keys(engine, config);
    if (status == 0)
        status = add_modules(engine, config);
    if (status == 0)
        status = be_born(engine, config);
    br_broadcast_set_room(&engine->broadcast,
                          br_packet_budget(&engine->wire, engine->core.config.packet_size_max));
    return status;
}

int bruit_engine_new(struct bruit_engine **out, const struct bruit_config *config,
                     const struct bruit_env *env, bruit_time now)
{
    return br_engine_new(out, config, env, NULL, now);
}

int br_engine_new(struct bruit_engine **out, const struct bruit_config *config, const struct bruit_env *env,
                  struct br_roster *shared, bruit_time now)
{
    if (bruit_config_check(config) != NULL || env->struct_size != sizeof *env)
        return BRUIT_EINVAL;
    struct br_alloc alloc;
    br_alloc_init(&alloc, env, config->memory_max);
    struct bruit_engine *engine = br_alloc_new(&alloc, sizeof *engine);
    if (engine == NULL)
        return BRUIT_ENOMEM;
    engine->env = *env;
    engine->core.alloc = alloc;
    engine->core.now = now;
    br_tracer_init(&engine->core.tracer, env->trace, env->context, env->trace_level);
    engine->core.tracer.now = now;
    int status = copy_config(engine, config);
    br_roster_init(&engine->own_roster, &engine->core.alloc, config->seed);
    engine->core.roster = shared != NULL ? shared : &engine->own_roster;
    br_view_init(&engine->core.view, &engine->core.alloc, engine->core.roster);
    init_wire(engine);
    init_machines(engine, now);
    if (status == 0)
        status = init_engine(engine, config);
    if (status != 0) {
        bruit_engine_free(engine);
        return status;
    }
    *out = engine;
    return 0;
}

/* ---- death ---- */

static void free_queues(struct bruit_engine *engine)
{
    struct br_alloc *alloc = &engine->core.alloc;
    br_event_release(engine);
    for (struct br_queued_event *e; (e = br_ring_front(&engine->events)) != NULL;
         br_ring_pop(&engine->events))
        br_buf_drop(alloc, e->data);
    for (struct br_user_send *s; (s = br_ring_front(&engine->user_sends)) != NULL;
         br_ring_pop(&engine->user_sends))
        br_buf_drop(alloc, s->message);
    br_ring_fini(&engine->events);
    br_ring_fini(&engine->spent);
    br_ring_fini(&engine->forgotten);
    br_store_fini(engine);
    br_ring_fini(&engine->user_sends);
}

static void free_modules(struct bruit_engine *engine)
{
    for (size_t i = engine->host_count; i-- > 0;) {
        const struct bruit_module *module = engine->hosts[i].module;
        if (module->fini != NULL)
            module->fini(engine->hosts[i].state);
        br_alloc_free(&engine->core.alloc, engine->hosts[i].state,
                      module->state_size == 0 ? 1 : module->state_size);
    }
}

void bruit_engine_free(struct bruit_engine *engine)
{
    if (engine == NULL)
        return;
    free_modules(engine);
    free_queues(engine);
    br_beat_fini(engine);
    br_streams_fini(engine);
    br_join_fini(&engine->join);
    br_broadcast_fini(&engine->broadcast);
    br_gossip_fini(&engine->gossip);
    br_answer_fini(&engine->answer);
    br_probe_fini(&engine->probe);
    br_suspicion_fini(&engine->suspicion);
    br_scratch_fini(&engine->scratch);
    br_keyring_fini(&engine->keyring);
    br_view_fini(&engine->core.view);
    br_roster_fini(&engine->own_roster);
    br_alloc_free(&engine->core.alloc, engine->strings, engine->strings_size);
    struct br_alloc alloc = engine->core.alloc; /* which stands in what is freed last */
    br_alloc_free(&alloc, engine, sizeof *engine);
}

/* ---- reading: members ---- */

size_t bruit_member_count(const struct bruit_engine *engine)
{
    return engine->core.view.count;
}

size_t bruit_member_alive_count(const struct bruit_engine *engine)
{
    return br_view_live_count(&engine->core.view);
}

int bruit_member_get(const struct bruit_engine *engine, bruit_node node, struct bruit_member *out)
{
    const struct br_core *core = &engine->core;
    if (!br_view_is_known(&core->view, node))
        return BRUIT_ENOENT;
    const struct br_fragment *fragment = br_core_fragment(core, node);
    *out = (struct bruit_member){.node = node,
                                 .state = (enum bruit_state)core->view.state[node],
                                 .incarnation = core->view.incarnation[node],
                                 .since = core->view.since[node],
                                 .name = br_fragment_name(fragment),
                                 .meta = br_fragment_meta(fragment),
                                 .is_self = node == core->self};
    memcpy(out->versions, br_fragment_vsn(fragment).data, sizeof out->versions);
    return br_addr_make(&out->addr, br_fragment_addr(fragment), fragment->port);
}

struct bruit_bytes bruit_member_name(const struct bruit_engine *engine, bruit_node node)
{
    const struct br_core *core = &engine->core;
    return br_view_is_known(&core->view, node) ? br_core_name(core, node) : br_bytes(NULL, 0);
}

bruit_node bruit_member_find(const struct bruit_engine *engine, struct bruit_bytes name)
{
    return br_view_find_text(&engine->core.view, name);
}

bruit_node bruit_member_next(const struct bruit_engine *engine, bruit_node previous)
{
    const struct br_view *view = &engine->core.view;
    for (uint32_t slot = previous + 1; slot < view->used; slot++)
        if (br_view_is_listed(view, slot))
            return slot;
    return 0;
}

bruit_node bruit_member_self(const struct bruit_engine *engine)
{
    return engine->core.self;
}

/* ---- reading: the rest ---- */

void bruit_stats_get(const struct bruit_engine *engine, struct bruit_stats *out)
{
    *out = engine->core.stats;
    out->memory = engine->core.alloc.in_use;
    out->memory_peak = engine->core.alloc.peak;
    out->allocations = engine->core.alloc.count;
    out->health = engine->awareness.score;
    out->rumours = br_gossip_count(&engine->gossip);
}

void *bruit_engine_module(const struct bruit_engine *engine, const struct bruit_module *module)
{
    for (size_t i = 0; i < engine->host_count; i++)
        if (engine->hosts[i].module == module)
            return engine->hosts[i].state;
    return NULL;
}

uint64_t bruit_view_checksum(const struct bruit_engine *engine)
{
    return engine->core.view.checksum;
}

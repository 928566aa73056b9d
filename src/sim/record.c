/* Writing a recording; see record.h, and record_parts.h for the file. */
#include "sim/record_parts.h"

#include "base/bytes.h"
#include "engine/engine.h"
#include "sim/scenario.h"

#include <bruit/event.h>
#include <bruit/status.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct br_recorder {
    FILE *file;
    uint32_t node;
    bool needs_clocks; /* a life began, and what the disk told it has not been written */
    bool is_alive;
    struct bruit_config config;
    uint64_t hash;
    uint64_t records;
    uint64_t inputs;
};

/* ------------------------------------------------------------------ parts */

static void put_u8(struct br_recorder *r, uint8_t v)
{
    (void)putc(v, r->file);
}

static void put_u16(struct br_recorder *r, uint16_t v)
{
    uint8_t bytes[2];
    br_store_u16(bytes, v);
    (void)fwrite(bytes, 1, sizeof bytes, r->file);
}

static void put_u32(struct br_recorder *r, uint32_t v)
{
    uint8_t bytes[4];
    br_store_u32(bytes, v);
    (void)fwrite(bytes, 1, sizeof bytes, r->file);
}

static void put_u64(struct br_recorder *r, uint64_t v)
{
    uint8_t bytes[8];
    br_store_u64(bytes, v);
    (void)fwrite(bytes, 1, sizeof bytes, r->file);
}

static void put_bytes(struct br_recorder *r, struct bruit_bytes v)
{
    put_u32(r, (uint32_t)v.size);
    if (v.size > 0)
        (void)fwrite(v.data, 1, v.size, r->file);
}

static void put_addr(struct br_recorder *r, const struct bruit_addr *addr)
{
    put_u8(r, addr->size);
    (void)fwrite(addr->ip, 1, sizeof addr->ip, r->file);
    put_u16(r, addr->port);
}

static void put_head(struct br_recorder *r, enum br_record_type type, bruit_time now)
{
    put_u8(r, (uint8_t)type);
    put_u64(r, now);
}

/* ------------------------------------------------------------------ beginning and end */

int br_recorder_new(struct br_recorder **out, uint32_t node, const char *path, char *why, size_t why_size)
{
    struct br_recorder *r = calloc(1, sizeof *r);
    FILE *file = r == NULL ? NULL : fopen(path, "wb");
    if (file == NULL) {
        (void)snprintf(why, why_size, "cannot write %s: %s", path, strerror(errno));
        free(r);
        return BRUIT_EIO;
    }
    *r = (struct br_recorder){.file = file, .node = node};
    (void)fwrite(BR_RECORD_MAGIC, 1, BR_RECORD_MAGIC_SIZE, file);
    *out = r;
    return 0;
}

int br_recorder_close(struct br_recorder *r)
{
    if (r == NULL)
        return 0;
    put_head(r, BR_RECORD_END, 0);
    put_u64(r, r->hash);
    put_u64(r, r->records);
    bool is_bad = ferror(r->file) != 0;
    is_bad = fclose(r->file) != 0 || is_bad;
    free(r);
    return is_bad ? BRUIT_EIO : 0;
}

uint64_t br_recorder_hash(const struct br_recorder *r)
{
    return r->hash;
}

uint64_t br_recorder_inputs(const struct br_recorder *r)
{
    return r->inputs;
}

/* ------------------------------------------------------------------ lives */

void br_recorder_configured(struct br_recorder *r, uint32_t node, const struct bruit_config *config)
{
    if (node == r->node)
        r->config = *config;
}

static void put_modules(struct br_recorder *r)
{
    uint32_t bits = 0;
    for (size_t m = 0; m < r->config.module_count; m++)
        for (size_t i = 0; i < br_scenario_module_count; i++)
            if (r->config.modules[m] == br_scenario_modules[i].module)
                bits |= 1u << i;
    put_u32(r, bits);
}

static void put_keys(struct br_recorder *r)
{
    put_u8(r, (uint8_t)r->config.key_count);
    for (size_t i = 0; i < r->config.key_count; i++)
        put_bytes(r, r->config.keys[i]);
}

/* The label stands apart: it may hold any bytes. */
static void put_settings(struct br_recorder *r)
{
    char text[4096], value[300];
    const char *name;
    size_t size = 0;
    for (size_t i = 0; br_scenario_key(&r->config, i, &name, value, sizeof value); i++)
        if (strcmp(name, "label") != 0 && size < sizeof text - 400)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s %s\n", name, value);
    put_bytes(r, br_bytes(text, size));
}

void br_recorder_started(struct br_recorder *r, uint32_t node, bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_START, now);
    put_u64(r, r->config.seed);
    put_u16(r, r->config.bind_port);
    put_bytes(r, r->config.name);
    put_addr(r, &r->config.advertise);
    put_bytes(r, r->config.meta);
    put_bytes(r, r->config.label);
    put_modules(r);
    put_keys(r);
    put_settings(r);
    r->needs_clocks = r->is_alive = true;
}

void br_recorder_stopped(struct br_recorder *r, uint32_t node, const struct bruit_engine *engine)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_STOP, 0);
    put_u64(r, bruit_view_checksum(engine));
    r->is_alive = false;
}

/* As preload.c invites them: in the order of their numbers, the first of each name. */
void br_recorder_preloaded(struct br_recorder *r, const struct bruit_sim *sim)
{
    uint32_t count = bruit_sim_count(sim);
    put_head(r, BR_RECORD_KNOWN, bruit_sim_clock(sim, r->node));
    put_u32(r, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct br_core *core = &bruit_sim_engine(sim, i)->core;
        struct br_alive alive = br_fragment_alive(br_core_fragment(core, core->self), core->incarnation);
        put_u32(r, alive.incarnation);
        put_u16(r, alive.port);
        put_u8(r, core->carries);
        put_bytes(r, alive.node);
        put_bytes(r, alive.addr);
        put_bytes(r, alive.meta);
        put_bytes(r, alive.vsn);
    }
}

/* ------------------------------------------------------------------ inputs */

/* A life that found a disk was told the clocks on it before its first input. */
static void put_clocks(struct br_recorder *r, const struct bruit_sim *sim, bruit_time now)
{
    const struct bruit_engine *engine = bruit_sim_engine(sim, r->node);
    struct bruit_status_counts counts = {0};
    if (!r->needs_clocks || engine == NULL)
        return;
    r->needs_clocks = false;
    if (bruit_engine_module(engine, &bruit_status_module) != NULL)
        bruit_status_counts(engine, &counts);
    put_head(r, BR_RECORD_CLOCKS, now);
    put_u64(r, counts.member_time);
    put_u64(r, bruit_engine_module(engine, &bruit_event_module) == NULL ? 0 : bruit_event_time(engine));
}

static void put_join(struct br_recorder *r, const struct bruit_sim_input *input)
{
    put_u32(r, input->flags);
    put_u32(r, (uint32_t)input->count);
    for (size_t i = 0; i < input->count; i++) {
        put_addr(r, &input->targets[i].addr);
        put_bytes(r, input->targets[i].name);
    }
}

void br_recorder_input(struct br_recorder *r, const struct bruit_sim *sim, uint32_t node,
                       const struct bruit_sim_input *input)
{
    if (node != r->node)
        return;
    if (input->type != BRUIT_SIM_IN_PULLED && input->type != BRUIT_SIM_IN_LOADED)
        put_clocks(r, sim, input->now);
    r->inputs++;
    put_head(r, BR_RECORD_INPUT, input->now);
    put_u8(r, (uint8_t)input->type);
    switch (input->type) {
    case BRUIT_SIM_IN_DATAGRAM:
        put_addr(r, &input->addr);
        put_bytes(r, input->bytes);
        break;
    case BRUIT_SIM_IN_ACCEPTED:
        put_addr(r, &input->addr);
        put_u32(r, input->stream);
        break;
    case BRUIT_SIM_IN_BYTES:
        put_u32(r, input->stream);
        put_bytes(r, input->bytes);
        break;
    case BRUIT_SIM_IN_OPENED:
    case BRUIT_SIM_IN_SENT: put_u32(r, input->stream); break;
    case BRUIT_SIM_IN_CLOSED:
        put_u32(r, input->stream);
        put_u32(r, (uint32_t)input->error);
        break;
    case BRUIT_SIM_IN_JOIN: put_join(r, input); break;
    case BRUIT_SIM_IN_LEAVE: put_u64(r, input->timeout); break;
    case BRUIT_SIM_IN_STORED:
        put_u64(r, input->token);
        put_u32(r, (uint32_t)input->error);
        break;
    case BRUIT_SIM_IN_LOADED:
        put_bytes(r, input->space);
        put_bytes(r, input->key);
        put_bytes(r, input->bytes);
        break;
    case BRUIT_SIM_IN_TICK:
    case BRUIT_SIM_IN_PULLED: break;
    }
}

void br_recorder_trace(struct br_recorder *r, uint32_t node, const struct bruit_trace_record *record)
{
    if (node != r->node)
        return;
    r->hash = bruit_trace_hash(r->hash, record);
    r->records++;
}

void br_recorder_meta(struct br_recorder *r, uint32_t node, struct bruit_bytes meta, bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_META, now);
    put_bytes(r, meta);
}

void br_recorder_key(struct br_recorder *r, uint32_t node, uint32_t how, struct bruit_bytes key,
                     bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_KEY, now);
    put_u8(r, (uint8_t)how);
    put_bytes(r, key);
}

void br_recorder_forget(struct br_recorder *r, uint32_t node, struct bruit_bytes name, bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_FORGET, now);
    put_bytes(r, name);
}

void br_recorder_event(struct br_recorder *r, uint32_t node, struct bruit_bytes name, uint64_t size,
                       bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_EVENT, now);
    put_bytes(r, name);
    put_u32(r, (uint32_t)size);
}

void br_recorder_query(struct br_recorder *r, uint32_t node, struct bruit_bytes name, bruit_time timeout,
                       bruit_time now)
{
    if (node != r->node)
        return;
    put_head(r, BR_RECORD_QUERY, now);
    put_bytes(r, name);
    put_u64(r, timeout);
}

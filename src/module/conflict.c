/*
 * Name conflicts: a module that asks the cluster who has our name (docs/wire/serf.md, section 8.1).
 *
 * One question at a time: the engine reports each claim of the other, several a second, and the answer to one is
 * the answer to all. Status is told as the engine sees it, of those whom it knows; Serf would also tell of members
 * that died within the last day, but nobody asks about those.
 */
#include "codec/addr.h"
#include "codec/serf.h"
#include "module/host.h"

#include <bruit/conflict.h>

struct conflict {
    struct bruit_host *host;
    const struct br_tracer *tracer;
    uint32_t ask; /* of the question that is under way, or 0 */
    uint32_t responses;
    uint32_t matching;
    bool resolves;
};

static struct bruit_member self_of(const struct conflict *c)
{
    const struct bruit_engine *engine = bruit_host_engine(c->host);
    struct bruit_member self = {0};
    (void)bruit_member_get(engine, bruit_member_self(engine), &self); /* we are always known */
    return self;
}

/* ------------------------------------------------------------------ asking */

static void on_member(void *self, bruit_node node, uint32_t changes)
{
    struct conflict *c = self;
    if (!(changes & BRUIT_CHANGE_CONFLICT) || node != bruit_member_self(bruit_host_engine(c->host)))
        return;
    BR_TRACE(c->tracer, name_conflict, .addr = br_host_claimant(c->host), .resolves = c->resolves);
    if (!c->resolves || c->ask != 0)
        return;
    c->responses = c->matching = 0;
    if (bruit_host_ask(c->host, "conflict", self_of(c).name, false, &c->ask) != 0)
        c->ask = 0; /* the next claim asks again */
}

/* A nil member counts as an answer that does not match. */
static void count(struct conflict *c, struct bruit_bytes payload)
{
    struct br_serf_member member;
    struct bruit_member self = self_of(c);
    struct bruit_addr addr;
    if (payload.size == 0 || payload.data[0] != BR_SERF_CONFLICT_RESPONSE ||
        br_serf_member_decode(&member, br_bytes(payload.data + 1, payload.size - 1)) != 0)
        return;
    c->responses++;
    if (br_addr_make(&addr, member.addr, member.port) == 0 && br_addr_same_host(&addr, &self.addr) &&
        addr.port == self.addr.port)
        c->matching++;
}

static void judge(struct conflict *c)
{
    uint32_t majority = c->responses / 2 + 1;
    c->ask = 0;
    if (c->responses ==
        0) { /* Serf's agent quits; but silence is no verdict, and the rightful owner gets it as well */
        BR_TRACE(c->tracer, name_unjudged, .responses = 0);
        return;
    }
    if (c->matching >= majority) {
        BR_TRACE(c->tracer, name_kept, .matching = c->matching, .responses = c->responses);
        return;
    }
    BR_TRACE(c->tracer, name_lost, .matching = c->matching, .responses = c->responses);
    struct bruit_event event = {
        .type = BRUIT_EVENT_NAME_LOST, .changes = c->matching, .request = c->responses};
    if (bruit_host_emit(c->host, &event) != 0)
        BR_TRACE(c->tracer, event_lost, .name = self_of(c).name);
}

static void on_answer(void *self, const struct bruit_answer *answer)
{
    struct conflict *c = self;
    if (answer->ask != c->ask)
        return;
    if (answer->is_last)
        judge(c);
    else
        count(c, answer->payload);
}

/* ------------------------------------------------------------------ being asked */

/* Type byte, map of eleven keys, name, address, metadata once more: generously. */
#define RESPONSE_SIZE_MAX (BRUIT_NAME_MAX + 2 * BRUIT_META_MAX + 256)

static int64_t status_of(enum bruit_state state)
{
    static const int64_t statuses[] = {
        [BRUIT_ALIVE] = 1, [BRUIT_SUSPECT] = 1, [BRUIT_DEAD] = 4, [BRUIT_LEFT] = 3};
    return statuses[state];
}

/* The tags of a member as the pairs of a map. */
static struct br_mp_list tags_of(struct bruit_bytes meta, struct br_writer *w)
{
    struct br_serf_tags tags;
    struct br_serf_tag tag;
    uint32_t tag_count = 0;
    br_serf_tags_open(&tags, meta);
    while (br_serf_tags_next(&tags, &tag)) {
        br_mp_write_str(w, tag.key);
        br_mp_write_str(w, tag.value);
        tag_count++;
    }
    return (struct br_mp_list){br_writer_bytes(w), tag_count};
}

static void write_member(struct br_writer *w, const struct bruit_member *member)
{
    uint8_t pairs[2 * BRUIT_META_MAX];
    struct br_writer tags;
    br_writer_init(&tags, pairs, sizeof pairs);
    br_serf_member_encode(w, &(struct br_serf_member){
                                 .known = true,
                                 .name = member->name,
                                 .addr = br_addr_ip(&member->addr),
                                 .port = member->addr.port,
                                 .tags = tags_of(member->meta, &tags),
                                 .status = status_of(member->state),
                                 .protocol_min = member->versions[0],
                                 .protocol_max = member->versions[1],
                                 .protocol_current = member->versions[2],
                                 .delegate_min = member->versions[3],
                                 .delegate_max = member->versions[4],
                                 .delegate_current = member->versions[5],
                             });
}

/* About ourselves others must say: we are silent. */
static void on_question(void *self, const struct bruit_question *question)
{
    struct conflict *c = self;
    const struct bruit_engine *engine = bruit_host_engine(c->host);
    uint8_t buffer[RESPONSE_SIZE_MAX];
    struct bruit_member member;
    struct br_writer w;
    br_writer_init(&w, buffer, sizeof buffer);
    if (br_bytes_equal(question->payload, self_of(c).name))
        return;
    if (bruit_member_get(engine, bruit_member_find(engine, question->payload), &member) == 0)
        write_member(&w, &member);
    else
        br_serf_member_encode(&w, &(struct br_serf_member){.known = false});
    int status = w.failed ? BRUIT_ETOOBIG : bruit_host_answer(c->host, question->id, br_writer_bytes(&w));
    if (status != 0)
        BR_TRACE(c->tracer, answer_failed, .name = question->name, .why = bruit_strerror(status));
}

/* ------------------------------------------------------------------ life */

static int init(void *self, struct bruit_host *host)
{
    struct conflict *c = self;
    *c = (struct conflict){.host = host, .tracer = br_host_tracer(host), .resolves = true};
    return 0;
}

int bruit_conflict_resolve(struct bruit_engine *engine, bool on)
{
    struct conflict *c = bruit_engine_module(engine, &bruit_conflict_module);
    if (c == NULL)
        return BRUIT_ENOENT;
    c->resolves = on;
    return 0;
}

static const char *const questions[] = {"conflict"};

const struct bruit_module bruit_conflict_module = {
    .struct_size = sizeof bruit_conflict_module,
    .name = "conflict",
    .state_size = sizeof(struct conflict),
    .questions = questions,
    .question_count = sizeof questions / sizeof questions[0],
    .init = init,
    .on_member = on_member,
    .on_question = on_question,
    .on_answer = on_answer,
};

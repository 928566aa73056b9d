/*
 * Does everybody see the same? Each peer is asked for the checksum of its view, a batch every 10 ms, those who do not
 * answer once more; and what they say is counted. Nothing of it runs unless the program asks.
 */
#include "module/aggregate_state.h"

#include "base/time.h"

#include <bruit/error.h>

#define STEP (10 * BRUIT_MILLISECOND)
#define BATCH 10
#define SECOND_AFTER (500 * BRUIT_MILLISECOND)
#define WAIT (2 * BRUIT_SECOND)

void br_aggregate_survey_init(struct br_aggregate *a)
{
    a->survey.at = BRUIT_NEVER;
}

static void drop_viewers(struct br_aggregate *a)
{
    struct br_aggregate_survey *s = &a->survey;
    if (s->viewers != NULL)
        (void)bruit_host_resize(a->host, s->viewers, s->count * sizeof *s->viewers, 0); /* frees */
    *s = (struct br_aggregate_survey){.at = BRUIT_NEVER};
}

void br_aggregate_survey_fini(struct br_aggregate *a)
{
    drop_viewers(a);
}

/* ------------------------------------------------------------------ asking */

/* We see what we see; that is an answer, too. */
static void answer_ourselves(struct br_aggregate *a, struct br_aggregate_viewer *viewer)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    viewer->has_answered = true;
    viewer->checksum = bruit_view_checksum(engine);
    viewer->alive = (uint32_t)bruit_member_alive_count(engine);
    a->survey.answered++;
}

int bruit_aggregate_survey(struct bruit_engine *engine, bruit_time now)
{
    struct br_aggregate *a = bruit_engine_module(engine, &bruit_aggregate_module);
    if (a == NULL)
        return BRUIT_ENOENT;
    if (a->survey.is_running)
        return BRUIT_EBUSY;
    br_host_input(a->host, now);
    bruit_node self = br_aggregate_self(a);
    struct br_aggregate_viewer *viewers =
        self == 0 ? NULL : bruit_host_resize(a->host, NULL, 0, a->store.count * sizeof *viewers);
    if (viewers == NULL)
        return BRUIT_ENOMEM;
    drop_viewers(a);
    a->survey.viewers = viewers;
    a->survey.count = a->store.count;
    a->survey.nonce = (uint32_t)bruit_host_random(a->host);
    a->survey.is_running = true;
    a->survey.at = now;
    for (uint32_t i = 0; i < a->survey.count; i++) {
        viewers[i] = (struct br_aggregate_viewer){.node = a->store.order[i]};
        if (viewers[i].node == self)
            answer_ourselves(a, &viewers[i]);
    }
    return 0;
}

static void end_survey(struct br_aggregate *a)
{
    struct bruit_event event = {.type = BRUIT_EVENT_AGGREGATE_VIEWS};
    a->survey.is_running = false;
    a->survey.at = BRUIT_NEVER;
    (void)bruit_host_emit(a->host, &event); /* nobody fetches events: then nobody waits for this one */
}

static void ask_some(struct br_aggregate *a)
{
    struct br_aggregate_survey *s = &a->survey;
    for (unsigned asked = 0; asked < BATCH && s->next < s->count; s->next++) {
        struct br_writer w;
        if (s->viewers[s->next].has_answered)
            continue;
        br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_VIEW);
        br_write_u32(&w, s->nonce);
        br_aggregate_send(a, s->viewers[s->next].node, &w);
        asked++;
    }
}

void br_aggregate_survey_on_time(struct br_aggregate *a)
{
    struct br_aggregate_survey *s = &a->survey;
    bruit_time now = bruit_host_now(a->host);
    if (s->at > now)
        return;
    if (s->answered == s->count || (s->is_second && s->next == s->count && s->ends <= now)) {
        end_survey(a);
        return;
    }
    if (!s->is_second && s->next == s->count) {
        s->is_second = true;
        s->next = 0;
    }
    ask_some(a);
    s->at = br_time_add(now, STEP);
    if (s->next == s->count) {
        s->at = br_time_add(now, s->is_second ? WAIT : SECOND_AFTER);
        s->ends = s->at;
    }
}

/* ------------------------------------------------------------------ answering */

void br_aggregate_on_view(struct br_aggregate *a, const struct br_aggregate_message *message,
                          bruit_node sender)
{
    const struct bruit_engine *engine = bruit_host_engine(a->host);
    struct br_writer w;
    br_aggregate_begin_ours(a, &w, a->buffer, a->room, BR_AGGREGATE_VIEW_IS);
    br_aggregate_write_view_is(&w, message->number, bruit_view_checksum(engine),
                               bruit_member_alive_count(engine));
    br_aggregate_send(a, sender, &w);
}

void br_aggregate_on_view_is(struct br_aggregate *a, const struct br_aggregate_message *message,
                             bruit_node sender)
{
    struct br_aggregate_survey *s = &a->survey;
    if (!s->is_running || message->number != s->nonce)
        return;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->viewers[i].node == sender && !s->viewers[i].has_answered) {
            s->viewers[i].has_answered = true;
            s->viewers[i].checksum = message->hash;
            s->viewers[i].alive = message->count > UINT32_MAX ? UINT32_MAX : (uint32_t)message->count;
            s->answered++;
        }
    if (s->answered == s->count)
        s->at = bruit_host_now(a->host);
}

/* ------------------------------------------------------------------ reading */

static bool has_before(const struct br_aggregate_survey *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (s->viewers[i].has_answered && s->viewers[i].checksum == s->viewers[at].checksum)
            return true;
    return false;
}

static uint32_t how_many(const struct br_aggregate_survey *s, uint64_t checksum)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->count; i++)
        count += s->viewers[i].has_answered && s->viewers[i].checksum == checksum ? 1 : 0;
    return count;
}

int bruit_aggregate_views(struct bruit_engine *engine, struct bruit_aggregate_views *out)
{
    const struct br_aggregate *a = bruit_engine_module(engine, &bruit_aggregate_module);
    if (a == NULL || a->survey.viewers == NULL)
        return BRUIT_ENOENT;
    const struct br_aggregate_survey *s = &a->survey;
    *out = (struct bruit_aggregate_views){
        .is_over = !s->is_running, .asked = s->count, .answered = s->answered};
    for (uint32_t i = 0; i < s->count; i++) {
        if (!s->viewers[i].has_answered || has_before(s, i))
            continue;
        uint64_t checksum = s->viewers[i].checksum;
        uint32_t count = how_many(s, checksum);
        out->different++;
        if (count > out->agreeing || (count == out->agreeing && checksum < out->checksum)) {
            out->agreeing = count;
            out->checksum = checksum;
        }
    }
    return 0;
}

bool bruit_aggregate_next_view(const struct bruit_engine *engine, uint64_t *cursor,
                               struct bruit_aggregate_view *out)
{
    const struct br_aggregate *a = bruit_engine_module(engine, &bruit_aggregate_module);
    if (a == NULL || a->survey.viewers == NULL || *cursor >= a->survey.count)
        return false;
    const struct br_aggregate_viewer *viewer = &a->survey.viewers[(*cursor)++];
    *out = (struct bruit_aggregate_view){.node = viewer->node,
                                         .has_answered = viewer->has_answered,
                                         .checksum = viewer->checksum,
                                         .alive = viewer->alive};
    return true;
}

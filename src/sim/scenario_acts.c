/*
 * What happens to a cluster, as words of a scenario: the verbs behind `at TIME`.
 */
#include "sim/scenario_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void br_statement_text(struct br_words *w, struct br_statement *s, const uint8_t *text, size_t size)
{
    if (w->failed)
        return;
    s->text = malloc(size + (size == 0));
    if (s->text == NULL) {
        br_words_fail(w, "out of memory");
        return;
    }
    memcpy(s->text, text, size);
    s->text_size = size;
}

/* ------------------------------------------------------------------ shared endings */

static void read_over(struct br_words *w, struct br_statement *s)
{
    if (br_words_accept(w, "over"))
        s->over = br_words_duration(w, "over");
}

static void read_for(struct br_words *w, struct br_statement *s)
{
    if (!br_words_accept(w, "for"))
        return;
    s->length = br_words_duration(w, "for");
    if (!w->failed && s->length == 0)
        br_words_fail(w, "\"for 0\" is no time: leave it out if it is to last");
}

static void end_over(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"over"};
    read_over(w, s);
    br_words_end(w, options, 1);
}

static void end_for(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"for"};
    read_for(w, s);
    br_words_end(w, options, 1);
}

/* ------------------------------------------------------------------ processes */

static void read_join_clause(struct br_words *w, struct br_statement *s)
{
    s->join = BR_JOIN_ANY;
    if (br_words_accept(w, "alone")) {
        s->join = BR_JOIN_ALONE;
    } else if (br_words_accept(w, "join")) {
        s->join = BR_JOIN_WHOM;
        s->has_whom = true;
        br_words_nodes(w, &s->whom);
    }
}

static void read_start(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"alone", "join", "over"};
    br_words_nodes(w, &s->who);
    read_join_clause(w, s);
    read_over(w, s);
    br_words_end(w, options, 3);
}

static void read_kill(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    end_over(w, s);
}

static void read_restart(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"without", "after", "at", "alone", "join", "over"};
    br_words_nodes(w, &s->who);
    s->with_state = true;
    if (br_words_accept(w, "without")) {
        br_words_expect(w, "state");
        s->with_state = false;
    }
    if (br_words_accept(w, "after"))
        s->after = br_words_duration(w, "after");
    if (br_words_accept(w, "at")) {
        br_words_expect(w, "new");
        br_words_expect(w, "address");
        s->new_addresses = true;
    }
    read_join_clause(w, s);
    read_over(w, s);
    br_words_end(w, options, 6);
}

static void read_join(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    br_words_expect(w, "to");
    br_words_nodes(w, &s->whom);
    s->has_whom = true;
    end_over(w, s);
}

static void read_who_for(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    end_for(w, s);
}

static void read_who(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    br_words_end(w, NULL, 0);
}

static void read_cpu(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    s->time = br_words_duration(w, "cpu NODES");
    end_for(w, s);
}

static void read_starve(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    br_words_expect(w, "run");
    s->time = br_words_duration(w, "run");
    br_words_expect(w, "stall");
    s->stall = br_words_duration(w, "stall");
    if (!w->failed && (s->time == 0 || s->stall == 0))
        br_words_fail(w, "a starved process runs for a while and stalls for a while: neither may be 0");
    end_for(w, s);
}

static void read_clock(struct br_words *w, struct br_statement *s)
{
    static const char *const words[] = {"forward", "back", "drift", "slow"};
    br_words_nodes(w, &s->who);
    switch (br_words_choice(w, "forward, back, drift or slow", words, 4)) {
    case 0: s->jump = (int64_t)br_words_duration(w, "forward"); break;
    case 1: s->jump = -(int64_t)br_words_duration(w, "back"); break;
    case 2: s->drift = (int32_t)br_words_fraction(w, "drift"); break;
    case 3: s->drift = -(int32_t)br_words_fraction(w, "slow"); break;
    default: break;
    }
    if (!w->failed && (s->drift > 500000 || s->drift < -500000))
        br_words_fail(w, "a clock may be wrong by half at most: drift 50%%");
    br_words_end(w, NULL, 0);
}

static void read_move(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"to"};
    br_words_nodes(w, &s->who);
    if (br_words_accept(w, "to")) {
        br_words_nodes(w, &s->whom);
        s->has_whom = true;
    }
    br_words_end(w, options, 1);
}

static void read_clone(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    w->scenario->clones++;
    br_words_end(w, NULL, 0);
}

static void read_memory(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    s->number = br_words_fraction(w, "memory NODES");
    end_for(w, s);
}

static void read_bandwidth(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->who);
    s->size = br_words_size(w, "bandwidth NODES");
    end_for(w, s);
}

/* ------------------------------------------------------------------ requests */

static void read_meta(struct br_words *w, struct br_statement *s)
{
    uint8_t text[BRUIT_META_MAX];
    br_words_nodes(w, &s->who);
    size_t size = br_words_text(w, "metadata, a text", text, sizeof text);
    br_statement_text(w, s, text, size);
    br_words_end(w, NULL, 0);
}

static void read_secret(struct br_words *w, struct br_statement *s)
{
    static const char *const words[] = {"add", "use", "remove"};
    uint8_t key[BRUIT_KEY_MAX];
    s->key = (enum br_secret_how)br_words_choice(w, "add, use or remove", words, 3);
    br_words_nodes(w, &s->who);
    size_t size = br_words_hex(w, "a key of 16, 24 or 32 bytes in hex", key, sizeof key);
    if (!w->failed && size != 16 && size != 24 && size != 32)
        br_words_fail(w, "a key has 16, 24 or 32 bytes, that is 32, 48 or 64 digits; this one has %zu bytes",
                      size);
    br_statement_text(w, s, key, size);
    br_words_end(w, NULL, 0);
}

static void read_throw(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"from"};
    uint8_t text[BR_SCENARIO_TEXT_MAX];
    size_t size = br_words_text(w, "what is thrown, a text", text, sizeof text);
    br_statement_text(w, s, text, size);
    br_words_expect(w, "at");
    br_words_nodes(w, &s->who);
    if (br_words_accept(w, "from")) {
        br_words_nodes(w, &s->whom);
        s->has_whom = true;
    }
    br_words_end(w, options, 1);
}

static void read_forget(struct br_words *w, struct br_statement *s)
{
    br_words_nodes(w, &s->whom);
    br_words_expect(w, "by");
    br_words_nodes(w, &s->who);
    s->has_whom = true;
    br_words_end(w, NULL, 0);
}

static void read_name(struct br_words *w, struct br_statement *s, const char *what)
{
    uint8_t text[255];
    size_t size = br_words_text(w, what, text, sizeof text);
    br_statement_text(w, s, text, size);
}

/* event NODES NAME [BYTES] [every D for D] */
static void read_event(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"every", "for"};
    br_words_nodes(w, &s->who);
    read_name(w, s, "the name of an event");
    if (br_words_more(w) && !br_words_peek(w, "every"))
        s->size = br_words_size(w, "event NODES NAME");
    if (s->size > (1u << 24))
        br_words_fail(w, "an event of more than 16 MiB is beyond what is tried");
    if (br_words_accept(w, "every")) {
        s->every = br_words_duration(w, "every");
        br_words_expect(w, "for");
        s->length = br_words_duration(w, "for");
        if (!w->failed && s->every == 0)
            br_words_fail(w, "\"every 0\" is without end");
    }
    br_words_end(w, options, 2);
}

static void read_query(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"timeout"};
    br_words_nodes(w, &s->who);
    read_name(w, s, "the name of a query");
    if (br_words_accept(w, "timeout"))
        s->time = br_words_duration(w, "timeout");
    br_words_end(w, options, 1);
}

/* ------------------------------------------------------------------ the network */

/* of A | between A and B | from A to B */
static void read_path(struct br_words *w, struct br_statement *s)
{
    static const char *const words[] = {"of", "between", "from"};
    size_t choice = br_words_choice(w, "of, between or from", words, 3);
    br_words_nodes(w, &s->who);
    s->has_whom = true;
    if (choice == 0) {
        s->whom = (struct br_node_set){.count = 1, .but = 1}; /* all */
    } else if (choice < 3) {
        br_words_expect(w, choice == 1 ? "and" : "to");
        br_words_nodes(w, &s->whom);
    }
    s->rule.both_ways = choice < 2;
}

static void read_rule(struct br_words *w, struct br_statement *s)
{
    static const char *const options[] = {"datagrams", "streams", "pairs", "for"};
    read_path(w, s);
    if (br_words_accept(w, "datagrams"))
        s->rule.traffic = BRUIT_SIM_DATAGRAMS;
    else if (br_words_accept(w, "streams"))
        s->rule.traffic = BRUIT_SIM_STREAMS;
    if (br_words_accept(w, "pairs"))
        s->rule.pairs = br_words_fraction(w, "pairs");
    read_for(w, s);
    br_words_end(w, options, 4);
}

static void read_cut(struct br_words *w, struct br_statement *s)
{
    s->rule.block = true;
    s->rule.refuse = br_words_accept(w, "refusing");
    read_rule(w, s);
}

static void read_lose(struct br_words *w, struct br_statement *s)
{
    s->rule.loss = br_words_fraction(w, "lose");
    read_rule(w, s);
}

static void read_delay(struct br_words *w, struct br_statement *s)
{
    s->rule.delay = br_words_duration(w, "delay");
    if (br_words_accept(w, "jitter"))
        s->rule.jitter = br_words_duration(w, "jitter");
    read_rule(w, s);
}

static void read_clog(struct br_words *w, struct br_statement *s)
{
    read_rule(w, s);
    if (!w->failed && s->length == 0)
        br_words_fail(w, "expected \"for\" and how long everything waits, but the line ends");
    s->rule.clog = 1; /* the runner knows when */
}

static void read_duplicate(struct br_words *w, struct br_statement *s)
{
    s->rule.duplicate = br_words_fraction(w, "duplicate");
    read_rule(w, s);
}

static void read_corrupt(struct br_words *w, struct br_statement *s)
{
    s->rule.corrupt = br_words_fraction(w, "corrupt");
    read_rule(w, s);
}

static void read_mtu(struct br_words *w, struct br_statement *s)
{
    s->rule.mtu = (uint32_t)br_words_number(w, "mtu", 1, 65535);
    read_rule(w, s);
}

/* All but them on the other side: the items of the one are what the other leaves out. */
static void read_partition(struct br_words *w, struct br_statement *s)
{
    s->rule.block = s->rule.both_ways = true;
    br_words_nodes(w, &s->who);
    read_for(w, s);
    s->number = 1; /* the other side is all but who */
    static const char *const options[] = {"for"};
    br_words_end(w, options, 1);
}

static void read_network(struct br_words *w, struct br_statement *s)
{
    const char *names[16];
    size_t count = br_link_names(names, 16);
    s->link = w->scenario->config.link;
    s->across = w->scenario->has_across ? w->scenario->across : w->scenario->config.link;
    uint32_t word = w->next;
    if (!br_read_link(w, &s->link))
        br_words_expected(w, "what of the network changes", names, count);
    br_words_end(w, NULL, 0);
    if (w->failed)
        return;
    w->next = word; /* the same words again, for the links between zones */
    (void)br_read_link(w, &s->across);
}

static void read_nothing(struct br_words *w, struct br_statement *s)
{
    (void)s;
    br_words_end(w, NULL, 0);
}

/* ------------------------------------------------------------------ all of them */

const struct br_form br_forms_act[] = {
    {"start", "start NODES [alone | join NODES] [over D]", "starts processes; they join somebody who runs",
     read_start, BR_ACT_START},
    {"kill", "kill NODES [over D]", "ends processes without a word", read_kill, BR_ACT_KILL},
    {"restart", "restart NODES [without state] [after D] [at new address] [alone | join NODES] [over D]",
     "kills and starts them again, with what they keep on disk", read_restart, BR_ACT_RESTART},
    {"join", "join NODES to NODES [over D]", "asks them to join", read_join, BR_ACT_JOIN},
    {"leave", "leave NODES [over D]", "they say goodbye, and end", read_kill, BR_ACT_LEAVE},
    {"pause", "pause NODES [for D]", "SIGSTOP, and SIGCONT after D", read_who_for, BR_ACT_PAUSE},
    {"resume", "resume NODES", "SIGCONT", read_who, BR_ACT_RESUME},
    {"cpu", "cpu NODES COST [for D]", "each input takes them this long", read_cpu, BR_ACT_CPU},
    {"starve", "starve NODES run D stall D [for D]", "their CPU is stolen again and again", read_starve,
     BR_ACT_STARVE},
    {"clock", "clock NODES forward D | back D | drift 1% | slow 1%",
     "their clocks jump, or run at another speed", read_clock, BR_ACT_CLOCK},
    {"move", "move NODES [to NODE]", "they have new addresses, or that of NODE", read_move, BR_ACT_MOVE},
    {"clone", "clone NODE", "one node more, a copy; not running", read_clone, BR_ACT_CLONE},
    {"wipe", "wipe NODES", "their disks are lost", read_who, BR_ACT_WIPE},
    {"memory", "memory NODES 1% [for D]", "this part of their requests for memory is refused", read_memory,
     BR_ACT_MEMORY},
    {"bandwidth", "bandwidth NODES BYTES [for D]", "bytes a second that they can send, and take",
     read_bandwidth, BR_ACT_BANDWIDTH},
    {"meta", "meta NODES TEXT", "they change their metadata", read_meta, BR_ACT_META},
    {"key", "key add|use|remove NODES HEX", "they change their keyrings", read_secret, BR_ACT_KEY},
    {"throw", "throw TEXT at NODES [from NODE]", "a datagram of any bytes", read_throw, BR_ACT_THROW},
    {"forget", "forget NODES by NODE", "force-leave with prune", read_forget, BR_ACT_FORGET},
    {"event", "event NODES NAME [BYTES] [every D for D]", "they send a user event, once or again and again",
     read_event, BR_ACT_EVENT},
    {"query", "query NODES NAME [timeout D]", "they ask everybody, who answers at once", read_query,
     BR_ACT_QUERY},
    {"partition", "partition NODES [for D]", "cuts them off from all others", read_partition, BR_ACT_RULE},
    {"cut", "cut [refusing] PATH [datagrams | streams] [pairs 50%] [for D]",
     "blocks it. PATH: of NODES, between NODES and NODES, from NODES to NODES", read_cut, BR_ACT_RULE},
    {"lose", "lose 30% PATH [...as cut]", "loses this part", read_lose, BR_ACT_RULE},
    {"delay", "delay D [jitter D] PATH [...as cut]", "more latency", read_delay, BR_ACT_RULE},
    {"clog", "clog PATH for D", "everything waits, then arrives", read_clog, BR_ACT_RULE},
    {"duplicate", "duplicate 5% PATH [...as cut]", "arrives twice", read_duplicate, BR_ACT_RULE},
    {"corrupt", "corrupt 1% PATH [...as cut]", "some bits are flipped", read_corrupt, BR_ACT_RULE},
    {"mtu", "mtu BYTES PATH [...as cut]", "longer datagrams vanish", read_mtu, BR_ACT_RULE},
    {"heal", "heal", "ends all of the last eight", read_nothing, BR_ACT_HEAL},
    {"network", "network SETTING", "the links are others from now on: latency, loss, ... as above",
     read_network, BR_ACT_NETWORK},
    {"calm", "calm", "ends all faults; the links are again as in the settings", read_nothing, BR_ACT_CALM},
};
const size_t br_forms_act_count = sizeof br_forms_act / sizeof br_forms_act[0];

void br_read_act(struct br_words *w, struct br_statement *s)
{
    const char *names[64] = {"expect"};
    for (size_t i = 0; i < br_forms_act_count; i++)
        if (br_words_accept(w, br_forms_act[i].name)) {
            s->verb = (enum br_verb)br_forms_act[i].number;
            bruit_sim_rule_default(&s->rule);
            br_forms_act[i].read(w, s);
            return;
        }
    for (size_t i = 0; i < br_forms_act_count; i++)
        names[i + 1] = br_forms_act[i].name;
    br_words_expected(w, "what happens then: start, kill, partition, expect, ...", names,
                      br_forms_act_count + 1);
}

/* Joins by name: see resolve.h. */
#include "driver/uv/resolve.h"

#include "base/bytes.h"
#include "base/text.h"
#include "codec/addr.h"
#include "driver/uv/driver.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for the longest name, an address and a sentence of the other side's; what is longer is cut. */
#define TEXT_MAX 1024

struct lookup {
    uv_getaddrinfo_t request;
    struct br_uv_join *join;
    const char *text; /* as given */
    struct br_uv_target target;
    const char *wrong; /* what br_uv_target_parse said */
    struct bruit_addr literal;
    struct addrinfo *found;
    int status;
    bool is_started;
};

enum phase { RESOLVING, READY, CONTACTING };

struct br_uv_join {
    struct br_uv_join *next;
    struct bruit_uv *uv; /* NULL: nobody waits for the end any more, only lookups are still on their way */
    bruit_uv_joined_fn done;
    void *context;
    uint32_t flags;
    enum phase phase;

    struct lookup *lookups;
    size_t lookup_count;
    size_t pending; /* lookups on their way */
    char *texts;    /* all names, zero-terminated, end to end */

    struct bruit_uv_join_result *results;
    size_t *result_lookups; /* of each result, its lookup: for the name we expect there */
    char **result_texts;    /* of each result, what has to be freed */
    uint32_t result_count;
    uint32_t contacted;

    uint32_t next_result;                  /* the first that was not handed to bruit_join() yet */
    uint32_t request;                      /* of the bruit_join() under way */
    uint32_t asked[BR_JOIN_ADDRESSES_MAX]; /* the results it is about */
    uint32_t asked_count;
};

/* ------------------------------------------------------------------ text in, text out */

static const char *parse_port(uint16_t *out, const char *text)
{
    static const char *const wrong = "the port is not a number from 1 to 65535";
    unsigned long port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return wrong;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned long)(text[i] - '0');
    if (port == 0 || port > UINT16_MAX)
        return wrong;
    *out = (uint16_t)port;
    return NULL;
}

static const char *parse_bracketed(struct br_uv_target *out, const char *text)
{
    const char *end = strchr(text, ']');
    if (end == NULL)
        return "the bracket is not closed";
    out->host = br_bytes(text + 1, (size_t)(end - text - 1));
    if (end[1] == '\0')
        return NULL;
    return end[1] == ':' ? parse_port(&out->port, end + 2) : "what follows the bracket is no port";
}

static const char *parse_host(struct br_uv_target *out, const char *text)
{
    if (text[0] == '[')
        return parse_bracketed(out, text);
    const char *colon = strchr(text, ':');
    if (colon == NULL || strchr(colon + 1, ':') != NULL) {
        out->host = br_bytes_string(text); /* No port: a name, an IPv4 address, or IPv6 without brackets. */
        return NULL;
    }
    out->host = br_bytes(text, (size_t)(colon - text));
    return parse_port(&out->port, colon + 1);
}

const char *br_uv_target_parse(struct br_uv_target *out, const char *text)
{
    *out = (struct br_uv_target){.name = {0}};
    const char *slash = strchr(text, '/');
    if (slash == text)
        return "the node name before the slash is empty";
    if (slash != NULL)
        out->name = br_bytes(text, (size_t)(slash - text));
    if (out->name.size > BRUIT_NAME_MAX)
        return "the node name before the slash is longer than 255 bytes";
    const char *wrong = parse_host(out, slash == NULL ? text : slash + 1);
    if (wrong == NULL && out->host.size == 0)
        wrong = "the host name is empty";
    return wrong;
}

/* "Failed to <verb> <name>[ (<addr>)]: <reason>[: <detail>]" on the heap, or NULL. */
static char *sentence(const char *verb, const char *name, const struct bruit_addr *addr, const char *reason,
                      struct bruit_bytes detail)
{
    char buffer[TEXT_MAX];
    struct br_text t;
    br_text_init(&t, buffer, sizeof buffer);
    br_text_string(&t, "Failed to ");
    br_text_string(&t, verb);
    br_text_char(&t, ' ');
    br_text_escaped(&t, br_bytes_string(name));
    if (addr != NULL) {
        br_text_string(&t, " (");
        br_text_addr(&t, addr);
        br_text_char(&t, ')');
    }
    br_text_string(&t, ": ");
    br_text_string(&t, reason);
    if (detail.size > 0) {
        br_text_string(&t, ": ");
        br_text_escaped(&t, detail);
    }
    (void)br_text_end(&t); /* Cut is fine. */
    return strdup(buffer);
}

/* ------------------------------------------------------------------ memory */

static void join_free(struct br_uv_join *join)
{
    for (size_t i = 0; i < join->lookup_count; i++)
        uv_freeaddrinfo(join->lookups[i].found); /* NULL is fine. */
    for (uint32_t i = 0; i < join->result_count; i++)
        free(join->result_texts[i]);
    free(join->lookups);
    free(join->texts);
    free(join->results);
    free(join->result_lookups);
    free(join->result_texts);
    free(join);
}

static void unlink_join(struct br_uv_joins *joins, struct br_uv_join *join)
{
    struct br_uv_join **at = &joins->first;
    while (*at != join)
        at = &(*at)->next;
    *at = join->next;
}

static struct br_uv_join *join_make(const char *const *names, size_t count, size_t text_size)
{
    struct br_uv_join *join = calloc(1, sizeof *join);
    if (join == NULL)
        return NULL;
    join->lookups = calloc(count, sizeof *join->lookups);
    join->texts = malloc(text_size);
    if (join->lookups == NULL || join->texts == NULL) {
        join_free(join);
        return NULL;
    }
    char *text = join->texts;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]) + 1;
        memcpy(text, names[i], size);
        join->lookups[i].join = join;
        join->lookups[i].text = text;
        text += size;
    }
    join->lookup_count = count;
    return join;
}

/* ------------------------------------------------------------------ resolving */

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = request->data;
    struct br_uv_join *join = lookup->join;
    lookup->status = status;
    lookup->found = found;
    join->pending--;
    if (join->pending > 0)
        return;
    if (join->uv == NULL) {
        join_free(join);
        return;
    }
    join->phase = READY;
    br_uv_turn(join->uv);
}

static const struct addrinfo resolver_hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

static bool is_literal(struct bruit_addr *out, const struct br_uv_target *target,
                       char host[BR_JOIN_NAME_SIZE_MAX + 1])
{
    memcpy(host, target->host.data, target->host.size);
    host[target->host.size] = '\0';
    return br_addr_parse_ip(out, host) == 0;
}

static void start_lookup(struct bruit_uv *uv, struct lookup *lookup)
{
    char host[BR_JOIN_NAME_SIZE_MAX + 1];
    lookup->wrong = br_uv_target_parse(&lookup->target, lookup->text);
    if (lookup->wrong != NULL || is_literal(&lookup->literal, &lookup->target, host))
        return;
    lookup->request.data = lookup;
    lookup->status = uv_getaddrinfo(uv->loop, &lookup->request, on_found, host, NULL, &resolver_hints);
    lookup->is_started = lookup->status == 0;
    if (lookup->is_started)
        lookup->join->pending++;
}

int bruit_uv_join_names(struct bruit_uv *uv, const char *const *names, size_t count, uint32_t flags,
                        bruit_uv_joined_fn done, void *context)
{
    size_t text_size = 0;
    if (uv->closing)
        return BRUIT_ECLOSED;
    if (count == 0 || count > BR_JOIN_NAMES_MAX)
        return BRUIT_EINVAL;
    for (size_t i = 0; i < count; i++) {
        size_t size = names[i] == NULL ? SIZE_MAX : strlen(names[i]);
        if (size > BR_JOIN_NAME_SIZE_MAX)
            return BRUIT_EINVAL;
        text_size += size + 1;
    }
    struct br_uv_join *join = join_make(names, count, text_size);
    if (join == NULL)
        return BRUIT_ENOMEM;
    join->uv = uv;
    join->flags = flags;
    join->done = done;
    join->context = context;
    join->next = uv->joins.first;
    uv->joins.first = join;
    for (size_t i = 0; i < count; i++)
        start_lookup(uv, &join->lookups[i]);
    join->phase = join->pending > 0 ? RESOLVING : READY;
    br_uv_post_wake(uv); /* Not now: `done` must not be called before we have returned. */
    return 0;
}

/* ------------------------------------------------------------------ from lookups to results */

static size_t addresses_of(const struct lookup *lookup)
{
    size_t count = 0;
    for (const struct addrinfo *at = lookup->found; at != NULL && count < BR_JOIN_ADDRESSES_MAX;
         at = at->ai_next)
        count++;
    return count > 0 ? count : 1;
}

static struct bruit_uv_join_result *add_result(struct br_uv_join *join, const struct lookup *lookup)
{
    uint32_t index = join->result_count++;
    join->result_lookups[index] = (size_t)(lookup - join->lookups);
    join->results[index] = (struct bruit_uv_join_result){.name = lookup->text, .text = ""};
    return &join->results[index];
}

static void set_failure(struct br_uv_join *join, struct bruit_uv_join_result *result, const char *verb,
                        int error, const char *reason, struct bruit_bytes detail)
{
    const struct bruit_addr *addr = result->addr.size != 0 ? &result->addr : NULL;
    char *text = sentence(verb, result->name, addr, reason, detail);
    join->result_texts[result - join->results] = text;
    result->error = error;
    result->text = text != NULL ? text : reason;
}

static void add_failure(struct br_uv_join *join, const struct lookup *lookup, int error, const char *reason)
{
    set_failure(join, add_result(join, lookup), "resolve", error, reason, (struct bruit_bytes){0});
}

/* A resolver's answer, in the words that Go has for it. */
static void add_unknown(struct br_uv_join *join, const struct lookup *lookup)
{
    bool is_absent = lookup->status == UV_EAI_NONAME || lookup->status == UV_EAI_NODATA;
    const char *why = is_absent ? "no such host" : uv_strerror(lookup->status);
    struct bruit_uv_join_result *result = add_result(join, lookup);
    char reason[TEXT_MAX];
    struct br_text t;
    br_text_init(&t, reason, sizeof reason);
    br_text_string(&t, "lookup ");
    br_text_escaped(&t, lookup->target.host);
    br_text_string(&t, ": ");
    br_text_string(&t, why);
    (void)br_text_end(&t); /* Cut is fine. */
    set_failure(join, result, "resolve", BRUIT_ENOENT, reason, (struct bruit_bytes){0});
    if (result->text == reason) /* there was no memory for a sentence */
        result->text = why;
}

static void add_address(struct br_uv_join *join, const struct lookup *lookup, const struct bruit_addr *addr)
{
    struct bruit_uv_join_result *result = add_result(join, lookup);
    result->addr = *addr;
    result->addr.port = lookup->target.port != 0 ? lookup->target.port : join->uv->bound.port;
}

/* False for what is no IP address. */
static bool read_found(struct bruit_addr *out, const struct addrinfo *found)
{
    union br_sockaddr address = {0};
    if (found->ai_addrlen > sizeof address)
        return false;
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    return br_sockaddr_read(out, &address);
}

static void add_found(struct br_uv_join *join, const struct lookup *lookup)
{
    struct bruit_addr addr;
    uint32_t before = join->result_count;
    size_t seen = 0;
    for (const struct addrinfo *at = lookup->found; at != NULL && seen < BR_JOIN_ADDRESSES_MAX;
         at = at->ai_next) {
        seen++;
        if (read_found(&addr, at))
            add_address(join, lookup, &addr);
    }
    if (join->result_count == before)
        add_failure(join, lookup, BRUIT_ENOENT, "it has no address");
}

static void add_lookup(struct br_uv_join *join, const struct lookup *lookup)
{
    if (lookup->wrong != NULL)
        add_failure(join, lookup, BRUIT_EINVAL, lookup->wrong);
    else if (lookup->literal.size != 0)
        add_address(join, lookup, &lookup->literal);
    else if (lookup->status != 0)
        add_unknown(join, lookup);
    else
        add_found(join, lookup);
}

/* False without memory. */
static bool make_results(struct br_uv_join *join)
{
    size_t count = 0;
    for (size_t i = 0; i < join->lookup_count; i++)
        count += addresses_of(&join->lookups[i]);
    join->results = calloc(count, sizeof *join->results);
    join->result_lookups = calloc(count, sizeof *join->result_lookups);
    join->result_texts = calloc(count, sizeof *join->result_texts);
    if (join->results == NULL || join->result_lookups == NULL || join->result_texts == NULL)
        return false;
    for (size_t i = 0; i < join->lookup_count; i++)
        add_lookup(join, &join->lookups[i]);
    return true;
}

/* ------------------------------------------------------------------ contacting */

static void set_unjoined(struct br_uv_join *join, uint32_t asked, int error, struct bruit_bytes detail)
{
    set_failure(join, &join->results[join->asked[asked]], "join", error, bruit_strerror(error), detail);
}

/* The next addresses that bruit_join() takes at once, into `targets` and join->asked. */
static void gather(struct br_uv_join *join, struct bruit_join_target *targets)
{
    join->asked_count = 0;
    for (; join->next_result < join->result_count && join->asked_count < BR_JOIN_ADDRESSES_MAX;
         join->next_result++) {
        const struct bruit_uv_join_result *result = &join->results[join->next_result];
        if (result->error != 0)
            continue;
        struct bruit_bytes name = join->lookups[join->result_lookups[join->next_result]].target.name;
        targets[join->asked_count] = (struct bruit_join_target){result->addr, name};
        join->asked[join->asked_count++] = join->next_result;
    }
}

static void finish(struct bruit_uv *uv, struct br_uv_join *join)
{
    unlink_join(&uv->joins, join);
    struct bruit_uv_joined joined = {join->contacted, join->result_count, join->results};
    if (join->done != NULL)
        join->done(uv, join->context, &joined);
    join_free(join);
}

static void go_on(struct bruit_uv *uv, struct br_uv_join *join)
{
    struct bruit_join_target targets[BR_JOIN_ADDRESSES_MAX];
    if (join->results == NULL && !make_results(join)) {
        finish(uv, join);
        return;
    }
    gather(join, targets);
    if (join->asked_count == 0) {
        finish(uv, join);
        return;
    }
    int error =
        bruit_join(uv->engine, targets, join->asked_count, join->flags, &join->request, bruit_uv_now(uv));
    uv->again = true;
    if (error == 0) {
        join->phase = CONTACTING;
        return;
    }
    for (uint32_t i = 0; i < join->asked_count; i++)
        set_unjoined(join, i, error, (struct bruit_bytes){0});
}

static struct br_uv_join *find_ready(const struct br_uv_joins *joins)
{
    struct br_uv_join *join = joins->first;
    while (join != NULL && join->phase != READY)
        join = join->next;
    return join;
}

void br_uv_joins_run(struct bruit_uv *uv)
{
    struct br_uv_join *join;
    /* Each pass ends a join or asks for its next addresses; `done` may begin others, or close the driver. */
    while (!uv->closing && (join = find_ready(&uv->joins)) != NULL)
        go_on(uv, join);
}

bool br_uv_joins_take(struct bruit_uv *uv, const struct bruit_event *event)
{
    struct br_uv_join *join = uv->joins.first;
    while (join != NULL && (join->phase != CONTACTING || join->request != event->request))
        join = join->next;
    if (join == NULL)
        return false;
    for (uint32_t i = 0; i < join->asked_count; i++) {
        if (i >= event->join.count)
            set_unjoined(join, i, BRUIT_EIO, (struct bruit_bytes){0});
        else if (event->join.results[i].error != 0)
            set_unjoined(join, i, event->join.results[i].error, event->join.results[i].text);
        else
            join->contacted++;
    }
    join->phase = READY;
    uv->again = true;
    return true;
}

/* ------------------------------------------------------------------ the end */

/* One result a name, whatever was known already. */
static void report_closed(struct bruit_uv *uv, struct br_uv_join *join)
{
    struct bruit_uv_join_result *results = calloc(join->lookup_count, sizeof *results);
    uint32_t count = results == NULL ? 0 : (uint32_t)join->lookup_count;
    for (uint32_t i = 0; i < count; i++) {
        results[i] = (struct bruit_uv_join_result){.name = join->lookups[i].text, .error = BRUIT_ECLOSED};
        results[i].text = "Failed to join: this member was shut down first";
    }
    struct bruit_uv_joined joined = {join->contacted, count, results};
    if (join->done != NULL)
        join->done(uv, join->context, &joined);
    free(results);
}

void br_uv_joins_close(struct bruit_uv *uv)
{
    struct br_uv_join *join;
    while ((join = uv->joins.first) != NULL) {
        uv->joins.first = join->next;
        report_closed(uv, join);
        join->uv = NULL;
        if (join->pending == 0) {
            join_free(join);
            continue;
        }
        for (size_t i = 0; i < join->lookup_count; i++) {
            if (join->lookups[i].is_started)
                (void)uv_cancel((uv_req_t *)&join->lookups[i].request); /* Too late for one that runs. */
        }
    }
}

/* ------------------------------------------------------------------ at once */

static void say(char *why, size_t why_size, const char *name, const char *reason)
{
    struct br_text t;
    br_text_init(&t, why, why_size);
    br_text_string(&t, "cannot resolve \"");
    br_text_escaped(&t, br_bytes_string(name));
    br_text_string(&t, "\": ");
    br_text_string(&t, reason);
    (void)br_text_end(&t); /* Cut is fine. */
}

static bool pick(struct bruit_addr *out, const struct addrinfo *found, int family)
{
    for (; found != NULL; found = found->ai_next) {
        if (found->ai_family == family && read_found(out, found))
            return true;
    }
    return false;
}

static int ask_resolver(struct bruit_addr *out, const char *name, const char *host, char *why,
                        size_t why_size)
{
    struct addrinfo *found;
    int status = getaddrinfo(host, NULL, &resolver_hints, &found);
    if (status != 0) {
        say(why, why_size, name, gai_strerror(status));
        return BRUIT_ENOENT;
    }
    bool ok = pick(out, found, AF_INET) || pick(out, found, AF_INET6);
    freeaddrinfo(found);
    if (!ok)
        say(why, why_size, name, "it has no address");
    return ok ? 0 : BRUIT_ENOENT;
}

int bruit_uv_resolve(const char *name, uint16_t default_port, struct bruit_addr *out, char *why,
                     size_t why_size)
{
    char host[BR_JOIN_NAME_SIZE_MAX + 1];
    struct br_uv_target target;
    struct bruit_addr addr;
    if (why == NULL)
        why_size = 0;
    const char *wrong = "it is longer than 512 bytes";
    if (strlen(name) <= BR_JOIN_NAME_SIZE_MAX)
        wrong = br_uv_target_parse(&target, name);
    if (wrong != NULL) {
        say(why, why_size, name, wrong);
        return BRUIT_EINVAL;
    }
    if (!is_literal(&addr, &target, host)) {
        int error = ask_resolver(&addr, name, host, why, why_size);
        if (error != 0)
            return error;
    }
    addr.port = target.port != 0 ? target.port : default_port;
    *out = addr;
    return 0;
}

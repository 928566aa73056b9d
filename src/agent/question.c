/*
 * What RPC clients ask of the whole cluster, and what they answer it: events, queries, responses, coordinates
 * (docs/wire/serf-rpc.md sections 4.2, 4.9, 4.10 and 4.15).
 *
 * A client's queries are known by the engine's numbers; the records of one carry the sequence number of the command
 * that started it. Its end is always told, also to a client that lost answers because it does not read.
 */
#include "agent/client.h"

#include <stdlib.h>

static const struct br_rpc_backend *backend_of(const struct br_client *client)
{
    return &client->rpc->options.backend;
}

void br_client_send_event(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = backend_of(client);
    char why[BR_WHY_MAX] = "";
    (void)backend->send_event(backend->context, request, why);
    br_client_answer(client, request->seq, why);
    backend->kick(backend->context);
}

/* ------------------------------------------------------------------ asking */

/* Only the ping may be asked for by name, and it carries nothing. */
static bool is_reserved(const struct br_rpc_request *request)
{
    struct bruit_bytes prefix = br_bytes_text("_serf_");
    if (request->name.size < prefix.size || memcmp(request->name.data, prefix.data, prefix.size) != 0)
        return false;
    return !br_bytes_equal(request->name, br_bytes_text("_serf_ping")) || request->payload.size > 0;
}

static int start_query(struct br_client *client, const struct br_rpc_request *request, char why[BR_WHY_MAX])
{
    const struct br_rpc_backend *backend = backend_of(client);
    struct br_rpc_stream *query = calloc(1, sizeof *query);
    if (query == NULL) {
        (void)memcpy(why, "out of memory", sizeof "out of memory");
        return BRUIT_ENOMEM;
    }
    int error = backend->query(backend->context, request, &query->query, why);
    if (error != 0) {
        free(query);
        return error;
    }
    query->seq = request->seq;
    br_list_push_back(&client->queries, &query->link);
    return 0;
}

void br_client_query(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = backend_of(client);
    char why[BR_WHY_MAX] = "";
    if (is_reserved(request)) {
        br_client_answer(client, request->seq, "Queries cannot contain the '_serf_' prefix");
        return;
    }
    (void)start_query(client, request, why);
    br_client_answer(client, request->seq, why);
    backend->kick(backend->context);
}

static struct br_rpc_stream *find_query(struct br_client *client, uint32_t query)
{
    BR_LIST_EACH(link, &client->queries)
    {
        struct br_rpc_stream *found = BR_LIST_OF(link, struct br_rpc_stream, link);
        if (found->query == query)
            return found;
    }
    return NULL;
}

bool br_client_query_answer(struct br_client *client, uint32_t query, const struct bruit_query_answer *answer)
{
    struct br_blob out = BR_BLOB_EMPTY;
    struct br_rpc_stream *to = find_query(client, query);
    if (to == NULL)
        return false;
    if (answer != NULL && (answer->from.size == 0 || !br_client_has_room(client, to)))
        return true; /* nobody's answer would end the query for the client */
    uint64_t seq = to->seq;
    if (answer == NULL) {
        br_list_remove(&to->link);
        free(to);
        to = NULL;
    }
    br_rpc_write_header(&out, seq, "");
    br_rpc_write_answer(&out, answer);
    br_client_send(client, &out, to);
    return true;
}

/* ------------------------------------------------------------------ being asked */

static void forget_asked(struct br_client *client, struct br_rpc_asked *asked)
{
    br_list_remove(&asked->link);
    client->asked_count--;
    free(asked);
}

/* Those whose deadline is over, and the oldest when there are too many. */
static void forget_old(struct br_client *client, bruit_time now)
{
    BR_LIST_EACH_SAFE(link, &client->asked)
    {
        struct br_rpc_asked *asked = BR_LIST_OF(link, struct br_rpc_asked, link);
        if (asked->deadline <= now || client->asked_count >= BR_RPC_ASKED_MAX)
            forget_asked(client, asked);
    }
}

uint64_t br_client_remember(struct br_client *client, const struct bruit_query *query)
{
    const struct br_rpc_backend *backend = backend_of(client);
    forget_old(client, backend->now(backend->context));
    struct br_rpc_asked *asked = calloc(1, sizeof *asked);
    if (asked == NULL)
        return 0;
    asked->id = ++client->asked_last;
    asked->handle = query->handle;
    asked->deadline = query->deadline;
    br_list_push_back(&client->asked, &asked->link);
    client->asked_count++;
    return asked->id;
}

static const struct br_rpc_asked *find_asked(struct br_client *client, uint64_t id)
{
    BR_LIST_EACH(link, &client->asked)
    {
        const struct br_rpc_asked *asked = BR_LIST_OF(link, struct br_rpc_asked, link);
        if (asked->id == id)
            return asked;
    }
    return NULL;
}

void br_client_respond(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = backend_of(client);
    char why[BR_WHY_MAX] = "";
    forget_old(client, backend->now(backend->context));
    const struct br_rpc_asked *asked = find_asked(client, request->id);
    if (asked == NULL) {
        br_client_answer(client, request->seq, "No pending queries matching ID");
        return;
    }
    (void)backend->respond(backend->context, asked->handle, request->payload, why);
    br_client_answer(client, request->seq, why);
    backend->kick(backend->context);
}

void br_client_forget_queries(struct br_client *client)
{
    const struct br_rpc_backend *backend = backend_of(client);
    for (struct br_list *link; (link = br_list_pop_front(&client->queries)) != NULL;) {
        struct br_rpc_stream *query = BR_LIST_OF(link, struct br_rpc_stream, link);
        backend->end_query(backend->context, query->query);
        free(query);
    }
    for (struct br_list *link; (link = br_list_front(&client->asked)) != NULL;)
        forget_asked(client, BR_LIST_OF(link, struct br_rpc_asked, link));
}

/* ------------------------------------------------------------------ where somebody is */

void br_client_get_coordinate(struct br_client *client, const struct br_rpc_request *request)
{
    const struct br_rpc_backend *backend = backend_of(client);
    struct br_blob out = BR_BLOB_EMPTY;
    struct bruit_coordinate coordinate;
    bool is_known = backend->coordinate(backend->context, request->node, &coordinate);
    br_rpc_write_header(&out, request->seq, "");
    br_rpc_write_coordinate(&out, is_known ? &coordinate : NULL);
    br_client_send(client, &out, NULL);
}

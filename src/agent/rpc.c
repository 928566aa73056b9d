/* The RPC server's connections; see rpc.h. */
#include "agent/client.h"

#include "agent/feature.h"
#include "codec/addr.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

/* How much is asked of the kernel at once. A command has some hundred bytes. */
#define READ_SIZE 4096

/*
 * What the kernel may hold for a client that does not read; it doubles the number. Left to itself it takes megabytes on
 * loopback, which nobody counts. A client that pauses for some seconds among hundreds of events a second loses none.
 */
#define KERNEL_BUFFER (128 << 10)

/* Output that the kernel did not take at once. */
struct output {
    uv_write_t request;
    struct br_client *client;
    struct br_blob bytes;
    size_t size;  /* that the client holds with it */
    uint64_t seq; /* of the stream whose record this is */
    bool is_record;
    bool is_log;    /* of the monitor */
    uint32_t query; /* of a query, else 0 */
};

static void on_connection(uv_stream_t *listener, int status);
static void on_log_line(void *context, const struct br_log_line *line);
static void take_commands(struct br_client *client);
static void on_written(uv_write_t *request, int status);
static struct br_rpc_stream *find_stream(struct br_client *client, const struct output *output);
static void note_input(struct br_client *client);

/* ------------------------------------------------------------------ listening */

static void to_sockaddr(const struct bruit_addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->size == 4) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
    } else {
        struct sockaddr_in6 *in6 = (void *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        in6->sin6_scope_id = addr->scope;
        memcpy(&in6->sin6_addr, addr->ip, 16);
    }
}

static struct bruit_addr from_sockaddr(const struct sockaddr_storage *in)
{
    struct bruit_addr addr = {.size = 0};
    if (in->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)in;
        (void)br_addr_make(&addr, br_bytes(&v4->sin_addr, 4), ntohs(v4->sin_port));
    } else if (in->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)in;
        (void)br_addr_make(&addr, br_bytes(&v6->sin6_addr, 16), ntohs(v6->sin6_port));
    }
    return addr;
}

/* What Go says of an error of the operating system. */
static const char *system_text(int error)
{
    switch (error) {
    case UV_EADDRINUSE: return "address already in use: end the other program, or give another -rpc-addr";
    case UV_EADDRNOTAVAIL: return "cannot assign requested address: give -rpc-addr one of this host's";
    case UV_EACCES: return "permission denied";
    default: return uv_strerror(error);
    }
}

static void drop_handle(struct br_rpc *rpc)
{
    if (--rpc->handle_count == 0)
        free(rpc);
}

static void on_own_handle_closed(uv_handle_t *handle)
{
    drop_handle(handle->data);
}

static void close_own_handles(struct br_rpc *rpc)
{
    if (uv_is_closing((uv_handle_t *)&rpc->listener))
        return;
    uv_close((uv_handle_t *)&rpc->turn_timer, on_own_handle_closed);
    uv_close((uv_handle_t *)&rpc->listener, on_own_handle_closed);
}

int br_rpc_new(struct br_rpc **out, uv_loop_t *loop, const struct br_rpc_options *options,
               char why[BR_WHY_MAX])
{
    struct sockaddr_storage bind;
    struct br_rpc *rpc = calloc(1, sizeof *rpc);
    if (rpc == NULL || uv_tcp_init(loop, &rpc->listener) != 0) {
        free(rpc);
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
        return BRUIT_ENOMEM;
    }
    (void)uv_timer_init(loop, &rpc->turn_timer);
    rpc->listener.data = rpc;
    rpc->turn_timer.data = rpc;
    rpc->handle_count = 2;
    rpc->options = *options;
    br_list_init(&rpc->clients);
    br_list_init(&rpc->turns);
    br_list_init(&rpc->kv_waits);
    br_list_init(&rpc->kv_watches);
    to_sockaddr(&options->bind, &bind);
    int error = uv_tcp_bind(&rpc->listener, (const struct sockaddr *)&bind, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&rpc->listener, 128, on_connection);
    if (error != 0) {
        char text[BRUIT_ADDR_TEXT_MAX];
        br_addr_format(&options->bind, text);
        (void)snprintf(why, BR_WHY_MAX, "listen tcp %s: bind: %s", text, system_text(error));
        close_own_handles(rpc);
        return error == UV_EADDRINUSE ? BRUIT_EEXIST : BRUIT_EIO;
    }
    if (options->log != NULL) {
        options->log->listener = on_log_line;
        options->log->listener_context = rpc;
    }
    *out = rpc;
    return 0;
}

struct bruit_addr br_rpc_bound(const struct br_rpc *rpc)
{
    struct sockaddr_storage name;
    int size = sizeof name;
    memset(&name, 0, sizeof name);
    (void)uv_tcp_getsockname(&rpc->listener, (struct sockaddr *)&name, &size);
    return from_sockaddr(&name);
}

void br_rpc_close(struct br_rpc *rpc)
{
    if (rpc->options.log != NULL && rpc->options.log->listener_context == rpc)
        rpc->options.log->listener = NULL;
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    br_client_close(BR_LIST_OF(link, struct br_client, link));
    close_own_handles(rpc);
}

void br_rpc_stats_get(const struct br_rpc *rpc, struct br_rpc_stats *out)
{
    *out = rpc->stats;
    out->clients = rpc->client_count;
    out->held = rpc->held;
}

static struct br_client *client_of(struct br_list *link)
{
    return BR_LIST_OF(link, struct br_client, link);
}

static void on_log_line(void *context, const struct br_log_line *line)
{
    struct br_rpc *rpc = context;
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    {
        br_client_log_line(client_of(link), line);
        br_client_tell_dropping(client_of(link));
    }
}

void br_rpc_member_event(struct br_rpc *rpc, enum bruit_status_change change,
                         const struct bruit_status_member *members, size_t count)
{
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    {
        br_client_member_event(client_of(link), change, members, count);
        br_client_tell_dropping(client_of(link));
    }
}

void br_rpc_user_event(struct br_rpc *rpc, const struct bruit_user_event *event)
{
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    {
        br_client_user_event(client_of(link), event);
        br_client_tell_dropping(client_of(link));
    }
}

void br_rpc_query_event(struct br_rpc *rpc, const struct bruit_query *query)
{
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    {
        br_client_query_event(client_of(link), query);
        br_client_tell_dropping(client_of(link));
    }
}

void br_rpc_query_answer(struct br_rpc *rpc, uint32_t query, const struct bruit_query_answer *answer)
{
    BR_LIST_EACH_SAFE(link, &rpc->clients)
    {
        bool is_its = br_client_query_answer(client_of(link), query, answer);
        br_client_tell_dropping(client_of(link));
        if (is_its)
            return;
    }
}

/* ------------------------------------------------------------------ clients come and go */

static void on_client_closed(uv_handle_t *handle)
{
    struct br_client *client = handle->data;
    struct br_rpc *rpc = client->rpc;
    br_list_remove(&client->link);
    rpc->client_count--;
    br_client_let_go(client, client->input_held);
    br_blob_release(&client->input);
    free(client);
    drop_handle(rpc);
}

void br_client_cut_off(struct br_client *client, uint64_t *counter, const char *reason)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    if (client->is_closing)
        return;
    (*counter)++;
    br_addr_format(&client->peer, text);
    br_client_close(client); /* before the log, which the client may monitor */
    if (client->rpc->options.log != NULL)
        br_log(client->rpc->options.log, BRUIT_TRACE_ERROR, "agent.ipc", "Closed client %s: %s", text,
               reason);
}

void br_client_close(struct br_client *client)
{
    if (client->is_closing)
        return;
    client->is_closing = true;
    if (client->call != NULL)
        client->call->client = NULL;
    client->call = NULL;
    br_client_forget_streams(client);
    br_client_forget_queries(client);
    br_features_forget(client);
    br_client_is_gone(client);
    uv_close((uv_handle_t *)&client->tcp, on_client_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct br_client *client = request->handle->data;
    if (status != 0)
        br_client_close(client);
}

void br_client_finish(struct br_client *client)
{
    if (client->is_closing || client->is_ending)
        return;
    client->is_ending = true;
    br_client_forget_streams(client);
    br_client_forget_queries(client);
    br_features_forget(client);
    if (uv_shutdown(&client->shutdown, (uv_stream_t *)&client->tcp, on_shutdown) != 0)
        br_client_close(client);
}

/* It was told the last thing, and either sees that, or goes on sending as long as there is something to say. */
static void throw_away(struct br_client *client, size_t size)
{
    client->thrown_away += size;
    if (client->thrown_away > 2 * (size_t)BR_RPC_OBJECT_MAX)
        br_client_close(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct br_client *client = handle->data;
    (void)suggested; /* 64 KiB: more than a command needs */
    uint8_t *place = br_blob_reserve(&client->input, READ_SIZE);
    *out = uv_buf_init((char *)place, place == NULL ? 0 : READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct br_client *client = stream->data;
    (void)buffer; /* it is the end of client->input */
    if (size < 0) {
        br_client_close(client);
        return;
    }
    client->input.size += (size_t)size;
    note_input(client);
    if (!br_client_can_hold(client, 0)) {
        br_client_cut_off(client, &client->rpc->stats.cut_too_big,
                          "the requests of all clients take too much memory");
        return;
    }
    if (client->is_ending)
        throw_away(client, (size_t)size);
    take_commands(client);
}

static void start_reading(struct br_client *client)
{
    if (!client->is_reading && !client->is_closing)
        client->is_reading = uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read) == 0;
}

static void stop_reading(struct br_client *client)
{
    if (client->is_reading)
        (void)uv_read_stop((uv_stream_t *)&client->tcp);
    client->is_reading = false;
}

static void note_peer(struct br_client *client)
{
    const struct br_rpc *rpc = client->rpc;
    struct sockaddr_storage name;
    int size = sizeof name;
    char text[BRUIT_ADDR_TEXT_MAX] = "?";
    if (uv_tcp_getpeername(&client->tcp, (struct sockaddr *)&name, &size) == 0) {
        client->peer = from_sockaddr(&name);
        br_addr_format(&client->peer, text);
    }
    if (rpc->options.log != NULL)
        br_log(rpc->options.log, BRUIT_TRACE_INFO, "agent.ipc", "Accepted client: %s", text);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct br_rpc *rpc = listener->data;
    struct br_client *client = status != 0 ? NULL : calloc(1, sizeof *client);
    if (client == NULL || uv_tcp_init(listener->loop, &client->tcp) != 0) {
        free(client);
        rpc->stats.refused++;
        return;
    }
    client->tcp.data = client;
    client->rpc = rpc;
    br_rpc_decoder_init(&client->decoder);
    br_list_init(&client->link);
    br_list_init(&client->turn);
    br_list_init(&client->streams);
    br_list_init(&client->queries);
    br_list_init(&client->asked);
    br_list_push_back(&rpc->clients, &client->link);
    rpc->client_count++;
    rpc->handle_count++;
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0 || rpc->client_count > BR_RPC_CLIENTS_MAX) {
        rpc->stats.refused++;
        br_client_close(client);
        return;
    }
    rpc->stats.accepted++;
    (void)uv_tcp_nodelay(&client->tcp, 1);
    (void)uv_send_buffer_size((uv_handle_t *)&client->tcp, &(int){KERNEL_BUFFER});
    note_peer(client);
    start_reading(client);
}

/* ------------------------------------------------------------------ input */

static void note_input(struct br_client *client)
{
    br_client_let_go(client, client->input_held);
    client->input_held = client->input.capacity;
    br_client_hold(client, client->input_held);
}

/* Carries out one command, on the account of its turn. */
static void execute(struct br_client *client, const struct br_rpc_request *request)
{
    uint64_t start = uv_hrtime();
    client->rpc->stats.commands++;
    br_client_execute(client, request);
    br_client_spend(client, uv_hrtime() - start);
}

/* Whether another command of this client may be taken at all, now or after others had their turn. */
static bool is_listening(const struct br_client *client)
{
    return !client->is_closing && client->call == NULL && !br_client_is_output_full(client);
}

/* Decodes the next request in `unread`; false when there is none now, or never will be. */
static bool next_request(struct br_client *client, struct bruit_bytes unread, size_t *consumed,
                         struct br_rpc_request *request)
{
    struct br_rpc_stats *stats = &client->rpc->stats;
    *consumed = 0;
    if (unread.size == 0)
        return false;
    int step = br_rpc_decode(&client->decoder, unread, consumed, request);
    if (step == BRUIT_ETOOBIG)
        br_client_cut_off(client, &stats->cut_too_big, "a request larger than 1 MiB");
    else if (step < 0)
        br_client_cut_off(client, &stats->cut_malformed, "failed to decode a request");
    return step == 0;
}

/*
 * One command after the other, until there is none, or one that takes its time, or too much output waits, or others
 * must have their turn.
 */
static void take_commands(struct br_client *client)
{
    size_t done = 0, before = client->input.size, consumed = 1;
    bool has_turn = true, is_more = true;
    client->is_taking = true;
    while (is_more && is_listening(client) && !client->is_ending &&
           (has_turn = br_client_may_go_on(client))) {
        struct br_rpc_request request;
        /* Nothing may be added to the null pointer of an empty blob, not even 0. */
        const uint8_t *start = done == 0 ? client->input.data : client->input.data + done;
        is_more = next_request(client, br_bytes(start, before - done), &consumed, &request);
        done += consumed;
        if (is_more)
            execute(client, &request);
    }
    client->is_taking = false;
    if (client->is_closing)
        return;
    br_blob_consume(&client->input, client->is_ending ? before : done);
    if (client->input.size == 0)
        br_blob_release(&client->input);
    note_input(client);
    if (!has_turn && client->input.size > 0)
        br_client_wait_for_turn(client);
    if (is_listening(client) && br_list_is_empty(&client->turn))
        start_reading(client);
    else
        stop_reading(client);
}

void br_client_resume(struct br_client *client)
{
    if (!client->is_closing && !client->is_taking)
        take_commands(client);
}

/* ------------------------------------------------------------------ output */

/* What the kernel takes at once needs no memory to wait in. */
static bool send_at_once(struct br_client *client, struct br_blob *out)
{
    if (uv_stream_get_write_queue_size((uv_stream_t *)&client->tcp) > 0)
        return false;
    uv_buf_t buffer = uv_buf_init((char *)out->data, (unsigned)out->size);
    int size = uv_try_write((uv_stream_t *)&client->tcp, &buffer, 1);
    if (size > 0)
        br_blob_consume(out, (size_t)size);
    return out->size == 0;
}

/* What the kernel did not take waits with the stream. */
static void send_later(struct br_client *client, struct br_blob *out, struct br_rpc_stream *stream)
{
    struct output *output = calloc(1, sizeof *output);
    br_blob_trim(out);
    uv_buf_t buffer = uv_buf_init((char *)out->data, (unsigned)out->size);
    if (output == NULL || !br_client_can_hold(client, sizeof *output + out->capacity)) {
        free(output);
        br_client_cut_off(client, &client->rpc->stats.cut_output,
                          "what it does not read takes too much memory");
        return;
    }
    *output = (struct output){.client = client, .bytes = *out, .is_record = stream != NULL};
    output->size = sizeof *output + out->capacity;
    output->seq = stream == NULL ? 0 : stream->seq;
    output->is_log = stream == &client->monitor;
    output->query = stream == NULL ? 0 : stream->query;
    if (uv_write(&output->request, (uv_stream_t *)&client->tcp, &buffer, 1, on_written) != 0) {
        free(output);
        br_client_close(client);
        return;
    }
    *out = BR_BLOB_EMPTY; /* it waits with `output` now */
    br_client_hold(client, output->size);
    if (stream != NULL)
        stream->waiting++;
}

void br_client_send(struct br_client *client, struct br_blob *out, struct br_rpc_stream *stream)
{
    if (out->failed || out->size > BR_RPC_OUTPUT_MAX)
        br_client_cut_off(client, &client->rpc->stats.cut_output, "an answer that is too large to hold");
    else if (!client->is_closing && !client->is_ending && !send_at_once(client, out))
        send_later(client, out, stream);
    br_blob_release(out);
}

static void on_written(uv_write_t *request, int status)
{
    struct output *output = BR_LIST_OF(request, struct output, request);
    struct br_client *client = output->client;
    struct br_rpc_stream *stream = find_stream(client, output);
    if (stream != NULL && stream->waiting > 0)
        stream->waiting--;
    br_client_let_go(client, output->size);
    br_blob_release(&output->bytes);
    free(output);
    if (client->is_closing)
        return;
    if (status != 0) {
        br_client_close(client);
        return;
    }
    br_client_has_read(client);
    br_features_drained(client);
    if (!client->is_reading && client->call == NULL)
        br_client_resume(client);
}

/* The stream a record was for may have been stopped since. */
static struct br_rpc_stream *find_stream(struct br_client *client, const struct output *output)
{
    if (!output->is_record)
        return NULL;
    if (output->is_log)
        return &client->monitor;
    BR_LIST_EACH(link, output->query != 0 ? &client->queries : &client->streams)
    {
        struct br_rpc_stream *stream = BR_LIST_OF(link, struct br_rpc_stream, link);
        if (stream->seq == output->seq && stream->query == output->query)
            return stream;
    }
    return NULL;
}

/*
 * How much the RPC's clients may take: of the loop's time, of the agent's memory, and of what happens while they do
 * not read.
 *
 * Time: the commands of all clients together run for BR_RPC_TURN, then gossip and all else on the loop has its turn;
 * whoever waits is served in the order he came. Memory: what all of them hold, in requests that are not whole and in
 * answers and records that are not read, is counted and bounded. Records: 512 wait for each stream, as with Serf;
 * what comes then is dropped for that stream alone, counted, and told in the log when it begins and when it ends. Who
 * has lost some and reads nothing at all for BR_RPC_PATIENCE_MS is cut off.
 */
#include "agent/client.h"

#include "codec/addr.h"

#include <inttypes.h>

/* Between two turns: the loop's clock has milliseconds. */
#define PAUSE_MS 1

/* A client that falls behind again and again is told of once in this time. */
#define QUIET_MS 10000

static void on_turn(uv_timer_t *timer);

/* ------------------------------------------------------------------ time */

/* The loop's clock stands still while it calls us: another time is another turn. */
static void begin_turn(struct br_rpc *rpc)
{
    uint64_t now = uv_now(rpc->turn_timer.loop);
    if (now == rpc->turn)
        return;
    rpc->turn = now;
    rpc->spent = 0;
}

bool br_client_may_go_on(struct br_client *client)
{
    begin_turn(client->rpc);
    return client->rpc->spent < BR_RPC_TURN;
}

void br_client_spend(struct br_client *client, bruit_time elapsed)
{
    client->rpc->spent += elapsed;
}

void br_client_wait_for_turn(struct br_client *client)
{
    struct br_rpc *rpc = client->rpc;
    if (br_list_is_empty(&client->turn))
        br_list_push_back(&rpc->turns, &client->turn);
    if (!uv_is_active((const uv_handle_t *)&rpc->turn_timer) &&
        !uv_is_closing((const uv_handle_t *)&rpc->turn_timer))
        (void)uv_timer_start(&rpc->turn_timer, on_turn, PAUSE_MS, 0);
}

/* Those who do not come to an end go to the back of the list, and the timer runs again for them. */
static void on_turn(uv_timer_t *timer)
{
    struct br_rpc *rpc = timer->data;
    struct br_list *link = NULL;
    begin_turn(rpc);
    while (rpc->spent < BR_RPC_TURN && (link = br_list_pop_front(&rpc->turns)) != NULL)
        br_client_resume(BR_LIST_OF(link, struct br_client, turn));
    if (!br_list_is_empty(&rpc->turns))
        (void)uv_timer_start(timer, on_turn, PAUSE_MS, 0);
}

/* ------------------------------------------------------------------ memory */

void br_client_hold(struct br_client *client, size_t size)
{
    client->rpc->held += size;
}

void br_client_let_go(struct br_client *client, size_t size)
{
    client->rpc->held -= size;
}

bool br_client_can_hold(const struct br_client *client, size_t size)
{
    return size <= BR_RPC_HELD_MAX && client->rpc->held <= BR_RPC_HELD_MAX - size;
}

/* ------------------------------------------------------------------ records */

static size_t waiting_output(const struct br_client *client)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&client->tcp);
}

bool br_client_is_output_full(const struct br_client *client)
{
    return waiting_output(client) > BR_RPC_OUTPUT_PAUSE;
}

bool br_client_has_room(struct br_client *client, const struct br_rpc_stream *stream)
{
    if (client->is_closing || client->is_ending)
        return false;
    /* Whoever reads loses nothing, however much others hold. */
    bool is_held_full = waiting_output(client) > 0 && client->rpc->held > BR_RPC_HELD_MAX / 2;
    if (stream->waiting < BR_RPC_RECORDS_MAX && !br_client_is_output_full(client) && !is_held_full)
        return true;
    client->rpc->stats.records_dropped++;
    client->dropped++;
    return false;
}

static void cut_off_if_stuck(struct br_client *client)
{
    const struct br_rpc *rpc = client->rpc;
    uint64_t patience = rpc->options.patience_ms != 0 ? rpc->options.patience_ms : BR_RPC_PATIENCE_MS;
    if (uv_now(client->tcp.loop) - client->stuck_since > patience)
        br_client_cut_off(client, &client->rpc->stats.cut_slow, "it lost records, and reads nothing");
}

/* A line of the log is a record, too, for those who monitor: what is told is told once. */
void br_client_tell_dropping(struct br_client *client)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    if (client->dropped > 0 && client->is_dropping)
        cut_off_if_stuck(client);
    if (client->dropped == 0 || client->is_dropping)
        return;
    client->is_dropping = true;
    client->stuck_since = uv_now(client->tcp.loop);
    if (client->rpc->options.log == NULL)
        return;
    br_addr_format(&client->peer, text);
    br_log(client->rpc->options.log, BRUIT_TRACE_WARN, "agent.ipc",
           "Dropping records for client %s: it does not read, and too many wait", text);
}

static void tell_dropped(struct br_client *client, const char *what)
{
    char text[BRUIT_ADDR_TEXT_MAX];
    uint64_t dropped = client->dropped;
    client->dropped = 0;
    client->is_dropping = false;
    if (dropped == 0 || client->rpc->options.log == NULL)
        return;
    br_addr_format(&client->peer, text);
    br_log(client->rpc->options.log, BRUIT_TRACE_WARN, "agent.ipc",
           "Client %s %s: %" PRIu64 " records were dropped", text, what, dropped);
}

void br_client_has_read(struct br_client *client)
{
    uint64_t now = uv_now(client->tcp.loop);
    client->stuck_since = now;
    if (client->dropped == 0 || waiting_output(client) > 0 || now < client->quiet_until)
        return;
    client->quiet_until = now + QUIET_MS;
    tell_dropped(client, "reads again");
}

void br_client_is_gone(struct br_client *client)
{
    br_list_remove(&client->turn);
    tell_dropped(client, "is gone");
}

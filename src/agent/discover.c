/*
 * -discover: what multicast DNS finds is joined; see agent.h. Made only when it was asked for.
 */
#include "agent/agent.h"

#include "agent/mdns.h"

#include <net/if.h>
#include <unistd.h>

static bool is_given(const char *text)
{
    return text != NULL && text[0] != 0;
}

static void on_found(void *context, const struct bruit_addr *addrs, size_t count)
{
    br_agent_join_found(context, addrs, count);
}

/* The interface of -mdns-iface, or of -iface as older Serf does; 0 is the system's choice. */
static unsigned interface_of(const struct br_options *options)
{
    const char *name = is_given(options->mdns_iface) ? options->mdns_iface : options->iface;
    return is_given(name) ? if_nametoindex(name) : 0;
}

int br_agent_discover(struct br_agent *agent)
{
    const struct br_options *options = &agent->options;
    struct bruit_engine *engine = bruit_uv_engine(agent->uv);
    struct bruit_member self;
    char why[BR_WHY_MAX] = "", host[BRUIT_NAME_MAX + 1] = "";
    struct br_mdns_options mdns = {
        .loop = &agent->loop,
        .log = &agent->log,
        .interface = interface_of(options),
        .no_ipv4 = options->mdns_disable_ipv4,
        .no_ipv6 = options->mdns_disable_ipv6,
        .found = on_found,
        .context = agent,
    };
    if (!is_given(options->discover))
        return 0;
    int error = bruit_member_get(engine, bruit_member_self(engine), &self);
    (void)gethostname(host, sizeof host - 1); /* without one, the node's name stands for it */
    if (error == 0)
        error = br_mdns_service_init(&mdns.service, options->discover, options->name, host, &self.addr, why);
    if (error == 0)
        error = br_mdns_new(&agent->mdns, &mdns, why);
    if (error != 0)
        br_log_note(&agent->log, "Error starting mDNS listener: %s",
                    why[0] != 0 ? why : bruit_strerror(error));
    return error;
}

void br_agent_stop_discovery(struct br_agent *agent)
{
    br_mdns_close(agent->mdns);
    agent->mdns = NULL;
}

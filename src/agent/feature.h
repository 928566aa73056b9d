/*
 * What this agent has that Serf's has not: features of bruit's own, each in a file rpc_NAME.c.
 *
 * A feature brings a module for the engine, commands for the RPC, or both, in one table; feature.c lists the tables.
 * The decoder finds a command by its name and hands its body over as it came; the feature reads it, with
 * br_mp_read_struct() and a table of fields as request.c does for Serf's. Names of commands must be none of Serf's: a
 * real agent answers "Unsupported command", which br_session_call_own() (cli/session.h) turns into a sentence.
 */
#ifndef BR_AGENT_FEATURE_H
#define BR_AGENT_FEATURE_H

#include "agent/client.h"

struct br_agent;
struct bruit_engine;
struct bruit_event;

struct br_feature_command {
    const char *name;
    bool has_body; /* a MessagePack object follows the header */
    /*
     * Answers `seq`, now or later. `body`, whole and borrowed for the call, is empty without has_body. Returns 0, or
     * BRUIT_EFORMAT for a body that cannot be decoded: the client is cut off and counted, as with Serf's commands. An
     * error that a user made is answered in words (br_client_answer()), and then no body follows the header.
     */
    int (*execute)(struct br_client *client, uint64_t seq, struct bruit_bytes body);
};

/* What is NULL or 0 is not there. */
struct br_feature {
    const char *name;
    const struct bruit_module *module;
    const struct br_feature_command *commands;
    size_t command_count;
    /* The engine has been made and has not begun. Returns 0, or an error with a sentence: the agent does not start. */
    int (*open)(struct br_agent *agent, char why[BR_WHY_MAX]);
    /* The agent stops; the engine is still there. Also when it did not start, and `open` was not called. */
    void (*close)(struct br_agent *agent);
    /* Each event of the engine, before anybody else sees it. */
    void (*event)(struct br_agent *agent, const struct bruit_event *event);
    /* A client goes away, or is told no more: what waits for it must not be sent. May come twice for one client. */
    void (*forget)(struct br_client *client);
    /* Something that waited for a client has gone out: there is room for more. */
    void (*drained)(struct br_client *client);
};

/* One line each, by name. */
extern const struct br_feature br_feature_aggregate; /* rpc_aggregate.c */
extern const struct br_feature br_feature_kv;    /* rpc_kv.c */
extern const struct br_feature br_feature_owner; /* rpc_owner.c */

/* All of them. */
extern const struct br_feature *const br_features[];
extern const size_t br_feature_count;

/* The command called `name`, or NULL. */
const struct br_feature_command *br_feature_find_command(struct bruit_bytes name);

/* The hooks of all features. */
int br_features_open(struct br_agent *agent, char why[BR_WHY_MAX]);
void br_features_close(struct br_agent *agent);
void br_features_event(struct br_agent *agent, const struct bruit_event *event);
void br_features_forget(struct br_client *client);
void br_features_drained(struct br_client *client);

/* The engine behind a client's commands. */
struct bruit_engine *br_client_engine(const struct br_client *client);

#endif

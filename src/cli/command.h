/*
 * The subcommands of the program, and what they share.
 *
 * Each is a file of its own, cmd_NAME.c, with one function for each subcommand. Texts and exit codes are
 * those of Serf's command line (docs/wire/serf-agent.md section 7), errors on stdout included, since
 * scripts read them.
 */
#ifndef BR_CLI_COMMAND_H
#define BR_CLI_COMMAND_H

#include "agent/flags.h"
#include "cli/session.h"

struct br_command {
    const char *name;
    const char *synopsis;              /* one line for the list of commands */
    int (*run)(int argc, char **argv); /* of what follows the name; returns the exit code. NULL: not yet */
    void (*help)(struct br_blob *out); /* the usage */
};

/* One line and newline on stdout. */
void br_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A buffer and a newline on stdout. */
void br_say_buffer(struct br_blob *text);

/* Where the agent is: every command that asks one begins its target with these. */
struct br_agent_flags {
    const char *rpc_addr;
    const char *rpc_auth;
};

#define BR_AGENT_FLAGS                                                                         \
    {"rpc-addr",                                                                               \
     BR_FLAG_TEXT,                                                                             \
     offsetof(struct br_agent_flags, rpc_addr),                                                \
     "127.0.0.1:7373",                                                                         \
     NULL,                                                                                     \
     "The agent's RPC address. Default: $SERF_RPC_ADDR, $BRUIT_RPC_ADDR, or 127.0.0.1:7373."}, \
    {                                                                                          \
        "rpc-auth", BR_FLAG_TEXT, offsetof(struct br_agent_flags, rpc_auth), "token", NULL,    \
            "The agent's RPC token. Default: $SERF_RPC_AUTH."                                  \
    }

/*
 * Parses a command's flags. Returns -1 to go on, else the exit code: help was asked for and given, or a
 * flag was wrong and one sentence said so.
 */
int br_parse_flags(const struct br_command *command, const struct br_flag *flags, size_t count, void *target,
                   int argc, char **argv, int *rest);

/* Connects to the agent; false with the sentence said. */
bool br_connect(struct br_session *session, const struct br_agent_flags *where);

/* Says `prefix` and why the session failed, and closes it. Returns 1, the exit code. */
int br_failed(struct br_session *session, const char *prefix);

/* Says a message, an empty line and the usage. Returns 1. */
int br_misused(const struct br_command *command, const char *message);

extern const struct br_command br_command_agent;
extern const struct br_command br_command_event;
extern const struct br_command br_command_force_leave;
extern const struct br_command br_command_info;
extern const struct br_command br_command_join;
extern const struct br_command br_command_keygen;
extern const struct br_command br_command_keys;
extern const struct br_command br_command_leave;
extern const struct br_command br_command_members;
extern const struct br_command br_command_monitor;
extern const struct br_command br_command_query;
extern const struct br_command br_command_reachability;
extern const struct br_command br_command_rtt;
extern const struct br_command br_command_tags;
extern const struct br_command br_command_version;

#endif

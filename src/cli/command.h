/*
 * The subcommands of the program, and what they share.
 *
 * Each is a file of its own, cmd_NAME.c, with one function for each subcommand. Several may form a group: a command
 * called "kv", and others called "kv get" and so on, which are found by two words. Texts and exit codes are
 * those of Serf's command line (docs/wire/serf-agent.md section 7), errors on stdout included, since
 * scripts read them.
 */
#ifndef BR_CLI_COMMAND_H
#define BR_CLI_COMMAND_H

#include "agent/flags.h"
#include "cli/json.h"
#include "cli/session.h"

struct br_command {
    const char *name;
    const char *synopsis;              /* one line for the list of commands; NULL: it is not listed */
    int (*run)(int argc, char **argv); /* of what follows the name; returns the exit code */
    void (*help)(struct br_blob *out); /* the usage */
    const struct br_flag *flags;       /* what the usage, completion and the man page list */
    size_t flag_count;
    const char *words; /* what stands behind the flags, as br_flag.argument says it; NULL: nothing known */
};

/* Whether `command` is one of the group called `group`. */
bool br_is_in_group(const struct br_command *command, const char *group);

/* The commands of a group with their synopses; and what running the group by itself does: say that none was named. */
void br_group_help(const struct br_command *group, struct br_blob *out);
int br_group_run(const struct br_command *group, int argc, char **argv);

/* All of them, sorted by name: the list in the help, completion and the man page are made of it. */
extern const struct br_command *const br_commands[];
extern const size_t br_command_count;

/* A command's flags into `out`, those of this version. */
#define BR_COMMAND_FLAGS_MAX 64
size_t br_command_flags(const struct br_command *command, struct br_flag out[BR_COMMAND_FLAGS_MAX]);

/* One line and newline on stdout. */
void br_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A buffer and a newline on stdout. */
void br_say_buffer(struct br_blob *text);

/* The same, of what was written as JSON; releases it. */
void br_say_json(struct br_json *json);

/*
 * Says what went wrong: a line, or {"error": ...} on one line when the command was asked for JSON. Returns 1, the exit
 * code.
 */
int br_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether the command that runs was given -format=json. */
bool br_wants_json(void);

/* The flag of a command whose options have a member `format`. */
#define BR_FORMAT_FLAG(options)                                                 \
    {                                                                           \
        "format", BR_FLAG_TEXT, offsetof(options, format), "text|json", "text", \
            "How to print. Default: text."                                      \
    }

/* False, with the sentence said, for a format that is none. */
bool br_check_format(const char *format);

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

/* What was typed, else what the environment says, else the defaults. */
struct br_agent_flags br_agent_flags_filled(const struct br_agent_flags *typed);

/* Connects to the agent; false with the sentence said. */
bool br_connect(struct br_session *session, const struct br_agent_flags *where);

/* Says `prefix` and why the session failed, and closes it. Returns 1, the exit code. */
int br_failed(struct br_session *session, const char *prefix);

/* Says a message, an empty line and the usage (in JSON the message alone). Returns 1. */
int br_misused(const struct br_command *command, const char *message);

extern const struct br_command br_command_agent;
extern const struct br_command br_command_agg;
extern const struct br_command br_command_completion;
extern const struct br_command br_command_event;
extern const struct br_command br_command_force_leave;
extern const struct br_command br_command_info;
extern const struct br_command br_command_join;
extern const struct br_command br_command_keygen;
extern const struct br_command br_command_keys;
extern const struct br_command br_command_kv;
extern const struct br_command br_command_kv_cas;
extern const struct br_command br_command_kv_delete;
extern const struct br_command br_command_kv_get;
extern const struct br_command br_command_kv_list;
extern const struct br_command br_command_kv_put;
extern const struct br_command br_command_kv_stat;
extern const struct br_command br_command_kv_watch;
extern const struct br_command br_command_leave;
extern const struct br_command br_command_man;
extern const struct br_command br_command_members;
extern const struct br_command br_command_monitor;
extern const struct br_command br_command_owner;
extern const struct br_command br_command_query;
extern const struct br_command br_command_reachability;
extern const struct br_command br_command_rtt;
extern const struct br_command br_command_sim;
extern const struct br_command br_command_tags;
extern const struct br_command br_command_version;
extern const struct br_command br_command_wait;

#endif

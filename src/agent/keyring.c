/*
 * The keys of the cluster: commands of the RPC about them, answers gathered as they come (docs/wire/serf.md section
 * 8.2), and our own ring kept in its file after each change. One command at a time; another is told to come again.
 */
#include "agent/agent.h"

#include "agent/files.h"

#include <bruit/keys.h>

#include <stdio.h>
#include <stdlib.h>

/* Different keys that one listing tells of. A ring has 64; more come only from members that disagree. */
#define LISTED_MAX 256
#define TEXT_MAX 64

/* The longest key that the command takes, in base64: longer ones are refused by every member anyway. */
#define KEY_TEXT_MAX 680

struct listed {
    size_t size;
    uint8_t text[TEXT_MAX];
    uint64_t members;
};

struct br_agent_keys {
    struct br_rpc_call *call;
    uint32_t request;
    bool is_list;
    uint64_t responses, errors;
    struct br_blob messages; /* encoded pairs */
    size_t message_count;
    struct listed *listed;
    size_t listed_count;
};

static int save(void *context, char *why, size_t size)
{
    const struct br_agent *agent = context;
    char text[BR_WHY_MAX] = "";
    int error = br_keyring_file_write(agent->options.keyring_file, bruit_uv_engine(agent->uv), text);
    if (error != 0)
        (void)snprintf(why, size, "%s", text);
    return error;
}

void br_agent_keyring_init(struct br_agent *agent)
{
    if (agent->options.keyring_file != NULL)
        (void)bruit_keys_configure(bruit_uv_engine(agent->uv), save, agent);
}

/* ------------------------------------------------------------------ answers */

static void add_message(struct br_agent_keys *keys, const struct bruit_keys_answer *answer)
{
    br_rpc_write_text(&keys->messages, answer->from);
    br_rpc_write_text(&keys->messages, answer->message);
    keys->message_count++;
}

static void count_key(struct br_agent_keys *keys, struct bruit_bytes key)
{
    if (key.size > TEXT_MAX)
        return;
    for (size_t i = 0; i < keys->listed_count; i++) {
        if (br_bytes_equal(key, br_bytes(keys->listed[i].text, keys->listed[i].size))) {
            keys->listed[i].members++;
            return;
        }
    }
    if (keys->listed == NULL)
        keys->listed = calloc(LISTED_MAX, sizeof *keys->listed);
    if (keys->listed == NULL || keys->listed_count == LISTED_MAX)
        return;
    struct listed *listed = &keys->listed[keys->listed_count++];
    listed->size = key.size;
    listed->members = 1;
    if (key.size > 0)
        memcpy(listed->text, key.data, key.size);
}

static void take_answer(struct br_agent_keys *keys, const struct bruit_event *event)
{
    struct bruit_keys_answer answer;
    struct bruit_bytes key;
    if (bruit_keys_answer_read(event, &answer) != 0)
        return;
    keys->responses++;
    keys->errors += !answer.is_good;
    if (!answer.is_good || answer.message.size > 0)
        add_message(keys, &answer);
    while (keys->is_list && bruit_keys_next(&answer, &key))
        count_key(keys, key);
}

static void write_listed(const struct br_agent_keys *keys, struct br_blob *out)
{
    br_rpc_write_map(out, keys->listed_count);
    for (size_t i = 0; i < keys->listed_count; i++) {
        br_rpc_write_text(out, br_bytes(keys->listed[i].text, keys->listed[i].size));
        br_rpc_write_number(out, keys->listed[i].members);
    }
}

static void forget(struct br_agent *agent)
{
    struct br_agent_keys *keys = agent->keys;
    agent->keys = NULL;
    if (keys == NULL)
        return;
    if (keys->messages.data != NULL)
        br_blob_release(&keys->messages);
    if (keys->listed != NULL)
        explicit_bzero(keys->listed, LISTED_MAX * sizeof *keys->listed);
    free(keys->listed);
    free(keys);
}

static void done(struct br_agent *agent, uint64_t nodes)
{
    struct br_agent_keys *keys = agent->keys;
    struct br_blob listed = BR_BLOB_EMPTY, messages = BR_BLOB_EMPTY;
    char error[96] = "";
    if (keys->errors > 0)
        (void)snprintf(error, sizeof error, "%llu/%llu nodes reported failure", (unsigned long long)keys->errors,
                       (unsigned long long)nodes);
    else if (keys->responses != nodes)
        (void)snprintf(error, sizeof error, "%llu/%llu nodes reported success",
                       (unsigned long long)keys->responses, (unsigned long long)nodes);
    if (keys->is_list)
        write_listed(keys, &listed);
    br_rpc_write_map(&messages, keys->message_count);
    br_blob_add(&messages, br_blob_bytes(&keys->messages));
    struct br_rpc_keys answer = {
        .keys = br_blob_bytes(&listed),
        .messages = br_blob_bytes(&messages),
        .errors = keys->errors,
        .nodes = nodes,
        .responses = keys->responses,
    };
    struct br_rpc_call *call = keys->call;
    forget(agent);
    br_rpc_answer_keys(call, error, &answer);
    br_blob_release(&listed);
    br_blob_release(&messages);
}

void br_agent_keyring_event(struct br_agent *agent, const struct bruit_event *event)
{
    if (agent->keys == NULL || agent->keys->request != event->request)
        return;
    if (event->type == BRUIT_EVENT_KEYS_ANSWER)
        take_answer(agent->keys, event);
    else
        done(agent, event->changes);
}

void br_agent_keyring_give_up(struct br_agent *agent)
{
    struct br_rpc_call *call = agent->keys == NULL ? NULL : agent->keys->call;
    forget(agent);
    if (call != NULL)
        br_rpc_answer(call, "agent is shutting down", 0);
}

/* ------------------------------------------------------------------ commands */

static enum bruit_keys_command command_of(enum br_rpc_command command)
{
    return command == BR_RPC_INSTALL_KEY  ? BRUIT_KEYS_INSTALL
           : command == BR_RPC_USE_KEY    ? BRUIT_KEYS_USE
           : command == BR_RPC_REMOVE_KEY ? BRUIT_KEYS_REMOVE
                                          : BRUIT_KEYS_LIST;
}

static const char *const labels[] = {
    [BRUIT_KEYS_INSTALL] = "key installation",
    [BRUIT_KEYS_USE] = "primary key change",
    [BRUIT_KEYS_REMOVE] = "key removal",
    [BRUIT_KEYS_LIST] = "key listing",
};

static int decode_key(struct bruit_bytes text, uint8_t *out, size_t *size, char why[BR_WHY_MAX])
{
    char copy[KEY_TEXT_MAX + 1] = "";
    if (text.size > KEY_TEXT_MAX) {
        (void)snprintf(why, BR_WHY_MAX, "query exceeds limit of 1024 bytes");
        return BRUIT_ETOOBIG;
    }
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    int error = br_base64_decode(copy, out, size, why);
    explicit_bzero(copy, sizeof copy);
    return error;
}

static int ask(struct br_agent *agent, struct br_rpc_call *call, enum bruit_keys_command command,
               struct bruit_bytes key, char why[BR_WHY_MAX])
{
    struct br_agent_keys *keys = calloc(1, sizeof *keys);
    int error = keys == NULL ? BRUIT_ENOMEM : agent->keys != NULL ? BRUIT_EBUSY : 0;
    if (error == 0)
        error = bruit_keys_ask(bruit_uv_engine(agent->uv), command, key, &keys->request, bruit_uv_now(agent->uv));
    if (error != 0) {
        (void)snprintf(why, BR_WHY_MAX, "%s",
                       error == BRUIT_EBUSY ? "another change of keys is under way" : bruit_strerror(error));
        free(keys);
        return error;
    }
    keys->call = call;
    keys->is_list = command == BRUIT_KEYS_LIST;
    agent->keys = keys;
    bruit_uv_kick(agent->uv);
    return 0;
}

void br_agent_rpc_keys(void *context, struct br_rpc_call *call, enum br_rpc_command number,
                       struct bruit_bytes text)
{
    struct br_agent *agent = context;
    enum bruit_keys_command command = command_of(number);
    uint8_t key[KEY_TEXT_MAX];
    size_t size = sizeof key;
    char why[BR_WHY_MAX] = "";
    br_log(&agent->log, BRUIT_TRACE_INFO, "agent", "Initiating %s", labels[command]);
    int error = command == BRUIT_KEYS_LIST ? 0 : decode_key(text, key, &size, why);
    if (error == 0)
        error = ask(agent, call, command, br_bytes(key, command == BRUIT_KEYS_LIST ? 0 : size), why);
    explicit_bzero(key, sizeof key);
    if (error != 0)
        br_rpc_answer(call, why, 0);
}

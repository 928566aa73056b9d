/* Features of bruit's own; see feature.h. */
#include "agent/feature.h"

/* One line each, by name. */
const struct br_feature *const br_features[] = {
    &br_feature_aggregate,
    &br_feature_kv,
    &br_feature_owner,
};
const size_t br_feature_count = sizeof br_features / sizeof br_features[0];

const struct br_feature_command *br_feature_find_command(struct bruit_bytes name)
{
    for (size_t i = 0; i < br_feature_count; i++)
        for (size_t j = 0; j < br_features[i]->command_count; j++)
            if (br_bytes_equal(name, br_bytes_string(br_features[i]->commands[j].name)))
                return &br_features[i]->commands[j];
    return NULL;
}

int br_features_open(struct br_agent *agent, char why[BR_WHY_MAX])
{
    int error = 0;
    for (size_t i = 0; i < br_feature_count && error == 0; i++)
        if (br_features[i]->open != NULL)
            error = br_features[i]->open(agent, why);
    return error;
}

void br_features_close(struct br_agent *agent)
{
    for (size_t i = br_feature_count; i-- > 0;)
        if (br_features[i]->close != NULL)
            br_features[i]->close(agent);
}

void br_features_event(struct br_agent *agent, const struct bruit_event *event)
{
    for (size_t i = 0; i < br_feature_count; i++)
        if (br_features[i]->event != NULL)
            br_features[i]->event(agent, event);
}

void br_features_forget(struct br_client *client)
{
    for (size_t i = 0; i < br_feature_count; i++)
        if (br_features[i]->forget != NULL)
            br_features[i]->forget(client);
}

void br_features_drained(struct br_client *client)
{
    for (size_t i = 0; i < br_feature_count && !client->is_closing; i++)
        if (br_features[i]->drained != NULL)
            br_features[i]->drained(client);
}

struct bruit_engine *br_client_engine(const struct br_client *client)
{
    const struct br_rpc_backend *backend = &client->rpc->options.backend;
    return backend->engine(backend->context);
}

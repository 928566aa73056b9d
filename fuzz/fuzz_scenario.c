/*
 * The reader of scenarios: any text is either a scenario or a mistake that is told with its line.
 *
 * What was read is asked about afterwards as the runner does: who is in which set, what each key is. Nothing is run.
 */
#include "fuzz.h"

#include "sim/scenario.h"

#include <stdlib.h>
#include <string.h>

/* Drawn shares walk over all nodes each time they are asked for. */
#define NODES_MAX 2000

static void ask(const struct br_scenario *scenario)
{
    const char *name;
    char value[300];
    uint32_t members = 0;
    for (size_t i = 0; br_scenario_key(&scenario->config.engine, i, &name, value, sizeof value); i++)
        if (strlen(value) >= sizeof value)
            abort();
    for (uint32_t i = 0; i < scenario->statement_count && scenario->config.nodes <= NODES_MAX && i < 16; i++)
        for (uint32_t node = 0; node < scenario->config.nodes; node += 1 + scenario->config.nodes / 8)
            members += br_scenario_has(scenario, &scenario->statements[i].who, 1, node) +
                       br_scenario_has(scenario, &scenario->statements[i].whom, 1, node);
    if (members > scenario->statement_count * 2 * 8)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct br_scenario *scenario;
    struct br_scenario_error error;
    int status = br_scenario_parse(&scenario, (struct bruit_bytes){data, size}, &error);
    if (status == 0) {
        ask(scenario);
        br_scenario_free(scenario);
    } else if (error.text[0] == 0 || memchr(error.text, 0, sizeof error.text) == NULL) {
        abort(); /* a refusal says why */
    }
    return 0;
}

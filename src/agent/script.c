/* Event handlers as they are written down; see script.h. */
#include "agent/script.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[] = {
    "*", "member-join", "member-leave", "member-failed", "member-update", "member-reap", "user", "query",
};

static bool is_kind(struct bruit_bytes event)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (br_bytes_equal(event, br_bytes_string(kinds[i])))
            return true;
    return false;
}

/* "user:deploy" to "user" and "deploy"; only these two kinds have names. */
static void split_name(struct br_script *script)
{
    static const char *const named[] = {"user:", "query:"};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        size_t size = strlen(named[i]);
        if (script->event.size < size || memcmp(script->event.data, named[i], size) != 0)
            continue;
        script->name = br_bytes(script->event.data + size, script->event.size - size);
        script->event.size = size - 1;
        return;
    }
}

static int refuse(const struct br_script *script, char why[BR_WHY_MAX])
{
    (void)snprintf(why, BR_WHY_MAX,
                   "Invalid event script: Event '%.*s%s%.*s' invoking '%.200s': the event is one of member-join, "
                   "member-leave, member-failed, member-update, member-reap, user, user:NAME, query, query:NAME "
                   "and *",
                   (int)(script->event.size > 100 ? 100 : script->event.size),
                   (const char *)script->event.data, script->name.size > 0 ? ":" : "",
                   (int)(script->name.size > 100 ? 100 : script->name.size), (const char *)script->name.data,
                   script->command);
    return BRUIT_EINVAL;
}

static int add(struct br_scripts *scripts, const struct br_script *script, char why[BR_WHY_MAX])
{
    if (!is_kind(script->event))
        return refuse(script, why);
    struct br_script *items = NULL;
    if (scripts->count < BR_SCRIPTS_MAX)
        items = realloc(scripts->items, (scripts->count + 1) * sizeof *items);
    if (items == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "Invalid event script: more than %d filters", BR_SCRIPTS_MAX);
        return BRUIT_EFULL;
    }
    scripts->items = items;
    scripts->items[scripts->count++] = *script;
    return 0;
}

int br_scripts_add(struct br_scripts *scripts, const char *text, char why[BR_WHY_MAX])
{
    const char *sign = strchr(text, '=');
    const char *filters = sign == NULL || sign == text ? "*" : text;
    const char *end = filters == text ? sign : filters + 1;
    int error = 0;
    for (const char *at = filters; error == 0; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma == NULL ? end : comma;
        struct br_script script = {.event = br_bytes(at, (size_t)(stop - at)),
                                   .name = br_bytes("", 0),
                                   .command = sign == NULL ? text : sign + 1};
        split_name(&script);
        error = add(scripts, &script, why);
        if (comma == NULL)
            break;
        at = comma;
    }
    return error;
}

void br_scripts_release(struct br_scripts *scripts)
{
    free(scripts->items);
    *scripts = (struct br_scripts){.items = NULL};
}

bool br_script_wants(const struct br_script *script, struct bruit_bytes event, struct bruit_bytes name)
{
    if (br_bytes_equal(script->event, br_bytes_text("*")))
        return true;
    if (!br_bytes_equal(script->event, event))
        return false;
    return script->name.size == 0 || br_bytes_equal(script->name, name);
}

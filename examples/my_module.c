/*
 * A whole module on one page, written with public headers alone.
 *
 * "mood": each member has a mood, a short text. Whoever changes it broadcasts the new one; everybody remembers the
 * last mood of each member. It shows the parts of the door that most modules need: a claimed message type, a
 * broadcast, received messages passed on once, member changes, a deadline of one's own, and events to the program.
 *
 *     cc my_module.c $(pkg-config --cflags --libs bruit) && ./a.out
 *
 * A message is: type byte, sequence number, length of the name, name, mood.
 */
#include <bruit/bruit.h>

#include <stdio.h>
#include <string.h>

#define MOOD_TYPE \
    200 /* Serf's own types end at 9, and Serf agents warn of others: for clusters of our own only */
#define MOODS_MAX 64
#define TEXT_MAX 24
#define MESSAGE_MAX (3 + 2 * TEXT_MAX)
#define EVENT_MOOD (BRUIT_EVENT_MODULE + 1000)

struct mood {
    char name[TEXT_MAX];
    char text[TEXT_MAX];
    uint8_t sequence; /* of the last one heard; 0: none */
};

struct moods {
    struct bruit_host *host;
    struct mood known[MOODS_MAX];
    uint8_t sequence;     /* of our own last one */
    bruit_time remind_at; /* we say it again after a while, for those who missed it */
    char ours[TEXT_MAX];
};

/* ---- what the module knows ---- */

static struct mood *find_mood(struct moods *m, const char *name)
{
    for (int i = 0; i < MOODS_MAX; i++) {
        if (m->known[i].name[0] == '\0')
            memcpy(m->known[i].name, name, strlen(name) + 1);
        if (strcmp(m->known[i].name, name) == 0)
            return &m->known[i];
    }
    return NULL; /* more members than we care to remember */
}

/* Bytes from the network, bounded, as a string of ours. */
static void copy_text(char *out, const uint8_t *data, size_t size)
{
    size_t length = size < TEXT_MAX - 1 ? size : TEXT_MAX - 1;
    memcpy(out, data, length);
    out[length] = '\0';
}

/* ---- hooks ---- */

static int mood_init(void *self, struct bruit_host *host)
{
    struct moods *m = self;
    m->host = host;
    m->remind_at = BRUIT_NEVER;
    return 0;
}

static void broadcast_ours(struct moods *m)
{
    struct bruit_bytes name =
        bruit_member_name(bruit_host_engine(m->host), bruit_member_self(bruit_host_engine(m->host)));
    uint8_t message[MESSAGE_MAX] = {MOOD_TYPE, m->sequence, (uint8_t)name.size};
    if (name.size >= TEXT_MAX)
        return;
    memcpy(message + 3, name.data, name.size);
    memcpy(message + 3 + name.size, m->ours, strlen(m->ours));
    (void)bruit_host_broadcast(m->host, (struct bruit_bytes){message, 3 + name.size + strlen(m->ours)}, 2);
    m->remind_at = bruit_host_now(m->host) + 30 * BRUIT_SECOND;
}

/* Validate, then change, then pass on: gossip ends because what is no news is not passed on. */
static void mood_on_message(void *self, struct bruit_bytes message, struct bruit_bytes body,
                            const struct bruit_addr *from)
{
    struct moods *m = self;
    char name[TEXT_MAX];
    (void)from;
    if (body.size < 2 || body.data[1] == 0 || body.data[1] >= TEXT_MAX || body.size < 2u + body.data[1])
        return;
    copy_text(name, body.data + 2, body.data[1]);
    struct mood *mood = find_mood(m, name);
    if (mood == NULL || body.data[0] <= mood->sequence)
        return;
    mood->sequence = body.data[0];
    copy_text(mood->text, body.data + 2 + body.data[1], body.size - 2 - body.data[1]);
    (void)bruit_host_broadcast(m->host, message, 2);
    struct bruit_event event = {.type = EVENT_MOOD, .data = {(const uint8_t *)mood, sizeof *mood}};
    (void)bruit_host_emit(m->host, &event);
}

/* Somebody new has not heard us yet. */
static void mood_on_member(void *self, bruit_node node, uint32_t changes)
{
    struct moods *m = self;
    (void)node;
    if (changes & BRUIT_CHANGE_JOINED && m->sequence > 0)
        broadcast_ours(m);
}

static bruit_time mood_deadline(const void *self)
{
    return ((const struct moods *)self)->remind_at;
}

static void mood_on_time(void *self)
{
    broadcast_ours(self);
}

static const uint8_t mood_types[] = {MOOD_TYPE};

static const struct bruit_module mood_module = {
    .struct_size = sizeof mood_module,
    .name = "mood",
    .state_size = sizeof(struct moods),
    .message_types = mood_types,
    .message_type_count = 1,
    .init = mood_init,
    .on_message = mood_on_message,
    .on_member = mood_on_member,
    .deadline = mood_deadline,
    .on_time = mood_on_time,
};

/* What the program calls: a function of the module's header. Pull the engine's outputs after it. */
static void mood_set(struct bruit_engine *engine, const char *text)
{
    struct moods *m = bruit_engine_module(engine, &mood_module);
    copy_text(m->ours, (const uint8_t *)text, strlen(text));
    m->sequence++;
    broadcast_ours(m);
}

/* ---- two members, whose packets are handed over by hand ---- */

static struct bruit_engine *start(const char *name, uint8_t last)
{
    static const struct bruit_module *const modules[] = {&mood_module};
    struct bruit_engine *engine = NULL;
    struct bruit_config config;
    struct bruit_env env = {.struct_size = sizeof env};
    bruit_config_lan(&config);
    config.name = (struct bruit_bytes){(const uint8_t *)name, strlen(name)};
    config.advertise = (struct bruit_addr){.ip = {10, 0, 0, last}, .size = 4, .port = 7946};
    config.seed = last;
    config.modules = modules;
    config.module_count = 1;
    (void)bruit_engine_new(&engine, &config, &env, 0); /* NULL on failure, which main() looks for */
    return engine;
}

static void hand_over(struct bruit_engine *from, uint8_t from_last, struct bruit_engine *to, bruit_time now)
{
    struct bruit_addr source = {.ip = {10, 0, 0, from_last}, .size = 4, .port = 7946};
    struct bruit_datagram out;
    uint8_t buffer[2048];
    while (bruit_next_datagram(from, buffer, sizeof buffer, &out, now))
        (void)bruit_recv_datagram(to, &source, (struct bruit_bytes){buffer, out.size}, now);
}

/* A first word, so that the two know each other: an alive message as any member would gossip it. */
static void introduce(struct bruit_engine *to, uint8_t last)
{
    const uint8_t alive[] = {4,    0x86,
                             0xa4, 'A',
                             'd',  'd',
                             'r',  0xa4,
                             10,   0,
                             0,    last,
                             0xab, 'I',
                             'n',  'c',
                             'a',  'r',
                             'n',  'a',
                             't',  'i',
                             'o',  'n',
                             1,    0xa4,
                             'M',  'e',
                             't',  'a',
                             0xc0, 0xa4,
                             'N',  'o',
                             'd',  'e',
                             0xa1, (uint8_t)('a' + last - 1),
                             0xa4, 'P',
                             'o',  'r',
                             't',  0xcd,
                             0x1f, 0x0a,
                             0xa3, 'V',
                             's',  'n',
                             0xa6, 1,
                             5,    2,
                             2,    5,
                             5};
    struct bruit_addr source = {.ip = {10, 0, 0, last}, .size = 4, .port = 7946};
    (void)bruit_recv_datagram(to, &source, (struct bruit_bytes){alive, sizeof alive}, 1);
}

int main(void)
{
    struct bruit_engine *a = start("a", 1);
    struct bruit_engine *b = start("b", 2);
    if (a == NULL || b == NULL)
        return 1;
    introduce(a, 2);
    introduce(b, 1);
    mood_set(a, "gossipy");
    bool heard = false;
    for (bruit_time now = 0; now < 2 * BRUIT_SECOND; now += 10 * BRUIT_MILLISECOND) {
        struct bruit_event event;
        if (bruit_deadline(a) <= now)
            (void)bruit_tick(a, now);
        hand_over(a, 1, b, now);
        while (bruit_next_event(b, &event))
            if (event.type == EVENT_MOOD) {
                const struct mood *mood = (const void *)event.data.data;
                printf("%.2f s: %s is %s\n", (double)now / 1e9, mood->name, mood->text);
                heard = true;
            }
    }
    bruit_engine_free(a);
    bruit_engine_free(b);
    return heard ? 0 : 1;
}

/*
 * bruit-sim watch: a cluster in a terminal, one cell a node (watch.h).
 */
#include "sim/machine.h"
#include "sim/scenario_run.h"
#include "sim/tool.h"
#include "sim/watch.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "bruit-sim watch"
#define FRAME_MS 100
#define AFTERWARDS (10 * BRUIT_SECOND)
#define STEPS 13 /* of speed */

struct options {
    uint64_t nodes, seed;
    double loss;
    bruit_time length, latency;
    const char *speed;
    bool rumour;
};

#define AT(member) offsetof(struct options, member)
#define NO_SEED UINT64_MAX

static const struct br_tool_flag flags[] = {
    {"nodes", BR_TOOL_COUNT, AT(nodes), "N", "How many nodes, 3 to 10k. Default: 1000."},
    {"loss", BR_TOOL_PART, AT(loss), "P", "The part of the datagrams that is lost. Default: 0."},
    {"latency", BR_TOOL_TIME, AT(latency), "T",
     "The least time a packet takes; some take twice as long. Default: 500us."},
    {"seed", BR_TOOL_COUNT, AT(seed), "S",
     "The same seed gives the same cluster. Default: 1, or the scenario's."},
    {"speed", BR_TOOL_TEXT, AT(speed), "X", "Seconds of the cluster in a second, 0.01 to 100. Default: 1."},
    {"for", BR_TOOL_TIME, AT(length), "T", "End after this time of the cluster. Default: when q is pressed."},
    {"rumour", BR_TOOL_SWITCH, AT(rumour), NULL, "Begin with a rumour, and show who has heard it."},
};

static const struct br_tool_usage usage = {
    .command = COMMAND,
    .synopsis = "[FLAGS] [FILE.scn]",
    .about =
        "  A cluster of real engines, live in the terminal: one cell a node, its letter says what is true, its\n"
        "  colour what the others believe. Keys: space pauses, s steps, + and - change the speed, k kills a\n"
        "  node, b brings one back, p cuts a third off and heals it again, r starts a rumour, v shows beliefs or\n"
        "  the rumour, q quits. When stdout is no terminal: a line for each second of the cluster.\n",
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .examples = "  bruit sim watch --nodes 1000 --loss 5%         press k, and wait for the verdict\n"
                "  bruit sim watch --rumour --speed 0.02          how news spreads, in slow motion\n"
                "  bruit sim watch tests/scenarios/split-for-two-minutes.scn a scenario, as it happens\n"
                "  bruit sim watch --nodes 100 --for 10s --speed 100 > log   a line a second\n",
};

static const double speeds[STEPS] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100};

/* Ctrl-C is for the world that runs. */
static struct bruit_sim *running;

static void on_stop(void)
{
    if (running != NULL)
        bruit_sim_interrupt(running);
    br_watch_screen_hurry();
}

/* ------------------------------------------------------------------ time */

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Lets time pass in the cluster, not beyond the end; false: it is over. */
static bool let_pass(struct br_watch *watch, bruit_time duration, bruit_time end)
{
    bruit_time start = bruit_sim_now(watch->sim);
    if (start >= end)
        return false;
    bruit_sim_run(watch->sim, duration < end - start ? duration : end - start);
    if (watch->run != NULL)
        br_run_judge(watch->run, false);
    return !br_tool_stopped();
}

static double faster(double speed)
{
    for (int i = 0; i < STEPS; i++)
        if (speeds[i] > speed * 1.001)
            return speeds[i];
    return speeds[STEPS - 1];
}

static double slower(double speed)
{
    for (int i = STEPS - 1; i >= 0; i--)
        if (speeds[i] < speed * 0.999)
            return speeds[i];
    return speeds[0];
}

/* ------------------------------------------------------------------ in a terminal */

static bruit_time frame_of(const struct br_watch_view *view)
{
    return (bruit_time)(view->speed * FRAME_MS * (double)BRUIT_MILLISECOND);
}

/* False: quit. */
static bool obey(struct br_watch *watch, struct br_watch_view *view, int key, bruit_time end)
{
    switch (key) {
    case 'q': return false;
    case ' ': view->is_paused = !view->is_paused; break;
    case 's':
        view->is_paused = true;
        (void)let_pass(watch, frame_of(view), end);
        break;
    case '+':
    case '=': view->speed = faster(view->speed); break;
    case '-': view->speed = slower(view->speed); break;
    case 'k': br_watch_kill(watch); break;
    case 'b': br_watch_restart(watch); break;
    case 'p': br_watch_partition(watch); break;
    case 'r': br_watch_tell(watch); break;
    case 'v': watch->shows_rumour = !watch->shows_rumour; break;
    default: break;
    }
    return true;
}

static void show(struct br_watch *watch, struct br_watch_view *view, bruit_time end)
{
    bool goes_on = true;
    br_watch_screen_open();
    while (goes_on && !br_tool_stopped()) {
        double start = now();
        if (!view->is_paused && !let_pass(watch, frame_of(view), end))
            break;
        br_watch_look(watch);
        br_watch_screen_draw(watch, view);
        /* At least one look at the keyboard, however long the frame took. */
        do {
            double left = FRAME_MS - 1e3 * (now() - start);
            int key = br_watch_screen_key(left > 0 ? (int)left + 1 : 0);
            if (key != 0)
                goes_on = obey(watch, view, key, end);
            if (key != 0 && goes_on) {
                br_watch_look(watch);
                br_watch_screen_draw(watch, view);
            }
        } while (goes_on && !br_tool_stopped() && now() - start < FRAME_MS / 1e3);
    }
    br_watch_screen_close();
}

/* ------------------------------------------------------------------ without one */

static void wait_until(double time)
{
    double left = time - now();
    while (left > 0 && !br_tool_stopped()) {
        struct timespec nap = {.tv_nsec = (long)(1e9 * (left < 0.1 ? left : 0.1))};
        (void)nanosleep(&nap, NULL);
        left = time - now();
    }
}

static void print_lines(struct br_watch *watch, const struct br_watch_view *view, bruit_time end)
{
    double start = now();
    for (uint32_t second = 1;; second++) {
        if (!let_pass(watch, BRUIT_SECOND, end))
            break;
        br_watch_look(watch);
        br_watch_print_line(watch);
        wait_until(start + second / view->speed);
    }
}

/* ------------------------------------------------------------------ the question */

static bool read_speed(const char *text, double *speed)
{
    char *end;
    *speed = 1;
    if (text == NULL)
        return true;
    *speed = strtod(text, &end);
    return end != text && (*end == 0 || (*end == 'x' && end[1] == 0)) && *speed >= 0.01 && *speed <= 100;
}

static int refuse(const char *path, const struct br_scenario_error *error)
{
    if (error->line > 0)
        (void)fprintf(stderr, "%s:%u: %s.\n", path, (unsigned)error->line, error->text);
    else
        (void)fprintf(stderr, "%s: %s.\n", path, error->text);
    return 1;
}

static int read_scenario(const char *path, uint64_t seed, struct br_scenario **scenario)
{
    struct br_scenario_error error;
    size_t size;
    char *text = br_scenario_read(path, &size, &error);
    if (text == NULL)
        return refuse(path, &error);
    int status = br_scenario_parse(scenario, (struct bruit_bytes){(const uint8_t *)text, size}, &error);
    free(text);
    if (status != 0)
        return refuse(path, &error);
    if (seed != NO_SEED)
        (*scenario)->config.seed = seed;
    return 0;
}

static int make_config(const struct options *options, struct bruit_sim_config *config)
{
    if (options->nodes < 3 || options->nodes > BR_WATCH_NODES_MAX)
        return br_tool_fail(COMMAND, "give --nodes 3 to %u.", BR_WATCH_NODES_MAX);
    if (!(options->loss < 1))
        return br_tool_fail(COMMAND,
                            "--loss is the part of the datagrams that is lost: less than 1 (100%%).");
    bruit_sim_config_default(config);
    config->nodes = (uint32_t)options->nodes;
    config->seed = options->seed != NO_SEED ? options->seed : 1;
    config->link.loss = (uint32_t)(options->loss * BRUIT_SIM_MILLION + 0.5);
    config->link.latency = config->link.jitter = options->latency;
    config->memory_max = br_machine_memory();
    const char *wrong = bruit_sim_config_check(config);
    return wrong == NULL ? 0 : br_tool_fail(COMMAND, "%s.", wrong);
}

/* A while after the last statement of a scenario has had its say. */
static bruit_time end_of(const struct br_scenario *scenario)
{
    bruit_time end = scenario->length;
    for (uint32_t i = 0; i < scenario->statement_count && scenario->length == 0; i++) {
        const struct br_statement *s = &scenario->statements[i];
        bruit_time over = s->at + s->over + s->after + s->length + s->within + s->stays + AFTERWARDS;
        end = over > end ? over : end;
    }
    return end;
}

static int watch_it(const struct options *options, const struct bruit_sim_config *config,
                    const struct br_scenario *scenario, struct br_watch_view *view)
{
    static struct br_watch watch;
    char why[400] = "";
    bruit_time end = options->length != 0 ? options->length : BRUIT_NEVER;
    if (end == BRUIT_NEVER && scenario != NULL && !isatty(STDOUT_FILENO))
        end = end_of(scenario);
    if (br_watch_new(&watch, config, scenario, why, sizeof why) != 0)
        return br_tool_fail(COMMAND, "%s.", why);
    (void)printf("%u nodes, loss %g %%, seed %llu, version %s\n", (unsigned)watch.nodes, 100 * watch.loss,
                 (unsigned long long)watch.seed, BRUIT_VERSION);
    (void)fflush(stdout);
    running = watch.sim;
    br_tool_catch_stop(on_stop);
    if (options->rumour)
        br_watch_tell(&watch);
    if (isatty(STDOUT_FILENO))
        show(&watch, view, end);
    else
        print_lines(&watch, view, end);
    running = NULL;
    br_watch_look(&watch);
    if (isatty(STDOUT_FILENO))
        br_watch_print_line(&watch);
    br_watch_free(&watch);
    return br_tool_stopped() ? BR_TOOL_INTERRUPTED : 0;
}

static int run(int argc, char **argv)
{
    struct options options = {.nodes = 1000, .seed = NO_SEED, .latency = BRUIT_MILLISECOND / 2};
    struct br_watch_view view = {.speed = 1};
    struct bruit_sim_config config;
    struct br_scenario *scenario = NULL;
    int used = br_tool_parse(&usage, &options, argc, argv);
    if (used < 0)
        return used == -1 ? 0 : 1;
    if (argc - used > 1)
        return br_tool_fail(COMMAND, "one scenario at a time: \"%s\" is one too many.", argv[used + 1]);
    if (!read_speed(options.speed, &view.speed))
        return br_tool_fail(COMMAND, "--speed cannot be \"%s\": give it a number from 0.01 to 100.",
                            options.speed);
    if (argc - used == 1 && read_scenario(argv[used], options.seed, &scenario) != 0)
        return 1;
    int code = scenario == NULL ? make_config(&options, &config) : 0;
    if (code == 0)
        code = watch_it(&options, &config, scenario, &view);
    if (scenario != NULL)
        br_scenario_free(scenario);
    return code;
}

const struct br_tool_command br_tool_watch = {
    .name = "watch",
    .synopsis = "A cluster live in the terminal, one cell a node; to kill, cut off and tell rumours",
    .run = run,
};

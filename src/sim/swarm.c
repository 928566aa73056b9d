/*
 * Many runs, on several processes; see swarm.h.
 *
 * Workers share a page with the parent: the next seed to take, what each is at, what was found. A worker that dies
 * leaves the seed it was at behind, and that is the finding; another takes its place.
 */
#include "sim/swarm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
/* A run takes milliseconds; one that takes this long will not end. */
#define SECONDS_MAX 120

/* ------------------------------------------------------------------ one text */

static void note_finding(const struct br_run *run, struct br_judgement *verdict)
{
    const struct br_finding *finding = &run->findings[0];
    struct bruit_sim_stats stats;
    bruit_sim_stats_get(run->sim, &stats);
    verdict->events = stats.events;
    verdict->hash = bruit_sim_hash(run->sim);
    verdict->outcome = br_run_outcome(run);
    if (run->finding_count == 0)
        return;
    verdict->line = finding->line;
    verdict->time = finding->time;
    (void)snprintf(verdict->check, sizeof verdict->check, "%s", finding->check == NULL ? "" : finding->check);
    (void)snprintf(verdict->text, sizeof verdict->text, "%s", finding->text);
}

static void refuse(struct br_judgement *verdict, uint32_t line, const char *text)
{
    verdict->outcome = BR_OUTCOME_REFUSED;
    verdict->line = line;
    (void)snprintf(verdict->text, sizeof verdict->text, "%.*s", BR_FINDING_TEXT_MAX - 1, text);
}

void br_swarm_judge(struct bruit_bytes text, struct br_judgement *verdict)
{
    struct br_run_options options = {.stop_at_first = true};
    struct br_scenario_error error;
    struct br_scenario *scenario;
    struct br_run *run;
    char why[BR_FINDING_TEXT_MAX];
    *verdict = (struct br_judgement){.outcome = BR_OUTCOME_GOOD};
    if (br_scenario_parse(&scenario, text, &error) != 0) {
        refuse(verdict, error.line, error.text);
        return;
    }
    if (br_run_new(&run, scenario, &options, why, sizeof why) != 0) {
        refuse(verdict, 0, why);
    } else {
        (void)br_run_all(run);
        note_finding(run, verdict);
        br_run_free(run);
    }
    br_scenario_free(scenario);
}

/* What a status of waitpid() says in words; the outcome is a crash. */
static void note_death(struct br_judgement *verdict, int status)
{
    *verdict = (struct br_judgement){.outcome = BR_OUTCOME_CRASH};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        (void)snprintf(verdict->text, sizeof verdict->text, "it did not come to an end");
    else if (WIFSIGNALED(status))
        (void)snprintf(verdict->text, sizeof verdict->text, "it died of signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(verdict->text, sizeof verdict->text, "it ended with exit code %d",
                       WEXITSTATUS(status));
}

static bool read_all(int fd, void *data, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t some = read(fd, (char *)data + got, size - got);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return false;
        got += (size_t)some;
    }
    return true;
}

static void judge_in_child(struct bruit_bytes text, unsigned seconds, int fd)
{
    struct br_judgement verdict;
    (void)alarm(seconds);
    (void)signal(SIGALRM, SIG_DFL);
    br_swarm_judge(text, &verdict);
    bool is_told = write(fd, &verdict, sizeof verdict) == (ssize_t)sizeof verdict;
    _exit(is_told ? 0 : 1);
}

void br_swarm_judge_apart(struct bruit_bytes text, unsigned seconds, struct br_judgement *verdict)
{
    int ends[2], status = 0;
    *verdict = (struct br_judgement){.outcome = BR_OUTCOME_REFUSED};
    (void)snprintf(verdict->text, sizeof verdict->text, "no process could be started");
    (void)fflush(NULL);
    if (pipe(ends) != 0)
        return;
    pid_t child = fork();
    if (child == 0)
        judge_in_child(text, seconds, ends[1]);
    (void)close(ends[1]);
    bool is_told = child > 0 && read_all(ends[0], verdict, sizeof *verdict);
    (void)close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && !is_told)
        note_death(verdict, status);
}

/* ------------------------------------------------------------------ many seeds */

struct board {
    atomic_ullong next; /* how many seeds were taken */
    atomic_ullong done;
    atomic_ullong events;
    atomic_ullong figures[BR_FIGURES_MAX];
    atomic_ullong failed;
    atomic_uint failures; /* places taken; those beyond the array are counted only */
    atomic_bool stop;
    struct {
        atomic_ullong seed; /* and 1; 0: none */
    } at[JOBS_MAX];
    struct br_swarm_failure list[BR_SWARM_FAILURES_MAX];
    atomic_bool is_written[BR_SWARM_FAILURES_MAX];
};

static void note_failure(struct board *board, uint64_t seed, const struct br_judgement *verdict)
{
    unsigned place = atomic_fetch_add(&board->failures, 1);
    (void)atomic_fetch_add(&board->failed, 1);
    if (place >= BR_SWARM_FAILURES_MAX)
        return;
    board->list[place] = (struct br_swarm_failure){seed, *verdict};
    atomic_store(&board->is_written[place], true);
}

static void judge_seed(const struct br_swarm_options *options, uint64_t seed, struct br_judgement *verdict)
{
    char text[BR_SWARM_TEXT_MAX];
    if (options->judge != NULL) {
        options->judge(options->context, seed, verdict);
        return;
    }
    size_t size = br_swarm_text(seed, text);
    br_swarm_judge((struct bruit_bytes){(const uint8_t *)text, size}, verdict);
}

static void work(struct board *board, const struct br_swarm_options *options, uint32_t job)
{
    struct br_judgement verdict;
    (void)signal(SIGALRM, SIG_DFL);
    (void)signal(SIGINT, SIG_IGN); /* the parent says when */
    while (!atomic_load(&board->stop)) {
        uint64_t number = atomic_fetch_add(&board->next, 1);
        if (number >= options->count)
            break;
        uint64_t seed = options->first + number;
        atomic_store(&board->at[job].seed, seed + 1);
        (void)alarm(options->seconds_max > 0 ? options->seconds_max : SECONDS_MAX);
        judge_seed(options, seed, &verdict);
        (void)alarm(0);
        if (verdict.outcome != BR_OUTCOME_GOOD) {
            note_failure(board, seed, &verdict);
            atomic_store(&board->stop, !options->keep_going);
        }
        (void)atomic_fetch_add(&board->events, verdict.events);
        for (size_t i = 0; i < BR_FIGURES_MAX; i++)
            (void)atomic_fetch_add(&board->figures[i], verdict.figures[i]);
        (void)atomic_fetch_add(&board->done, 1);
        atomic_store(&board->at[job].seed, 0);
    }
    _exit(0);
}

static pid_t start_worker(struct board *board, const struct br_swarm_options *options, uint32_t job)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        work(board, options, job);
    return child;
}

/* A worker ended. Whether another should take its place. */
static bool bury(struct board *board, const struct br_swarm_options *options, uint32_t job, int status)
{
    struct br_judgement verdict;
    uint64_t at = atomic_exchange(&board->at[job].seed, 0);
    if (at == 0)
        return false;
    note_death(&verdict, status);
    note_failure(board, at - 1, &verdict);
    (void)atomic_fetch_add(&board->done, 1);
    if (!options->keep_going)
        atomic_store(&board->stop, true);
    return !atomic_load(&board->stop);
}

static bruit_time real_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (bruit_time)now.tv_sec * BRUIT_SECOND + (bruit_time)now.tv_nsec;
}

static uint32_t reap(struct board *board, const struct br_swarm_options *options, pid_t *workers,
                     uint32_t jobs)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < jobs; i++) {
        int status;
        if (workers[i] > 0 && waitpid(workers[i], &status, WNOHANG) == workers[i])
            workers[i] = bury(board, options, i, status) ? start_worker(board, options, i) : 0;
        left += workers[i] > 0;
    }
    return left;
}

static void supervise(struct board *board, const struct br_swarm_options *options, pid_t *workers,
                      uint32_t jobs)
{
    bruit_time end = options->most == 0 ? BRUIT_NEVER : real_time() + options->most;
    while (reap(board, options, workers, jobs) > 0) {
        if (real_time() >= end || (options->is_stopped != NULL && options->is_stopped()))
            atomic_store(&board->stop, true);
        if (options->on_progress != NULL) {
            uint64_t done = atomic_load(&board->done);
            double share = (double)done / (double)options->count;
            if (end != BRUIT_NEVER) {
                double spent = 1 - (double)(end - real_time()) / (double)options->most;
                share = spent > share ? spent : share;
            }
            options->on_progress(share > 1 ? 1 : share, done);
        }
        (void)poll(NULL, 0, 20);
    }
}

static int by_seed(const void *left, const void *right)
{
    const struct br_swarm_failure *a = left, *b = right;
    return a->seed < b->seed ? -1 : a->seed > b->seed;
}

static void collect(struct board *board, const struct br_swarm_options *options,
                    struct br_swarm_result *result)
{
    *result = (struct br_swarm_result){.done = atomic_load(&board->done),
                                       .events = atomic_load(&board->events),
                                       .failed = atomic_load(&board->failed)};
    result->is_whole = result->done >= options->count;
    for (size_t i = 0; i < BR_FIGURES_MAX; i++)
        result->figures[i] = atomic_load(&board->figures[i]);
    for (uint32_t i = 0; i < BR_SWARM_FAILURES_MAX; i++)
        if (atomic_load(&board->is_written[i]))
            result->failures[result->failure_count++] = board->list[i];
    qsort(result->failures, result->failure_count, sizeof result->failures[0], by_seed);
}

int br_swarm(const struct br_swarm_options *options, struct br_swarm_result *result)
{
    pid_t workers[JOBS_MAX] = {0};
    uint32_t jobs = options->jobs > JOBS_MAX ? JOBS_MAX : options->jobs, started = 0;
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return BRUIT_ENOMEM;
    for (uint32_t i = 0; i < jobs; i++) {
        workers[i] = start_worker(board, options, i);
        started += workers[i] > 0;
    }
    if (started > 0)
        supervise(board, options, workers, jobs);
    collect(board, options, result);
    (void)munmap(board, sizeof *board);
    return started > 0 ? 0 : BRUIT_ENOMEM;
}

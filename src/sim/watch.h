/*
 * A simulated cluster to look at and to play with: what bruit-sim watch shows.
 *
 * The world (watch_world.c) knows what each node is and what the others believe of it; the screen (watch_screen.c)
 * draws it with plain ANSI escapes; the command (cmd_watch.c) lets time pass and reads keys.
 */
#ifndef BR_SIM_WATCH_H
#define BR_SIM_WATCH_H

#include <bruit/sim.h>

#define BR_WATCH_NODES_MAX 10000u
#define BR_WATCH_LINE_MAX 200

struct br_run;
struct br_scenario;

/* What the others believe of a node: the worst that anybody does, and whether all do. */
enum br_watch_belief {
    BR_WATCH_ALIVE,
    BR_WATCH_SUSPECT,
    BR_WATCH_DEAD,     /* by some */
    BR_WATCH_ALL_DEAD, /* dead or left, by everybody asked */
};

struct br_watch_cell {
    uint8_t condition; /* enum bruit_sim_condition: what is true */
    uint8_t belief;    /* enum br_watch_belief */
    bool is_cut_off;
    bool has_heard; /* the rumour */
};

struct br_watch {
    struct bruit_sim *sim;
    struct br_run *run; /* of a scenario, or NULL */
    struct br_watch_cell *cells;
    uint32_t nodes;
    uint32_t observers; /* so many are asked, spread over the nodes */
    uint32_t cut_first, cut_count, cut_rule;
    uint32_t rumours; /* sent so far */
    bool shows_rumour;
    char news[BR_WATCH_LINE_MAX]; /* the last that happened */
    uint64_t datagrams;           /* sent until the last look, */
    bruit_time looked;            /* which was then */
    double packet_rate;           /* since, a second and node */
    uint32_t running, paused, suspected, held_dead, heard;
    uint64_t seed;
    double loss;
};

/* 0, or an error with a sentence in `why`. With a scenario (borrowed) the other two say nothing. */
int br_watch_new(struct br_watch *watch, const struct bruit_sim_config *config,
                 const struct br_scenario *scenario, char *why, size_t why_size);
void br_watch_free(struct br_watch *watch);

/* Looks anew at everything. */
void br_watch_look(struct br_watch *watch);

/* To play with. Each leaves a line in `news`. */
void br_watch_kill(struct br_watch *watch);      /* a running node, drawn */
void br_watch_restart(struct br_watch *watch);   /* one that is down */
void br_watch_partition(struct br_watch *watch); /* a third of the nodes; again: heals */
void br_watch_tell(struct br_watch *watch);      /* a rumour, from a node drawn; not in a scenario */

/* ------------------------------------------------------------------ the screen */

/* How it is shown. */
struct br_watch_view {
    double speed;
    bool is_paused;
};

/* Takes the terminal: raw keys, the other screen, no cursor. It is given back at exit and by any signal. */
void br_watch_screen_open(void);
void br_watch_screen_close(void);
/* In a handler: the next SIGINT or SIGTERM ends the program at once, and still gives the terminal back. */
void br_watch_screen_hurry(void);
void br_watch_screen_draw(const struct br_watch *watch, const struct br_watch_view *view);
/* A key, or 0; waits for at most so many milliseconds. */
int br_watch_screen_key(int wait_ms);

/* For pipes and files: one line. */
void br_watch_print_line(const struct br_watch *watch);

#endif

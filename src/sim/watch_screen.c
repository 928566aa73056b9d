/*
 * The terminal of bruit-sim watch (watch.h).
 *
 * One frame is one write(): the cursor goes home, each line clears what was behind it. What was changed about the
 * terminal is changed back at exit, and by a handler for every signal that ends or stops a program; the handlers only
 * call what may be called from handlers.
 */
#include "sim/watch.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"
#define HEAD_LINES 2
#define FOOT_LINES 4

static struct termios saved;
static bool has_saved; /* the keyboard's settings */
static volatile sig_atomic_t is_open;

/* ------------------------------------------------------------------ the terminal */

static void enter(void)
{
    struct termios raw = saved;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (has_saved)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    (void)!write(STDOUT_FILENO, ENTER, sizeof ENTER - 1);
    is_open = 1;
}

/* May be called from handlers. */
static void leave(void)
{
    if (!is_open)
        return;
    is_open = 0;
    (void)!write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
    if (has_saved)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* Gives the terminal back, and lets the signal do what it does; when that was to stop, goes on where it was. */
static void on_signal(int number)
{
    struct sigaction usual = {.sa_handler = SIG_DFL}, ours;
    sigset_t set, old;
    bool was_open = is_open;
    leave();
    (void)sigaction(number, &usual, &ours);
    (void)raise(number);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, &old);
    /* Here again after SIGCONT. */
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    (void)sigaction(number, &ours, NULL);
    if (was_open)
        enter();
}

void br_watch_screen_open(void)
{
    /* SIGINT and SIGTERM end the command in good order (tool.h). */
    static const int signals[] = {SIGHUP, SIGQUIT, SIGTSTP, SIGABRT, SIGSEGV,
                                  SIGBUS, SIGFPE,  SIGILL,  SIGPIPE};
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)sigaction(signals[i], &action, NULL);
    (void)atexit(leave);
    has_saved = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0;
    (void)fflush(stdout);
    enter();
}

void br_watch_screen_hurry(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

void br_watch_screen_close(void)
{
    leave();
}

int br_watch_screen_key(int wait_ms)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char key;
    if (!has_saved) {
        (void)poll(NULL, 0, wait_ms);
        return 0;
    }
    if (poll(&keys, 1, wait_ms) <= 0)
        return 0;
    if (read(STDIN_FILENO, &key, 1) == 1)
        return key;
    has_saved = !(keys.revents & (POLLHUP | POLLERR | POLLNVAL)); /* nobody is at the keyboard any more */
    return 0;
}

/* ------------------------------------------------------------------ a frame */

/* What is written at once; what does not fit is left out. */
struct frame {
    char bytes[262144];
    size_t size;
};

static struct frame frame;

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *format, ...)
{
    size_t room = sizeof frame.bytes - frame.size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(frame.bytes + frame.size, room, format, arguments);
    va_end(arguments);
    if (size > 0 && (size_t)size < room)
        frame.size += (size_t)size;
}

static void put_line(unsigned columns, const char *text)
{
    put("%.*s\033[K\r\n", (int)columns - 1, text);
}

/* The colour says what others believe, the letter what is true. */
static const char *colour(const struct br_watch *watch, const struct br_watch_cell *cell)
{
    if (watch->shows_rumour)
        return cell->has_heard ? "\033[0;32m" : "\033[0;90m";
    switch ((enum br_watch_belief)cell->belief) {
    case BR_WATCH_ALIVE: return "\033[0;32m";
    case BR_WATCH_SUSPECT: return "\033[0;33m";
    case BR_WATCH_DEAD: return "\033[0;31m";
    case BR_WATCH_ALL_DEAD: break;
    }
    return "\033[0;90m";
}

static char letter(const struct br_watch *watch, const struct br_watch_cell *cell)
{
    if (cell->condition == BRUIT_SIM_STOPPED)
        return 'x';
    if (cell->condition == BRUIT_SIM_PAUSED)
        return '=';
    if (watch->shows_rumour)
        return cell->has_heard ? 'O' : '.';
    return cell->is_cut_off ? 'c' : 'o';
}

static void put_cells(const struct br_watch *watch, unsigned columns, unsigned rows)
{
    unsigned stride = (uint64_t)watch->nodes * 2 <= (uint64_t)(columns - 1) * rows ? 2 : 1;
    unsigned width = (columns - 1) / stride, line = 0;
    uint32_t shown = watch->nodes < width * rows ? watch->nodes : width * rows;
    const char *last = NULL;
    for (uint32_t i = 0; i < shown; i++) {
        const struct br_watch_cell *cell = &watch->cells[i];
        const char *wanted = colour(watch, cell);
        if (last == NULL || strcmp(last, wanted) != 0)
            put("%s", wanted);
        last = wanted;
        put("%c%s", letter(watch, cell), stride == 2 ? " " : "");
        if ((i + 1) % width == 0 || i + 1 == shown) {
            put("\033[0m\033[K\r\n");
            last = NULL;
            line++;
        }
    }
    for (; line < rows; line++)
        put("\033[K\r\n");
}

static void put_head(const struct br_watch *watch, const struct br_watch_view *view, unsigned columns)
{
    char text[300];
    (void)snprintf(text, sizeof text, "bruit-sim watch: %u nodes, loss %g %%, seed %llu   %.2f s   x%g%s",
                   (unsigned)watch->nodes, 100 * watch->loss, (unsigned long long)watch->seed,
                   (double)bruit_sim_now(watch->sim) / (double)BRUIT_SECOND, view->speed,
                   view->is_paused ? "   PAUSED" : "");
    put_line(columns, text);
    (void)snprintf(text, sizeof text,
                   "%u run, %u suspected, %u held dead, %u have heard; %.1f packets/s and node",
                   (unsigned)(watch->running + watch->paused), (unsigned)watch->suspected,
                   (unsigned)watch->held_dead, (unsigned)watch->heard, watch->packet_rate);
    put_line(columns, text);
}

static void put_foot(const struct br_watch *watch, unsigned columns, unsigned rows)
{
    char text[300];
    uint32_t room = (columns - 1) * rows;
    put_line(columns, watch->news);
    (void)snprintf(text, sizeof text, "o runs  c cut off  = paused  x down; %s",
                   watch->shows_rumour
                       ? "green: has heard"
                       : "green: alive to all  yellow: suspect  red: dead to some  grey: to all");
    put_line(columns, text);
    int size = 0;
    text[0] = 0;
    if (watch->nodes > room)
        size = snprintf(text, sizeof text, "%u more nodes than fit here. ", (unsigned)(watch->nodes - room));
    if (watch->observers < watch->nodes)
        (void)snprintf(text + size, sizeof text - (size_t)size, "\"All\" are %u of the nodes, evenly spread.",
                       (unsigned)watch->observers);
    put_line(columns, text);
    put("%.*s\033[K\033[J", (int)columns - 1,
        "space pause  s step  + - speed  k kill  b bring back  p partition  r rumour  v view  q quit");
}

static void write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, size);
        if (written <= 0)
            return; /* the next frame will do */
        bytes += written;
        size -= (size_t)written;
    }
}

void br_watch_screen_draw(const struct br_watch *watch, const struct br_watch_view *view)
{
    struct winsize window;
    unsigned columns = 80, rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0) {
        columns = window.ws_col > 20 ? window.ws_col : 20;
        rows = window.ws_row;
    }
    unsigned cells = rows > HEAD_LINES + FOOT_LINES ? rows - HEAD_LINES - FOOT_LINES : 1;
    frame.size = 0;
    put("\033[H");
    put_head(watch, view, columns);
    put_cells(watch, columns, cells);
    put_foot(watch, columns, cells);
    write_all(frame.bytes, frame.size);
}

void br_watch_print_line(const struct br_watch *watch)
{
    (void)printf("%.1f s: %u run, %u suspected, %u held dead, %.1f packets/s and node%s%s\n",
                 (double)bruit_sim_now(watch->sim) / (double)BRUIT_SECOND,
                 (unsigned)(watch->running + watch->paused), (unsigned)watch->suspected,
                 (unsigned)watch->held_dead, watch->packet_rate, watch->news[0] != 0 ? "; last: " : "",
                 watch->news);
    (void)fflush(stdout);
}

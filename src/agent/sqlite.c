/* The state on disk: see sqlite.h. Facts about SQLite are from its documentation of pragmas and of the WAL mode. */
#include "agent/sqlite.h"

#include "base/bytes.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the file's header: whose it is ("brui"), and the version of its table. */
#define APPLICATION 0x62727569
#define FORMAT 1

/* Numbers of <sqlite3.h>. */
enum {
    OK = 0,
    PERM = 3,
    BUSY = 5,
    NOMEM = 7,
    READONLY = 8,
    CORRUPT = 11,
    FULL = 13,
    CANTOPEN = 14,
    NOTADB = 26,
    ROW = 100,
    DONE = 101,
};
enum { OPEN_READWRITE = 0x2, OPEN_CREATE = 0x4, OPEN_NOMUTEX = 0x8000 };

struct database; /* SQLite's own, opaque here */
struct statement;
typedef void (*destructor_fn)(void *);

typedef int open_fn(const char *path, struct database **out, int flags, const char *vfs);
typedef int close_fn(struct database *);
typedef int exec_fn(struct database *, const char *sql, int (*row)(void *, int, char **, char **), void *,
                    char **);
typedef int prepare_fn(struct database *, const char *sql, int size, struct statement **out,
                       const char **rest);
typedef int bind_fn(struct statement *, int index, const void *data, int size, destructor_fn);
typedef int step_fn(struct statement *);
typedef int number_fn(struct statement *, int column);
typedef const void *blob_fn(struct statement *, int column);
typedef const char *text_fn(int error);

/* The functions of libsqlite3 in use: type, our name, its name. */
#define FUNCTIONS(X)                                   \
    X(open_fn, open, "sqlite3_open_v2")                \
    X(close_fn, close, "sqlite3_close")                \
    X(exec_fn, exec, "sqlite3_exec")                   \
    X(prepare_fn, prepare, "sqlite3_prepare_v2")       \
    X(bind_fn, bind_text, "sqlite3_bind_text")         \
    X(bind_fn, bind_blob, "sqlite3_bind_blob")         \
    X(step_fn, step, "sqlite3_step")                   \
    X(step_fn, reset, "sqlite3_reset")                 \
    X(step_fn, finalize, "sqlite3_finalize")           \
    X(number_fn, column_int, "sqlite3_column_int")     \
    X(number_fn, column_bytes, "sqlite3_column_bytes") \
    X(blob_fn, column_blob, "sqlite3_column_blob")     \
    X(text_fn, text_of, "sqlite3_errstr")

struct br_sqlite {
    void *handle;
#define MEMBER(type, member, name) type *member;
    FUNCTIONS(MEMBER)
#undef MEMBER
    struct database *database;
    struct statement *put, *del;
    char path[PATH_MAX];
};

static int load_library(struct br_sqlite *store, char *why);
static int find_folder(const char *folder, char *why);
static int open_file(struct br_sqlite *store, char *why);

/* ------------------------------------------------------------------ opening */

int br_sqlite_open(struct br_sqlite **out, const char *folder, char why[BR_WHY_MAX])
{
    *out = NULL;
    struct br_sqlite *store = calloc(1, sizeof *store);
    if (store == NULL) {
        (void)snprintf(why, BR_WHY_MAX, "out of memory");
        return BRUIT_ENOMEM;
    }
    int size = snprintf(store->path, sizeof store->path, "%s/state.db", folder);
    int error = BRUIT_EINVAL;
    if (size < 0 || (size_t)size >= sizeof store->path)
        (void)snprintf(why, BR_WHY_MAX,
                       "the path of the data directory is too long: name a shorter one with -data-dir");
    else
        error = load_library(store, why);
    if (error == 0)
        error = find_folder(folder, why);
    if (error == 0)
        error = open_file(store, why);
    if (error != 0) {
        br_sqlite_close(store);
        return error;
    }
    *out = store;
    return 0;
}

void br_sqlite_close(struct br_sqlite *store)
{
    if (store == NULL)
        return;
    if (store->database != NULL) {
        (void)store->finalize(store->put); /* NULL is fine, here and below */
        (void)store->finalize(store->del);
        (void)store->close(
            store->database); /* moves the log into the file; what it cannot, the next start does */
    }
    if (store->handle != NULL)
        (void)dlclose(store->handle);
    free(store);
}

const char *br_sqlite_path(const struct br_sqlite *store)
{
    return store->path;
}

/* C has no cast from what dlsym returns to a function pointer; POSIX promises that the bytes are the same. */
static bool resolve(struct br_sqlite *store)
{
    void *address;
#define RESOLVE(type, member, name)       \
    address = dlsym(store->handle, name); \
    if (address == NULL)                  \
        return false;                     \
    memcpy(&store->member, &address, sizeof address);
    FUNCTIONS(RESOLVE)
#undef RESOLVE
    return true;
}

static int load_library(struct br_sqlite *store, char *why)
{
    static const char *const names[] = {"libsqlite3.so.0", "libsqlite3.so"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        store->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (store->handle == NULL)
            continue;
        if (resolve(store))
            return 0;
        (void)dlclose(store->handle);
        store->handle = NULL;
    }
    (void)snprintf(why, BR_WHY_MAX,
                   "-data-dir needs SQLite's library, which was not found: install it (on Debian and Ubuntu: "
                   "apt-get install libsqlite3-0), or run without -data-dir and keep the state in memory");
    return BRUIT_ENOSYS;
}

/* ------------------------------------------------------------------ the folder */

/* A new folder is one only once the one above it is on the disk. */
static int sync_parent(const char *folder)
{
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s/..", folder); /* cut: it cannot be opened, and that is told */
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int status = fsync(fd);
    (void)close(fd);
    return status;
}

static int find_folder(const char *folder, char *why)
{
    if (mkdir(folder, 0700) == 0 ? sync_parent(folder) != 0 : errno != EEXIST) {
        (void)snprintf(
            why, BR_WHY_MAX,
            "the data directory %.300s cannot be made: %s: make it for this user, or name another with "
            "-data-dir",
            folder, strerror(errno));
        return BRUIT_EIO;
    }
    struct stat about;
    if (stat(folder, &about) == 0 && !S_ISDIR(about.st_mode)) {
        (void)snprintf(why, BR_WHY_MAX, "%.300s is a file: -data-dir wants the name of a directory", folder);
        return BRUIT_EIO;
    }
    if (access(folder, R_OK | W_OK | X_OK) == 0)
        return 0;
    (void)snprintf(
        why, BR_WHY_MAX,
        "the data directory %.300s cannot be written: %s: give it to this user, or name another with "
        "-data-dir",
        folder, strerror(errno));
    return BRUIT_EIO;
}

/* ------------------------------------------------------------------ the file */

/* What SQLite says, as a sentence of ours with what to do. */
static int say(const struct br_sqlite *store, int code, char *why)
{
    const char *path = store->path;
    switch (code & 0xff) { /* above are details */
    case BUSY:
        (void)snprintf(
            why, BR_WHY_MAX,
            "%.300s is in use by another agent: end that one, or give each agent a data directory of its own",
            path);
        return BRUIT_EBUSY;
    case NOTADB:
        (void)snprintf(
            why, BR_WHY_MAX,
            "%.300s is no state of bruit's: move it away, or name another directory with -data-dir", path);
        return BRUIT_EFORMAT;
    case CORRUPT: /* an old copy must not come back: new writes would be numbered like those it has forgotten */
        (void)snprintf(why, BR_WHY_MAX,
                       "%.300s is damaged: move it away, and the other members give back what they have",
                       path);
        return BRUIT_EFORMAT;
    case FULL:
        (void)snprintf(why, BR_WHY_MAX, "%.300s cannot grow: make room on its disk", path);
        return BRUIT_EFULL;
    case PERM:
    case READONLY:
    case CANTOPEN:
        (void)snprintf(
            why, BR_WHY_MAX,
            "%.300s cannot be written: give it and its directory to this user, or name another directory with "
            "-data-dir",
            path);
        return BRUIT_EIO;
    default:
        (void)snprintf(why, BR_WHY_MAX, "%.300s: %.100s: look at its disk", path, store->text_of(code));
        return code == NOMEM ? BRUIT_ENOMEM : BRUIT_EIO;
    }
}

static int run(struct br_sqlite *store, const char *sql)
{
    return store->exec(store->database, sql, NULL, NULL, NULL);
}

/* The one number that `sql` gives. */
static int ask(struct br_sqlite *store, const char *sql, int *out)
{
    struct statement *statement;
    int code = store->prepare(store->database, sql, -1, &statement, NULL);
    if (code != OK)
        return code;
    code = store->step(statement);
    *out = code == ROW ? store->column_int(statement, 0) : 0;
    int last = store->finalize(statement);
    return code == ROW || code == DONE ? last : code;
}

/* Whose file is it? An empty one is ours to be: the start that made it was cut off, or somebody did touch(1). */
static int check_owner(struct br_sqlite *store, bool *is_new, char *why)
{
    int application = 0, format = 0, tables = 0;
    int code = ask(store, "PRAGMA application_id", &application);
    if (code == OK)
        code = ask(store, "PRAGMA user_version", &format);
    if (code == OK)
        code = ask(store, "SELECT count(*) FROM sqlite_master", &tables);
    if (code != OK)
        return say(store, code, why);
    *is_new = application == 0 && format == 0 && tables == 0;
    if (*is_new || (application == APPLICATION && format == FORMAT))
        return 0;
    if (application != APPLICATION)
        return say(store, NOTADB, why);
    (void)snprintf(
        why, BR_WHY_MAX,
        "%.300s has format %d, and this bruit knows %d: run the one that wrote it, or name another directory "
        "with -data-dir",
        store->path, format, FORMAT);
    return BRUIT_EFORMAT;
}

#define QUOTE(x) #x
#define TEXT(x) QUOTE(x)

static int make_table(struct br_sqlite *store)
{
    return run(
        store,
        "BEGIN IMMEDIATE;"
        "PRAGMA application_id=" TEXT(
            APPLICATION) ";"
                         "PRAGMA user_version=" TEXT(
                             FORMAT) ";"
                                     "CREATE TABLE state (space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
                                     " PRIMARY KEY (space, key)) WITHOUT ROWID;"
                                     "COMMIT");
}

/* It answers with the mode that it is in: another one when the file system cannot do it. */
static int become_wal(struct br_sqlite *store)
{
    struct statement *statement;
    int code = store->prepare(store->database, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (code != OK)
        return code;
    code = store->step(statement);
    bool is_wal = code == ROW && store->column_bytes(statement, 0) == 3 &&
                  memcmp(store->column_blob(statement, 0), "wal", 3) == 0;
    int last = store->finalize(statement);
    return code != ROW ? code : is_wal ? last : READONLY;
}

/*
 * The order matters: exclusive locking before the first look, so that no other agent comes between; and the look
 * before anything is changed, so that somebody else's file stays as it is. A cache of 1 MiB, since we read once.
 */
static int open_file(struct br_sqlite *store, char *why)
{
    bool is_new = false;
    int code = store->open(store->path, &store->database, OPEN_READWRITE | OPEN_CREATE | OPEN_NOMUTEX, NULL);
    if (code == OK)
        code = run(store, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-1024");
    if (code != OK)
        return say(store, code, why);
    int error = check_owner(store, &is_new, why);
    if (error != 0)
        return error;
    code = become_wal(store);
    if (code == OK)
        code = run(store, "PRAGMA synchronous=FULL");
    if (code == OK && is_new)
        code = chmod(store->path, 0600) == 0 ? make_table(store) : PERM; /* what is kept may be secret */
    if (code == OK) /* takes the lock, and finds out whether we may write */
        code = run(store, "BEGIN IMMEDIATE; COMMIT");
    if (code == OK)
        code = store->prepare(store->database, "INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)", -1,
                              &store->put, NULL);
    if (code == OK)
        code = store->prepare(store->database, "DELETE FROM state WHERE space = ?1 AND key = ?2", -1,
                              &store->del, NULL);
    return code == OK ? 0 : say(store, code, why);
}

/* ------------------------------------------------------------------ reading and writing */

static struct bruit_bytes column(struct br_sqlite *store, struct statement *statement, int index)
{
    const void *data = store->column_blob(statement, index); /* before its size: it may change the form */
    return br_bytes(data, (size_t)store->column_bytes(statement, index));
}

int br_sqlite_read(struct br_sqlite *store, br_sqlite_record_fn fn, void *context, char why[BR_WHY_MAX])
{
    struct statement *statement;
    int error = 0;
    int code = store->prepare(store->database, "SELECT space, key, value FROM state", -1, &statement, NULL);
    if (code != OK)
        return say(store, code, why);
    while (error == 0 && (code = store->step(statement)) == ROW)
        error = fn(context, column(store, statement, 0), column(store, statement, 1),
                   column(store, statement, 2));
    (void)store->finalize(statement); /* says the same as the last step */
    return error != 0 || code == DONE ? error : say(store, code, why);
}

static int bind_bytes(bind_fn *bind, struct statement *statement, int index, struct bruit_bytes bytes)
{
    /* Without data it would be NULL, which is no value. It is borrowed until the statement is done: no destructor. */
    return bytes.size > INT_MAX ? NOMEM
                                : bind(statement, index, bytes.data == NULL ? (const void *)"" : bytes.data,
                                       (int)bytes.size, NULL);
}

static int do_one(struct br_sqlite *store, const struct bruit_store_op *op)
{
    struct statement *statement = op->is_delete ? store->del : store->put;
    int code = bind_bytes(store->bind_text, statement, 1, op->space);
    if (code == OK)
        code = bind_bytes(store->bind_blob, statement, 2, op->key);
    if (code == OK && !op->is_delete)
        code = bind_bytes(store->bind_blob, statement, 3, op->value);
    if (code == OK)
        code = store->step(statement);
    int last = store->reset(statement);
    return code == DONE ? last : code;
}

int br_sqlite_write(struct br_sqlite *store, const struct bruit_store_op *ops, size_t count,
                    char why[BR_WHY_MAX])
{
    int code = run(store, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < count && code == OK; i++)
        code = do_one(store, &ops[i]);
    if (code == OK)
        code = run(store, "COMMIT");
    if (code == OK)
        return 0;
    (void)run(store, "ROLLBACK"); /* fails when the error has done it already */
    return say(store, code, why) == BRUIT_EFULL ? BRUIT_EFULL : BRUIT_EIO;
}

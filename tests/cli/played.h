/*
 * An agent that a thread plays, for tests of one command: it says all its replies at once, as if it knew the questions,
 * and keeps what it was asked. Included by the tests of commands that a real agent is too much for.
 */
#ifndef BR_TEST_CLI_PLAYED_H
#define BR_TEST_CLI_PLAYED_H

#include "agent/request.h"
#include "cli/command.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int listener;
    char address[48];
    struct br_blob replies;
    struct br_blob got; /* what the command sent */
    uint64_t seq;       /* of the last reply */
} server;

/* Answers everything at once, as if the agent knew the questions. */
static void *serve(void *context)
{
    uint8_t bytes[4096];
    int fd = accept(server.listener, NULL, NULL);
    (void)context;
    (void)send(fd, server.replies.data, server.replies.size, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    for (ssize_t size; (size = recv(fd, bytes, sizeof bytes, 0)) > 0;)
        br_blob_add(&server.got, br_bytes(bytes, (size_t)size));
    close(fd);
    return NULL;
}

static void reply(const char *error)
{
    br_rpc_write_header(&server.replies, ++server.seq, error);
}

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    (void)state;
    memset(&server, 0, sizeof server);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.listener, 4), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&at, &size), 0);
    snprintf(server.address, sizeof server.address, "-rpc-addr=127.0.0.1:%u", ntohs(at.sin_port));
    reply(""); /* to the handshake */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(server.listener);
    br_blob_release(&server.replies);
    br_blob_release(&server.got);
    return 0;
}

static char output[65536];

/* Runs the command with stdout caught; `asks`: it is to connect. */
static int run(const struct br_command *command, bool asks, int count, char **words)
{
    char *argv[1032];
    pthread_t thread;
    int argc = 0, caught = open("/tmp", O_TMPFILE | O_RDWR, 0600), saved = dup(STDOUT_FILENO);
    argv[argc++] = server.address;
    for (int i = 0; i < count; i++)
        argv[argc++] = words[i];
    argv[argc] = NULL;
    if (asks)
        assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    fflush(stdout);
    assert_true(caught >= 0 && dup2(caught, STDOUT_FILENO) >= 0);
    int code = command->run(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    if (asks)
        pthread_join(thread, NULL);
    ssize_t size = pread(caught, output, sizeof output - 1, 0);
    output[size < 0 ? 0 : size] = 0;
    close(caught);
    return code;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the tests of client and server share: a server in a process of its own,
 * and threads that make calls and are cancelled.
 *
 * What cannot fail in a working system (memory, threads, starting the server)
 * ends the test by die(). Times are in milliseconds.
 */
#ifndef TESTING_H
#define TESTING_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <rpccancel.h>

#include "echo.h"

/* How long something may take that ought to take no time, on a slow machine. */
#define PATIENCE 60000
/* How long to look at something that must not happen. */
#define WHILE 100

enum protseq {
	TCP,
	UDP,
	NP,
	LRPC,
	PROTSEQS
};

extern const char *const protseq_names[PROTSEQS];

struct server {
	pid_t pid;
	int input;		 /* its end ends the server */
	FILE *output;
	char *binding[PROTSEQS]; /* string bindings */
	int interrupt;		 /* what it has printed, or -1 */
};

/* @option: for echo_server, or NULL. */
void server_start(struct server *s, const char *option);
/* Ends it. False if it did not end well. */
bool server_stop(struct server *s);
/* As if it had crashed. */
void server_kill(struct server *s);
RPC_BINDING_HANDLE server_bind(const struct server *s, enum protseq protseq);
struct slow_counts server_counts(const struct server *s);
/* Until so many stubs of SLOW_STAY and BLOCK_RECV have been entered, or left. */
bool server_wait_entered(const struct server *s, unsigned int entered);
bool server_wait_left(const struct server *s, unsigned int left);
void server_release(const struct server *s);

RPC_BINDING_HANDLE bind_to(const char *string_binding);

/* A thread that makes calls, one after another, as it is told. */
struct caller {
	RPC_BINDING_HANDLE binding;
	void *handle; /* of the thread, with all rights */
	pid_t tid;

	/* The call, and what came of it. */
	RPC_STATUS (*call)(struct caller *c);
	uint32_t ms, flags;
	struct slow_result result;
	void *arg;
	RPC_STATUS status;
	uint64_t took;

	pthread_t thread;
	sem_t go, done;
	atomic_bool quit;
};

void caller_start(struct caller *c, RPC_BINDING_HANDLE binding);
/* Waits for the thread; the binding is freed. */
void caller_stop(struct caller *c);
void caller_go(struct caller *c, RPC_STATUS (*call)(struct caller *c));
/* Until the call has come back. False: it has not, after PATIENCE. */
bool caller_wait(struct caller *c);
/* Both. */
RPC_STATUS caller_call(struct caller *c, RPC_STATUS (*call)(struct caller *c));

/* What a caller can call. */
RPC_STATUS call_null(struct caller *c);
RPC_STATUS call_stay(struct caller *c); /* ms, flags, result */
RPC_STATUS call_stay_callback(struct caller *c);
RPC_STATUS call_set_cancel_timeout(struct caller *c); /* ms, in seconds */

uint64_t now_ms(void);
void sleep_ms(int ms);
/* A number from the environment. */
long setting(const char *name, long fallback);
_Noreturn void die(const char *what);

#endif /* TESTING_H */

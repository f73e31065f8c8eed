// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The application's log function.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "log.h"
#include "tap.h"

static struct {
	int count, level;
	void *context;
	char message[1024];
} last;

static void remember(void *context, int level, const char *message)
{
	last.count++;
	last.context = context;
	last.level = level;
	snprintf(last.message, sizeof(last.message), "%s", message);
	errno = EIO;
}

static void one_message(void)
{
	int context;

	rpcc_log(RPCCANCEL_LOG_ERROR, "nobody hears %d", 1);
	rpccancel_set_log(remember, &context);
	errno = ERANGE;
	rpcc_log(RPCCANCEL_LOG_WARNING, "%s %d", "message", 2);
	is(errno, ERANGE, "errno is left alone, whatever the function does");
	is(last.count, 1, "a message is delivered once");
	is(last.level, RPCCANCEL_LOG_WARNING, "with its level");
	ok(last.context == &context, "and the context");
	ok(!strcmp(last.message, "message 2"), "and its text");
}

static void long_message(void)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	rpcc_log(RPCCANCEL_LOG_INFO, "%s", text);
	is(strlen(last.message), 511, "a long message is cut");
}

static void no_function(void)
{
	int count = last.count;

	rpccancel_set_log(NULL, NULL);
	rpcc_log(RPCCANCEL_LOG_ERROR, "nobody hears this");
	is(last.count, count, "without a function nothing is called");
}

static void replace_itself(void *context, int level, const char *message)
{
	(void)context;
	(void)level;
	(void)message;
	rpccancel_set_log(remember, NULL);
}

static void replaced_by_itself(void)
{
	int count = last.count;

	rpccancel_set_log(replace_itself, NULL);
	rpcc_log(RPCCANCEL_LOG_INFO, "1");
	rpcc_log(RPCCANCEL_LOG_INFO, "2");
	is(last.count, count + 1, "a function may set another one");
	rpccancel_set_log(NULL, NULL);
}

static atomic_int mixed, delivered;
static atomic_bool stop;
static int context_a, context_b;

static void log_a(void *context, int level, const char *message)
{
	(void)level;
	(void)message;
	if (context != &context_a)
		mixed++;
	delivered++;
}

static void log_b(void *context, int level, const char *message)
{
	(void)level;
	(void)message;
	if (context != &context_b)
		mixed++;
	delivered++;
}

static void *logger(void *arg)
{
	while (!stop)
		rpcc_log(RPCCANCEL_LOG_DEBUG, "message");
	return arg;
}

static void pairs(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, logger, NULL))
		abort();
	while (delivered < 20000) {
		rpccancel_set_log(log_a, &context_a);
		rpccancel_set_log(log_b, &context_b);
	}
	stop = true;
	pthread_join(thread, NULL);
	is(mixed, 0, "function and context are one pair");
}

/* A child that finds the lock held would be killed by its alarm. */
static void forks(void)
{
	bool good = true;
	pthread_t thread;
	int i, status;
	pid_t pid;

	stop = false;
	if (pthread_create(&thread, NULL, logger, NULL))
		abort();
	fflush(stdout);
	for (i = 0; i < 200 && good; i++) {
		pid = fork();
		if (!pid) {
			alarm(60);
			rpcc_log(RPCCANCEL_LOG_DEBUG, "a child's message");
			_exit(0);
		}
		good = pid > 0 && waitpid(pid, &status, 0) == pid && !status;
	}
	stop = true;
	pthread_join(thread, NULL);
	ok(good, "a child of fork() can log");
}

int main(void)
{
	one_message();
	long_message();
	no_function();
	replaced_by_itself();
	pairs();
	forks();
	return tap_end();
}

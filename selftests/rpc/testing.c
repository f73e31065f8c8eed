// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the tests of client and server share; see testing.h. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const protseq_names[PROTSEQS] = {
	[TCP] = "ncacn_ip_tcp",
	[UDP] = "ncadg_ip_udp",
	[NP] = "ncacn_np",
	[LRPC] = "ncalrpc",
};

_Noreturn void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

long setting(const char *name, long fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 0) : fallback;
}

/* echo_server lies beside the test. */
static void exec_server(const char *option)
{
	static const char name[] = "echo_server";
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path,
				  sizeof(path) - sizeof(name));

	if (length < 0)
		die("/proc/self/exe");
	path[length] = '\0';
	strcpy(strrchr(path, '/') + 1, name);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execl(path, path, option, NULL);
	die(path);
}

/*
 * One line of what a server prints: a binding, which is made one to this
 * machine, whatever address the server has given.
 */
static void note_line(struct server *s, const char *line)
{
	RPC_CSTR protseq, endpoint, binding;

	if (sscanf(line, "interrupt %d", &s->interrupt) == 1)
		return;
	if (RpcStringBindingParse((RPC_CSTR)line, NULL, &protseq, NULL,
				  &endpoint, NULL) != RPC_S_OK)
		return;
	for (int i = 0; i < PROTSEQS; i++) {
		if (strcmp((char *)protseq, protseq_names[i]) || s->binding[i])
			continue;
		RpcStringBindingCompose(NULL, protseq,
					(RPC_CSTR)(i <= UDP ? "127.0.0.1" : ""),
					endpoint, NULL, &binding);
		s->binding[i] = strdup((char *)binding);
		RpcStringFree(&binding);
	}
	RpcStringFree(&protseq);
	RpcStringFree(&endpoint);
}

void server_start(struct server *s, const char *option)
{
	int in[2], out[2];
	char line[256] = "";

	memset(s, 0, sizeof(*s));
	s->interrupt = -1;
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	fflush(stdout);
	s->pid = fork();
	if (!s->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		exec_server(option);
	}
	close(in[0]);
	close(out[1]);
	s->input = in[1];
	s->output = fdopen(out[0], "r");
	if (s->pid < 0 || !s->output)
		die("fork");
	while (strcmp(line, "ready")) {
		if (!fgets(line, sizeof(line), s->output))
			die("the server does not start");
		line[strcspn(line, "\n")] = '\0';
		note_line(s, line);
	}
	/* Its output is not read any more, nor closed as long as it lives. */
}

static void server_free(struct server *s)
{
	fclose(s->output);
	for (int i = 0; i < PROTSEQS; i++)
		free(s->binding[i]);
}

bool server_stop(struct server *s)
{
	int status = -1;

	close(s->input);
	for (uint64_t until = now_ms() + PATIENCE; now_ms() < until;) {
		if (waitpid(s->pid, &status, WNOHANG) == s->pid)
			break;
		sleep_ms(10);
	}
	if (status == -1) {
		printf("# the server does not end\n");
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	} else if (status) {
		printf("# the server ended with status %#x\n", status);
	}
	server_free(s);
	return !status;
}

void server_kill(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	close(s->input);
	server_free(s);
}

RPC_BINDING_HANDLE bind_to(const char *string_binding)
{
	RPC_BINDING_HANDLE binding;
	RPC_STATUS status;

	status =
		RpcBindingFromStringBinding((RPC_CSTR)string_binding, &binding);
	if (status != RPC_S_OK) {
		printf("# status %d\n", status);
		die(string_binding);
	}
	return binding;
}

RPC_BINDING_HANDLE server_bind(const struct server *s, enum protseq protseq)
{
	if (!s->binding[protseq])
		die("the server does not serve this protocol sequence");
	return bind_to(s->binding[protseq]);
}

struct slow_counts server_counts(const struct server *s)
{
	RPC_BINDING_HANDLE binding = server_bind(s, LRPC);
	struct slow_counts counts;

	if (slow_count(binding, &counts) != RPC_S_OK)
		die("cannot ask the server for its counts");
	RpcBindingFree(&binding);
	return counts;
}

bool server_wait_entered(const struct server *s, unsigned int entered)
{
	for (uint64_t until = now_ms() + PATIENCE; now_ms() < until;) {
		if (server_counts(s).entered >= entered)
			return true;
		sleep_ms(2);
	}
	return false;
}

bool server_wait_left(const struct server *s, unsigned int left)
{
	for (uint64_t until = now_ms() + PATIENCE; now_ms() < until;) {
		if (server_counts(s).left >= left)
			return true;
		sleep_ms(2);
	}
	return false;
}

void server_release(const struct server *s)
{
	RPC_BINDING_HANDLE binding = server_bind(s, LRPC);

	if (slow_release(binding) != RPC_S_OK)
		die("cannot release the server's stubs");
	RpcBindingFree(&binding);
}

static void *run_caller(void *arg)
{
	struct caller *c = arg;
	uint64_t start;

	c->tid = syscall(SYS_gettid);
	if (rpccancel_thread_self(THREAD_ALL_ACCESS, &c->handle) != RPC_S_OK)
		die("rpccancel_thread_self");
	sem_post(&c->done);
	for (;;) {
		while (sem_wait(&c->go))
			;
		if (c->quit)
			break;
		start = now_ms();
		c->status = c->call(c);
		c->took = now_ms() - start;
		sem_post(&c->done);
	}
	rpccancel_thread_close(c->handle);
	return NULL;
}

void caller_start(struct caller *c, RPC_BINDING_HANDLE binding)
{
	memset(c, 0, sizeof(*c));
	c->binding = binding;
	sem_init(&c->go, 0, 0);
	sem_init(&c->done, 0, 0);
	errno = pthread_create(&c->thread, NULL, run_caller, c);
	if (errno)
		die("pthread_create");
	caller_wait(c);
}

void caller_stop(struct caller *c)
{
	c->quit = true;
	sem_post(&c->go);
	pthread_join(c->thread, NULL);
	RpcBindingFree(&c->binding);
	sem_destroy(&c->go);
	sem_destroy(&c->done);
}

void caller_go(struct caller *c, RPC_STATUS (*call)(struct caller *c))
{
	c->call = call;
	memset(&c->result, 0, sizeof(c->result));
	sem_post(&c->go);
}

bool caller_wait(struct caller *c)
{
	struct timespec ts;

	/* Not sem_clockwait(): ThreadSanitizer does not know it. */
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE / 1000;
	while (sem_timedwait(&c->done, &ts))
		if (errno != EINTR)
			return false;
	return true;
}

RPC_STATUS caller_call(struct caller *c, RPC_STATUS (*call)(struct caller *c))
{
	caller_go(c, call);
	if (!caller_wait(c))
		die("a call does not come back");
	return c->status;
}

RPC_STATUS call_null(struct caller *c)
{
	return slow_null(c->binding);
}

RPC_STATUS call_stay(struct caller *c)
{
	return slow_stay(c->binding, c->ms, c->flags, &c->result);
}

RPC_STATUS call_stay_callback(struct caller *c)
{
	return slow_stay_callback(c->binding, c->ms, c->flags, &c->result);
}

RPC_STATUS call_set_cancel_timeout(struct caller *c)
{
	return RpcMgmtSetCancelTimeout((int32_t)c->ms);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A server with a slow stub, a client whose thread is in a call to it, and
 * another thread that cancels it: first with enough grace for the server to
 * clean up, then with so little that the call is abandoned.
 */
#include "calls.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <rpccancel.h>

#include "../../rpc/echo.h"

#define STAY_MS	    60000
#define BLOCKED_MS  300
#define PACKETS_MAX 32

static const char usage[] =
	"usage: calls [--tap]\n"
	"\n"
	"Shows how a DCE/RPC call is cancelled with RpcCancelThreadEx(), what server and\n"
	"client make of it, and what is on the wire.\n"
	"\n"
	"  --tap   check what is shown instead; prints TAP\n";

static bool tap;
static unsigned int tests, failed;

/* The client's thread. */
static struct {
	pthread_t thread;
	pid_t tid;
	void *handle;
	sem_t go, done;
	RPC_BINDING_HANDLE binding;
	uint32_t flags;
	RPC_STATUS status;
	struct slow_result result;
	double ms; /* when the call came back, since the wire was cleared */
} client;

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static void need(RPC_STATUS status, const char *what)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN] = "";

	if (status == RPC_S_OK)
		return;
	DceErrorInqText(status, text);
	printf("%s: %d, %s\n", what, status, text);
	exit(1);
}

static const char *status_name(RPC_STATUS status)
{
	switch (status) {
	case RPC_S_OK:
		return "RPC_S_OK";
	case RPC_S_CALL_CANCELLED:
		return "RPC_S_CALL_CANCELLED (1818)";
	default:
		return "another status";
	}
}

/* In a process of its own; writes its port to the pipe. */
static void serve(int fd)
{
	RPC_BINDING_VECTOR *vector;
	RPC_CSTR text, endpoint;
	uint16_t port;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	need(RpcServerUseProtseq((RPC_CSTR)"ncacn_ip_tcp", 10, NULL),
	     "RpcServerUseProtseq");
	need(RpcServerRegisterIf(&slow_server, NULL, NULL),
	     "RpcServerRegisterIf");
	need(RpcServerInqBindings(&vector), "RpcServerInqBindings");
	need(RpcBindingToStringBinding(vector->BindingH[0], &text),
	     "RpcBindingToStringBinding");
	need(RpcStringBindingParse(text, NULL, NULL, NULL, &endpoint, NULL),
	     "RpcStringBindingParse");
	need(RpcServerListen(1, 10, 1), "RpcServerListen");
	port = atoi((char *)endpoint);
	if (write(fd, &port, sizeof(port)) == sizeof(port))
		RpcMgmtWaitServerListen();
	_exit(0);
}

/* Returns its process; *port is where it listens. */
static pid_t start_server(uint16_t *port)
{
	int fds[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(fds))
		abort();
	pid = fork();
	if (!pid)
		serve(fds[1]);
	close(fds[1]);
	if (pid < 0 || read(fds[0], port, sizeof(*port)) != sizeof(*port)) {
		puts("the server does not start");
		exit(1);
	}
	close(fds[0]);
	return pid;
}

static void *make_calls(void *arg)
{
	(void)arg;
	client.tid = syscall(SYS_gettid);
	need(rpccancel_thread_self(THREAD_ALL_ACCESS, &client.handle),
	     "rpccancel_thread_self");
	sem_post(&client.done);
	for (;;) {
		while (sem_wait(&client.go))
			;
		client.status = slow_stay(client.binding, STAY_MS, client.flags,
					  &client.result);
		client.ms = now_ms();
		sem_post(&client.done);
	}
	return NULL;
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static void start_client(void)
{
	char binding[80];

	snprintf(binding, sizeof(binding), "ncacn_ip_tcp:127.0.0.1[%u]",
		 wire_port());
	need(RpcBindingFromStringBinding((RPC_CSTR)binding, &client.binding),
	     "RpcBindingFromStringBinding");
	sem_init(&client.go, 0, 0);
	sem_init(&client.done, 0, 0);
	if (pthread_create(&client.thread, NULL, make_calls, NULL))
		abort();
	wait_for(&client.done);
}

static void print_packets(const struct packet *packets, size_t count)
{
	printf("\n  %9s  %-12s  packet, as %s sees it\n", "ms", "from",
	       wire_decoder());
	for (size_t i = 0; i < count; i++)
		printf("  %9.1f  %-12s  %s\n", packets[i].ms,
		       packets[i].to_server ? "client -> " : "  <- server",
		       packets[i].text);
	putchar('\n');
}

static void __printf(2, 3) check(bool good, const char *format, ...)
{
	va_list args;

	failed += !good;
	if (!tap)
		return;
	printf("%sok %u - ", good ? "" : "not ", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void __printf(1, 2) say(const char *format, ...)
{
	va_list args;

	if (tap)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

/* How often such a packet went by. */
static size_t of_type(const struct packet *packets, size_t count, uint8_t type)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += packets[i].header[2] == type;
	return n;
}

/*
 * The thread makes a call, and is cancelled when it has been in it for a while.
 * Returns when the cancel began.
 */
static double cancel(uint32_t flags, long grace)
{
	double start, fired, returned;
	RPC_STATUS status;

	client.flags = flags;
	wire_clear();
	start = now_ms();
	sem_post(&client.go);
	sleep_ms(BLOCKED_MS);
	fired = now_ms();
	status = RpcCancelThreadEx(client.handle, grace);
	returned = now_ms();
	wait_for(&client.done);
	client.ms -= start;
	say("Thread %d is in a call that takes %d s. After %.0f ms thread %d calls\n"
	    "RpcCancelThreadEx(thread, %ld): %s after %.1f ms.\n",
	    client.tid, STAY_MS / 1000, fired - start, getpid(), grace,
	    status_name(status), returned - fired);
	check(status == RPC_S_OK, "RpcCancelThreadEx with grace %ld", grace);
	return fired - start;
}

static void show_packets(uint8_t wanted, const char *name)
{
	struct packet packets[PACKETS_MAX];
	size_t count;

	sleep_ms(50); /* what is sent last may still be under way */
	count = wire_packets(packets, PACKETS_MAX);
	if (!tap)
		print_packets(packets, count);
	check(of_type(packets, count, wanted) == 1, "one %s was sent", name);
	check(of_type(packets, count, 18) == 1, "one co_cancel was sent");
}

static void with_grace(void)
{
	double fired;

	say("1. With grace: the server cleans up\n\n");
	fired = cancel(SLOW_HEED, 10);
	show_packets(2, "response");
	say("The server's stub looks at RpcTestCancel() every 2 ms: it saw the cancel, cleaned\n"
	    "up and returned after %u ms. The client's call returned %s\n"
	    "%.1f ms after the cancel, with the stub's answer.\n\n",
	    client.result.ms, status_name(client.status), client.ms - fired);
	check(client.status == RPC_S_OK && client.result.cancelled == 1,
	      "the server cleaned up, and the client has its answer");
}

static void without_grace(void)
{
	struct slow_counts counts = { 0 }, before = { 0 };
	uint32_t answer = 0;
	double fired, start;

	say("2. Without: the call is abandoned\n\n");
	need(slow_count(client.binding, &before), "counts");
	fired = cancel(SLOW_UNTIL_RELEASED, 1);
	show_packets(19, "orphaned");
	say("This stub does not look. The client's call returned %s\n"
	    "%.0f ms after the cancel: the second of grace was over, the server has been told\n"
	    "that nobody waits any more, and will not answer.\n",
	    status_name(client.status), client.ms - fired);
	check(client.status == RPC_S_CALL_CANCELLED,
	      "the abandoned call returned RPC_S_CALL_CANCELLED");

	need(slow_count(client.binding, &counts), "counts");
	answer = counts.entered - counts.left;
	say("\nThe next call, on the same binding, works: it says that %u stub goes on.\n",
	    answer);
	check(answer == 1, "the stub goes on, and the next call works");
	start = now_ms();
	need(slow_release(client.binding), "release");
	do {
		need(slow_count(client.binding, &counts), "counts");
	} while (counts.left != counts.entered && now_ms() - start < 10000);
	say("It ends when it likes: %u of %u stubs have ended.\n", counts.left,
	    counts.entered);
	check(counts.left == counts.entered, "the stub ended");
}

int main(int argc, char **argv)
{
	uint16_t port;
	pid_t pid;

	tap = argc == 2 && !strcmp(argv[1], "--tap");
	if (argc > 1 && !tap) {
		fputs(usage, strcmp(argv[1], "--help") ? stderr : stdout);
		return strcmp(argv[1], "--help") ? 2 : 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	pid = start_server(&port);
	wire_start(port);
	start_client();
	say("A DCE/RPC client and server, over TCP (%s, %s back end)\n\n",
	    rpccancel_engine_name(), rpccancel_backend_name());
	with_grace();
	without_grace();
	kill(pid, SIGTERM);
	if (tap)
		printf("1..%u\n", tests);
	return failed != 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * usage: PEER version | local
 *        PEER tcp|unix SIZE CONNECTIONS WINDOW SECONDS
 *
 * Starts the peer's server in a process of its own, makes calls with SIZE bytes
 * there and back, and prints
 *
 *	calls  seconds  p50  p99  max  processor
 *
 * where p50, p99 and max are ns of one call, and processor is the seconds that
 * client and server have used together. With a WINDOW of 1 each connection makes
 * one call after the other; with more, that many are in flight on each, and
 * the times of single calls, which are then those of queues, are 0.
 *
 * Each connection has a thread, up to 64; of more than 64 connections each
 * thread has several and uses them by turns. "local" succeeds if the peer can do
 * "unix".
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "histogram.h"
#include "peer.h"

#define MAX_THREADS 64

/* Calls that are not counted: the first ones find caches and tables cold. */
#define WARM_UP_SECONDS 0.3

struct client {
	pthread_t thread;
	unsigned int connections;
	int64_t calls;
	struct histogram latency;
};

static struct peer_address address;
static size_t size;
static unsigned int window;
static pthread_barrier_t opened, warm;
static volatile bool warm_up_over, stop;
static int ready_fd;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void sleep_for(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

/*
 * The server's process.
 */

static void ready(void)
{
	if (write(ready_fd, "", 1) != 1)
		_exit(1);
}

/* Started before the client has any thread. Returns when it can be called. */
static pid_t start_server(void)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		die("no pipe");
	pid = fork();
	if (pid < 0)
		die("no process for the server");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		ready_fd = fds[1];
		peer.serve(&address, ready);
		_exit(1);
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		die("the server does not start");
	close(fds[0]);
	return pid;
}

static void stop_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * The client.
 */

static void one_by_one(struct client *c, void **connections, unsigned char *data,
		       const volatile bool *until, bool count)
{
	for (unsigned int i = 0; !*until; i++) {
		uint64_t start = now(CLOCK_MONOTONIC);

		if (!peer.echo(connections[i % c->connections], data, size))
			die("a call has failed");
		if (count)
			histogram_add(&c->latency,
				      now(CLOCK_MONOTONIC) - start);
	}
}

static void pipelined(struct client *c, void *connection, unsigned char *data,
		      const volatile bool *until, bool count)
{
	int64_t calls = peer.pipeline(connection, data, size, window, until);

	if (calls < 0)
		die("a call has failed");
	if (count)
		c->calls = calls;
}

static void *client(void *arg)
{
	struct client *c = arg;
	void **connections = calloc(c->connections, sizeof(*connections));
	unsigned char *data = malloc(PEER_MAX_SIZE);
	const volatile bool *until[] = { &warm_up_over, &stop };

	if (!connections || !data)
		die("out of memory");
	memset(data, 'x', PEER_MAX_SIZE);
	for (unsigned int i = 0; i < c->connections; i++) {
		connections[i] = peer.open(&address);
		if (!connections[i])
			die("a connection has failed");
		/* The connection of some is made by the first call. */
		if (!peer.echo(connections[i], data, size))
			die("a first call has failed");
	}
	pthread_barrier_wait(&opened);

	for (int phase = 0; phase < 2; phase++) {
		if (window > 1)
			pipelined(c, connections[0], data, until[phase], phase);
		else
			one_by_one(c, connections, data, until[phase], phase);
		if (!phase)
			pthread_barrier_wait(&warm);
	}

	for (unsigned int i = 0; i < c->connections; i++)
		peer.close(connections[i]);
	free(connections);
	free(data);
	return NULL;
}

static struct client *start_clients(unsigned int threads,
				    unsigned int connections)
{
	struct client *clients = calloc(threads, sizeof(*clients));
	pthread_attr_t attr;

	if (!clients)
		die("out of memory");
	pthread_barrier_init(&opened, NULL, threads + 1);
	pthread_barrier_init(&warm, NULL, threads + 1);
	pthread_attr_init(&attr);
	for (unsigned int i = 0; i < threads; i++) {
		clients[i].connections = connections / threads +
					 (i < connections % threads);
		if (pthread_create(&clients[i].thread, &attr, client,
				   &clients[i]))
			die("no thread");
	}
	pthread_attr_destroy(&attr);
	return clients;
}

static void measure(pid_t server, unsigned int connections, double seconds)
{
	unsigned int threads = connections < MAX_THREADS ? connections :
							   MAX_THREADS;
	struct client *clients = start_clients(threads, connections), sum = { 0 };
	uint64_t start, begin, end;
	clockid_t server_clock;

	if (clock_getcpuclockid(server, &server_clock))
		die("the server has no clock");

	pthread_barrier_wait(&opened);
	sleep_for(WARM_UP_SECONDS);
	warm_up_over = true;
	pthread_barrier_wait(&warm);

	start = now(CLOCK_PROCESS_CPUTIME_ID) + now(server_clock);
	begin = now(CLOCK_MONOTONIC);
	sleep_for(seconds);
	stop = true;
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(clients[i].thread, NULL);
	end = now(CLOCK_MONOTONIC);
	start = now(CLOCK_PROCESS_CPUTIME_ID) + now(server_clock) - start;

	for (unsigned int i = 0; i < threads; i++) {
		histogram_merge(&sum.latency, &clients[i].latency);
		sum.calls += clients[i].calls;
	}
	sum.calls += (int64_t)sum.latency.count;
	printf("%lld %.3f %llu %llu %llu %.3f\n", (long long)sum.calls,
	       (double)(end - begin) / 1e9,
	       (unsigned long long)histogram_quantile(&sum.latency, 0.5),
	       (unsigned long long)histogram_quantile(&sum.latency, 0.99),
	       (unsigned long long)sum.latency.max, (double)start / 1e9);
	free(clients);
}

/* A port that was free a moment ago, and a path that nobody has. */
static void choose_address(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t length = sizeof(any);
	static char path[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&any, length) ||
	    getsockname(fd, (struct sockaddr *)&any, &length))
		die("no port");
	close(fd);
	address.port = ntohs(any.sin_port);

	strcpy(path, "/tmp/rpc-bench.XXXXXX");
	if (!mkdtemp(path))
		die("no folder for the socket");
	setenv("RPC_BENCH_DIR", path, 1);
	strcat(path, "/s");
	address.path = path;
}

static void remove_address(void)
{
	unlink(address.path);
	rmdir(getenv("RPC_BENCH_DIR"));
}

static void allow_connections(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void bad_arguments(void)
{
	fprintf(stderr,
		"usage: %s version | local\n"
		"       %s tcp|unix SIZE CONNECTIONS WINDOW SECONDS\n",
		program_invocation_short_name, program_invocation_short_name);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned int connections;
	double seconds;
	pid_t server;

	if (argc == 2 && !strcmp(argv[1], "version")) {
		puts(peer.version());
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "local"))
		return !peer.has_local;
	if (argc != 6)
		bad_arguments();
	address.local = !strcmp(argv[1], "unix");
	size = strtoul(argv[2], NULL, 0);
	connections = (unsigned int)strtoul(argv[3], NULL, 0);
	window = (unsigned int)strtoul(argv[4], NULL, 0);
	seconds = strtod(argv[5], NULL);
	if (size > PEER_MAX_SIZE || !connections || !window || seconds <= 0 ||
	    (window > 1 && connections > MAX_THREADS))
		bad_arguments();
	if ((address.local && !peer.has_local) || (window > 1 && !peer.pipeline))
		die("this peer cannot do that");

	signal(SIGPIPE, SIG_IGN);
	allow_connections();
	choose_address();
	server = start_server();
	measure(server, connections, seconds);
	stop_server(server);
	remove_address();
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A server that was killed is started again at once, as by a supervisor, at the
 * same port.
 */
#include <signal.h>
#include <sys/wait.h>

#include "rpc_server.h"

#define RESTARTS 20

/* Says its status to @fd, and serves until it is killed. */
static void serve(const char *protseq, const char *port, int fd)
{
	RPC_STATUS status;

	alarm(2 * WATCHDOG_MS / 1000);
	status = RpcServerUseProtseqEp((RPC_CSTR)protseq, 10, (RPC_CSTR)port,
				       NULL);
	if (status == RPC_S_OK)
		status = RpcServerListen(1, 4, 1);
	if (write(fd, &status, sizeof(status)) < 0)
		_exit(1);
	for (;;)
		pause();
}

static RPC_STATUS start(const char *protseq, const char *port, pid_t *pid)
{
	RPC_STATUS status = -1;
	int ready[2];

	if (pipe(ready))
		abort();
	*pid = fork();
	if (!*pid)
		serve(protseq, port, ready[1]);
	close(ready[1]);
	if (read(ready[0], &status, sizeof(status)) != sizeof(status))
		status = -1;
	close(ready[0]);
	return status;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int free_port(int type)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t len = sizeof(any);
	int fd = socket(AF_INET, type, 0);

	if (bind(fd, (struct sockaddr *)&any, len) ||
	    getsockname(fd, (struct sockaddr *)&any, &len))
		abort();
	close(fd);
	return ntohs(any.sin_port);
}

static void test_restarts(const char *engine, const char *protseq, int type)
{
	RPC_STATUS status = RPC_S_OK;
	char port[8];
	pid_t pid;
	int i;

	setenv("RPCCANCEL_ENGINE", engine, 1);
	snprintf(port, sizeof(port), "%d", free_port(type));
	for (i = 0; i < RESTARTS && status == RPC_S_OK; i++) {
		status = start(protseq, port, &pid);
		end(pid);
	}
	ok(status == RPC_S_OK, "%s, %s: %d restarts at the same port", engine,
	   protseq, i);
}

static void test_second(const char *protseq, int type)
{
	char port[8];
	pid_t first, second;

	snprintf(port, sizeof(port), "%d", free_port(type));
	is(start(protseq, port, &first), RPC_S_OK, "a server");
	is(start(protseq, port, &second), RPC_S_DUPLICATE_ENDPOINT,
	   "a second one, while the first one lives");
	end(second);
	end(first);
}

int main(void)
{
	static const char *const engines[] = { "io_uring", "poll" };
	int i;

	setbuf(stdout, NULL);
	for (i = 0; i < 2; i++) {
		test_restarts(engines[i], "ncacn_ip_tcp", SOCK_STREAM);
		test_restarts(engines[i], "ncadg_ip_udp", SOCK_DGRAM);
	}
	test_second("ncacn_ip_tcp", SOCK_STREAM);
	test_second("ncadg_ip_udp", SOCK_DGRAM);
	return tap_end();
}

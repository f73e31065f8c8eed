// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Forks in a process whose other threads use the library, also at the moment
 * that they do so for the first time: the child can use it, too.
 */
#include <stdatomic.h>
#include <sys/wait.h>

#include "rpc_server.h"

#define TRIALS	 50
#define FORKS	 100
#define WATCHDOG 20 /* s */

static RPC_BINDING_HANDLE binding;

static void use_binding(void)
{
	RPC_BINDING_HANDLE copy = NULL;

	RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 7);
	RpcBindingCopy(binding, &copy);
	RpcBindingFree(&copy);
}

static void make_binding(const char *text)
{
	if (RpcBindingFromStringBinding((RPC_CSTR)text, &binding))
		abort();
}

static void prepare_cn(void)
{
	make_binding("ncacn_ip_tcp:127.0.0.1[1]");
}

static void prepare_dg(void)
{
	make_binding("ncadg_ip_udp:127.0.0.1[1]");
}

static void no_log(void *context, int level, const char *message)
{
	(void)context;
	(void)level;
	(void)message;
}

static void use_log(void)
{
	rpccancel_set_log(no_log, NULL);
}

static void use_server(void)
{
	static const struct rpccancel_server_limits limits = {
		.size = sizeof(limits),
	};
	RPC_BINDING_VECTOR *vector;

	RpcServerInqBindings(&vector);
	RpcServerUseProtseqEp((RPC_CSTR) "ncalrpc", 1, (RPC_CSTR) "/", NULL);
	rpccancel_server_set_limits(&limits);
}

static void use_cancel(void)
{
	void *thread;

	if (rpccancel_thread_self(THREAD_SET_CONTEXT, &thread) == RPC_S_OK)
		rpccancel_thread_close(thread);
}

static void prepare_nothing(void)
{
}

static const struct use {
	const char *what;
	void (*prepare)(void); /* before there are threads */
	void (*use)(void);
} uses[] = {
	{ "connections", prepare_cn, use_binding },
	{ "datagrams", prepare_dg, use_binding },
	{ "the log", prepare_nothing, use_log },
	{ "the server", prepare_nothing, use_server },
	{ "cancels", prepare_nothing, use_cancel },
};

static const struct use *use;
static sem_t go;
static atomic_int used;
static atomic_bool stop;

static void *user(void *arg)
{
	sem_wait(&go);
	while (!stop) {
		use->use();
		used++;
	}
	return arg;
}

/* The fork has begun, and the other thread uses the library for the first time. */
static void in_fork(void)
{
	sem_post(&go);
	while (!used)
		usleep(10);
}

static int fork_once(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		alarm(WATCHDOG);
		if (use)
			use->use();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* In a process that has not used the library yet. */
static int first_use(void)
{
	pthread_t thread;
	int status;

	use->prepare();
	sem_init(&go, 0, 0);
	pthread_atfork(in_fork, NULL, NULL);
	if (pthread_create(&thread, NULL, user, NULL))
		abort();
	status = fork_once();
	stop = true;
	pthread_join(thread, NULL);
	return status != 0;
}

static void test_first_use(const struct use *which)
{
	int good, status = 0;
	pid_t pid;

	use = which;
	for (good = 0; good < TRIALS; good++) {
		pid = fork();
		if (!pid)
			_exit(first_use());
		waitpid(pid, &status, 0);
		if (status)
			break;
	}
	ok(good == TRIALS, "%d children born at another's first use of %s",
	   good, which->what);
}

/*
 * A fork takes the library's locks, and meanwhile others go on as far as they
 * can. So it has to take them in the order in which others do.
 */

static int port;

static void *listener(void *arg)
{
	while (!stop) {
		RpcServerListen(1, 4, 1);
		RpcMgmtStopServerListening(NULL);
		RpcMgmtWaitServerListen();
	}
	return arg;
}

/* Each is logged. */
static void *violator(void *arg)
{
	while (!stop) {
		int fd = connect_to(port);

		send_bytes(fd, "GET / HTTP/1.1\r\n\r\n", 18);
		close(fd);
	}
	return arg;
}

static int forks_of_server(void)
{
	static void *(*const run[])(void *) = { listener, violator, violator };
	pthread_t threads[3];
	int i, status = 0;

	alarm(6 * WATCHDOG);
	port = use_tcp();
	rpccancel_set_log(no_log, NULL);
	for (i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, run[i], NULL))
			abort();
	for (i = 0; i < FORKS && !status; i++)
		status = fork_once();
	stop = true;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return status != 0;
}

static void test_order(void)
{
	int status = -1;
	pid_t pid;

	use = NULL;
	pid = fork();
	if (!pid)
		_exit(forks_of_server());
	waitpid(pid, &status, 0);
	is(status, 0, "a server forks while it stops, listens, and logs");
}

int main(void)
{
	size_t i;

	setbuf(stdout, NULL);
	for (i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		test_first_use(&uses[i]);
	test_order();
	return tap_end();
}

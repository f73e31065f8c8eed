// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A process of threads that are cancelled: in system calls of their own, and in
 * remote procedure calls.  All is done in scopes, and a scope tells if it was
 * cancelled; between scopes a cancel waits for the next one.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../rpccancel_util.h"
#include "ledger.h"

#define STACK		(128 << 10)
/* What cannot be cancelled, or not be ended from outside, is not to last. */
#define SHORT_MS	200
#define DATA_MAX	4000

struct member {
	struct account *account;
	int index;		/* of all threads */
	uint32_t seed;
	pthread_t thread;
	RPC_BINDING_HANDLE binding;
};

/* They never have a byte; but the end of the one, at the end of the test. */
static int silent[2], closed[2];
static int word;
static struct member members[PER_PROCESS];

/* An end of the test ends all waits but the short ones. */
static void end_waits(void)
{
	shutdown(silent[1], SHUT_RDWR);
	close(closed[1]);
}

static void expect(int ret)
{
	if (ret < 0 && errno != ECANCELED)
		ODD(errno);
}

/* Waits in one of the system calls; true if it was refused. */
static bool wait_somewhere(struct member *m)
{
	uint32_t *seed = &m->seed;
	int ms = rc_random(seed, ledger->longest) + 1, ret;
	struct pollfd pfd = { .fd = closed[0], .events = POLLIN };
	struct timespec ts = { .tv_nsec = ms % SHORT_MS * 1000000L };
	char byte;

	switch (rc_random(seed, 5)) {
	case 0:
		ret = recv(silent[0], &byte, 1, 0);
		break;
	case 1:
		ret = read(closed[0], &byte, 1);
		break;
	case 2:
		ret = nanosleep(&ts, NULL);
		break;
	case 3:
		/* Not to be refused, whatever comes. */
		ret = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts,
			      NULL, 0);
		if (ret && errno != ETIMEDOUT)
			ODD(errno);
		ret = 0;
		break;
	default:
		ret = poll(&pfd, 1, ms);
		break;
	}
	expect(ret);
	return ret < 0;
}

static void unbind(struct member *m)
{
	if (m->binding)
		RpcBindingFree(&m->binding);
}

/* To the first server, which is never killed, from who is not killed either. */
static void bind_somewhere(struct member *m)
{
	int server = is_spared(m->index / PER_PROCESS) ? 0 :
		     rc_random(&m->seed, SERVERS);
	int protseq = rc_random(&m->seed, PROTSEQS);

	if (!m->binding)
		m->binding = bind_to(ledger->binding[server][protseq]);
}

static RPC_STATUS add(struct member *m)
{
	uint32_t in = rc_random(&m->seed, UINT32_MAX), out = 0;
	RPC_STATUS status = echo_add_one(m->binding, in, &out);

	if (status == RPC_S_OK && out != in + 1)
		ODD(out);
	return status;
}

static RPC_STATUS move(struct member *m)
{
	uint32_t size = rc_random(&m->seed, DATA_MAX);
	uint8_t in[DATA_MAX], out[DATA_MAX];
	RPC_STATUS status;

	memset(in, m->seed, size);
	status = echo_data(m->binding, in, out, size);
	if (status == RPC_S_OK && memcmp(in, out, size))
		ODD(size);
	return status;
}

static RPC_STATUS stay(struct member *m)
{
	static const uint32_t flags[] = {
		0, SLOW_HEED, SLOW_HEED, SLOW_HEED | SLOW_RAISE_CANCEL,
	};
	struct slow_result result;

	return slow_stay(m->binding, rc_random(&m->seed, SHORT_MS),
			 flags[rc_random(&m->seed, ARRAY_SIZE(flags))], &result);
}

static void count_call(struct member *m, RPC_STATUS status)
{
	struct account *a = m->account;

	switch (status) {
	case RPC_S_OK:
		a->answered++;
		return;
	case RPC_S_ZERO_DIVIDE:
		a->raised++;
		return;
	case RPC_S_CALL_CANCELLED:
		a->abandoned++;
		return;
	case RPC_S_SERVER_UNAVAILABLE:
	case RPC_S_CALL_FAILED:
	case RPC_S_CALL_FAILED_DNE:
		a->failed++;
		break;
	default:
		a->failed++;
		ODD(status);
	}
	/* It may be another server by now, at another endpoint. */
	unbind(m);
}

static bool call(struct member *m)
{
	RPC_STATUS status;

	bind_somewhere(m);
	m->account->calls++;
	switch (rc_random(&m->seed, 8)) {
	case 0:
		status = slow_raise(m->binding, RPC_S_ZERO_DIVIDE);
		break;
	case 1:
	case 2:
		status = move(m);
		break;
	case 3:
	case 4:
		status = stay(m);
		break;
	default:
		status = add(m);
	}
	count_call(m, status);
	return false;
}

static bool do_nothing(struct member *m)
{
	(void)m;
	return false;
}

/* @fn: true if a system call was refused; then the scope has to be cancelled. */
static void in_scope(struct member *m, bool (*fn)(struct member *m))
{
	struct rpccancel_scope scope;
	bool refused;
	RPC_STATUS status;

	m->account->scopes++;
	status = rpccancel_scope_begin(&scope, NULL);
	if (status != RPC_S_OK)
		ODD(status);
	refused = fn(m);
	status = rpccancel_scope_end(&scope);
	if (status == RPC_S_CALL_CANCELLED)
		m->account->cancelled++;
	else
		m->account->quiet++;
	if (status != RPC_S_CALL_CANCELLED && (status != RPC_S_OK || refused))
		ODD(status);
}

static void pause_between(struct member *m)
{
	struct pollfd pfd = { .fd = closed[0], .events = POLLIN };

	if (poll(&pfd, 1, rc_random(&m->seed, ledger->longest)) < 0)
		ODD(errno);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	bool caller = m->index % CALLER == 0;
	RPC_STATUS status;

	status = rpccancel_thread_attach();
	if (status != RPC_S_OK)
		ODD(status);
	m->account->pid = getpid();
	m->account->tid = rc_gettid();
	ledger->attached++;
	/* Not all of them at once. */
	pause_between(m);
	while (ledger->stage < WORKERS_END) {
		in_scope(m, caller ? call : wait_somewhere);
		if (caller || !rc_random(&m->seed, 4))
			pause_between(m);
	}
	/* All cancellers have ended: what still is pending is told here. */
	m->account->tid = 0;
	in_scope(m, do_nothing);
	unbind(m);
	return NULL;
}

static void start_members(int process, uint32_t seed)
{
	pthread_attr_t attr;
	char *stacks;

	stacks = mmap(NULL, PER_PROCESS * STACK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stacks == MAP_FAILED)
		die("mmap");
	pthread_attr_init(&attr);
	for (int i = 0; i < PER_PROCESS; i++) {
		struct member *m = &members[i];

		m->index = process * PER_PROCESS + i;
		m->account = &ledger->account[m->index];
		m->seed = rc_random(&seed, UINT32_MAX) | 1;
		pthread_attr_setstack(&attr, stacks + i * STACK, STACK);
		errno = pthread_create(&m->thread, &attr, member_main, m);
		if (errno)
			die("pthread_create");
	}
	pthread_attr_destroy(&attr);
}

void worker_main(int process, uint32_t seed)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, silent) || pipe(closed))
		die("pipe");
	start_members(process, seed);
	while (ledger->stage < WORKERS_END)
		rc_sleep(200);
	end_waits();
	for (int i = 0; i < PER_PROCESS; i++)
		pthread_join(members[i].thread, NULL);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Who can be cancelled, how, and what becomes of both sides: each statement of
 * Microsoft's pages on RpcCancelThread and RpcCancelThreadEx, on each protocol
 * sequence.
 */
#include "tap.h"
#include "testing.h"

#define LONG_MS	 600000 /* a stub stays for ever */
#define MARGIN	 100	/* ms by which clocks and roundings may differ */
#define INFINITE RPC_C_CANCEL_INFINITE_TIMEOUT

/* Of one protocol sequence. */
static struct server server;
static enum protseq protseq;
static struct caller caller;
static unsigned int entered;

#define name(text) tap_name(text)
static const char *tap_name(const char *text)
{
	static char buffer[160];

	snprintf(buffer, sizeof(buffer), "%s: %s", protseq_names[protseq],
		 text);
	return buffer;
}

/* The thread makes a call, and the server's stub has been entered. */
static void enter(RPC_STATUS (*call)(struct caller *c), uint32_t flags)
{
	entered++;
	caller.ms = LONG_MS;
	caller.flags = flags;
	caller_go(&caller, call);
	if (!server_wait_entered(&server, entered))
		die("a call does not arrive at the server");
}

static void ends(RPC_STATUS status, const char *what)
{
	if (!ok(caller_wait(&caller), "%s, and comes back", name(what)))
		die("this thread is of no use any more");
	is(caller.status, status, name(what));
}

/* All stubs end; who was abandoned has gone on until now. */
static void release(const char *what)
{
	server_release(&server);
	ok(server_wait_left(&server, entered), "%s", name(what));
}

static void next_call_works(void)
{
	is(caller_call(&caller, call_null), RPC_S_OK,
	   name("the next call on the same binding works"));
}

static void set_cancel_timeout(int seconds)
{
	caller.ms = seconds;
	is(caller_call(&caller, call_set_cancel_timeout), RPC_S_OK,
	   name("RpcMgmtSetCancelTimeout"));
}

/* The server is told, and its stub cleans up in time. */
static void server_heeds(void)
{
	unsigned int cancelled = server_counts(&server).cancelled;

	enter(call_stay, SLOW_HEED);
	is(RpcCancelThreadEx(caller.handle, 60), RPC_S_OK,
	   name("RpcCancelThreadEx"));
	ends(RPC_S_OK, "the server returns in time: its answer is the call's");
	is(caller.result.cancelled, 1, name("RpcTestCancel told the stub"));
	is(server_counts(&server).cancelled, cancelled + 1,
	   name("one stub was told"));
	next_call_works();

	enter(call_stay, SLOW_HEED | SLOW_RAISE_CANCEL);
	is(RpcCancelThreadEx(caller.handle, 60), RPC_S_OK,
	   name("RpcCancelThreadEx"));
	ends(RPC_S_CALL_CANCELLED, "the stub raises RPC_S_CALL_CANCELLED");
	next_call_works();

	enter(call_stay, SLOW_HEED | SLOW_BY_DESCRIPTOR);
	is(RpcCancelThreadEx(caller.handle, 60), RPC_S_OK,
	   name("RpcCancelThreadEx"));
	ends(RPC_S_OK, "rpccancel_server_cancel_fd() tells the stub too");
	is(caller.result.cancelled, 1, name("it has become readable"));
}

/* With RpcCancelThread the grace is the target's. */
static void server_heeds_plain_cancel(void)
{
	set_cancel_timeout(60);
	enter(call_stay, SLOW_HEED);
	is(RpcCancelThread(caller.handle), RPC_S_OK, name("RpcCancelThread"));
	ends(RPC_S_OK, "the server returns in time");
	is(caller.result.cancelled, 1, name("RpcTestCancel told the stub"));
	set_cancel_timeout(INFINITE);
	next_call_works();
}

/* The grace is over: the caller is out, the stub is not. */
static void grace_over(void)
{
	unsigned int left = server_counts(&server).left;
	struct slow_counts counts;
	uint64_t start;

	enter(call_stay, SLOW_UNTIL_RELEASED);
	start = now_ms();
	is(RpcCancelThreadEx(caller.handle, 1), RPC_S_OK,
	   name("RpcCancelThreadEx with a second of grace"));
	ends(RPC_S_CALL_CANCELLED, "the server does not return in time");
	ok(now_ms() - start >= 1000 - MARGIN, "%s",
	   name("it was given its second"));
	next_call_works();
	is(server_counts(&server).left, left,
	   name("the stub of the abandoned call goes on"));
	release("and ends when it likes");
	counts = server_counts(&server);
	is(counts.entered, counts.left, name("no stub is left behind"));
	next_call_works();

	enter(call_stay, SLOW_UNTIL_RELEASED);
	is(RpcCancelThreadEx(caller.handle, 0), RPC_S_OK,
	   name("RpcCancelThreadEx without grace"));
	ends(RPC_S_CALL_CANCELLED, "the call ends at once");
	next_call_works();
	release("the stub goes on");
}

static void grace_of_the_thread_over(void)
{
	uint64_t start;

	set_cancel_timeout(1);
	enter(call_stay, SLOW_UNTIL_RELEASED);
	start = now_ms();
	is(RpcCancelThread(caller.handle), RPC_S_OK,
	   name("RpcCancelThread of a thread with a second of grace"));
	ok(now_ms() - start < PATIENCE / 2, "%s", name("it does not wait"));
	ends(RPC_S_CALL_FAILED, "the server does not return in time");
	ok(now_ms() - start >= 1000 - MARGIN, "%s",
	   name("it was given its second"));
	next_call_works();
	release("the stub goes on");

	set_cancel_timeout(0);
	enter(call_stay, SLOW_UNTIL_RELEASED);
	is(RpcCancelThread(caller.handle), RPC_S_OK,
	   name("RpcCancelThread of a thread without grace"));
	ends(RPC_S_CALL_FAILED, "the call ends at once");
	set_cancel_timeout(INFINITE);
	next_call_works();
	release("the stub goes on");
}

/* Without a time-out the caller waits for the server. */
static void grace_for_ever(void)
{
	unsigned int cancelled = server_counts(&server).cancelled;

	enter(call_stay, SLOW_UNTIL_RELEASED);
	is(RpcCancelThread(caller.handle), RPC_S_OK,
	   name("RpcCancelThread of a thread that waits for ever"));
	sleep_ms(WHILE);
	release("the stub that does not heed it is released");
	ends(RPC_S_OK, "the answer is the call's");
	is(caller.result.cancelled, 1, name("the stub was told"));
	is(server_counts(&server).cancelled, cancelled + 1, name("once"));
	next_call_works();
}

/* A second, shorter cancel counts. */
static void cancelled_twice(void)
{
	set_cancel_timeout(60);
	enter(call_stay, SLOW_UNTIL_RELEASED);
	is(RpcCancelThread(caller.handle), RPC_S_OK, name("RpcCancelThread"));
	is(RpcCancelThreadEx(caller.handle, 0), RPC_S_OK,
	   name("then RpcCancelThreadEx without grace"));
	ends(RPC_S_CALL_CANCELLED, "the second cancel ends the call");
	set_cancel_timeout(INFINITE);
	next_call_works();
	release("the stub goes on");
}

/* An idle thread: its next call is hit, and no other. */
static void idle_thread(void)
{
	unsigned int before = server_counts(&server).cancelled;

	set_cancel_timeout(60);
	is(RpcCancelThread(caller.handle), RPC_S_OK,
	   name("RpcCancelThread of an idle thread"));
	caller.ms = LONG_MS;
	caller.flags = SLOW_HEED;
	entered++;
	caller_go(&caller, call_stay);
	ends(RPC_S_OK, "its next call is cancelled");
	is(caller.result.cancelled, 1, name("the stub was told"));
	is(server_counts(&server).cancelled, before + 1, name("once"));
	caller.ms = WHILE;
	caller.flags = SLOW_HEED;
	entered++;
	is(caller_call(&caller, call_stay), RPC_S_OK,
	   name("the call after it"));
	is(caller.result.cancelled, 0, name("is not"));
	set_cancel_timeout(INFINITE);
}

/* What cannot be cancelled is told so, and is not disturbed. */
static void is_refused(RPC_STATUS (*call)(struct caller *c), RPC_STATUS status,
		       const char *what)
{
	unsigned int cancelled = server_counts(&server).cancelled;

	enter(call, SLOW_HEED | SLOW_UNTIL_RELEASED);
	if (status != RPC_S_INVALID_TIMEOUT)
		is(RpcCancelThreadEx(caller.handle, 0), status,
		   name("RpcCancelThreadEx without grace is refused"));
	is(RpcCancelThreadEx(caller.handle, INFINITE), status,
	   name("RpcCancelThreadEx with infinite grace is refused"));
	is(RpcCancelThread(caller.handle), status,
	   name("RpcCancelThread is refused"));
	sleep_ms(WHILE);
	is(server_counts(&server).cancelled, cancelled,
	   name("the stub was not told"));
	release(what);
	ends(RPC_S_OK, what);
	is(caller.result.cancelled, 0, name("the stub was never told"));
	caller.ms = WHILE;
	caller.flags = SLOW_HEED;
	entered++;
	is(caller_call(&caller, call_stay), RPC_S_OK, name("the next call"));
	is(caller.result.cancelled, 0, name("nothing was left for it"));
}

static void access_denied(void)
{
	unsigned int cancelled = server_counts(&server).cancelled;
	void *handle = NULL;

	is(rpccancel_thread_open(caller.tid, THREAD_QUERY_INFORMATION, &handle),
	   RPC_S_OK, name("a handle without THREAD_SET_CONTEXT"));
	enter(call_stay, SLOW_HEED | SLOW_UNTIL_RELEASED);
	is(RpcCancelThread(handle), RPC_S_ACCESS_DENIED,
	   name("RpcCancelThread with it"));
	is(RpcCancelThreadEx(handle, 0), RPC_S_ACCESS_DENIED,
	   name("RpcCancelThreadEx with it"));
	sleep_ms(WHILE);
	is(server_counts(&server).cancelled, cancelled,
	   name("the stub was not told"));
	release("the call is not disturbed");
	ends(RPC_S_OK, "the call is not disturbed");
	rpccancel_thread_close(handle);
}

static void test(enum protseq which)
{
	protseq = which;
	entered = server_counts(&server).entered;
	caller_start(&caller, server_bind(&server, protseq));
	switch (protseq) {
	case LRPC:
		is_refused(call_stay, RPC_S_CANNOT_SUPPORT,
			   "ncalrpc cannot be cancelled");
		break;
	case NP:
		is_refused(call_stay, RPC_S_INVALID_TIMEOUT,
			   "a named pipe needs a finite time-out");
		break;
	default:
		grace_for_ever();
		break;
	}
	if (protseq != LRPC) {
		server_heeds();
		server_heeds_plain_cancel();
		grace_over();
		grace_of_the_thread_over();
		cancelled_twice();
		idle_thread();
		is_refused(call_stay_callback, RPC_S_CANNOT_SUPPORT,
			   "the interface may issue static callbacks");
	}
	access_denied();
	caller_stop(&caller);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("# engine %s, back end %s\n", rpccancel_engine_name(),
	       rpccancel_backend_name());
	server_start(&server, NULL);
	for (int i = 0; i < PROTSEQS; i++)
		test(i);
	ok(server_stop(&server), "the server ends well");
	return tap_end();
}

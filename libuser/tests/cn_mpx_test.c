// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Concurrent multiplexing, on the client's side: asynchronous calls that share a
 * connection, against servers that do what a script says; with both I/O engines.
 * A request begins with the call's number, and so does its answer.
 */
#include <rpcasync.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fake_server.h"

#define MAX 64 /* calls that share a connection */
#define MPX 0x10

/* One call, with all that belongs to it. */
struct async {
	RPC_ASYNC_STATE state;
	RPC_MESSAGE message;
	uint32_t number;
	int event;
};

static RPC_STATUS async_call(struct async *a, RPC_BINDING_HANDLE binding,
			     uint32_t number, size_t size)
{
	RPC_STATUS status;

	memset(a, 0, sizeof(*a));
	RpcAsyncInitializeHandle(&a->state, sizeof(a->state));
	a->number = number;
	a->event = eventfd(0, EFD_CLOEXEC);
	a->state.NotificationType = RpcNotificationTypeEvent;
	a->state.u.hEvent = (void *)(intptr_t)a->event;
	a->message.Handle = binding;
	a->message.ProcNum = 7;
	a->message.BufferLength = (unsigned int)size;
	a->message.RpcInterfaceInformation = &fake_interface;
	status = I_RpcGetBuffer(&a->message);
	if (status)
		return status;
	memset(a->message.Buffer, 'x', size);
	memcpy(a->message.Buffer, &number, sizeof(number));
	status = I_RpcAsyncSetHandle(&a->message, &a->state);
	return status ? status : I_RpcSend(&a->message);
}

static void call_all(struct async *a, RPC_BINDING_HANDLE binding, int count,
		     size_t size)
{
	int i, good = 0;

	for (i = 0; i < count; i++)
		good += !async_call(&a[i], binding, (uint32_t)i, size);
	is(good, count, "calls begin");
}

/* RPC_S_OK if the answer is that of this call, and has come once. */
static RPC_STATUS async_end(struct async *a)
{
	struct pollfd p = { .fd = a->event, .events = POLLIN };
	RPC_STATUS status;
	uint64_t count = 0;

	if (poll(&p, 1, WATCHDOG) != 1 ||
	    read(a->event, &count, sizeof(count)) != sizeof(count) ||
	    count != 1)
		return RPC_S_INTERNAL_ERROR;
	status = RpcAsyncCompleteCall(&a->state, NULL);
	if (!status &&
	    (a->message.BufferLength < sizeof(a->number) ||
	     memcmp(a->message.Buffer, &a->number, sizeof(a->number))))
		status = RPC_X_BAD_STUB_DATA;
	I_RpcFreeBuffer(&a->message);
	close(a->event);
	return status;
}

/* How many of them end with @status. */
static int end_all(struct async *a, int count, RPC_STATUS status)
{
	int i, n = 0;

	for (i = 0; i < count; i++)
		n += async_end(&a[i]) == status;
	return n;
}

/*
 * The server's.
 */

static int mpx_serve(struct fake *f, unsigned int features)
{
	struct ack a = { .features = features, .group = 5, .flags = MPX };
	struct pdu p;
	int fd = serve_with(f, &p, &a);

	expect(f, pdu_flags(&p) == (3 | MPX));
	return fd;
}

/* Whole requests, of one fragment each. */
static void get_requests(struct fake *f, int fd, struct pdu *p, int count)
{
	int i;

	for (i = 0; i < count; i++)
		expect(f, get_pdu(fd, &p[i]) && pdu_type(&p[i]) == 0 &&
				  pdu_flags(&p[i]) == 3);
}

static void answer(int fd, const struct pdu *p)
{
	put_response(fd, p, p->bytes + 24, 4);
}

static void get_control(struct fake *f, int fd, unsigned int type,
			const struct pdu *of)
{
	struct pdu p;

	expect(f, get_pdu(fd, &p) && pdu_type(&p) == type && p.length == 16 &&
			  pdu_call(&p) == pdu_call(of));
}

static void expect_end(struct fake *f, int fd)
{
	expect(f, is_closed(fd));
	close(fd);
}

/*
 * Answers.
 */

static void two_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[2];

	get_requests(f, fd, p, 2);
	answer(fd, &p[1]);
	await(f->go);
	answer(fd, &p[0]);
	expect(f, fake_nobody(f));
	expect_end(f, fd);
}

static void test_two(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[2];
	struct fake f;

	fake_start(&f, two_script);
	binding = fake_binding(&f);
	call_all(a, binding, 2, 8);
	is(async_end(&a[1]), RPC_S_OK, "the second call is answered first");
	is(RpcAsyncGetCallStatus(&a[0].state), RPC_S_ASYNC_CALL_PENDING,
	   "while the first one goes on");
	post(f.go);
	is(async_end(&a[0]), RPC_S_OK, "until it is answered");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "both on one connection");
}

/* From the last to the first, and each of them in two parts. */
static void full_script(struct fake *f)
{
	static struct pdu p[MAX], other;
	int fd = mpx_serve(f, 2), fd2, i;

	get_requests(f, fd, p, MAX);
	fd2 = mpx_serve(f, 2);
	get_requests(f, fd2, &other, 1);
	for (i = MAX - 1; i >= 0; i--)
		put_part(fd, 1, pdu_call(&p[i]), 0, p[i].bytes + 24, 4, true);
	for (i = 0; i < MAX; i++)
		put_part(fd, 2, pdu_call(&p[i]), 0, "more", 4, true);
	answer(fd2, &other);
	expect_end(f, fd);
	expect_end(f, fd2);
}

static void test_full(void)
{
	static struct async a[MAX + 1];
	RPC_BINDING_HANDLE binding;
	struct fake f;

	fake_start(&f, full_script);
	binding = fake_binding(&f);
	call_all(a, binding, MAX + 1, 100);
	is(end_all(a, MAX + 1, RPC_S_OK), MAX + 1,
	   "as many as share a connection, and one more");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "which has another one");
}

/* Fragments of one request are not parted by those of others. */
static void whole_script(struct fake *f)
{
	uint32_t calls[8], stub[8];
	int fd = mpx_serve(f, 2), i;
	struct pdu p;

	for (i = 0; i < 8; i++) {
		expect(f, get_pdu(fd, &p) && pdu_flags(&p) == 1);
		calls[i] = pdu_call(&p);
		stub[i] = pdu_u32(&p, 24);
		do {
			expect(f, get_pdu(fd, &p) && pdu_call(&p) == calls[i]);
		} while (p.length && !(pdu_flags(&p) & 2));
	}
	for (i = 0; i < 8; i++)
		put_part(fd, 3, calls[i], 0, &stub[i], 4, true);
	expect_end(f, fd);
}

static void test_whole(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[8];
	struct fake f;

	fake_start(&f, whole_script);
	binding = fake_binding(&f);
	call_all(a, binding, 8, 16384);
	is(end_all(a, 8, RPC_S_OK), 8, "requests of several fragments");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "go out whole, one after the other");
}

/* A long request would make the others wait. */
static void long_script(struct fake *f)
{
	int fd[2] = { mpx_serve(f, 2), mpx_serve(f, 2) }, i;
	struct pdu p, first;

	for (i = 0; i < 2; i++) {
		expect(f, get_pdu(fd[i], &first));
		for (p = first; p.length && !(pdu_flags(&p) & 2);)
			expect(f, get_pdu(fd[i], &p));
		answer(fd[i], &first);
	}
	expect_end(f, fd[0]);
	expect_end(f, fd[1]);
}

static void test_long(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[2];
	struct fake f;

	fake_start(&f, long_script);
	binding = fake_binding(&f);
	call_all(a, binding, 2, 100000);
	is(end_all(a, 2, RPC_S_OK), 2, "long requests");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "have a connection each");
}

static void sync_script(struct fake *f)
{
	int fd = mpx_serve(f, 2), fd2;
	struct pdu p, q;

	get_requests(f, fd, &p, 1);
	post(f->at);
	fd2 = mpx_serve(f, 2);
	get_requests(f, fd2, &q, 1);
	put_response(fd2, &q, "ok", 2);
	answer(fd, &p);
	expect_end(f, fd);
	expect_end(f, fd2);
}

static void test_sync(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a;
	struct fake f;

	fake_start(&f, sync_script);
	binding = fake_binding(&f);
	async_call(&a, binding, 1, 8);
	await(f.at);
	is(call_ok(binding, 8), RPC_S_OK, "a synchronous call");
	is(async_end(&a), RPC_S_OK, "and an asynchronous one");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "do not share a connection");
}

static void refused_script(struct fake *f)
{
	struct pdu p[5], bind;
	int fd[5], i;

	/* A connection whose call is answered would take the next one. */
	for (i = 0; i < 5; i++) {
		fd[i] = serve(f, &bind);
		get_requests(f, fd[i], &p[i], 1);
	}
	for (i = 0; i < 5; i++)
		answer(fd[i], &p[i]);
	for (i = 0; i < 5; i++)
		expect_end(f, fd[i]);
}

static void test_refused(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[5];
	struct fake f;

	fake_start(&f, refused_script);
	binding = fake_binding(&f);
	call_all(a, binding, 5, 8);
	is(end_all(a, 5, RPC_S_OK), 5, "where it is not granted");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "each call has a connection of its own");
}

/*
 * Ends of other kinds.
 */

static void cancel_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[3];

	get_requests(f, fd, p, 3);
	post(f->at);
	get_control(f, fd, 18, &p[1]);
	answer(fd, &p[0]);
	put_fault(fd, &p[1], 0, 0x1c00000d, true);
	answer(fd, &p[2]);
	expect_end(f, fd);
}

static void test_cancel(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[3];
	struct fake f;

	fake_start(&f, cancel_script);
	binding = fake_binding(&f);
	call_all(a, binding, 3, 8);
	await(f.at);
	RpcAsyncCancelCall(&a[1].state, 0);
	is(async_end(&a[1]), RPC_S_CALL_CANCELLED, "one is cancelled");
	is(async_end(&a[0]), RPC_S_OK, "that before it is not");
	is(async_end(&a[2]), RPC_S_OK, "nor that after it");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "the server is told which");
}

static void abort_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[3], q;

	get_requests(f, fd, p, 3);
	post(f->at);
	get_control(f, fd, 18, &p[1]);
	get_control(f, fd, 19, &p[1]);
	get_requests(f, fd, &q, 1);
	answer(fd, &p[2]);
	put_response(fd, &p[1], "late", 4);
	answer(fd, &q);
	answer(fd, &p[0]);
	expect(f, fake_nobody(f));
	expect_end(f, fd);
}

static void test_abort(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[3], b;
	struct fake f;

	fake_start(&f, abort_script);
	binding = fake_binding(&f);
	call_all(a, binding, 3, 8);
	await(f.at);
	RpcAsyncCancelCall(&a[1].state, 1);
	is(async_end(&a[1]), RPC_S_CALL_CANCELLED, "one is aborted");
	is(async_call(&b, binding, 9, 8), RPC_S_OK, "another one begins");
	is(async_end(&b), RPC_S_OK, "and is answered");
	is(async_end(&a[0]), RPC_S_OK, "like that before");
	is(async_end(&a[2]), RPC_S_OK, "and that after it");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "on the connection, which was to be kept");
}

static void no_keep_script(struct fake *f)
{
	int fd = mpx_serve(f, 0), fd2;
	struct pdu p[3], q;

	get_requests(f, fd, p, 3);
	post(f->at);
	get_control(f, fd, 18, &p[1]);
	get_control(f, fd, 19, &p[1]);
	fd2 = mpx_serve(f, 0);
	get_requests(f, fd2, &q, 1);
	answer(fd2, &q);
	answer(fd, &p[2]);
	await(f->go);
	expect(f, is_silent(fd));
	answer(fd, &p[0]);
	expect_end(f, fd);
	post(f->at);
	expect_end(f, fd2);
}

static void test_no_keep(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[3], b;
	struct fake f;

	fake_start(&f, no_keep_script);
	binding = fake_binding(&f);
	call_all(a, binding, 3, 8);
	await(f.at);
	RpcAsyncCancelCall(&a[1].state, 1);
	is(async_end(&a[1]), RPC_S_CALL_CANCELLED, "one is aborted");
	async_call(&b, binding, 9, 8);
	is(async_end(&b), RPC_S_OK, "the next call is not made there");
	is(async_end(&a[2]), RPC_S_OK, "but those that are there go on");
	post(f.go);
	is(async_end(&a[0]), RPC_S_OK, "to their end");
	ok(await(f.at), "which is that of the connection");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "that was not to be kept");
}

static void timeout_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[2], q;

	get_requests(f, fd, p, 2);
	await(f->go);
	expect(f, is_silent(fd));
	put_response(fd, &p[1], "late", 4);
	answer(fd, &p[0]);
	get_requests(f, fd, &q, 1);
	answer(fd, &q);
	expect_end(f, fd);
}

static void test_timeout(void)
{
	RPC_BINDING_HANDLE binding, impatient;
	struct async a, b;
	struct fake f;

	fake_start(&f, timeout_script);
	binding = fake_binding(&f);
	RpcBindingCopy(binding, &impatient);
	RpcBindingSetOption(impatient, RPC_C_OPT_CALL_TIMEOUT, 200);
	async_call(&a, binding, 1, 8);
	async_call(&b, impatient, 2, 8);
	is(async_end(&b), RPC_S_CALL_CANCELLED, "one takes too long");
	post(f.go);
	is(async_end(&a), RPC_S_OK, "another one does not mind");
	async_call(&a, binding, 3, 8);
	is(async_end(&a), RPC_S_OK, "nor does the next");
	RpcBindingFree(&impatient);
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "and the server is not told");
}

static void fault_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[3];

	get_requests(f, fd, p, 3);
	put_part(fd, 1, pdu_call(&p[0]), 0, p[0].bytes + 24, 4, true);
	put_fault(fd, &p[1], 0, 0x1c010014, true);
	put_part(fd, 2, pdu_call(&p[0]), 0, "more", 4, true);
	put_fault(fd, &p[2], 0, 0x1c01000b, true);
	close(fd);
}

static void test_fault(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[3];
	struct fake f;

	fake_start(&f, fault_script);
	binding = fake_binding(&f);
	call_all(a, binding, 3, 8);
	is(async_end(&a[1]), RPC_S_SERVER_TOO_BUSY, "a fault is of one call");
	is(async_end(&a[0]), RPC_S_OK, "even amidst another's answer");
	is(async_end(&a[2]), RPC_S_PROTOCOL_ERROR, "and another of another");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees it");
}

static void lost_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[5];

	get_requests(f, fd, p, 5);
	answer(fd, &p[3]);
	put_part(fd, 1, pdu_call(&p[2]), 0, p[2].bytes + 24, 4, true);
	close(fd);
}

static void test_lost(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[5];
	struct fake f;

	fake_start(&f, lost_script);
	binding = fake_binding(&f);
	call_all(a, binding, 5, 8);
	is(async_end(&a[3]), RPC_S_OK, "one is answered");
	is(end_all(a, 3, RPC_S_CALL_FAILED), 3, "then the connection is lost");
	is(async_end(&a[4]), RPC_S_CALL_FAILED, "to all others");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees it");
}

/* An answer to nobody. */
static void damage_script(struct fake *f)
{
	int fd = mpx_serve(f, 2);
	struct pdu p[3];

	get_requests(f, fd, p, 3);
	put_part(fd, 3, pdu_call(&p[2]) + 1, 0, "oops", 4, true);
	expect_end(f, fd);
}

static void test_damage(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[3];
	struct fake f;

	fake_start(&f, damage_script);
	binding = fake_binding(&f);
	call_all(a, binding, 3, 8);
	is(end_all(a, 3, RPC_S_PROTOCOL_ERROR), 3,
	   "an answer to what was not asked ends all calls");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "and the connection");
}

static void test_unavailable(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[5];
	struct fake f;

	fake_start(&f, NULL);
	shutdown(f.listen, SHUT_RDWR);
	binding = fake_binding(&f);
	call_all(a, binding, 5, 8);
	is(end_all(a, 5, RPC_S_SERVER_UNAVAILABLE), 5,
	   "a server that is not there, for several");
	RpcBindingFree(&binding);
	fake_stop(&f);
}

static void nak_script(struct fake *f)
{
	int fd = fake_accept(f);
	struct pdu p;

	get_pdu(fd, &p);
	post(f->at);
	await(f->go);
	put_ack(fd, &p, &(struct ack){ .result = 2, .reason = 1 });
	expect_end(f, fd);
}

static void test_nak(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[5];
	struct fake f;

	fake_start(&f, nak_script);
	binding = fake_binding(&f);
	call_all(a, binding, 5, 8);
	await(f.at);
	RpcAsyncCancelCall(&a[0].state, 1);
	is(async_end(&a[0]), RPC_S_CALL_CANCELLED,
	   "one is aborted while the connection comes about");
	post(f.go);
	is(end_all(a + 1, 4, RPC_S_UNKNOWN_IF), 4,
	   "which goes on for the others");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees it");
}

static void shutdown_script(struct fake *f)
{
	int fd = mpx_serve(f, 2), fd2;
	struct pdu p[2], q;

	get_requests(f, fd, p, 2);
	put_bare(fd, 17, 0);
	answer(fd, &p[0]);
	fd2 = mpx_serve(f, 2);
	get_requests(f, fd2, &q, 1);
	answer(fd2, &q);
	answer(fd, &p[1]);
	expect_end(f, fd);
	post(f->at);
	expect_end(f, fd2);
}

static void test_shutdown(void)
{
	RPC_BINDING_HANDLE binding;
	struct async a[2], b;
	struct fake f;

	fake_start(&f, shutdown_script);
	binding = fake_binding(&f);
	call_all(a, binding, 2, 8);
	is(async_end(&a[0]), RPC_S_OK, "after a shutdown");
	async_call(&b, binding, 9, 8);
	is(async_end(&b), RPC_S_OK, "new calls have another connection");
	is(async_end(&a[1]), RPC_S_OK, "while the old ones end");
	ok(await(f.at), "and with them their connection");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees it");
}

/*
 * A server that does not read, and a socket that holds less than all requests.
 */

static void listen_locally(struct fake *f, char *folder)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char path[64];

	if (!mkdtemp(folder) || setenv("RPCCANCEL_DIR", folder, 1))
		abort();
	snprintf(path, sizeof(path), "%s/ncalrpc", folder);
	if (mkdir(path, 0755))
		abort();
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/ncalrpc/mpx", folder);
	close(f->listen);
	f->listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(f->listen, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(f->listen, 4))
		abort();
}

static void unlisten_locally(const char *folder)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/ncalrpc/mpx", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ncalrpc", folder);
	rmdir(path);
	rmdir(folder);
	unsetenv("RPCCANCEL_DIR");
}

/*
 * Those that have come, whole, as they were asked before the end of them. The
 * last to come is @last.
 */
static void stuck_script(struct fake *f)
{
	uint32_t number = 0, calls[MAX] = { 0 };
	int fd = mpx_serve(f, 2);
	struct pdu p;

	post(f->at);
	await(f->go);
	do {
		if (!get_pdu(fd, &p))
			break;
		if (pdu_type(&p) == 0 && pdu_flags(&p) & 1) {
			number = pdu_u32(&p, 24);
			expect(f, number < MAX);
			calls[number % MAX] = pdu_call(&p);
		}
	} while (number != MAX - 1 || pdu_type(&p) || !(pdu_flags(&p) & 2));
	expect(f, calls[0] && calls[MAX - 1]);
	number = MAX - 1;
	put_part(fd, 3, calls[MAX - 1], 0, &number, 4, true);
	number = 0;
	put_part(fd, 3, calls[0], 0, &number, 4, true);
	while (get_pdu(fd, &p))
		;
	close(fd);
}

static void test_stuck(void)
{
	char folder[] = "/tmp/cn_mpx_test.XXXXXX";
	static struct async a[MAX];
	RPC_BINDING_HANDLE binding = NULL;
	struct fake f;
	int i;

	fake_start(&f, NULL);
	listen_locally(&f, folder);
	f.script = stuck_script;
	if (pthread_create(&f.thread, NULL, fake_thread, &f) ||
	    RpcBindingFromStringBinding((RPC_CSTR) "ncalrpc:[mpx]", &binding))
		abort();
	call_all(a, binding, MAX, 16384);
	await(f.at);
	for (i = 1; i < MAX - 1; i++)
		RpcAsyncCancelCall(&a[i].state, 1);
	is(end_all(a + 1, MAX - 2, RPC_S_CALL_CANCELLED), MAX - 2,
	   "calls are aborted while the server does not read");
	post(f.go);
	is(async_end(&a[0]), RPC_S_OK, "the first one is answered");
	is(async_end(&a[MAX - 1]), RPC_S_OK, "and so is the last one");
	RpcBindingFree(&binding);
	is(fake_stop(&f), 0, "as the server sees it");
	unlisten_locally(folder);
}

static int run_tests(void)
{
	test_two();
	test_full();
	test_whole();
	test_long();
	test_sync();
	test_refused();
	test_cancel();
	test_abort();
	test_no_keep();
	test_timeout();
	test_fault();
	test_lost();
	test_damage();
	test_unavailable();
	test_nak();
	test_shutdown();
	test_stuck();
	return 0;
}

int main(void)
{
	return both_engines(run_tests);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Binding handles: making, copying and changing them, without any server.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>
#include <rpcdcep.h>

#include "tap.h"

static RPC_CLIENT_INTERFACE interface = {
	.Length = sizeof(RPC_CLIENT_INTERFACE),
	.InterfaceId = { { 1, 2, 3, { 4, 5, 6, 7, 8, 9, 10, 11 } }, { 1, 0 } },
	.TransferSyntax = { { 0x8a885d04,
			      0x1ceb,
			      0x11c9,
			      { 0x9f, 0xe8, 8, 0, 0x2b, 0x10, 0x48, 0x60 } },
			    { 2, 0 } },
};

static RPC_BINDING_HANDLE make(const char *text)
{
	RPC_BINDING_HANDLE binding = NULL;

	RpcBindingFromStringBinding((RPC_CSTR)text, &binding);
	return binding;
}

static void is_text(RPC_BINDING_HANDLE binding, const char *want,
		    const char *what)
{
	RPC_CSTR text = NULL;

	RpcBindingToStringBinding(binding, &text);
	if (!ok(text && !strcmp((char *)text, want), "%s", what))
		printf("# got %s, expected %s\n", text ? (char *)text : "none",
		       want);
	RpcStringFree(&text);
}

static void test_refused(void)
{
	static const struct {
		const char *text;
		RPC_STATUS status;
	} cases[] = {
		{ "", RPC_S_INVALID_STRING_BINDING },
		{ "ncacn_ip_tcp", RPC_S_INVALID_STRING_BINDING },
		{ "ncacn_ip_tcp:127.0.0.1[", RPC_S_INVALID_STRING_BINDING },
		{ "x@ncacn_ip_tcp:127.0.0.1", RPC_S_INVALID_STRING_UUID },
		{ "ncacn_none:127.0.0.1", RPC_S_INVALID_RPC_PROTSEQ },
		{ "ncadg_mq:127.0.0.1", RPC_S_PROTSEQ_NOT_SUPPORTED },
		{ "ncacn_ip_tcp:127.0.0.1[port]",
		  RPC_S_INVALID_ENDPOINT_FORMAT },
		{ "ncacn_np:[name]", RPC_S_INVALID_ENDPOINT_FORMAT },
	};
	RPC_BINDING_HANDLE binding;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		binding = &binding;
		is(RpcBindingFromStringBinding((RPC_CSTR)cases[i].text,
					       &binding),
		   cases[i].status, cases[i].text);
		ok(!binding, "there is no handle");
	}
	is(RpcBindingFromStringBinding(NULL, &binding), RPC_S_INVALID_ARG,
	   "no string");
}

static void test_text(void)
{
	static const char *const texts[] = {
		"ncacn_ip_tcp:127.0.0.1[1024]",
		"11223344-5566-7788-9900-aabbccddeeff@ncacn_ip_tcp:[1024]",
		"ncalrpc:[somewhere]",
		"ncacn_ip_tcp:localhost",
	};
	RPC_BINDING_HANDLE binding;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		binding = make(texts[i]);
		is_text(binding, texts[i], texts[i]);
		is(RpcBindingFree(&binding), RPC_S_OK, "freed");
		ok(!binding, "and no handle any more");
	}
}

static void test_copy(void)
{
	UUID object = { 0x12345678, 1, 2, { 3, 4, 5, 6, 7, 8, 9, 10 } }, got;
	RPC_BINDING_HANDLE binding = make("ncacn_ip_tcp:127.0.0.1[7]"), copy;
	unsigned int timeout;

	RpcMgmtSetComTimeout(binding, 3);
	is(RpcBindingSetObject(binding, &object), RPC_S_OK, "an object");
	is(RpcBindingCopy(binding, &copy), RPC_S_OK, "a copy");
	is_text(copy,
		"12345678-0001-0002-0304-05060708090a@ncacn_ip_tcp:"
		"127.0.0.1[7]",
		"is the same");
	is(RpcMgmtInqComTimeout(copy, &timeout), RPC_S_OK, "its com-time-out");
	is(timeout, 3, "too");
	is(RpcBindingSetObject(copy, NULL), RPC_S_OK, "no object");
	is_text(copy, "ncacn_ip_tcp:127.0.0.1[7]", "in the copy");
	is(RpcBindingInqObject(binding, &got), RPC_S_OK, "the original's");
	ok(!memcmp(&got, &object, sizeof(got)), "is left alone");
	is(RpcBindingFree(&binding), RPC_S_OK, "freed");
	is(RpcBindingReset(copy), RPC_S_OK, "reset");
	is_text(copy, "ncacn_ip_tcp:127.0.0.1", "it is partially bound");
	RpcBindingFree(&copy);
}

static void test_options(void)
{
	RPC_BINDING_HANDLE binding = make("ncacn_ip_tcp:127.0.0.1[7]");
	unsigned int timeout;
	uintptr_t value;

	RpcMgmtInqComTimeout(binding, &timeout);
	is(timeout, RPC_C_BINDING_DEFAULT_TIMEOUT, "the com-time-out");
	is(RpcMgmtSetComTimeout(binding, 11), RPC_S_INVALID_TIMEOUT,
	   "one that is too long");
	is(RpcMgmtSetComTimeout(binding, RPC_C_BINDING_INFINITE_TIMEOUT),
	   RPC_S_OK, "an infinite one");
	is(RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 1500), RPC_S_OK,
	   "a call time-out");
	RpcBindingInqOption(binding, RPC_C_OPT_CALL_TIMEOUT, &value);
	is(value, 1500, "is kept");
	is(RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 0xffffffff),
	   RPC_S_OK, "INFINITE");
	RpcBindingInqOption(binding, RPC_C_OPT_CALL_TIMEOUT, &value);
	is(value, 0, "is none");
	is(RpcBindingSetOption(binding, RPC_C_OPT_DONT_LINGER, 1), RPC_S_OK,
	   "not to linger");
	is(RpcBindingSetOption(binding, RPC_C_OPT_UNIQUE_BINDING, 1), RPC_S_OK,
	   "a unique binding");
	is(RpcBindingSetOption(binding, 4, 1), RPC_S_CANNOT_SUPPORT,
	   "an option that does not exist here");
	is(RpcBindingInqOption(binding, 4, &value), RPC_S_CANNOT_SUPPORT,
	   "has no value");
	RpcBindingFree(&binding);
}

static void test_no_binding(void)
{
	RPC_BINDING_HANDLE none = NULL;
	unsigned int timeout;
	RPC_MESSAGE message;
	uintptr_t value;
	UUID object;

	memset(&message, 0, sizeof(message));
	is(RpcBindingFree(&none), RPC_S_INVALID_BINDING, "freeing none");
	is(RpcBindingCopy(none, &none), RPC_S_INVALID_BINDING, "copying none");
	is(RpcBindingReset(none), RPC_S_INVALID_BINDING, "resetting none");
	is(RpcBindingSetObject(none, NULL), RPC_S_INVALID_BINDING,
	   "an object for none");
	is(RpcBindingInqObject(none, &object), RPC_S_INVALID_BINDING,
	   "the object of none");
	is(RpcBindingSetOption(none, RPC_C_OPT_CALL_TIMEOUT, 1),
	   RPC_S_INVALID_BINDING, "an option for none");
	is(RpcBindingInqOption(none, RPC_C_OPT_CALL_TIMEOUT, &value),
	   RPC_S_INVALID_BINDING, "an option of none");
	is(RpcMgmtSetComTimeout(none, 1), RPC_S_INVALID_BINDING,
	   "a com-time-out for none");
	is(RpcMgmtInqComTimeout(none, &timeout), RPC_S_INVALID_BINDING,
	   "the com-time-out of none");
	is(I_RpcGetBuffer(&message), RPC_S_INVALID_BINDING,
	   "a buffer for a call of none");
	is(I_RpcSendReceive(&message), RPC_S_INVALID_BINDING, "a call of none");
	is(I_RpcFreeBuffer(&message), RPC_S_OK, "a buffer that is none");
}

static RPC_STATUS call(RPC_BINDING_HANDLE binding)
{
	RPC_MESSAGE message;
	RPC_STATUS status;

	memset(&message, 0, sizeof(message));
	message.Handle = binding;
	message.RpcInterfaceInformation = &interface;
	status = I_RpcGetBuffer(&message);
	if (!status)
		status = I_RpcSendReceive(&message);
	I_RpcFreeBuffer(&message);
	return status;
}

/* Port 1 of the loopback has no server. */
static void test_endpoint(void)
{
	static RPC_PROTSEQ_ENDPOINT endpoints[] = {
		{ (RPC_CSTR) "ncalrpc", (RPC_CSTR) "nowhere" },
		{ (RPC_CSTR) "ncacn_ip_tcp", (RPC_CSTR) "1" },
	};
	RPC_BINDING_HANDLE binding = make("ncacn_ip_tcp:127.0.0.1");

	is(call(binding), RPC_S_NO_ENDPOINT_FOUND, "no endpoint anywhere");
	interface.RpcProtseqEndpointCount = 2;
	interface.RpcProtseqEndpoint = endpoints;
	is(call(binding), RPC_S_SERVER_UNAVAILABLE, "the interface's endpoint");
	is_text(binding, "ncacn_ip_tcp:127.0.0.1[1]",
		"makes the binding a fully bound one");
	RpcBindingReset(binding);
	is_text(binding, "ncacn_ip_tcp:127.0.0.1", "until it is reset");
	interface.RpcProtseqEndpointCount = 0;
	RpcBindingFree(&binding);
}

static void test_call_refused(void)
{
	unsigned short *version =
		&interface.TransferSyntax.SyntaxVersion.MajorVersion;
	RPC_BINDING_HANDLE binding = make("ncacn_ip_tcp:127.0.0.1[1]");
	RPC_MESSAGE message;

	*version = 3;
	is(call(binding), RPC_S_UNSUPPORTED_TRANS_SYN,
	   "a transfer syntax other than NDR");
	*version = 2;
	memset(&message, 0, sizeof(message));
	message.Handle = binding;
	message.ProcNum = RPC_FLAGS_VALID_BIT;
	message.RpcFlags = RPC_NCA_FLAGS_BROADCAST;
	message.RpcInterfaceInformation = &interface;
	I_RpcGetBuffer(&message);
	is(I_RpcSendReceive(&message), RPC_S_CANNOT_SUPPORT,
	   "a broadcast over a connection");
	ok(!message.Buffer, "a call that fails takes its buffer with it");
	is(I_RpcFreeBuffer(&message), RPC_S_OK, "which may be freed again");
	RpcBindingFree(&binding);
}

/* Without I_RpcFreeBuffer() between them; a sanitizer counts for itself. */
static void test_buffer_again(void)
{
	RPC_BINDING_HANDLE binding = make("ncacn_ip_tcp:127.0.0.1[1]");
	RPC_MESSAGE message;
	size_t before;
	int i, good = 0;

	memset(&message, 0, sizeof(message));
	message.Handle = binding;
	message.RpcInterfaceInformation = &interface;
	before = mallinfo2().uordblks;
	for (i = 0; i < 1000; i++) {
		message.BufferLength = 1000 + (unsigned int)i;
		good += I_RpcGetBuffer(&message) == RPC_S_OK;
		memset(message.Buffer, i, message.BufferLength);
	}
	is(good, 1000, "another buffer for the same message");
	I_RpcFreeBuffer(&message);
	ok(mallinfo2().uordblks < before + 100000,
	   "takes the place of the one before");
	RpcBindingFree(&binding);
}

/* What a binding is good for without a server. 0: all went well. */
static int use_binding(RPC_BINDING_HANDLE binding)
{
	RPC_BINDING_HANDLE copy = NULL;
	RPC_CSTR text = NULL;
	uintptr_t value;
	int bad = 0;

	bad |= RpcBindingSetOption(binding, RPC_C_OPT_CALL_TIMEOUT, 7);
	bad |= RpcBindingInqOption(binding, RPC_C_OPT_CALL_TIMEOUT, &value);
	bad |= RpcBindingToStringBinding(binding, &text);
	RpcStringFree(&text);
	bad |= RpcBindingCopy(binding, &copy);
	bad |= RpcBindingSetOption(copy, RPC_C_OPT_UNIQUE_BINDING, 1);
	bad |= RpcBindingFree(&copy);
	return bad;
}

static RPC_BINDING_HANDLE shared[2];
static atomic_bool stop;

static void *user(void *arg)
{
	while (!stop) {
		use_binding(shared[0]);
		use_binding(shared[1]);
	}
	return arg;
}

static bool child_works(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		alarm(20);
		_exit(use_binding(shared[0]) || use_binding(shared[1]) ||
		      RpcBindingFree(&shared[0]) || RpcBindingFree(&shared[1]));
	}
	waitpid(pid, &status, 0);
	return !status;
}

/* Whatever lock the other threads have at that moment, the child needs it. */
static void test_fork(void)
{
	pthread_t threads[2];
	int i, good;

	shared[0] = make("ncacn_ip_tcp:127.0.0.1[1]");
	shared[1] = make("ncadg_ip_udp:127.0.0.1[1]");
	fflush(stdout);
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, user, NULL))
			abort();
	for (good = 0; good < 300; good++)
		if (!child_works())
			break;
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	is(good, 300, "children use bindings that threads were busy with");
	RpcBindingFree(&shared[0]);
	RpcBindingFree(&shared[1]);
}

int main(void)
{
	test_refused();
	test_text();
	test_copy();
	test_options();
	test_no_binding();
	test_endpoint();
	test_call_refused();
	test_buffer_again();
	test_fork();
	return tap_end();
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A server of the interfaces of echo.h, for tests. Prints the string bindings
 * at which it can be reached, then "ready"; ends, with status 0 if all went
 * well, at SIGTERM, or when its standard input ends.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rpccancel.h>

#include "echo.h"

static const char usage[] =
	"usage: echo_server [OPTION...] [PROTSEQ[:ENDPOINT]...]\n"
	"\n"
	"Serves at these endpoints; without one, at any endpoint of TCP, UDP, named\n"
	"pipes and ncalrpc.\n"
	"\n"
	"  --calls N     at most so many calls at a time\n"
	"  --interrupt   interrupt the stubs of \"block\"; prints \"interrupt STATUS\"\n"
	"  --netlogon    serve what stands in for netlogon in Samba's tests\n"
	"  --log         print what the run time has to say to standard error\n"
	"  --help        this text\n";

static const char *const all[] = {
	"ncacn_ip_tcp", "ncadg_ip_udp", "ncacn_np", "ncalrpc", NULL,
};

static void need(RPC_STATUS status, const char *what)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN] = "";

	if (status == RPC_S_OK)
		return;
	DceErrorInqText(status, text);
	fprintf(stderr, "echo_server: %s: %d, %s\n", what, status, text);
	exit(1);
}

static void serve_at(const char *text)
{
	char *protseq = strdup(text),
	     *colon = protseq ? strchr(protseq, ':') : NULL;
	RPC_STATUS status;

	if (!protseq)
		need(RPC_S_OUT_OF_MEMORY, text);
	if (colon)
		*colon++ = '\0';
	if (colon)
		status = RpcServerUseProtseqEp((RPC_CSTR)protseq,
					       RPC_C_PROTSEQ_MAX_REQS_DEFAULT,
					       (RPC_CSTR)colon, NULL);
	else
		status = RpcServerUseProtseq((RPC_CSTR)protseq,
					     RPC_C_PROTSEQ_MAX_REQS_DEFAULT,
					     NULL);
	need(status, text);
	free(protseq);
}

static void print_bindings(void)
{
	RPC_BINDING_VECTOR *vector;
	RPC_CSTR text;

	need(RpcServerInqBindings(&vector), "RpcServerInqBindings");
	for (uint32_t i = 0; i < vector->Count; i++) {
		need(RpcBindingToStringBinding(vector->BindingH[i], &text),
		     "RpcBindingToStringBinding");
		printf("%s\n", text);
		RpcStringFree(&text);
	}
	RpcBindingVectorFree(&vector);
}

static void register_block(bool interrupt)
{
	RPC_STATUS status;

	status = RpcServerRegisterIfEx(&block_server, NULL, NULL,
				       interrupt ? RPCCANCEL_IF_INTERRUPT : 0,
				       RPC_C_LISTEN_MAX_CALLS_DEFAULT, NULL);
	if (interrupt)
		printf("interrupt %d\n", status);
	else
		need(status, "block");
}

static void print_log(void *context, int level, const char *message)
{
	(void)context;
	fprintf(stderr, "<%d>%s\n", level, message);
}

/* Until SIGTERM or SIGINT, blocked so far, or the end of the input. */
static void wait_for_end(const sigset_t *signals)
{
	struct pollfd pfd[] = {
		{ .fd = signalfd(-1, signals, SFD_CLOEXEC), .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	char byte;

	for (;;) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return;
		if (pfd[0].revents)
			return;
		if (pfd[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return;
	}
}

static unsigned int parse_number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !*text || value > 100000) {
		fprintf(stderr, "echo_server: '%s' is no number\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "calls", required_argument, NULL, 'c' },
		{ "interrupt", no_argument, NULL, 'i' },
		{ "netlogon", no_argument, NULL, 'n' },
		{ "log", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int calls = RPC_C_LISTEN_MAX_CALLS_DEFAULT;
	bool interrupt = false, netlogon = false;
	sigset_t signals;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			calls = parse_number(optarg);
			break;
		case 'i':
			interrupt = true;
			break;
		case 'n':
			netlogon = true;
			break;
		case 'l':
			rpccancel_set_log(print_log, NULL);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	/* Before there is a thread that could take them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	for (int i = optind; i < argc; i++)
		serve_at(argv[i]);
	for (int i = 0; optind == argc && all[i]; i++)
		serve_at(all[i]);
	need(RpcServerRegisterIf(&echo_server, NULL, NULL), "echo");
	need(RpcServerRegisterIf(&slow_server, NULL, NULL), "slow");
	register_block(interrupt);
	if (netlogon)
		need(RpcServerRegisterIf(&netlogon_server, NULL, NULL),
		     "netlogon");
	need(RpcServerListen(1, calls, 1), "RpcServerListen");
	print_bindings();
	puts("ready");
	fflush(stdout);

	wait_for_end(&signals);
	need(RpcMgmtStopServerListening(NULL), "RpcMgmtStopServerListening");
	slow_release_all();
	need(RpcMgmtWaitServerListen(), "RpcMgmtWaitServerListen");
	need(RpcServerUnregisterIf(NULL, NULL, 1), "RpcServerUnregisterIf");
	return 0;
}

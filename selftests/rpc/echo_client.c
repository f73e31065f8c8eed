// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A client of the interfaces of echo.h, and of the management interface that
 * every server has, for tests with servers that others wrote. Prints what came
 * of one call: "STATUS RESULT".
 */
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rpccancel.h>

#include "echo.h"

static const char usage[] =
	"usage: echo_client [OPTION...] BINDING CALL [NUMBER]\n"
	"\n"
	"BINDING is a string binding. Each CALL prints its status and its result.\n"
	"\n"
	"  addone N      N plus one\n"
	"  echodata N    N bytes there and back\n"
	"  sinkdata N    N bytes there\n"
	"  sourcedata N  N bytes back\n"
	"  sleep N       for N seconds\n"
	"  stay N        for N ms, without looking for cancels\n"
	"  null          nothing\n"
	"  ifids         the interfaces of the server\n"
	"  listening     whether it listens\n"
	"\n"
	"  --repeat N           make the call N times\n"
	"  --cancel MS          cancel it after MS milliseconds\n"
	"  --grace SECONDS      when it is cancelled; default 1\n"
	"  --storm N            make it N times, cancelled at random moments; prints\n"
	"                       how many were answered, cancelled and failed\n"
	"  --then-add           then call addone too, on the same binding\n"
	"  --help               this text\n";

struct job {
	RPC_BINDING_HANDLE binding;
	const char *name;
	unsigned long argument;
	RPC_STATUS status;
	void *thread; /* the handle of the one that makes the call */
	pthread_barrier_t ready;
};

static bool quiet; /* only the sums of a storm are printed */

static void __printf(1, 2) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!quiet)
		vprintf(format, args);
	va_end(args);
}

static RPC_STATUS add_one(struct job *job)
{
	uint32_t out = 0;
	RPC_STATUS status = echo_add_one(job->binding, job->argument, &out);

	say("%d %u\n", status, out);
	return status;
}

/* All the calls that move data: into one buffer, and out of another. */
static RPC_STATUS move(struct job *job)
{
	size_t length = job->argument;
	uint8_t *in = malloc(length + 1), *out = calloc(1, length + 1);
	RPC_STATUS status = RPC_S_OUT_OF_MEMORY;
	bool same = false;

	for (size_t i = 0; in && i < length; i++)
		in[i] = i;
	if (in && out && !strcmp(job->name, "sinkdata"))
		status = echo_sink(job->binding, in, length);
	else if (in && out && !strcmp(job->name, "sourcedata"))
		status = echo_source(job->binding, out, length);
	else if (in && out)
		status = echo_data(job->binding, in, out, length);
	if (in && out)
		same = !strcmp(job->name, "sinkdata") ||
		       !memcmp(in, out, length);
	say("%d %s\n", status, same ? "same" : "different");
	free(in);
	free(out);
	return status;
}

static RPC_STATUS sleep_call(struct job *job)
{
	uint32_t slept = 0;
	RPC_STATUS status = echo_sleep(job->binding, job->argument, &slept);

	say("%d %u\n", status, slept);
	return status;
}

static RPC_STATUS stay(struct job *job)
{
	struct slow_result result;
	RPC_STATUS status = slow_stay(job->binding, job->argument, 0, &result);

	say("%d\n", status);
	return status;
}

static RPC_STATUS null_call(struct job *job)
{
	RPC_STATUS status = slow_null(job->binding);

	say("%d\n", status);
	return status;
}

static RPC_STATUS if_ids(struct job *job)
{
	RPC_IF_ID_VECTOR *vector = NULL;
	RPC_STATUS status = RpcMgmtInqIfIds(job->binding, &vector);
	RPC_CSTR text;

	say("%d %u\n", status, vector ? vector->Count : 0);
	for (uint32_t i = 0; vector && i < vector->Count; i++) {
		const RPC_IF_ID *id = vector->IfId[i];

		if (UuidToString(&id->Uuid, &text) != RPC_S_OK)
			continue;
		say("%s %u.%u\n", text, id->VersMajor, id->VersMinor);
		RpcStringFree(&text);
	}
	if (vector)
		RpcIfIdVectorFree(&vector);
	return status;
}

static RPC_STATUS listening(struct job *job)
{
	RPC_STATUS status = RpcMgmtIsServerListening(job->binding);

	say("%d\n", status);
	return status;
}

static const struct {
	const char *name;
	RPC_STATUS (*make)(struct job *job);
} calls[] = {
	{ "addone", add_one },	    { "echodata", move },
	{ "sinkdata", move },	    { "sourcedata", move },
	{ "sleep", sleep_call },    { "stay", stay },
	{ "null", null_call },	    { "ifids", if_ids },
	{ "listening", listening },
};

static RPC_STATUS make(struct job *job)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, job->name))
			return calls[i].make(job);
	fprintf(stderr, "echo_client: no call '%s'\n", job->name);
	exit(2);
}

static void *run(void *arg)
{
	struct job *job = arg;

	if (rpccancel_thread_self(THREAD_SET_CONTEXT, &job->thread))
		job->thread = NULL;
	pthread_barrier_wait(&job->ready);
	job->status = make(job);
	return NULL;
}

/* The call in a thread of its own, which is cancelled after @ms. */
static void make_cancelled(struct job *job, unsigned int ms, long grace)
{
	pthread_t thread;

	pthread_barrier_init(&job->ready, NULL, 2);
	if (pthread_create(&thread, NULL, run, job)) {
		perror("echo_client");
		exit(1);
	}
	pthread_barrier_wait(&job->ready);
	usleep(ms * 1000);
	printf("cancel %d\n", RpcCancelThreadEx(job->thread, grace));
	pthread_join(thread, NULL);
	rpccancel_thread_close(job->thread);
	pthread_barrier_destroy(&job->ready);
}

/* The calls of a storm, one after another. */
struct storm {
	struct job *job;
	unsigned long calls, answered, cancelled, failed;
	atomic_bool over;
};

static void *run_storm(void *arg)
{
	struct storm *storm = arg;

	rpccancel_thread_self(THREAD_SET_CONTEXT, &storm->job->thread);
	pthread_barrier_wait(&storm->job->ready);
	for (unsigned long i = 0; i < storm->calls; i++) {
		RPC_STATUS status = make(storm->job);

		storm->answered += status == RPC_S_OK;
		storm->cancelled += status == RPC_S_CALL_CANCELLED;
		storm->failed +=
			status != RPC_S_OK && status != RPC_S_CALL_CANCELLED;
	}
	storm->over = true;
	return NULL;
}

static void make_storm(struct job *job, unsigned long calls)
{
	struct storm storm = { .job = job, .calls = calls };
	pthread_t thread;

	quiet = true;
	pthread_barrier_init(&job->ready, NULL, 2);
	if (pthread_create(&thread, NULL, run_storm, &storm)) {
		perror("echo_client");
		exit(1);
	}
	pthread_barrier_wait(&job->ready);
	while (!storm.over) {
		usleep(rand() % 2000);
		RpcCancelThreadEx(job->thread, 0);
	}
	pthread_join(thread, NULL);
	rpccancel_thread_close(job->thread);
	quiet = false;
	printf("%lu answered, %lu cancelled, %lu failed\n", storm.answered,
	       storm.cancelled, storm.failed);
	if (storm.failed)
		job->status = RPC_S_CALL_FAILED;
}

static unsigned long parse_number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !*text) {
		fprintf(stderr, "echo_client: '%s' is no number\n", text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "repeat", required_argument, NULL, 'r' },
		{ "cancel", required_argument, NULL, 'c' },
		{ "grace", required_argument, NULL, 'g' },
		{ "storm", required_argument, NULL, 's' },
		{ "then-add", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long repeat = 1, cancel = 0, grace = 1, storm = 0;
	struct job job = { .status = RPC_S_OK };
	bool then_add = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			repeat = parse_number(optarg);
			break;
		case 'c':
			cancel = parse_number(optarg);
			break;
		case 'g':
			grace = parse_number(optarg);
			break;
		case 's':
			storm = parse_number(optarg);
			break;
		case 't':
			then_add = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (argc - optind < 2 || argc - optind > 3) {
		fputs(usage, stderr);
		return 2;
	}
	job.name = argv[optind + 1];
	job.argument = argc - optind > 2 ? parse_number(argv[optind + 2]) : 0;
	job.status = RpcBindingFromStringBinding((RPC_CSTR)argv[optind],
						 &job.binding);
	if (job.status != RPC_S_OK) {
		fprintf(stderr, "echo_client: %s: %d\n", argv[optind],
			job.status);
		return 2;
	}
	if (storm)
		make_storm(&job, storm);
	while (!storm && repeat-- && job.status == RPC_S_OK) {
		if (cancel)
			make_cancelled(&job, cancel, grace);
		else
			job.status = make(&job);
	}
	if (then_add) {
		job.name = "addone";
		job.argument = 41;
		job.status = make(&job);
	}
	RpcBindingFree(&job.binding);
	return job.status != RPC_S_OK;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
#include "demo.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MECHANISMS_MAX 8

static const struct library *const libraries[] = {
	&tirpc, &resolver, &pq, &curl,
};

static const char usage[] =
	"usage: demo [--tap] [--only LIBRARY] [--limit SECONDS]\n"
	"\n"
	"Shows how a thread that is stuck in a library is got out, by rpccancel and by\n"
	"what there is without it, and prints what was measured.\n"
	"\n"
	"  --tap             check what the tables say about rpccancel; prints TAP\n"
	"  --only LIBRARY    tirpc, getaddrinfo, libpq or libcurl\n"
	"  --limit SECONDS   when a thread counts as stuck: 1 to 20, default 4\n"
	"  --help            this text\n"
	"\n"
	"Exit status: 0 all is well, 1 rpccancel failed or was not measured, 2 wrong\n"
	"usage, 4 (--tap) skipped because the module is not loaded.\n";

static _Noreturn void wrong(const char *what, const char *value)
{
	fprintf(stderr, "demo: %s '%s'; see demo --help\n", what, value);
	exit(2);
}

static int parse_limit(const char *text)
{
	char *end;
	long seconds;

	errno = 0;
	seconds = strtol(text, &end, 10);
	if (errno || end == text || *end || seconds < 1 || seconds > 20)
		wrong("--limit takes 1 to 20 seconds, not", text);
	return seconds * 1000;
}

static const struct library *parse_library(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++)
		if (!strcmp(libraries[i]->name, text))
			return libraries[i];
	wrong("--only takes tirpc, getaddrinfo, libpq or libcurl, not", text);
}

/* Our row says what it should. */
static bool ours_worked(const struct library *l, const struct report *r)
{
	return r->complete && !r->problem[0] && !r->status &&
	       r->first.end == RETURNED && r->reason &&
	       r->first.answer.code == l->expect_code &&
	       r->first.answer.error == l->expect_error && !r->handled &&
	       (r->second.answer.ok || r->repaired.answer.ok);
}

static bool show_library(const struct library *l)
{
	struct report *reports[MECHANISMS_MAX];
	size_t last = mechanism_count - 1;

	/* Ours first: it is what the story tells. */
	reports[last] = trial_run(l, ours);
	if (l == &tirpc && !reports[last]->problem[0])
		print_story(l, reports[last]);
	for (size_t i = 0; i < last; i++)
		reports[i] = trial_run(l, &mechanisms[i]);
	print_table(l, reports);
	if (l == &tirpc)
		print_cut(trial_run(&tirpc_cut, ours));
	return ours_worked(l, reports[last]);
}

static int show(const struct library *const *list, size_t count)
{
	bool good = true;
	char why[160];

	if (!module_present(why, sizeof(why)))
		printf("rpccancel is not measured: %s\n", why);
	for (size_t i = 0; i < count; i++)
		good &= show_library(list[i]);
	print_needs();
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tap", no_argument, NULL, 't' },
		{ "only", required_argument, NULL, 'o' },
		{ "limit", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const struct library *const *list = libraries, *only;
	size_t count = ARRAY_SIZE(libraries);
	bool tap = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 't':
			tap = true;
			break;
		case 'o':
			only = parse_library(optarg);
			list = &only;
			count = 1;
			break;
		case 'l':
			limit_ms = parse_limit(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default: /* getopt has said what is wrong */
			fputs("demo: see demo --help\n", stderr);
			return 2;
		}
	}
	if (optind < argc)
		wrong("there are no arguments such as", argv[optind]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return tap ? run_tap(list, count) : show(list, count);
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What was measured, for a person. */
#include "demo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2
#define CELL 160
#define LINE 100

enum column { MECHANISM, OUT, AFTER, THREAD, SECOND, SIGNALS, COLUMNS };

static const int widths[COLUMNS] = { 14, 25, 9, 6, 23, 13 };

struct row {
	char cell[COLUMNS][CELL];
};

/* How much of @text fits into @width: up to a space, if there is one. */
static int fits(const char *text, int width)
{
	int len = strlen(text);

	if (len <= width)
		return len;
	for (int i = width; i > 0; i--)
		if (text[i] == ' ')
			return i;
	return width;
}

static void print_row(const struct row *row)
{
	const char *rest[COLUMNS];
	bool more = true;
	int c, pad, n;

	for (c = 0; c < COLUMNS; c++)
		rest[c] = row->cell[c];
	while (more) {
		more = false;
		pad = 0;
		for (c = 0; c < COLUMNS; c++) {
			n = fits(rest[c], widths[c]);
			if (n)
				printf("%*s%.*s", pad, "", n, rest[c]);
			pad = (n ? 0 : pad) + widths[c] - n + GAP;
			rest[c] += n + strspn(rest[c] + n, " ");
			more |= *rest[c] != '\0';
		}
		putchar('\n');
	}
}

static void print_rule(void)
{
	struct row row;

	for (int c = 0; c < COLUMNS; c++) {
		memset(row.cell[c], '-', widths[c]);
		row.cell[c][widths[c]] = '\0';
	}
	print_row(&row);
}

/* Lines of at most LINE columns, whatever the line ends of the text. */
void print_wrapped(const char *indent, const char *format, ...)
{
	int width = LINE - (int)strlen(indent);
	char text[1024], *rest = text;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	printf("%s", indent);
	while (*rest) {
		int n = fits(rest, width);

		printf("%.*s\n", n, rest);
		rest += n + strspn(rest + n, " ");
		if (*rest)
			printf("%*s", (int)strlen(indent), "");
	}
}

static void fill_duration(char *cell, const struct attempt *a)
{
	if (a->end == STUCK)
		snprintf(cell, CELL, "> %.0f ms", a->ms);
	else if (a->end != NOT_TRIED)
		snprintf(cell, CELL, "%.1f ms", a->ms);
}

static void fill_first(struct row *row, const struct report *r)
{
	static const char *const thread[] = {
		[RETURNED] = "lives", [DIED] = "dead", [STUCK] = "stuck",
	};
	const struct attempt *a = &r->first;
	char *cell = row->cell[OUT];

	if (a->end == RETURNED)
		snprintf(cell, CELL, "yes: %s", a->answer.text);
	else if (a->end == STUCK)
		snprintf(cell, CELL, "no (still stuck in %s after %d s)",
			 a->where, limit_ms / 1000);
	else
		snprintf(cell, CELL, "yes, but it is unwound and ends");
	fill_duration(row->cell[AFTER], a);
	snprintf(row->cell[THREAD], CELL, "%s", thread[a->end]);
}

static void describe_second(char *text, size_t size, const struct attempt *a)
{
	if (a->end == STUCK)
		snprintf(text, size, "no (stuck in %s after %d s)", a->where,
			 limit_ms / 1000);
	else if (a->end == RETURNED && a->answer.ok)
		snprintf(text, size, "yes (in %.1f ms)", a->ms);
	else if (a->end == RETURNED && a->answer.stale)
		snprintf(text, size, "WRONG: gets the answer to the first call");
	else
		snprintf(text, size, "no: %s", a->answer.text);
}

static void fill_second(struct row *row, const struct library *l,
			const struct report *r)
{
	char second[CELL], repaired[CELL];

	if (r->second.end == NOT_TRIED) {
		snprintf(row->cell[SECOND], CELL,
			 "impossible: the first is not over");
		return;
	}
	describe_second(second, sizeof(second), &r->second);
	snprintf(row->cell[SECOND], CELL, "%.120s%s", second,
		 r->first.end == DIED ? ", by a new thread" : "");
	if (r->repaired.end == NOT_TRIED)
		return;
	describe_second(repaired, sizeof(repaired), &r->repaired);
	snprintf(row->cell[SECOND], CELL, "%.90s; after %s: %.40s", second,
		 l->repair_name, repaired);
}

static void fill_signals(struct row *row, const struct mechanism *m,
			 const struct report *r)
{
	char *cell = row->cell[SIGNALS];

	if (m->sends_signal)
		snprintf(cell, CELL, "needed; sent %u, handled %u", r->fired,
			 r->handled);
	else if (r->caught)
		snprintf(cell, CELL, "needed: %d, the C library's own",
			 __builtin_ctzll(r->caught) + 1);
	else
		snprintf(cell, CELL, "none (%u handlers ran)", r->handled);
}

static void fill_row(struct row *row, const struct library *l,
		     const struct mechanism *m, const struct report *r)
{
	memset(row, 0, sizeof(*row));
	if (r->searched)
		snprintf(row->cell[MECHANISM], CELL,
			 "%s, guessed from /proc/self/fd, %u times", m->name,
			 r->fired);
	else
		snprintf(row->cell[MECHANISM], CELL, "%s", m->name);
	if (r->problem[0]) {
		snprintf(row->cell[OUT], CELL, "not measured: %.120s",
			 r->problem);
		return;
	}
	fill_first(row, r);
	fill_second(row, l, r);
	fill_signals(row, m, r);
}

/* What a reader of the table must not overlook about our row. */
static void print_worse(const struct library *l, const struct report *r)
{
	const struct answer *first = &r->first.answer;
	const struct attempt *second = &r->second;

	if (r->status)
		print_wrapped("  ! ", "rpccancel: RpcCancelThreadEx() returned %ld.",
			      r->status);
	if (r->problem[0] || r->first.end != RETURNED)
		return;
	if (!r->reason)
		print_wrapped("  ! ",
			      "rpccancel: rpccancel_scope_test() does not know of it.");
	else if (!l->expect_error)
		print_wrapped("  ! ",
			      "rpccancel: the library's result code does not say\n"
			      "\"cancelled\"; rpccancel_scope_test(), asked before the\n"
			      "end of the scope, did.");
	if (first->error != l->expect_error)
		print_wrapped("  ! ", "rpccancel: errno is %d instead of %d.",
			      first->error, l->expect_error);
	if (second->end == RETURNED && second->answer.stale)
		print_wrapped("  ! ",
			      "rpccancel: the protocol does not number its requests,\n"
			      "and the library does not expect the late answer: the\n"
			      "next call takes it for its own. After a cancel use\n"
			      "%s, or a new %s.", l->repair_name, l->object);
	else if (second->end != RETURNED || !second->answer.ok)
		print_wrapped("  ! ",
			      "rpccancel: after a cancel the %s cannot be used.",
			      l->object);
}

void print_table(const struct library *l, struct report *const *reports)
{
	struct row row = {
		.cell = { "mechanism", "out of the first call?", "after",
			  "thread", "", "signals" },
	};

	snprintf(row.cell[SECOND], CELL, "second call, same %s?", l->object);
	printf("\n%s: %s\n\n", l->version(), l->title);
	print_row(&row);
	print_rule();
	for (size_t i = 0; i < mechanism_count; i++) {
		fill_row(&row, l, &mechanisms[i], reports[i]);
		print_row(&row);
	}
	print_worse(l, reports[mechanism_count - 1]);
	fflush(stdout);
}

static void print_stuck(const struct library *l, const struct report *r)
{
	print_wrapped("  1. ",
		      "Thread %d calls clnt_call() of Debian's %s, unmodified,\n"
		      "time-out %d s. The server accepts, reads, and never answers.",
		      r->tid, l->version(), CALL_TIMEOUT_S);
	print_wrapped("  2. ",
		      "It sleeps in %s()%s%s (/proc/self/task/%d/syscall, wchan).",
		      r->syscall, r->wchan[0] ? ", in the kernel's " : "",
		      r->wchan, r->tid);
	print_wrapped("  3. ",
		      "Its SigBlk is %016llx: libtirpc blocks %d of 64 signals,\n"
		      "all that a program can (before the call: %d).", r->mask_inside,
		      __builtin_popcountll(r->mask_inside), __builtin_popcountll(r->mask_before));
}

static void print_first(const struct report *r)
{
	const struct attempt *first = &r->first;

	print_wrapped("  4. ",
		      "Thread %d calls RpcCancelThreadEx(thread %d, 5 s). It\n"
		      "returns %ld%s after %.1f ms.", r->canceller, r->tid,
		      r->status, r->status ? "" : ", RPC_S_OK,", r->fire_ms);
	if (first->end == STUCK)
		print_wrapped("  5. ",
			      "FAILED: after %.0f ms the thread is still in %s.",
			      first->ms, first->where);
	else
		print_wrapped("  5. ",
			      "clnt_call() returned after %.1f ms: %s\n"
			      "(re_errno %d, \"%s\").", first->ms,
			      first->answer.text, first->answer.error,
			      strerror(first->answer.error));
	if (first->end == RETURNED)
		print_wrapped("  6. ",
			      "Thread %d lives, its SigBlk is %016llx again, and\n"
			      "signal handlers ran %u times.", r->tid,
			      r->mask_after, r->handled);
}

static void print_second(const struct report *r)
{
	const struct attempt *second = &r->second;
	char text[CELL];

	if (second->end == NOT_TRIED)
		return;
	describe_second(text, sizeof(text), second);
	print_wrapped("  7. ",
		      "The server answers again, and answers the cancelled call\n"
		      "first. Does a second call of this thread on this CLIENT get\n"
		      "its own answer? %s.", text);
}

void print_story(const struct library *l, const struct report *r)
{
	printf("The main job: get a thread out of a call of somebody else's library.\n\n");
	print_stuck(l, r);
	print_first(r);
	print_second(r);
}

/* What the table does not show: the worst moment for a cancel. */
void print_cut(const struct report *r)
{
	char text[CELL];

	if (r->problem[0] || r->first.end != RETURNED)
		return;
	describe_second(text, sizeof(text), &r->second);
	print_wrapped("  ! ",
		      "rpccancel, when the server has fallen silent in the middle of\n"
		      "a word of its reply: first call %s; second call on this\n"
		      "CLIENT: %s.", r->first.answer.text, text);
}

void print_needs(void)
{
	putchar('\n');
	print_wrapped("",
		      "What rpccancel needs: its kernel module, loaded\n"
		      "(/dev/rpccancel), and rpccancel_scope_begin() and\n"
		      "rpccancel_scope_end() around the call in the calling thread.\n"
		      "The other three need neither. It ends only a wait that a\n"
		      "signal could end, and never one for a lock (futex): a thread\n"
		      "in uninterruptible sleep (state D) stays where it is.");
}

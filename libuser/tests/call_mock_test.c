// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls of the run time, with a back end that is not the kernel's: what they
 * make of the slot, alone and inside scopes and other calls.
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpccancel.h>

#include "../call.h"
#include "mock.h"
#include "tap.h"

#define CALL RPCCANCEL_MODE_CALL

static void tell(uint32_t reason, uint64_t deadline)
{
	mock_tell(reason);
	mock.event.gen = mock.slot.cancel;
	mock.event.reason = mock.slot.reason;
	mock.event.deadline = deadline;
}

static void plain(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;

	errno = 4242;
	is(rpcc_call_begin(&c, RPCCANCEL_SLOT_FINITE, 7), 0, "begin");
	is(mock.attached, 1, "the thread has attached itself");
	is(mock.slot.gen, 1, "the generation is odd");
	is(c.gen, 1, "and that of the call");
	is(mock.slot.flags, CALL | RPCCANCEL_SLOT_FINITE, "it listens");
	is(mock.slot.classes, RPCCANCEL_CLASS_NONE, "nothing is refused");
	is(mock.slot.tag, 7, "the tag is set");
	ok(mock.slot.since, "the list can show since when");
	ok(!rpcc_call_cancelled(&c, &cancel), "not cancelled");
	is(rpccancel_thread_detach(), RPC_S_CALL_IN_PROGRESS,
	   "the thread cannot be detached now");
	rpcc_call_end(&c);
	is(mock.slot.gen, 2, "the generation is even");
	is(mock.settled + mock.events, 0, "no request to the kernel");
	rpcc_call_end(&c);
	is(mock.slot.gen, 2, "ending it once more does nothing");
	is(errno, 4242, "errno is what it was");
}

static void cancelled(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;
	int fd = rpcc_call_fd();

	ok(fd >= 0, "there is a descriptor");
	is(rpcc_call_fd(), fd, "always the same");
	rpcc_call_begin(&c, 0, 0);
	tell(RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_TARGET, 5000);
	ok(rpcc_call_cancelled(&c, &cancel), "cancelled");
	is(cancel.reason, RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_TARGET,
	   "by whose grace");
	is(cancel.deadline, 5000, "and until when");
	is(mock.events, 1, "the event was taken");
	cancel.deadline = 0;
	ok(rpcc_call_cancelled(&c, &cancel), "still cancelled");
	is(cancel.deadline, 5000, "until the same time");
	tell(RPCCANCEL_REASON_GRACE, 0);
	ok(rpcc_call_cancelled(&c, &cancel), "the grace is over");
	is(cancel.deadline, 0, "at once");
	rpcc_call_end(&c);
	is(mock.settled, 1, "it was settled");

	rpcc_call_begin(&c, 0, 0);
	ok(!rpcc_call_cancelled(&c, &cancel), "the next one is not cancelled");
	tell(RPCCANCEL_REASON_CANCEL, 0);
	mock.event.gen = 0;
	ok(rpcc_call_cancelled(&c, &cancel), "cancelled without an event");
	is(cancel.deadline, RPCCANCEL_INFINITE,
	   "the deadline is not that of the call before");
	rpcc_call_end(&c);
}

/* A descriptor that says so for ever would keep the next call awake. */
static void unread(void)
{
	struct rpcc_call c;

	rpcc_call_begin(&c, 0, 0);
	tell(RPCCANCEL_REASON_CANCEL, 0);
	rpcc_call_end(&c);
	is(mock.events, 1, "what nobody has asked for is taken at the end");
}

static void pending(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;

	mock_tell(RPCCANCEL_REASON_CANCEL);
	rpcc_call_begin(&c, 0, 0);
	is(mock.settled, 1, "begin settles one that waited");
	ok(rpcc_call_cancelled(&c, &cancel), "and takes it");
	rpcc_call_end(&c);
}

static void not_to_be_heard(void)
{
	struct rpccancel_scope s;
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;

	rpccancel_scope_begin(&s, NULL);
	tell(RPCCANCEL_REASON_CANCEL, 0);
	rpcc_call_begin(&c, RPCCANCEL_SLOT_NO_CANCEL, 0);
	ok(!rpcc_call_cancelled(&c, &cancel),
	   "a call that cannot be cancelled does not hear of its scope's");
	rpcc_call_end(&c);
	rpcc_call_begin(&c, RPCCANCEL_SLOT_FINITE, 0);
	ok(!rpcc_call_cancelled(&c, &cancel),
	   "nor one that must have an end of the grace, without one");
	tell(RPCCANCEL_REASON_CANCEL, 77);
	ok(rpcc_call_cancelled(&c, &cancel), "but with one");
	rpcc_call_end(&c);
	rpccancel_scope_end(&s);
}

static void in_a_scope(void)
{
	const struct rpccancel_scope_attr attr = {
		.size = sizeof(attr),
		.classes = RPCCANCEL_CLASS_RECV,
		.tag = 5,
	};
	struct rpcc_call_cancel cancel;
	struct rpccancel_scope s;
	struct rpcc_call c;
	uint64_t gen;

	rpccancel_scope_begin(&s, &attr);
	gen = mock.slot.gen;
	rpcc_call_begin(&c, 0, 9);
	is(mock.slot.gen, gen, "the scope owns the generation");
	is(c.gen, gen, "which is that of the call, too");
	is(mock.slot.flags, CALL, "it listens");
	is(mock.slot.classes, RPCCANCEL_CLASS_NONE, "nothing is refused");
	is(mock.slot.tag, 9, "the tag is its own");
	is(rpccancel_scope_end(&s), RPC_S_CALL_IN_PROGRESS,
	   "the scope cannot end in it");
	rpcc_call_end(&c);
	is(mock.slot.flags, RPCCANCEL_MODE_SCOPE, "the mode is put back");
	is(mock.slot.classes, RPCCANCEL_CLASS_RECV, "the classes are put back");
	is(mock.slot.tag, 5, "the tag is put back");
	is(mock.settled, 0, "no request to the kernel");

	rpcc_call_begin(&c, 0, 0);
	tell(RPCCANCEL_REASON_CANCEL, 0);
	rpcc_call_end(&c);
	is(mock.settled, 1, "the kernel is told that it is sticky again");
	rpcc_call_begin(&c, 0, 0);
	is(mock.settled, 2, "and that it is not, in the next");
	ok(rpcc_call_cancelled(&c, &cancel), "which begins cancelled");
	rpcc_call_end(&c);
	is(rpccancel_scope_end(&s), RPC_S_CALL_CANCELLED, "so is the scope");
	is(mock.slot.gen, gen + 1, "only now the generation is over");
}

static void in_a_call(void)
{
	struct rpcc_call outer, inner;
	struct rpcc_call_cancel cancel;
	uint64_t gen;

	rpcc_call_begin(&outer, RPCCANCEL_SLOT_NO_CANCEL, 1);
	gen = mock.slot.gen;
	rpcc_call_begin(&inner, 0, 0);
	is(mock.slot.gen, gen, "the outer call owns the generation");
	is(mock.slot.flags, CALL | RPCCANCEL_SLOT_NO_CANCEL,
	   "the inner one cannot be cancelled if the outer one cannot");
	rpcc_call_end(&inner);
	rpcc_call_end(&outer);
	is(mock.slot.gen, gen + 1, "its end ends it");

	rpcc_call_begin(&outer, 0, 1);
	rpcc_call_begin(&inner, RPCCANCEL_SLOT_FINITE, 2);
	is(mock.slot.flags, CALL | RPCCANCEL_SLOT_FINITE, "its own flags");
	is(mock.slot.tag, 2, "and tag");
	tell(RPCCANCEL_REASON_CANCEL, 99);
	ok(rpcc_call_cancelled(&inner, &cancel), "both are cancelled");
	rpcc_call_end(&inner);
	is(mock.slot.flags, CALL, "flags are put back");
	is(mock.slot.tag, 1, "the tag, too");
	ok(rpcc_call_cancelled(&outer, &cancel), "both are cancelled");
	is(cancel.deadline, 99, "with the same deadline");
	rpcc_call_end(&outer);
}

/* As in a callback of the application's. */
static void scope_in_a_call(void)
{
	const struct rpccancel_scope_attr outer_attr = {
		.size = sizeof(outer_attr),
		.classes = RPCCANCEL_CLASS_RECV | RPCCANCEL_CLASS_POLL,
		.timeout = 1000000000000,
	};
	const struct rpccancel_scope_attr inner_attr = {
		.size = sizeof(inner_attr),
		.classes = RPCCANCEL_CLASS_RECV | RPCCANCEL_CLASS_SLEEP,
		.timeout = 1000000000,
	};
	struct rpccancel_scope outer, inner, lost;
	struct rpcc_call c;
	uint64_t gen, deadline;

	rpcc_call_begin(&c, 0, 1);
	gen = mock.slot.gen;
	is(rpccancel_scope_begin(&inner, NULL), RPC_S_OK, "a scope in a call");
	is(mock.slot.gen, gen, "the call owns the generation");
	is(mock.slot.flags, RPCCANCEL_MODE_SCOPE, "its mode is a scope's");
	is(mock.slot.classes, 0, "with the default classes");
	rpccancel_scope_begin(&lost, NULL);
	is(rpccancel_scope_end(&lost), RPC_S_OK, "one more inside");
	is(mock.slot.flags, RPCCANCEL_MODE_SCOPE, "changes no mode");
	is(rpccancel_scope_end(&inner), RPC_S_OK, "it ends");
	is(mock.slot.flags, CALL, "the mode is put back");
	is(mock.slot.classes, RPCCANCEL_CLASS_NONE, "and the classes");
	rpccancel_scope_begin(&lost, NULL);
	rpcc_call_end(&c);
	is(mock.slot.gen, gen + 1, "one that is left open ends with the call");
	is(rpccancel_scope_end(&lost), RPC_S_NO_CALL_ACTIVE, "not later");

	rpccancel_scope_begin(&outer, &outer_attr);
	deadline = mock.deadline;
	rpcc_call_begin(&c, 0, 1);
	rpccancel_scope_begin(&inner, &inner_attr);
	is(mock.slot.classes, RPCCANCEL_CLASS_RECV,
	   "classes get fewer through a call");
	ok(mock.deadline < deadline, "deadlines get nearer");
	rpccancel_scope_end(&inner);
	is(mock.deadline, deadline, "and come back");
	rpcc_call_end(&c);
	is(rpccancel_scope_end(&outer), RPC_S_OK, "the outer one ends");
}

static void deadline_taken_back(void)
{
	const struct rpccancel_scope_attr attr = {
		.size = sizeof(attr),
		.timeout = 1,
	};
	struct rpccancel_scope outer, inner;

	rpccancel_scope_begin(&outer, NULL);
	rpccancel_scope_begin(&inner, &attr);
	tell(RPCCANCEL_REASON_DEADLINE, 0);
	is(rpccancel_scope_end(&inner), RPC_S_TIMEOUT, "a deadline passes");
	is(mock.events, 1, "what it told is taken, too");
	is(rpccancel_scope_end(&outer), RPC_S_OK, "the outer scope goes on");
}

static void failing(void)
{
	struct rpcc_call c;

	rpccancel_thread_detach();
	mock.error = -ENOMEM;
	is(rpcc_call_begin(&c, 0, 0), -ENOMEM, "a call that cannot be begun");
	is(c.gen, 0, "has no generation");
	rpcc_call_end(&c);
	mock.error = -ENOMEM;
	is(rpcc_call_fd(), -ENOMEM, "a descriptor that cannot be had");
	is(rpcc_call_begin(&c, 0, 0), 0, "the next one can");
	mock.error = -EMFILE;
	is(rpcc_call_fd(), -EMFILE, "a descriptor that cannot be had");
	rpcc_call_end(&c);
	ok(rpcc_call_fd() >= 0, "the next one can");
}

/* A callback that forks returns into a run time that has nothing to end. */
static void forked(void)
{
	struct rpcc_call_cancel cancel;
	struct rpcc_call c;
	int status;
	pid_t pid;

	rpcc_call_begin(&c, 0, 0);
	tell(RPCCANCEL_REASON_CANCEL, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		bool good = !rpcc_call_cancelled(&c, &cancel);

		rpcc_call_end(&c);
		_exit(!(good && !rpcc_call_begin(&c, 0, 0) && c.gen == 1));
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a forked child is in no call");
	ok(rpcc_call_cancelled(&c, &cancel), "the parent is");
	rpcc_call_end(&c);
}

static void run(const char *name, void (*fn)(void))
{
	printf("# %s\n", name);
	mock_reset();
	fn();
}

int main(void)
{
	run("plain", plain);
	run("cancelled", cancelled);
	run("unread", unread);
	run("pending", pending);
	run("not to be heard", not_to_be_heard);
	run("in a scope", in_a_scope);
	run("in a call", in_a_call);
	run("a scope in a call", scope_in_a_call);
	run("a deadline taken back", deadline_taken_back);
	run("failing", failing);
	run("forked", forked);
	return tap_end();
}

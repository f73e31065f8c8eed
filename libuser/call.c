// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Calls of the library's own run time.
 *
 * The outermost call of a thread is a generation of its own, entered and left
 * like that of a scope: see scope.c. One that is made inside a scope, or by a
 * callback of another call, shares the generation and puts the slot into its
 * own mode meanwhile. If there is a cancel at that moment, the back end has to
 * know: a cancel that was sticky in the scope starts its grace in the call, and
 * is sticky again after it.
 *
 * The run time waits for descriptors and finds out itself, so nothing that it
 * sleeps in is to be refused: RPCCANCEL_CLASS_NONE.
 *
 * Calls live on their caller's stack, linked from the inside out. So do scopes:
 * a scope remembers in which call it was begun, a call in which scope, which
 * makes one stack of the two lists.
 */
#include <fcntl.h>

#include "backend.h"
#include "call.h"
#include "internal.h"

/* Within a generation. A cancel counts for the new mode from now on. */
void rpcc_switch_mode(struct rpccancel_slot *slot, uint32_t flags)
{
	WRITE_ONCE(slot->flags, flags);
	if (unlikely(READ_ONCE(slot->cancel)))
		rpcc_backend()->settle();
}

static void begin_outermost(struct rpccancel_slot *slot,
			    const struct rpcc_call *call, uint64_t tag)
{
	WRITE_ONCE(slot->flags, call->flags);
	WRITE_ONCE(slot->classes, RPCCANCEL_CLASS_NONE);
	WRITE_ONCE(slot->error, 0);
	WRITE_ONCE(slot->tag, tag);
	WRITE_ONCE(slot->since, rpcc_now_coarse());
	rpcc_advance(slot);
}

static void begin_nested(struct rpccancel_slot *slot, struct rpcc_call *call,
			 uint64_t tag)
{
	bool in_call = call->outer && call->outer->scope == call->scope;

	call->outer_flags = READ_ONCE(slot->flags);
	call->outer_classes = READ_ONCE(slot->classes);
	call->outer_tag = READ_ONCE(slot->tag);
	call->scope_classes =
		in_call ? call->outer->scope_classes : call->outer_classes;
	WRITE_ONCE(slot->classes, RPCCANCEL_CLASS_NONE);
	if (tag)
		WRITE_ONCE(slot->tag, tag);
	/* What must not be cancelled around it must not be cancelled in it. */
	call->flags |= call->outer_flags & ~(uint32_t)RPCCANCEL_MODE_MASK;
	rpcc_switch_mode(slot, call->flags);
}

int rpcc_call_begin(struct rpcc_call *call, uint32_t flags, uint64_t tag)
{
	int err;

	*call = (struct rpcc_call){ 0 };
	if (unlikely(!rpcc_self.slot)) {
		err = rpcc_attach();
		if (err)
			return err;
	}
	call->outer = rpcc_self.call;
	call->scope = rpcc_self.top;
	call->nested = call->outer || call->scope;
	call->flags = RPCCANCEL_MODE_CALL | flags;
	if (unlikely(call->nested))
		begin_nested(rpcc_self.slot, call, tag);
	else
		begin_outermost(rpcc_self.slot, call, tag);
	call->gen = READ_ONCE(rpcc_self.slot->gen);
	rpcc_self.call = call;
	return 0;
}

static void end_nested(struct rpccancel_slot *slot,
		       const struct rpcc_call *call)
{
	WRITE_ONCE(slot->classes, call->outer_classes);
	WRITE_ONCE(slot->tag, call->outer_tag);
	rpcc_switch_mode(slot, call->outer_flags);
}

/* A process that was forked in a callback comes here with no call. */
static bool is_open(const struct rpcc_call *call)
{
	const struct rpcc_call *i;

	for (i = rpcc_self.call; i; i = i->outer)
		if (i == call)
			return true;
	return false;
}

/* What a callback has left open ends with the call that it belongs to. */
void rpcc_call_end(struct rpcc_call *call)
{
	if (unlikely(!is_open(call)))
		return;

	if (unlikely(call->nested))
		end_nested(rpcc_self.slot, call);
	else
		rpcc_advance(rpcc_self.slot);
	rpcc_self.call = call->outer;
	rpcc_self.top = call->scope;
}

int rpcc_call_fd(void)
{
	KEEP_ERRNO();
	int fd, err;

	if (likely(rpcc_self.event_handle))
		return rpcc_self.event_handle - 1;

	err = rpcc_attach();
	if (err)
		return err;
	fd = rpcc_open(0, 0, RPCCANCEL_QUERY_INFORMATION);
	if (fd < 0)
		return fd;
	fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	rpcc_self.event_handle = fd + 1;
	return fd;
}

/*
 * The last event is kept: it is told only once, and the deadline, which the slot
 * does not show, may be asked for again.
 */
void rpcc_call_take_event(void)
{
	int fd = rpcc_self.event_handle - 1;
	struct rpccancel_event event;

	if (fd >= 0 && !rpcc_backend()->read_event(fd, &event))
		rpcc_self.event = event;
}

/* The descriptor goes with the attachment: it is a handle of this one. */
void rpcc_call_forget(void)
{
	int handle = rpcc_self.event_handle;

	rpcc_self.call = NULL;
	rpcc_self.event = (struct rpccancel_event){ 0 };
	rpcc_self.event_handle = 0;
	if (handle)
		rpcc_close_handle(handle - 1);
}

/* The reason comes first: when it says "over", a deadline is of no interest. */
static uint64_t grace_deadline(uint64_t gen, uint32_t reason)
{
	if (reason & (RPCCANCEL_REASON_GRACE | RPCCANCEL_REASON_DEADLINE))
		return 0;
	if (rpcc_self.event.gen != gen || !rpcc_self.event.deadline)
		return RPCCANCEL_INFINITE;
	return rpcc_self.event.deadline;
}

bool rpcc_call_cancelled(const struct rpcc_call *call,
			 struct rpcc_call_cancel *cancel)
{
	const struct rpccancel_slot *slot = rpcc_self.slot;

	if (!slot || likely(READ_ONCE(slot->cancel) != call->gen))
		return false;

	rpcc_call_fd();
	rpcc_call_take_event();
	cancel->reason = READ_ONCE(slot->reason);
	cancel->deadline = grace_deadline(call->gen, cancel->reason);

	/* Of the scope that it is in: it cannot be refused, only not heard. */
	if (call->flags & RPCCANCEL_SLOT_NO_CANCEL)
		return false;
	return !(call->flags & RPCCANCEL_SLOT_FINITE) ||
	       cancel->deadline != RPCCANCEL_INFINITE;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Cancel scopes.
 *
 * The outermost scope of a thread is one call of the kernel's interface, one
 * generation: begin makes slot->gen odd and end makes it even, with plain
 * stores. The kernel writes the slot only from this thread's own context, on
 * its way out of the kernel, so the two sides never run at the same time and
 * the order that the compiler keeps (volatile accesses) is all the order that
 * is needed:
 *
 *	begin				end
 *	-----				---
 *	flags, classes, error, ...	gen = even: nothing can be told any more
 *	gen = odd			cancel == odd one? it was cancelled
 *	cancel != 0? SETTLE		cancel != 0? SETTLE
 *
 * A nested scope shares the generation. It narrows what its outer one allows,
 * keeps what was there in its own memory, and puts it back at its end. It costs
 * a system call only when it has the nearer deadline, and one to give the
 * outer one's back, which also takes back a nested deadline that has passed.
 *
 * Scopes live in memory of the caller. They are linked from the inside out,
 * and one is trusted only when it is found there.
 *
 * A scope that a callback begins, inside a call of the run time (call.c), is
 * nested too, and makes the generation that of a scope meanwhile.
 */
#include "backend.h"
#include "call.h"
#include "internal.h"

enum scope_state {
	SCOPE_OPEN = 0x5c09e,
	SCOPE_ENDED,
	SCOPE_FAILED,
};

/* Lies in the caller's struct rpccancel_scope. */
struct rpcc_scope {
	struct rpcc_scope *outer;
	struct rpcc_call *call; /* that it was begun in, or NULL */
	uint64_t deadline;	/* in force: the nearest of all so far */
	uint64_t outer_tag;
	uint32_t outer_flags;
	uint32_t outer_classes;
	int32_t outer_error;
	uint32_t state;
	RPC_STATUS status; /* why it failed to begin */
} __attribute__((may_alias));

_Static_assert(sizeof(struct rpcc_scope) <= sizeof(struct rpccancel_scope),
	       "a scope does not fit into the caller's memory");
_Static_assert(_Alignof(struct rpcc_scope) <= _Alignof(struct rpccancel_scope),
	       "a scope is not aligned in the caller's memory");

static const struct rpccancel_scope_attr default_attr = {
	.size = sizeof(default_attr),
};

static RPC_STATUS check_attr(const struct rpccancel_scope_attr *attr)
{
	RPC_STATUS status = rpcc_check_size(attr, attr->size, sizeof(*attr));

	if (status != RPC_S_OK)
		return status;
	if (attr->pad || attr->classes & ~RPCCANCEL_CLASS_ALL ||
	    attr->error < 0 || attr->error > RPCCANCEL_ERROR_MAX)
		return RPC_S_INVALID_ARG;
	return RPC_S_OK;
}

/* The common case, none, must not read the clock. */
static uint64_t attr_deadline(const struct rpccancel_scope_attr *attr)
{
	if (likely(!attr->timeout || attr->timeout == RPCCANCEL_INFINITE))
		return RPCCANCEL_INFINITE;
	return rpcc_deadline(attr->timeout);
}

static RPC_STATUS reason_status(unsigned int reason)
{
	if (likely(!reason))
		return RPC_S_OK;
	if (reason & (RPCCANCEL_REASON_CANCEL | RPCCANCEL_REASON_GRACE))
		return RPC_S_CALL_CANCELLED;
	return RPC_S_TIMEOUT;
}

/* It may take back one that has passed, and with it what there was to tell. */
static int set_deadline(struct rpccancel_slot *slot, uint64_t deadline)
{
	bool told = READ_ONCE(slot->cancel);
	int err = rpcc_backend()->set_deadline(deadline);

	if (told && !READ_ONCE(slot->cancel))
		rpcc_call_take_event();
	return err;
}

static RPC_STATUS begin_outermost(struct rpccancel_slot *slot,
				  struct rpcc_scope *s,
				  const struct rpccancel_scope_attr *attr)
{
	int err = 0;

	WRITE_ONCE(slot->flags, RPCCANCEL_MODE_SCOPE);
	WRITE_ONCE(slot->classes, attr->classes);
	WRITE_ONCE(slot->error, attr->error);
	WRITE_ONCE(slot->tag, attr->tag);
	WRITE_ONCE(slot->since, rpcc_now_coarse());
	rpcc_advance(slot);

	s->deadline = attr_deadline(attr);
	if (unlikely(s->deadline != RPCCANCEL_INFINITE))
		err = set_deadline(slot, s->deadline);
	if (unlikely(err))
		rpcc_advance(slot);
	return rpcc_status(err);
}

static uint32_t narrow(uint32_t outer, uint32_t inner)
{
	uint32_t both = (outer ? outer : RPCCANCEL_CLASS_DEFAULT) & inner;

	return both ? both : RPCCANCEL_CLASS_NONE;
}

/* Whether it was begun by a callback of a call that was made in @s->outer. */
static bool enters_scope_mode(const struct rpcc_scope *s)
{
	return s->call && (!s->outer || s->outer->call != s->call);
}

static uint64_t outer_deadline(const struct rpcc_scope *s)
{
	return s->outer ? s->outer->deadline : RPCCANCEL_INFINITE;
}

static RPC_STATUS begin_nested(struct rpccancel_slot *slot,
			       struct rpcc_scope *s,
			       const struct rpccancel_scope_attr *attr)
{
	uint32_t classes;
	int err;

	s->deadline = attr_deadline(attr);
	if (s->deadline >= outer_deadline(s)) {
		s->deadline = outer_deadline(s);
	} else {
		err = set_deadline(slot, s->deadline);
		if (err)
			return rpcc_status(err);
	}
	s->outer_flags = READ_ONCE(slot->flags);
	s->outer_classes = READ_ONCE(slot->classes);
	s->outer_error = READ_ONCE(slot->error);
	s->outer_tag = READ_ONCE(slot->tag);
	classes = s->outer_classes;
	if (unlikely(enters_scope_mode(s)))
		classes = s->call->scope_classes;
	if (attr->classes)
		classes = narrow(classes, attr->classes);
	WRITE_ONCE(slot->classes, classes);
	if (attr->error)
		WRITE_ONCE(slot->error, attr->error);
	if (attr->tag)
		WRITE_ONCE(slot->tag, attr->tag);
	if (unlikely(enters_scope_mode(s)))
		rpcc_switch_mode(slot, s->outer_flags &
					       ~(uint32_t)RPCCANCEL_MODE_MASK);
	return RPC_S_OK;
}

static unsigned int end_nested(struct rpccancel_slot *slot,
			       const struct rpcc_scope *s)
{
	unsigned int reason = rpcc_slot_reason(slot, READ_ONCE(slot->gen));

	WRITE_ONCE(slot->classes, s->outer_classes);
	WRITE_ONCE(slot->error, s->outer_error);
	WRITE_ONCE(slot->tag, s->outer_tag);
	if (s->deadline != outer_deadline(s))
		set_deadline(slot, outer_deadline(s));
	if (unlikely(enters_scope_mode(s)))
		rpcc_switch_mode(slot, s->outer_flags);
	return reason;
}

static RPC_STATUS begin(struct rpcc_scope *s,
			const struct rpccancel_scope_attr *attr)
{
	RPC_STATUS status;
	int err;

	if (unlikely(attr != &default_attr)) {
		status = check_attr(attr);
		if (status != RPC_S_OK)
			return status;
	}
	if (unlikely(!rpcc_self.scopes)) {
		err = rpcc_backend_scopes();
		if (!err)
			err = rpcc_attach();
		if (err)
			return rpcc_status(err);
	}
	s->outer = rpcc_self.top;
	s->call = rpcc_self.call;
	if (unlikely(s->outer || s->call))
		return begin_nested(rpcc_self.slot, s, attr);
	return begin_outermost(rpcc_self.slot, s, attr);
}

static bool is_open(const struct rpcc_scope *s)
{
	const struct rpcc_scope *i;

	for (i = rpcc_self.top; i; i = i->outer)
		if (i == s)
			return true;
	return false;
}

EXPORT RPC_STATUS rpccancel_scope_begin(struct rpccancel_scope *scope,
					const struct rpccancel_scope_attr *attr)
{
	struct rpcc_scope *s = (struct rpcc_scope *)scope;
	RPC_STATUS status;

	if (unlikely(!s))
		return RPC_S_INVALID_ARG;
	if (unlikely(rpcc_self.top && is_open(s)))
		return RPC_S_CALL_IN_PROGRESS;

	status = begin(s, attr ? attr : &default_attr);
	if (likely(status == RPC_S_OK)) {
		s->state = SCOPE_OPEN;
		rpcc_self.top = s;
	} else {
		s->state = SCOPE_FAILED;
		s->status = status;
	}
	return status;
}

/*
 * Not the innermost scope of this thread. One that failed to begin repeats why,
 * so that a caller need look only once; any other was left in the wrong order,
 * or is another thread's, or the parent process's.
 */
static RPC_STATUS end_refused(const struct rpcc_scope *s)
{
	if (!s)
		return RPC_S_INVALID_ARG;
	if (is_open(s))
		return RPC_S_CALL_IN_PROGRESS;
	return s->state == SCOPE_FAILED ? s->status : RPC_S_NO_CALL_ACTIVE;
}

EXPORT RPC_STATUS rpccancel_scope_end(struct rpccancel_scope *scope)
{
	struct rpcc_scope *s = (struct rpcc_scope *)scope;
	unsigned int reason;

	if (unlikely(!s || rpcc_self.top != s || rpcc_self.call != s->call))
		return end_refused(s);

	if (unlikely(s->outer || s->call))
		reason = end_nested(rpcc_self.slot, s);
	else
		reason = rpcc_advance(rpcc_self.slot);
	rpcc_self.top = s->outer;
	s->state = SCOPE_ENDED;
	return reason_status(reason);
}

EXPORT unsigned int rpccancel_scope_test(void)
{
	const struct rpccancel_slot *slot = rpcc_self.slot;

	if (!slot || likely(!READ_ONCE(slot->cancel)) || !rpcc_self.top)
		return 0;
	return rpcc_slot_reason(slot, READ_ONCE(slot->gen));
}

/* The kernel is told unless the outer one's deadline was and stays nearer. */
EXPORT RPC_STATUS rpccancel_scope_set_timeout(uint64_t timeout)
{
	struct rpcc_scope *s = rpcc_self.top;
	uint64_t deadline, limit;
	int err = 0;

	if (!s)
		return RPC_S_NO_CALL_ACTIVE;

	limit = outer_deadline(s);
	deadline = rpcc_deadline(timeout);
	if (deadline > limit)
		deadline = limit;
	if (deadline != limit || s->deadline != limit)
		err = set_deadline(rpcc_self.slot, deadline);
	if (!err)
		s->deadline = deadline;
	return rpcc_status(err);
}

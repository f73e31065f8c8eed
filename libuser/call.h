/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A call of the library's own run time, as the cancel core sees it: one
 * generation in RPCCANCEL_MODE_CALL. The run time is told of a cancel by a
 * descriptor, which it polls together with its socket, and does the rest.
 *
 * All of it is for the calling thread, and about the calling thread. It costs
 * no system call unless there is a cancel.
 */
#ifndef RPCC_CALL_H
#define RPCC_CALL_H

#include <stdbool.h>
#include <stdint.h>

struct rpcc_scope;

/* On the caller's stack, from begin to end. */
struct rpcc_call {
	uint64_t gen;		  /* 0: it cannot be cancelled here */
	struct rpcc_call *outer;  /* whose callback makes this one, or NULL */
	struct rpcc_scope *scope; /* the innermost that it is in, or NULL */
	uint64_t outer_tag;
	uint32_t flags;
	uint32_t outer_flags;
	uint32_t outer_classes;
	uint32_t scope_classes; /* what scopes in it may narrow */
	bool nested; /* it shares the generation of @outer or @scope */
};

struct rpcc_call_cancel {
	uint32_t reason; /* RPCCANCEL_REASON_* */
	/* When the grace is over; 0: it is; RPCCANCEL_INFINITE: never. */
	uint64_t deadline;
};

/*
 * @flags: RPCCANCEL_SLOT_NO_CANCEL, RPCCANCEL_SLOT_FINITE. Returns 0 or a
 * negative errno; a call that could not be begun need not be ended. A cancel
 * that waited for the thread's next call takes effect at once, and one of the
 * scope that the call is made in is one of the call from the start.
 */
int rpcc_call_begin(struct rpcc_call *call, uint32_t flags, uint64_t tag);
void rpcc_call_end(struct rpcc_call *call);

/*
 * Becomes readable when the thread's call is cancelled, or when that gets worse.
 * The thread's own, until it exits or detaches itself; or a negative errno. May
 * be polled by a ring between calls too. It says no more than that it is worth
 * asking: not how, nor always that there is a cancel.
 */
int rpcc_call_fd(void);

/*
 * Whether the call is cancelled, and how. Takes what the descriptor has to say,
 * so it is not readable again before there is more. The end of the grace is not
 * always told by the descriptor: whoever waits for it waits until @deadline.
 */
bool rpcc_call_cancelled(const struct rpcc_call *call,
			 struct rpcc_call_cancel *cancel);

#endif /* RPCC_CALL_H */

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The guard for C++, with a back end that is not the kernel's.
 */
#include <cerrno>
#include <type_traits>

#include <rpccancel.hpp>

extern "C" {
#include "mock.h"
}
#include "tap.h"

using rpccancel::scope_guard;

static_assert(!std::is_copy_constructible<scope_guard>::value, "no copies");
static_assert(!std::is_move_constructible<scope_guard>::value, "no moves");
static_assert(std::is_nothrow_default_constructible<scope_guard>::value,
	      "does not throw");
static_assert(std::is_nothrow_destructible<scope_guard>::value,
	      "does not throw");

static void lifetime()
{
	{
		scope_guard scope;

		ok(static_cast<bool>(scope), "a guard begins a scope");
		is(mock.slot.gen, 1, "the generation is odd");
		is(scope.test(), 0, "not cancelled");
	}
	is(mock.slot.gen, 2, "and its destructor ends it");
}

static void result()
{
	scope_guard scope;

	mock_tell(RPCCANCEL_REASON_CANCEL);
	is(scope.test(), RPCCANCEL_REASON_CANCEL, "cancelled");
	is(scope.end(), RPC_S_CALL_CANCELLED, "end tells");
	is(scope.end(), RPC_S_CALL_CANCELLED, "and tells again");
	is(scope.status(), RPC_S_CALL_CANCELLED, "and so does status");
	is(scope.test(), 0, "it is over");
}

static void settings()
{
	auto attr = rpccancel::scope_attr();

	attr.error = EINTR;
	attr.tag = 5;
	{
		scope_guard outer(attr);
		scope_guard inner(std::chrono::seconds(5));

		is(mock.slot.error, EINTR, "the errno");
		is(mock.slot.tag, 5, "the tag");
		ok(mock.deadline != RPCCANCEL_INFINITE, "the deadline");
		is(outer.end(), RPC_S_CALL_IN_PROGRESS, "wrong order");
		is(inner.end(), RPC_S_OK, "right order");
	}
	is(mock.slot.gen % 2, 0, "all over");
	{
		scope_guard scope(std::chrono::nanoseconds(-1));

		ok(mock.deadline != RPCCANCEL_INFINITE,
		   "a period that is over is not for ever");
	}
}

static void failure()
{
	auto attr = rpccancel::scope_attr();

	attr.pad = 1;
	scope_guard scope(attr);

	ok(!scope, "a scope that did not begin");
	is(scope.status(), RPC_S_INVALID_ARG, "says why");
	is(scope.end(), RPC_S_INVALID_ARG, "also at its end");
	is(scope.test(), 0, "and is not cancelled");
}

int main()
{
	lifetime();
	result();
	settings();
	failure();
	return tap_end();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Cancel scopes for C++11 and later. Nothing throws, so -fno-exceptions is fine,
 * and a scope also ends when an exception passes through it.
 *
 *	std::string answer;
 *	{
 *		rpccancel::scope_guard scope;
 *
 *		answer = ask_a_slow_server();
 *		if (scope.end() == RPC_S_CALL_CANCELLED)
 *			return give_up();
 *	}
 *
 * With a deadline:
 *
 *	rpccancel::scope_guard scope(std::chrono::seconds(5));
 *
 * With everything there is; fields that are not set keep their default:
 *
 *	auto attr = rpccancel::scope_attr();
 *	attr.error = EINTR;
 *	attr.tag = request.id;
 *	rpccancel::scope_guard scope(attr);
 *
 * Without the module a scope does not begin and what it holds cannot be
 * cancelled. That is no error unless the program says so:
 *
 *	if (!scope)
 *		warn("cannot be cancelled: %d", scope.status());
 */
#ifndef RPCCANCEL_HPP
#define RPCCANCEL_HPP

#include <chrono>

#include "rpccancel.h"

namespace rpccancel {

/* The attributes of a scope, all at their default. */
inline rpccancel_scope_attr scope_attr() noexcept
{
	rpccancel_scope_attr attr = rpccancel_scope_attr();

	attr.size = sizeof(attr);
	return attr;
}

/*
 * A scope that lasts as long as the object, or until end() is called. It belongs
 * to the thread that made it, and to its place on the stack: it can be neither
 * copied, nor moved, nor allocated with new.
 */
class scope_guard {
      public:
	scope_guard() noexcept
		: status_(rpccancel_scope_begin(&scope_, nullptr))
	{
		open_ = status_ == RPC_S_OK;
	}

	explicit scope_guard(const rpccancel_scope_attr &attr) noexcept
		: status_(rpccancel_scope_begin(&scope_, &attr))
	{
		open_ = status_ == RPC_S_OK;
	}

	/* A period that is over already ends the scope at its first wait. */
	explicit scope_guard(std::chrono::nanoseconds timeout) noexcept
		: scope_guard(attr_of(timeout))
	{
	}

	~scope_guard() noexcept
	{
		end();
	}

	scope_guard(const scope_guard &) = delete;
	scope_guard &operator=(const scope_guard &) = delete;
	static void *operator new(std::size_t) = delete;
	static void *operator new[](std::size_t) = delete;

	/* Whether it has begun, and may be cancelled. */
	explicit operator bool() const noexcept
	{
		return open_;
	}

	/* Why it did not begin, or, after end(), how it ended. */
	RPC_STATUS status() const noexcept
	{
		return status_;
	}

	/* RPCCANCEL_REASON_* when it has been cancelled, else 0. */
	unsigned int test() const noexcept
	{
		return open_ ? rpccancel_scope_test() : 0;
	}

	/*
	 * Ends it now; later calls, and the destructor, change nothing. While a
	 * scope inside it is open it goes on: RPC_S_CALL_IN_PROGRESS.
	 */
	RPC_STATUS end() noexcept
	{
		if (open_) {
			status_ = rpccancel_scope_end(&scope_);
			open_ = status_ == RPC_S_CALL_IN_PROGRESS;
		}
		return status_;
	}

      private:
	static rpccancel_scope_attr
	attr_of(std::chrono::nanoseconds timeout) noexcept
	{
		rpccancel_scope_attr attr = scope_attr();

		/* 0 would mean that there is no deadline. */
		attr.timeout = 1;
		if (timeout.count() > 0)
			attr.timeout = static_cast<uint64_t>(timeout.count());
		return attr;
	}

	rpccancel_scope scope_;
	RPC_STATUS status_;
	bool open_;
};

} /* namespace rpccancel */

#endif /* RPCCANCEL_HPP */

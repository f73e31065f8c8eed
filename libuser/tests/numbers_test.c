// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Numbers and sizes that programs are built with: those of Windows, and those
 * of the kernel's interface.
 */
#include <rpccancel.h>

#include "tap.h"

#define NUMBER(name, value)                       \
	_Static_assert((name) == (value), #name); \
	is(name, value, #name " is " #value)
#define SIZE(type, value)                               \
	_Static_assert(sizeof(type) == (value), #type); \
	is(sizeof(type), value, #type " has " #value " bytes")
#define OFFSET(type, field, value)                                \
	_Static_assert(offsetof(type, field) == (value), #field); \
	is(offsetof(type, field), value, #type "." #field " is at " #value)

static void windows_numbers(void)
{
	NUMBER(RPC_S_OK, 0);
	NUMBER(RPC_S_ACCESS_DENIED, 5);
	NUMBER(ERROR_INVALID_HANDLE, 6);
	NUMBER(RPC_S_OUT_OF_MEMORY, 14);
	NUMBER(RPC_S_INVALID_ARG, 87);
	NUMBER(RPC_S_ASYNC_CALL_PENDING, 997);
	NUMBER(RPC_S_TIMEOUT, 1460);
	NUMBER(RPC_S_INVALID_BINDING, 1702);
	NUMBER(RPC_S_INVALID_TIMEOUT, 1709);
	NUMBER(RPC_S_ALREADY_REGISTERED, 1711);
	NUMBER(RPC_S_OUT_OF_RESOURCES, 1721);
	NUMBER(RPC_S_SERVER_UNAVAILABLE, 1722);
	NUMBER(RPC_S_NO_CALL_ACTIVE, 1725);
	NUMBER(RPC_S_CALL_FAILED, 1726);
	NUMBER(RPC_S_PROTOCOL_ERROR, 1728);
	NUMBER(RPC_S_PROCNUM_OUT_OF_RANGE, 1745);
	NUMBER(RPC_S_CANNOT_SUPPORT, 1764);
	NUMBER(RPC_S_INTERNAL_ERROR, 1766);
	NUMBER(RPC_X_BAD_STUB_DATA, 1783);
	NUMBER(RPC_S_CALL_IN_PROGRESS, 1791);
	NUMBER(RPC_S_CALL_CANCELLED, 1818);
	NUMBER(RPC_S_COMM_FAILURE, 1820);
	NUMBER(RPC_S_NOT_CANCELLED, 1826);
	NUMBER(RPC_S_INVALID_ASYNC_HANDLE, 1914);
	NUMBER(RPC_X_PIPE_EMPTY, 1918);
	NUMBER(RPC_C_CANCEL_INFINITE_TIMEOUT, -1);
	NUMBER(THREAD_SET_CONTEXT, 0x0010);
	NUMBER(THREAD_QUERY_INFORMATION, 0x0040);
	NUMBER(THREAD_SET_CONTEXT, RPCCANCEL_SET_CONTEXT);
	NUMBER(THREAD_QUERY_INFORMATION, RPCCANCEL_QUERY_INFORMATION);
	SIZE(RPC_STATUS, 4);
}

static void kernel_layout(void)
{
	SIZE(struct rpccancel_slot, 64);
	OFFSET(struct rpccancel_slot, cancel, 8);
	OFFSET(struct rpccancel_slot, flags, 16);
	OFFSET(struct rpccancel_slot, reason, 28);
	OFFSET(struct rpccancel_slot, grace, 48);
	OFFSET(struct rpccancel_slot, refused, 56);
	SIZE(struct rpccancel_query, 24);
	SIZE(struct rpccancel_attach, 8);
	SIZE(struct rpccancel_open, 16);
	SIZE(struct rpccancel_cancel, 32);
	SIZE(struct rpccancel_wait, 24);
	SIZE(struct rpccancel_target, 24);
	SIZE(struct rpccancel_bulk, 24);
	SIZE(struct rpccancel_info, 96);
	OFFSET(struct rpccancel_info, gen, 24);
	OFFSET(struct rpccancel_info, mode, 64);
	SIZE(struct rpccancel_list, 24);
	SIZE(struct rpccancel_deadline, 16);
	SIZE(struct rpccancel_event, 32);
}

static void library_layout(void)
{
	SIZE(struct rpccancel_scope, 128);
	SIZE(struct rpccancel_scope_attr, 32);
	OFFSET(struct rpccancel_scope_attr, tag, 16);
	SIZE(struct rpccancel_request, 48);
	OFFSET(struct rpccancel_request, gen, 8);
	OFFSET(struct rpccancel_request, result, 32);
}

int main(void)
{
	windows_numbers();
	kernel_layout();
	library_layout();
	return tap_end();
}

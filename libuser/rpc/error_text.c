// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Status codes in words: one text for each number of rpcnterr.h. Numbers that
 * have two names have one text, which fits both.
 */
#include <stdio.h>

#include "internal.h"

#include <rpc.h>

static const struct {
	RPC_STATUS status;
	const char *text;
} texts[] = {
	{ RPC_S_OK, "success" },
	{ RPC_S_ACCESS_DENIED, "access is denied" },
	{ RPC_X_SS_CONTEXT_MISMATCH,
	  "the handle or context handle is not valid" },
	{ RPC_S_OUT_OF_MEMORY, "out of memory" },
	{ RPC_S_INVALID_ARG, "an argument is not valid" },
	{ RPC_S_BUFFER_TOO_SMALL, "the buffer is too small" },
	{ RPC_S_OUT_OF_THREADS, "no more threads can be created" },
	{ RPC_S_ASYNC_CALL_PENDING,
	  "the asynchronous call is still in progress" },
	{ RPC_S_SERVER_OUT_OF_MEMORY, "the server is out of memory" },
	{ RPC_S_UNKNOWN_PRINCIPAL, "the principal is not known" },
	{ RPC_S_INVALID_SECURITY_DESC, "the security descriptor is not valid" },
	{ RPC_S_TIMEOUT, "the time allowed has passed" },
	{ RPC_S_INVALID_STRING_BINDING, "the string binding is malformed" },
	{ RPC_S_WRONG_KIND_OF_BINDING,
	  "the binding handle is of the wrong kind" },
	{ RPC_S_INVALID_BINDING, "the binding handle is not valid" },
	{ RPC_S_PROTSEQ_NOT_SUPPORTED,
	  "the protocol sequence is not supported" },
	{ RPC_S_INVALID_RPC_PROTSEQ, "there is no such protocol sequence" },
	{ RPC_S_INVALID_STRING_UUID, "the UUID is malformed" },
	{ RPC_S_INVALID_ENDPOINT_FORMAT, "the endpoint is malformed" },
	{ RPC_S_INVALID_NET_ADDR, "the network address is not valid" },
	{ RPC_S_NO_ENDPOINT_FOUND, "no endpoint was found" },
	{ RPC_S_INVALID_TIMEOUT, "the timeout is not valid" },
	{ RPC_S_OBJECT_NOT_FOUND, "the object is not known" },
	{ RPC_S_ALREADY_REGISTERED, "it is registered already" },
	{ RPC_S_TYPE_ALREADY_REGISTERED, "the type is registered already" },
	{ RPC_S_ALREADY_LISTENING, "the server is listening already" },
	{ RPC_S_NO_PROTSEQS_REGISTERED,
	  "the server uses no protocol sequence" },
	{ RPC_S_NOT_LISTENING, "the server is not listening" },
	{ RPC_S_UNKNOWN_MGR_TYPE, "the type of the manager is not known" },
	{ RPC_S_UNKNOWN_IF, "the interface is not known" },
	{ RPC_S_NO_BINDINGS, "there are no bindings" },
	{ RPC_S_NO_PROTSEQS, "there are no protocol sequences" },
	{ RPC_S_CANT_CREATE_ENDPOINT, "the endpoint cannot be created" },
	{ RPC_S_OUT_OF_RESOURCES, "out of resources" },
	{ RPC_S_SERVER_UNAVAILABLE, "the server cannot be reached" },
	{ RPC_S_SERVER_TOO_BUSY, "the server is too busy" },
	{ RPC_S_INVALID_NETWORK_OPTIONS, "the network options are not valid" },
	{ RPC_S_NO_CALL_ACTIVE, "no call is in progress here" },
	{ RPC_S_CALL_FAILED, "the call failed, and may have been executed" },
	{ RPC_S_CALL_FAILED_DNE, "the call failed, and was not executed" },
	{ RPC_S_PROTOCOL_ERROR, "the peer broke the protocol" },
	{ RPC_S_PROXY_ACCESS_DENIED, "the proxy denies access" },
	{ RPC_S_UNSUPPORTED_TRANS_SYN,
	  "the server does not support the transfer syntax" },
	{ RPC_S_UNSUPPORTED_TYPE, "the type of the object is not supported" },
	{ RPC_S_INVALID_TAG, "the tag of a union is not valid" },
	{ RPC_S_INVALID_BOUND, "the bounds of an array are not valid" },
	{ RPC_S_DUPLICATE_ENDPOINT, "the endpoint is in use" },
	{ RPC_S_MAX_CALLS_TOO_SMALL,
	  "the maximum number of calls is too small" },
	{ RPC_S_STRING_TOO_LONG, "the string is too long" },
	{ RPC_S_PROCNUM_OUT_OF_RANGE,
	  "the interface has no operation of this number" },
	{ EPT_S_CANT_PERFORM_OP, "the endpoint mapper cannot do this" },
	{ EPT_S_NOT_REGISTERED, "the endpoint mapper knows no such endpoint" },
	{ RPC_S_INVALID_NAF_ID, "the network address family is not valid" },
	{ RPC_S_CANNOT_SUPPORT, "this is not supported" },
	{ RPC_S_INTERNAL_ERROR, "internal error" },
	{ RPC_S_ZERO_DIVIDE, "the server divided an integer by zero" },
	{ RPC_S_ADDRESS_ERROR, "the server used an address that is not valid" },
	{ RPC_S_FP_DIV_ZERO,
	  "the server divided a floating-point number by zero" },
	{ RPC_S_FP_UNDERFLOW, "floating-point underflow in the server" },
	{ RPC_S_FP_OVERFLOW, "floating-point overflow in the server" },
	{ RPC_X_NULL_REF_POINTER, "a reference pointer is null" },
	{ RPC_X_BAD_STUB_DATA,
	  "the stub got data that it does not understand" },
	{ RPC_S_CALL_IN_PROGRESS, "a call is in progress" },
	{ RPC_S_CALL_CANCELLED, "the call was cancelled" },
	{ RPC_S_BINDING_INCOMPLETE, "the binding lacks a part that is needed" },
	{ RPC_S_COMM_FAILURE, "communication failed during the call" },
	{ RPC_S_UNSUPPORTED_AUTHN_LEVEL,
	  "the authentication level is not supported" },
	{ RPC_S_SEC_PKG_ERROR, "the security package failed" },
	{ RPC_S_NOT_CANCELLED, "the thread is not cancelled" },
	{ RPC_X_WRONG_PIPE_ORDER, "pipes were used in the wrong order" },
	{ RPC_S_INVALID_OBJECT, "the object is not valid" },
	{ RPC_S_SEND_INCOMPLETE, "not all of the data has been sent" },
	{ RPC_S_INVALID_ASYNC_HANDLE,
	  "the handle of the asynchronous call is not valid" },
	{ RPC_S_INVALID_ASYNC_CALL,
	  "this is not allowed in the asynchronous call's state" },
	{ RPC_X_PIPE_CLOSED, "the pipe is closed" },
	{ RPC_X_PIPE_DISCIPLINE_ERROR, "the pipe was used against its rules" },
	{ RPC_X_PIPE_EMPTY, "the pipe is empty" },
};

static const char *find_text(RPC_STATUS status)
{
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return NULL;
}

/*
 * @ErrorText: DCE_C_ERROR_STRING_LEN bytes. An unknown status is an error, and
 * has a text all the same, for callers that print without looking.
 */
EXPORT RPC_STATUS DceErrorInqText(RPC_STATUS RpcStatus, RPC_CSTR ErrorText)
{
	const char *text = find_text(RpcStatus);

	if (!ErrorText)
		return RPC_S_INVALID_ARG;
	snprintf((char *)ErrorText, DCE_C_ERROR_STRING_LEN, "%s",
		 text ? text : "unknown status");
	return text ? RPC_S_OK : RPC_S_INVALID_ARG;
}

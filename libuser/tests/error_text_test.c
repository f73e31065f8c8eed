// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Every number of rpcnterr.h in words.
 */
#include <string.h>

#include <rpc.h>

#include "tap.h"

#define STATUS(name)        \
	{                   \
		name, #name \
	}

/* As the header lists them. */
static const struct {
	RPC_STATUS status;
	const char *name;
} statuses[] = {
	STATUS(RPC_S_OK),
	STATUS(RPC_S_ACCESS_DENIED),
	STATUS(RPC_X_SS_CONTEXT_MISMATCH),
	STATUS(RPC_S_OUT_OF_MEMORY),
	STATUS(RPC_X_NO_MEMORY),
	STATUS(RPC_S_INVALID_ARG),
	STATUS(RPC_S_INVALID_LEVEL),
	STATUS(RPC_S_BUFFER_TOO_SMALL),
	STATUS(RPC_S_OUT_OF_THREADS),
	STATUS(RPC_S_ASYNC_CALL_PENDING),
	STATUS(RPC_S_SERVER_OUT_OF_MEMORY),
	STATUS(RPC_S_UNKNOWN_PRINCIPAL),
	STATUS(RPC_S_INVALID_SECURITY_DESC),
	STATUS(RPC_S_TIMEOUT),
	STATUS(RPC_S_INVALID_STRING_BINDING),
	STATUS(RPC_S_WRONG_KIND_OF_BINDING),
	STATUS(RPC_S_INVALID_BINDING),
	STATUS(RPC_S_PROTSEQ_NOT_SUPPORTED),
	STATUS(RPC_S_INVALID_RPC_PROTSEQ),
	STATUS(RPC_S_INVALID_STRING_UUID),
	STATUS(RPC_S_INVALID_ENDPOINT_FORMAT),
	STATUS(RPC_S_INVALID_NET_ADDR),
	STATUS(RPC_S_NO_ENDPOINT_FOUND),
	STATUS(RPC_S_INVALID_TIMEOUT),
	STATUS(RPC_S_OBJECT_NOT_FOUND),
	STATUS(RPC_S_ALREADY_REGISTERED),
	STATUS(RPC_S_TYPE_ALREADY_REGISTERED),
	STATUS(RPC_S_ALREADY_LISTENING),
	STATUS(RPC_S_NO_PROTSEQS_REGISTERED),
	STATUS(RPC_S_NOT_LISTENING),
	STATUS(RPC_S_UNKNOWN_MGR_TYPE),
	STATUS(RPC_S_UNKNOWN_IF),
	STATUS(RPC_S_NO_BINDINGS),
	STATUS(RPC_S_NO_PROTSEQS),
	STATUS(RPC_S_CANT_CREATE_ENDPOINT),
	STATUS(RPC_S_OUT_OF_RESOURCES),
	STATUS(RPC_S_SERVER_UNAVAILABLE),
	STATUS(RPC_S_SERVER_TOO_BUSY),
	STATUS(RPC_S_INVALID_NETWORK_OPTIONS),
	STATUS(RPC_S_NO_CALL_ACTIVE),
	STATUS(RPC_S_CALL_FAILED),
	STATUS(RPC_S_CALL_FAILED_DNE),
	STATUS(RPC_S_PROTOCOL_ERROR),
	STATUS(RPC_S_PROXY_ACCESS_DENIED),
	STATUS(RPC_S_UNSUPPORTED_TRANS_SYN),
	STATUS(RPC_S_UNSUPPORTED_TYPE),
	STATUS(RPC_S_INVALID_TAG),
	STATUS(RPC_S_INVALID_BOUND),
	STATUS(RPC_S_DUPLICATE_ENDPOINT),
	STATUS(RPC_S_MAX_CALLS_TOO_SMALL),
	STATUS(RPC_S_STRING_TOO_LONG),
	STATUS(RPC_S_PROCNUM_OUT_OF_RANGE),
	STATUS(EPT_S_CANT_PERFORM_OP),
	STATUS(EPT_S_NOT_REGISTERED),
	STATUS(RPC_S_INVALID_NAF_ID),
	STATUS(RPC_S_CANNOT_SUPPORT),
	STATUS(RPC_S_INTERNAL_ERROR),
	STATUS(RPC_S_ZERO_DIVIDE),
	STATUS(RPC_S_ADDRESS_ERROR),
	STATUS(RPC_S_FP_DIV_ZERO),
	STATUS(RPC_S_FP_UNDERFLOW),
	STATUS(RPC_S_FP_OVERFLOW),
	STATUS(RPC_X_NULL_REF_POINTER),
	STATUS(RPC_X_BAD_STUB_DATA),
	STATUS(RPC_S_CALL_IN_PROGRESS),
	STATUS(RPC_S_CALL_CANCELLED),
	STATUS(RPC_S_BINDING_INCOMPLETE),
	STATUS(RPC_S_COMM_FAILURE),
	STATUS(RPC_S_UNSUPPORTED_AUTHN_LEVEL),
	STATUS(RPC_S_SEC_PKG_ERROR),
	STATUS(RPC_S_NOT_CANCELLED),
	STATUS(RPC_X_WRONG_PIPE_ORDER),
	STATUS(RPC_S_INVALID_OBJECT),
	STATUS(RPC_S_SEND_INCOMPLETE),
	STATUS(RPC_S_INVALID_ASYNC_HANDLE),
	STATUS(RPC_S_INVALID_ASYNC_CALL),
	STATUS(RPC_X_PIPE_CLOSED),
	STATUS(RPC_X_PIPE_DISCIPLINE_ERROR),
	STATUS(RPC_X_PIPE_EMPTY),
};

#define COUNT (sizeof(statuses) / sizeof(statuses[0]))

static void known(void)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN];
	size_t i;

	for (i = 0; i < COUNT; i++) {
		memset(text, 'x', sizeof(text));
		ok(DceErrorInqText(statuses[i].status, text) == RPC_S_OK &&
			   memchr(text, 0, sizeof(text)) && *text,
		   "%s: %.255s", statuses[i].name, text);
	}
}

/* The same number may have two names, but no two numbers have one text. */
static void different(void)
{
	unsigned char a[DCE_C_ERROR_STRING_LEN], b[DCE_C_ERROR_STRING_LEN];
	size_t i, j;

	for (i = 0; i < COUNT; i++) {
		for (j = 0; j < i; j++) {
			DceErrorInqText(statuses[i].status, a);
			DceErrorInqText(statuses[j].status, b);
			if (statuses[i].status != statuses[j].status &&
			    !strcmp((char *)a, (char *)b))
				ok(false, "%s and %s have one text",
				   statuses[i].name, statuses[j].name);
		}
	}
}

static void unknown(void)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN];

	is(DceErrorInqText(1731, text), RPC_S_INVALID_ARG,
	   "an unknown status is refused");
	ok(!strcmp((char *)text, "unknown status"), "and said to be unknown");
	is(DceErrorInqText(-1, text), RPC_S_INVALID_ARG, "so is -1");
	is(DceErrorInqText(RPC_S_OK, NULL), RPC_S_INVALID_ARG,
	   "without room for a text there is none");
}

int main(void)
{
	known();
	different();
	unknown();
	return tap_end();
}

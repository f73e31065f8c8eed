// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * usage: work_server PROTSEQ ENDPOINT [deaf]
 *
 * Works for as many seconds as a client wants, and tells it for how many it did.
 */
#include <stdio.h>
#include <unistd.h>

#include <rpc.h>
#include <rpcdcep.h>

#include "work.h"

static int deaf;

/* The stub: runs in a thread of the library, several at the same time. */
static void work_for(PRPC_MESSAGE message)
{
	unsigned char wanted, done = 0;

	if (message->BufferLength != 1)
		RpcRaiseException(RPC_X_BAD_STUB_DATA);
	wanted = *(unsigned char *)message->Buffer;

	/* RPC_S_OK means that the client has cancelled. */
	while (done < wanted && (deaf || RpcTestCancel() != RPC_S_OK)) {
		sleep(1);
		done++;
	}
	printf("worked for %d of %d s\n", done, wanted);

	message->BufferLength = 1;
	if (I_RpcGetBuffer(message) != RPC_S_OK)
		RpcRaiseException(RPC_S_OUT_OF_MEMORY);
	*(unsigned char *)message->Buffer = done;
}

static RPC_DISPATCH_FUNCTION stubs[] = { [WORK_FOR] = work_for };
static RPC_DISPATCH_TABLE table = { 1, stubs, 0 };
static RPC_SERVER_INTERFACE work_interface = {
	.Length = sizeof(work_interface),
	.InterfaceId = WORK_ID,
	.TransferSyntax = NDR_ID,
	.DispatchTable = &table,
};

int main(int argc, char **argv)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN];
	RPC_STATUS status;

	if (argc < 3)
		return 2;
	deaf = argc > 3;
	setvbuf(stdout, NULL, _IOLBF, 0);

	status = RpcServerUseProtseqEp((RPC_CSTR)argv[1],
				       RPC_C_PROTSEQ_MAX_REQS_DEFAULT,
				       (RPC_CSTR)argv[2], NULL);
	if (status == RPC_S_OK)
		status = RpcServerRegisterIf(&work_interface, NULL, NULL);
	if (status == RPC_S_OK)
		status = RpcServerListen(1, RPC_C_LISTEN_MAX_CALLS_DEFAULT, 0);

	DceErrorInqText(status, text);
	fprintf(stderr, "work_server: %s (%d)\n", text, status);
	return status != RPC_S_OK;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * usage: work_client BINDING SECONDS [GRACE]
 *
 * Lets a server work for some seconds. With GRACE, another thread cancels that
 * after two, and gives the server GRACE seconds to come to an end.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rpccancel.h>
#include <rpcdcep.h>

#include "work.h"

static RPC_CLIENT_INTERFACE work_interface = {
	.Length = sizeof(work_interface),
	.InterfaceId = WORK_ID,
	.TransferSyntax = NDR_ID,
};

/* What a stub does: raises what has gone wrong. */
static unsigned char work_for(RPC_BINDING_HANDLE binding, unsigned char seconds)
{
	RPC_MESSAGE message = {
		.Handle = binding,
		.BufferLength = 1,
		.ProcNum = WORK_FOR,
		.RpcInterfaceInformation = &work_interface,
	};
	RPC_STATUS status = I_RpcGetBuffer(&message);

	if (status == RPC_S_OK) {
		*(unsigned char *)message.Buffer = seconds;
		status = I_RpcSendReceive(&message);
	}
	if (status == RPC_S_OK && message.BufferLength != 1)
		status = RPC_X_BAD_STUB_DATA;
	if (status == RPC_S_OK)
		seconds = *(unsigned char *)message.Buffer;
	I_RpcFreeBuffer(&message); /* what has failed, has freed it */
	if (status != RPC_S_OK)
		RpcRaiseException(status);
	return seconds;
}

static void *caller;

static void *cancel(void *grace)
{
	sleep(2);
	printf("cancelled: %d\n", RpcCancelThreadEx(caller, atol(grace)));
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned char text[DCE_C_ERROR_STRING_LEN];
	RPC_BINDING_HANDLE binding;
	pthread_t thread;

	if (argc < 3 ||
	    RpcBindingFromStringBinding((RPC_CSTR)argv[1], &binding) ||
	    rpccancel_thread_self(THREAD_SET_CONTEXT, &caller))
		return 2;
	if (argc > 3)
		pthread_create(&thread, NULL, cancel, argv[3]);

	RpcTryExcept {
		printf("the server has worked for %d s\n",
		       work_for(binding, (unsigned char)atoi(argv[2])));
	} RpcExcept(1) {
		DceErrorInqText((RPC_STATUS)RpcExceptionCode(), text);
		printf("the call has failed: %s (%lu)\n", text,
		       RpcExceptionCode());
	} RpcEndExcept

	if (argc > 3)
		pthread_join(thread, NULL);
	rpccancel_thread_close(caller);
	RpcBindingFree(&binding);
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * usage: work_async BINDING SECONDS
 *
 * The same without a thread that waits: an eventfd(2) tells that the answer is
 * there. After two seconds the server is asked to come to an end, after two more
 * it is not waited for any longer.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rpcasync.h>
#include <rpccancel.h>
#include <rpcdcep.h>

#include "work.h"

static RPC_CLIENT_INTERFACE work_interface = {
	.Length = sizeof(work_interface),
	.InterfaceId = WORK_ID,
	.TransferSyntax = NDR_ID,
};

static int wait_for(int event, int milliseconds)
{
	struct pollfd pfd = { .fd = event, .events = POLLIN };

	return poll(&pfd, 1, milliseconds) > 0;
}

static RPC_STATUS start(RPC_MESSAGE *message, RPC_ASYNC_STATE *async,
			unsigned char seconds)
{
	RPC_STATUS status = I_RpcGetBuffer(message);

	if (status != RPC_S_OK)
		return status;
	*(unsigned char *)message->Buffer = seconds;
	status = I_RpcAsyncSetHandle(message, async);
	if (status == RPC_S_OK)
		status = I_RpcSend(message);
	if (status != RPC_S_OK)
		I_RpcFreeBuffer(message);
	return status;
}

int main(int argc, char **argv)
{
	int event = eventfd(0, EFD_CLOEXEC);
	RPC_MESSAGE message = {
		.BufferLength = 1,
		.ProcNum = WORK_FOR,
		.RpcInterfaceInformation = &work_interface,
	};
	RPC_ASYNC_STATE async;
	RPC_STATUS status;

	if (argc < 3 ||
	    RpcBindingFromStringBinding((RPC_CSTR)argv[1], &message.Handle))
		return 2;
	RpcAsyncInitializeHandle(&async, sizeof(async));
	async.NotificationType = RpcNotificationTypeEvent;
	async.u.hEvent = (void *)(intptr_t)event;

	status = start(&message, &async, (unsigned char)atoi(argv[2]));
	if (status == RPC_S_OK) {
		if (!wait_for(event, 2000))
			RpcAsyncCancelCall(&async, 0);
		if (!wait_for(event, 2000))
			RpcAsyncCancelCall(&async, 1);
		wait_for(event, -1); /* a cancelled call ends, too */
		status = RpcAsyncCompleteCall(&async, &message);
		if (status == RPC_S_OK && message.BufferLength == 1)
			printf("the server has worked for %d s\n",
			       *(unsigned char *)message.Buffer);
		I_RpcFreeBuffer(&message);
	}
	printf("status %d\n", status);
	RpcBindingFree(&message.Handle);
	close(event);
	return 0;
}

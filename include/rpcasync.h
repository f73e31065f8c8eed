/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Microsoft's RPC interface for asynchronous calls, and what a server can learn
 * of a call.
 */
#ifndef RPCASYNC_H
#define RPCASYNC_H

#include "rpcdce.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _RPC_NOTIFICATION_TYPES {
	RpcNotificationTypeNone,
	RpcNotificationTypeEvent,
	RpcNotificationTypeApc,	 /* not here */
	RpcNotificationTypeIoc,	 /* not here */
	RpcNotificationTypeHwnd, /* not here */
	RpcNotificationTypeCallback
} RPC_NOTIFICATION_TYPES;

typedef enum _RPC_ASYNC_EVENT {
	RpcCallComplete,
	RpcSendComplete,
	RpcReceiveComplete,
	RpcClientDisconnect,
	RpcClientCancel
} RPC_ASYNC_EVENT;

struct _RPC_ASYNC_STATE;

typedef void RPC_ENTRY RPCNOTIFICATION_ROUTINE(struct _RPC_ASYNC_STATE *pAsync,
					       void *Context,
					       RPC_ASYNC_EVENT Event);
typedef RPCNOTIFICATION_ROUTINE *PFN_RPCNOTIFICATION_ROUTINE;

typedef union _RPC_ASYNC_NOTIFICATION_INFO {
	struct {
		PFN_RPCNOTIFICATION_ROUTINE NotificationRoutine;
		void *hThread;
	} APC;
	struct {
		void *hIOPort;
		uint32_t dwNumberOfBytesTransferred;
		uintptr_t dwCompletionKey;
		void *lpOverlapped;
	} IOC;
	struct {
		void *hWnd;
		unsigned int Msg;
	} HWND;
	void *hEvent; /* here: an eventfd(2), cast through intptr_t */
	PFN_RPCNOTIFICATION_ROUTINE NotificationRoutine;
} RPC_ASYNC_NOTIFICATION_INFO, *PRPC_ASYNC_NOTIFICATION_INFO;

/* Belongs to the caller, who leaves all to the run time but what says so. */
typedef struct _RPC_ASYNC_STATE {
	unsigned int Size;
	uint32_t Signature;
	int32_t Lock;
	uint32_t Flags;
	void *StubInfo;
	void *UserInfo; /* the caller's */
	void *RuntimeInfo;
	RPC_ASYNC_EVENT Event;
	RPC_NOTIFICATION_TYPES NotificationType; /* the caller's */
	RPC_ASYNC_NOTIFICATION_INFO u;		 /* the caller's */
	intptr_t Reserved[4];
} RPC_ASYNC_STATE, *PRPC_ASYNC_STATE;

#define RpcAsyncGetCallHandle(pAsync) \
	(((PRPC_ASYNC_STATE)(pAsync))->RuntimeInfo)

RPC_STATUS RPC_ENTRY RpcAsyncInitializeHandle(PRPC_ASYNC_STATE pAsync,
					      unsigned int Size);
RPC_STATUS RPC_ENTRY RpcAsyncGetCallStatus(PRPC_ASYNC_STATE pAsync);
RPC_STATUS RPC_ENTRY RpcAsyncCompleteCall(PRPC_ASYNC_STATE pAsync, void *Reply);
RPC_STATUS RPC_ENTRY RpcAsyncAbortCall(PRPC_ASYNC_STATE pAsync,
				       unsigned long ExceptionCode);
RPC_STATUS RPC_ENTRY RpcAsyncCancelCall(PRPC_ASYNC_STATE pAsync, int fAbort);

/*
 * What a server can ask about the call that it serves.
 */

#define RPC_CALL_ATTRIBUTES_VERSION 2

/* The Flags. They mean nothing here: what is known is always told. */
#define RPC_QUERY_SERVER_PRINCIPAL_NAME 0x02
#define RPC_QUERY_CLIENT_PRINCIPAL_NAME 0x04
#define RPC_QUERY_CALL_LOCAL_ADDRESS	0x08
#define RPC_QUERY_CLIENT_PID		0x10
#define RPC_QUERY_IS_CLIENT_LOCAL	0x20
#define RPC_QUERY_NO_AUTH_REQUIRED	0x40

/* The protocol sequence of a call. */
#define RPC_PROTSEQ_TCP	 0x1
#define RPC_PROTSEQ_NMP	 0x2
#define RPC_PROTSEQ_LRPC 0x3
#define RPC_PROTSEQ_HTTP 0x4
#define RPC_PROTSEQ_UDP	 0x5 /* Windows has no number for it any more */

typedef enum tagRpcCallType {
	rctInvalid,
	rctNormal,
	rctTraining,
	rctGuaranteed
} RpcCallType;

typedef enum tagRpcCallClientLocality {
	rcclInvalid,
	rcclLocal,
	rcclRemote,
	rcclClientUnknownLocality
} RpcCallClientLocality;

typedef struct tagRPC_CALL_LOCAL_ADDRESS_V1 {
	unsigned int Version;
	void *Buffer;
	uint32_t BufferSize;
	int AddressFormat;
} RPC_CALL_LOCAL_ADDRESS_V1;

typedef struct tagRPC_CALL_ATTRIBUTES_V2 {
	unsigned int Version;
	uint32_t Flags;
	uint32_t ServerPrincipalNameBufferLength;
	unsigned char *ServerPrincipalName; /* none: NULL, as the next */
	uint32_t ClientPrincipalNameBufferLength;
	unsigned char *ClientPrincipalName;
	uint32_t AuthenticationLevel;
	uint32_t AuthenticationService;
	int NullSession;
	int KernelModeCaller;
	uint32_t ProtocolSequence;
	RpcCallClientLocality IsClientLocal;
	void *ClientPID;
	uint32_t CallStatus;
	RpcCallType CallType;
	RPC_CALL_LOCAL_ADDRESS_V1 *CallLocalAddress;
	unsigned short OpNum;
	UUID InterfaceUuid;
} RPC_CALL_ATTRIBUTES_V2;

typedef RPC_CALL_ATTRIBUTES_V2 RPC_CALL_ATTRIBUTES;

RPC_STATUS RPC_ENTRY RpcServerInqCallAttributes(
	RPC_BINDING_HANDLE ClientBinding, void *RpcCallAttributes);
#define RpcServerInqCallAttributesA RpcServerInqCallAttributes

#ifdef __cplusplus
}
#endif

#endif /* RPCASYNC_H */

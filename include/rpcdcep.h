/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Microsoft's RPC interface for stubs, at the level of whole buffers: what is
 * in them is the stub's business. See I_RpcGetBuffer(3).
 */
#ifndef RPCDCEP_H
#define RPCDCEP_H

#include "rpcdce.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One call, on both sides.
 *
 * Client: the stub sets Handle, BufferLength, ProcNum, RpcInterfaceInformation
 * (an RPC_CLIENT_INTERFACE) and RpcFlags. Server: the run time sets all.
 */
typedef struct _RPC_MESSAGE {
	RPC_BINDING_HANDLE Handle;
	uint32_t DataRepresentation; /* NDR format label, first byte lowest */
	void *Buffer;
	unsigned int BufferLength;
	unsigned int ProcNum;
	PRPC_SYNTAX_IDENTIFIER TransferSyntax;
	void *RpcInterfaceInformation;
	void *ReservedForRuntime;
	RPC_MGR_EPV *ManagerEpv;
	void *ImportContext;
	uint32_t RpcFlags;
} RPC_MESSAGE, *PRPC_MESSAGE;

typedef void(__RPC_STUB *RPC_DISPATCH_FUNCTION)(PRPC_MESSAGE Message);

typedef struct {
	unsigned int DispatchTableCount;
	RPC_DISPATCH_FUNCTION *DispatchTable;
	intptr_t Reserved;
} RPC_DISPATCH_TABLE, *PRPC_DISPATCH_TABLE;

typedef struct _RPC_PROTSEQ_ENDPOINT {
	unsigned char *RpcProtocolSequence;
	unsigned char *Endpoint;
} RPC_PROTSEQ_ENDPOINT, *PRPC_PROTSEQ_ENDPOINT;

/* What RpcFlags may have, and ProcNum to say that RpcFlags is set. */
#define RPC_NCA_FLAGS_DEFAULT	 0x00000000
#define RPC_NCA_FLAGS_IDEMPOTENT 0x00000001
#define RPC_NCA_FLAGS_BROADCAST	 0x00000002
#define RPC_NCA_FLAGS_MAYBE	 0x00000004
#define RPC_BUFFER_COMPLETE	 0x00001000
#define RPC_BUFFER_PARTIAL	 0x00002000
#define RPC_BUFFER_EXTRA	 0x00004000
#define RPC_BUFFER_ASYNC	 0x00008000
#define RPC_FLAGS_VALID_BIT	 0x00008000

/* What the Flags of an interface may have. */
#define RPC_INTERFACE_HAS_PIPES 0x0001

/* Set by MIDL for an interface whose calls may issue static callbacks. */
#define RPCFLG_HAS_CALLBACK 0x04000000

typedef struct _RPC_SERVER_INTERFACE {
	unsigned int Length; /* sizeof(RPC_SERVER_INTERFACE) */
	RPC_SYNTAX_IDENTIFIER InterfaceId;
	RPC_SYNTAX_IDENTIFIER TransferSyntax;
	PRPC_DISPATCH_TABLE DispatchTable;
	unsigned int RpcProtseqEndpointCount;
	PRPC_PROTSEQ_ENDPOINT RpcProtseqEndpoint;
	RPC_MGR_EPV *DefaultManagerEpv;
	void const *InterpreterInfo;
	unsigned int Flags;
} RPC_SERVER_INTERFACE, *PRPC_SERVER_INTERFACE;

typedef struct _RPC_CLIENT_INTERFACE {
	unsigned int Length; /* sizeof(RPC_CLIENT_INTERFACE) */
	RPC_SYNTAX_IDENTIFIER InterfaceId;
	RPC_SYNTAX_IDENTIFIER TransferSyntax;
	PRPC_DISPATCH_TABLE DispatchTable; /* of the static callbacks */
	unsigned int RpcProtseqEndpointCount;
	PRPC_PROTSEQ_ENDPOINT RpcProtseqEndpoint;
	uintptr_t Reserved;
	void const *InterpreterInfo;
	unsigned int Flags;
} RPC_CLIENT_INTERFACE, *PRPC_CLIENT_INTERFACE;

struct _RPC_ASYNC_STATE;

RPC_STATUS RPC_ENTRY I_RpcGetBuffer(RPC_MESSAGE *Message);
RPC_STATUS RPC_ENTRY I_RpcSendReceive(RPC_MESSAGE *Message);
RPC_STATUS RPC_ENTRY I_RpcFreeBuffer(RPC_MESSAGE *Message);
RPC_STATUS RPC_ENTRY I_RpcSend(RPC_MESSAGE *Message);
RPC_STATUS RPC_ENTRY I_RpcReceive(RPC_MESSAGE *Message, unsigned int Size);
RPC_STATUS RPC_ENTRY I_RpcAsyncSetHandle(RPC_MESSAGE *Message,
					 struct _RPC_ASYNC_STATE *pAsync);

#ifdef __cplusplus
}
#endif

#endif /* RPCDCEP_H */

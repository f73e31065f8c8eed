/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Microsoft's RPC interface for applications. Each function has a page in
 * section 3 of the manual, which says what it guarantees and where it differs
 * from Windows.
 *
 * Integers have the sizes that they have on Windows, where a long has 32 bits:
 * in structures the size is kept, not the name. All strings are UTF-8; the
 * names with A, for which Windows uses the local code page, are the same
 * functions. There are no wide ones.
 */
#ifndef RPCDCE_H
#define RPCDCE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Windows' calling convention: ported sources name it, and here it is none. */
#ifndef RPC_ENTRY
#define RPC_ENTRY
#endif
#ifndef __RPC_USER
#define __RPC_USER
#endif
#ifndef __RPC_STUB
#define __RPC_STUB
#endif
#ifndef __RPC_API
#define __RPC_API
#endif
#ifndef RPC_VAR_ENTRY
#define RPC_VAR_ENTRY
#endif

typedef int32_t RPC_STATUS;

typedef void *I_RPC_HANDLE;
typedef I_RPC_HANDLE RPC_BINDING_HANDLE;
typedef RPC_BINDING_HANDLE handle_t;
typedef void *RPC_IF_HANDLE;
typedef void RPC_MGR_EPV;
typedef unsigned char *RPC_CSTR;

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
	uint32_t Data1;
	uint16_t Data2;
	uint16_t Data3;
	uint8_t Data4[8];
} GUID;
#endif
#ifndef UUID_DEFINED
#define UUID_DEFINED
typedef GUID UUID;
#endif

typedef struct _RPC_VERSION {
	unsigned short MajorVersion;
	unsigned short MinorVersion;
} RPC_VERSION;

typedef struct _RPC_SYNTAX_IDENTIFIER {
	GUID SyntaxGUID;
	RPC_VERSION SyntaxVersion;
} RPC_SYNTAX_IDENTIFIER, *PRPC_SYNTAX_IDENTIFIER;

typedef struct _RPC_BINDING_VECTOR {
	uint32_t Count;
	RPC_BINDING_HANDLE BindingH[1];
} RPC_BINDING_VECTOR;

typedef struct _RPC_IF_ID {
	UUID Uuid;
	unsigned short VersMajor;
	unsigned short VersMinor;
} RPC_IF_ID;

typedef struct {
	uint32_t Count;
	RPC_IF_ID *IfId[1];
} RPC_IF_ID_VECTOR;

/* Decides whether a client may use an interface: RPC_S_OK lets it. */
typedef RPC_STATUS RPC_ENTRY RPC_IF_CALLBACK_FN(RPC_IF_HANDLE InterfaceUuid,
						void *Context);

#define RPC_C_CANCEL_INFINITE_TIMEOUT (-1)

#define RPC_C_BINDING_INFINITE_TIMEOUT 10
#define RPC_C_BINDING_MIN_TIMEOUT      0
#define RPC_C_BINDING_DEFAULT_TIMEOUT  5
#define RPC_C_BINDING_MAX_TIMEOUT      9

#define RPC_C_LISTEN_MAX_CALLS_DEFAULT 1234
#define RPC_C_PROTSEQ_MAX_REQS_DEFAULT 10

/* For RpcBindingSetOption(): those with a meaning here. */
#define RPC_C_OPT_UNIQUE_BINDING 11
#define RPC_C_OPT_CALL_TIMEOUT	 12 /* ms; 0 none */
#define RPC_C_OPT_DONT_LINGER	 13
#define RPC_C_OPT_MAX_OPTIONS	 17

/* For RpcServerRegisterIf2() and RpcServerRegisterIfEx(). */
#define RPC_IF_AUTOLISTEN		    0x0001
#define RPC_IF_OLE			    0x0002
#define RPC_IF_ALLOW_UNKNOWN_AUTHORITY	    0x0004
#define RPC_IF_ALLOW_SECURE_ONLY	    0x0008
#define RPC_IF_ALLOW_CALLBACKS_WITH_NO_AUTH 0x0010
#define RPC_IF_ALLOW_LOCAL_ONLY		    0x0020
#define RPC_IF_SEC_NO_CACHE		    0x0040

/* The access rights of a thread handle that mean something here. */
#ifndef THREAD_SET_CONTEXT
#define THREAD_SET_CONTEXT 0x0010 /* may cancel */
#endif
#ifndef THREAD_QUERY_INFORMATION
#define THREAD_QUERY_INFORMATION 0x0040 /* may look, poll and read */
#endif
#ifndef THREAD_QUERY_LIMITED_INFORMATION
#define THREAD_QUERY_LIMITED_INFORMATION 0x0800 /* the same here */
#endif
#ifndef THREAD_ALL_ACCESS
#define THREAD_ALL_ACCESS 0x1fffff
#endif

/*
 * Cancelling calls.
 */
RPC_STATUS RPC_ENTRY RpcCancelThread(void *Thread);
RPC_STATUS RPC_ENTRY RpcCancelThreadEx(void *Thread, long Timeout);
RPC_STATUS RPC_ENTRY RpcTestCancel(void);
RPC_STATUS RPC_ENTRY RpcServerTestCancel(RPC_BINDING_HANDLE BindingHandle);
RPC_STATUS RPC_ENTRY RpcMgmtSetCancelTimeout(long Timeout);

/*
 * Bindings. String bindings look like uuid@protseq:address[endpoint,options].
 */
RPC_STATUS RPC_ENTRY RpcStringBindingCompose(RPC_CSTR ObjUuid, RPC_CSTR ProtSeq,
					     RPC_CSTR NetworkAddr,
					     RPC_CSTR Endpoint,
					     RPC_CSTR Options,
					     RPC_CSTR *StringBinding);
RPC_STATUS RPC_ENTRY RpcStringBindingParse(RPC_CSTR StringBinding,
					   RPC_CSTR *ObjUuid, RPC_CSTR *Protseq,
					   RPC_CSTR *NetworkAddr,
					   RPC_CSTR *Endpoint,
					   RPC_CSTR *NetworkOptions);
RPC_STATUS RPC_ENTRY RpcStringFree(RPC_CSTR *String);
RPC_STATUS RPC_ENTRY RpcBindingFromStringBinding(RPC_CSTR StringBinding,
						 RPC_BINDING_HANDLE *Binding);
RPC_STATUS RPC_ENTRY RpcBindingToStringBinding(RPC_BINDING_HANDLE Binding,
					       RPC_CSTR *StringBinding);
RPC_STATUS RPC_ENTRY RpcBindingCopy(RPC_BINDING_HANDLE SourceBinding,
				    RPC_BINDING_HANDLE *DestinationBinding);
RPC_STATUS RPC_ENTRY RpcBindingFree(RPC_BINDING_HANDLE *Binding);
RPC_STATUS RPC_ENTRY RpcBindingReset(RPC_BINDING_HANDLE Binding);
RPC_STATUS RPC_ENTRY RpcBindingSetObject(RPC_BINDING_HANDLE Binding,
					 UUID *ObjectUuid);
RPC_STATUS RPC_ENTRY RpcBindingInqObject(RPC_BINDING_HANDLE Binding,
					 UUID *ObjectUuid);
RPC_STATUS RPC_ENTRY RpcBindingSetOption(RPC_BINDING_HANDLE hBinding,
					 unsigned long option,
					 uintptr_t optionValue);
RPC_STATUS RPC_ENTRY RpcBindingInqOption(RPC_BINDING_HANDLE hBinding,
					 unsigned long option,
					 uintptr_t *pOptionValue);
RPC_STATUS RPC_ENTRY RpcBindingVectorFree(RPC_BINDING_VECTOR **BindingVector);
RPC_STATUS RPC_ENTRY RpcMgmtSetComTimeout(RPC_BINDING_HANDLE Binding,
					  unsigned int Timeout);
RPC_STATUS RPC_ENTRY RpcMgmtInqComTimeout(RPC_BINDING_HANDLE Binding,
					  unsigned int *Timeout);

/*
 * Servers.
 */
RPC_STATUS RPC_ENTRY RpcServerUseProtseq(RPC_CSTR Protseq,
					 unsigned int MaxCalls,
					 void *SecurityDescriptor);
RPC_STATUS RPC_ENTRY RpcServerUseProtseqEp(RPC_CSTR Protseq,
					   unsigned int MaxCalls,
					   RPC_CSTR Endpoint,
					   void *SecurityDescriptor);
RPC_STATUS RPC_ENTRY RpcServerInqBindings(RPC_BINDING_VECTOR **BindingVector);
RPC_STATUS RPC_ENTRY RpcServerRegisterIf(RPC_IF_HANDLE IfSpec,
					 UUID *MgrTypeUuid,
					 RPC_MGR_EPV *MgrEpv);
RPC_STATUS RPC_ENTRY RpcServerRegisterIfEx(RPC_IF_HANDLE IfSpec,
					   UUID *MgrTypeUuid,
					   RPC_MGR_EPV *MgrEpv,
					   unsigned int Flags,
					   unsigned int MaxCalls,
					   RPC_IF_CALLBACK_FN *IfCallback);
RPC_STATUS RPC_ENTRY RpcServerRegisterIf2(
	RPC_IF_HANDLE IfSpec, UUID *MgrTypeUuid, RPC_MGR_EPV *MgrEpv,
	unsigned int Flags, unsigned int MaxCalls, unsigned int MaxRpcSize,
	RPC_IF_CALLBACK_FN *IfCallbackFn);
RPC_STATUS RPC_ENTRY RpcServerUnregisterIf(RPC_IF_HANDLE IfSpec,
					   UUID *MgrTypeUuid,
					   unsigned int WaitForCallsToComplete);
RPC_STATUS RPC_ENTRY RpcServerListen(unsigned int MinimumCallThreads,
				     unsigned int MaxCalls,
				     unsigned int DontWait);
RPC_STATUS RPC_ENTRY RpcMgmtStopServerListening(RPC_BINDING_HANDLE Binding);
RPC_STATUS RPC_ENTRY RpcMgmtWaitServerListen(void);
RPC_STATUS RPC_ENTRY RpcMgmtIsServerListening(RPC_BINDING_HANDLE Binding);
RPC_STATUS RPC_ENTRY RpcMgmtInqIfIds(RPC_BINDING_HANDLE Binding,
				     RPC_IF_ID_VECTOR **IfIdVector);
RPC_STATUS RPC_ENTRY RpcIfIdVectorFree(RPC_IF_ID_VECTOR **IfIdVector);
RPC_STATUS RPC_ENTRY RpcIfInqId(RPC_IF_HANDLE RpcIfHandle, RPC_IF_ID *RpcIfId);

/*
 * UUIDs, and errors in words.
 */
RPC_STATUS RPC_ENTRY UuidCreate(UUID *Uuid);
RPC_STATUS RPC_ENTRY UuidCreateNil(UUID *NilUuid);
RPC_STATUS RPC_ENTRY UuidToString(const UUID *Uuid, RPC_CSTR *StringUuid);
RPC_STATUS RPC_ENTRY UuidFromString(RPC_CSTR StringUuid, UUID *Uuid);
signed int RPC_ENTRY UuidCompare(UUID *Uuid1, UUID *Uuid2, RPC_STATUS *Status);
int RPC_ENTRY UuidEqual(UUID *Uuid1, UUID *Uuid2, RPC_STATUS *Status);
unsigned short RPC_ENTRY UuidHash(UUID *Uuid, RPC_STATUS *Status);
int RPC_ENTRY UuidIsNil(UUID *Uuid, RPC_STATUS *Status);

#define DCE_C_ERROR_STRING_LEN 256

RPC_STATUS RPC_ENTRY DceErrorInqText(RPC_STATUS RpcStatus, RPC_CSTR ErrorText);

void RPC_ENTRY RpcRaiseException(RPC_STATUS exception)
	__attribute__((noreturn));

/* The names that say which strings are meant. */
#define RpcStringBindingComposeA     RpcStringBindingCompose
#define RpcStringBindingParseA	     RpcStringBindingParse
#define RpcStringFreeA		     RpcStringFree
#define RpcBindingFromStringBindingA RpcBindingFromStringBinding
#define RpcBindingToStringBindingA   RpcBindingToStringBinding
#define RpcServerUseProtseqA	     RpcServerUseProtseq
#define RpcServerUseProtseqEpA	     RpcServerUseProtseqEp
#define UuidToStringA		     UuidToString
#define UuidFromStringA		     UuidFromString
#define DceErrorInqTextA	     DceErrorInqText

#ifdef __cplusplus
}
#endif

#endif /* RPCDCE_H */

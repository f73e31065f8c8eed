// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The interfaces that a server has registered.
 *
 * An interface is counted by the list, by the presentation contexts that name
 * it, and by calls; so one that was unregistered is still there for them, and
 * refuses. What the application gave us, the dispatch table and the entry point
 * vector, is used by admitted calls only: when the last of them is over, the
 * application may take it away, and RpcServerUnregisterIf() can wait for that.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "rpc/server_impl.h"
#include "wire/nca.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER; /* a call is over */
static struct rpcc_interface *interfaces;
static bool serving, listening;
static unsigned int all_calls, auto_calls;

#define KNOWN_FLAGS                                                        \
	(RPC_IF_AUTOLISTEN | RPC_IF_OLE | RPC_IF_ALLOW_UNKNOWN_AUTHORITY | \
	 RPC_IF_ALLOW_SECURE_ONLY | RPC_IF_ALLOW_CALLBACKS_WITH_NO_AUTH |  \
	 RPC_IF_ALLOW_LOCAL_ONLY | RPC_IF_SEC_NO_CACHE |                   \
	 RPCCANCEL_IF_INTERRUPT)

static bool same_interface(const RPC_SYNTAX_IDENTIFIER *a,
			   const RPC_SYNTAX_IDENTIFIER *b)
{
	return !memcmp(&a->SyntaxGUID, &b->SyntaxGUID, sizeof(GUID)) &&
	       a->SyntaxVersion.MajorVersion == b->SyntaxVersion.MajorVersion;
}

/* C706, chapter 6: a server of a higher minor version serves a lower one. */
static bool serves(const RPC_SYNTAX_IDENTIFIER *server,
		   const RPC_SYNTAX_IDENTIFIER *client)
{
	return same_interface(server, client) &&
	       server->SyntaxVersion.MinorVersion >=
		       client->SyntaxVersion.MinorVersion;
}

struct rpcc_interface *rpcc_interface_find(const RPC_SYNTAX_IDENTIFIER *syntax)
{
	struct rpcc_interface *i;

	pthread_mutex_lock(&lock);
	for (i = interfaces; i; i = i->next)
		if (serves(&i->id, syntax))
			break;
	if (i)
		i->refs++;
	pthread_mutex_unlock(&lock);
	return i;
}

void rpcc_interface_ref(struct rpcc_interface *interface)
{
	pthread_mutex_lock(&lock);
	interface->refs++;
	pthread_mutex_unlock(&lock);
}

void rpcc_interface_put(struct rpcc_interface *interface)
{
	bool last;

	pthread_mutex_lock(&lock);
	last = !--interface->refs;
	pthread_mutex_unlock(&lock);
	if (last)
		free(interface);
}

/* [MS-RPCE] 3.3.3.4.3 and the pages of the flags: a refusal is a fault of 5. */
static bool allowed(const struct rpcc_interface *interface,
		    const struct rpcc_server_call *call)
{
	if (interface->flags & RPC_IF_ALLOW_SECURE_ONLY)
		return false; /* nobody is authenticated here */
	if (interface->flags & RPC_IF_ALLOW_LOCAL_ONLY && !call->protseq->local)
		return false;
	return call->request_length <= interface->max_size;
}

/*
 * The management has no calls either when the server has stopped: they would
 * keep it from its end. But who asks it gets the answer to what most ask.
 */
static uint32_t not_listening(const struct rpcc_interface *interface)
{
	return rpcc_status_to_nca(interface->builtin
					  ? RPC_S_NOT_LISTENING
					  : RPC_S_SERVER_UNAVAILABLE);
}

static uint32_t check(const struct rpcc_interface *interface,
		      const struct rpcc_server_call *call)
{
	bool automatic = interface->flags & RPC_IF_AUTOLISTEN;

	if (!interface->registered)
		return NCA_S_UNK_IF;
	if (!serving || (!listening && !automatic))
		return not_listening(interface);
	if (call->opnum >= interface->dispatch->DispatchTableCount ||
	    !interface->dispatch->DispatchTable[call->opnum])
		return NCA_S_OP_RNG_ERROR;
	if (!allowed(interface, call))
		return rpcc_status_to_nca(RPC_S_ACCESS_DENIED);
	if (interface->max_calls && interface->calls >= interface->max_calls)
		return NCA_S_SERVER_TOO_BUSY;
	return 0;
}

uint32_t rpcc_interface_admit(const struct rpcc_server_call *call)
{
	struct rpcc_interface *interface = call->interface;
	uint32_t fault;

	pthread_mutex_lock(&lock);
	fault = check(interface, call);
	if (!fault) {
		interface->refs++;
		interface->calls++;
		all_calls++;
		if (interface->flags & RPC_IF_AUTOLISTEN)
			auto_calls++;
	}
	pthread_mutex_unlock(&lock);
	return fault;
}

void rpcc_interface_leave(struct rpcc_interface *interface)
{
	pthread_mutex_lock(&lock);
	interface->calls--;
	all_calls--;
	if (interface->flags & RPC_IF_AUTOLISTEN)
		auto_calls--;
	pthread_cond_broadcast(&left);
	pthread_mutex_unlock(&lock);
	rpcc_interface_put(interface);
}

void rpcc_interfaces_listen(bool on)
{
	pthread_mutex_lock(&lock);
	listening = on;
	pthread_mutex_unlock(&lock);
}

void rpcc_interfaces_wait(bool all)
{
	pthread_mutex_lock(&lock);
	while (all_calls > (all ? 0 : auto_calls))
		pthread_cond_wait(&left, &lock);
	pthread_mutex_unlock(&lock);
}

static bool any_autolisten(void)
{
	struct rpcc_interface *i;

	for (i = interfaces; i; i = i->next)
		if (i->flags & RPC_IF_AUTOLISTEN)
			break;
	return i;
}

bool rpcc_interfaces_autolisten(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = any_autolisten();
	pthread_mutex_unlock(&lock);
	return any;
}

void rpcc_interfaces_open(void)
{
	pthread_mutex_lock(&lock);
	serving = true;
	pthread_mutex_unlock(&lock);
}

bool rpcc_interfaces_close(void)
{
	bool closed;

	pthread_mutex_lock(&lock);
	closed = !all_calls && !any_autolisten();
	if (closed)
		serving = false;
	pthread_mutex_unlock(&lock);
	return closed;
}

void rpcc_interfaces_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void rpcc_interfaces_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

void rpcc_interfaces_fork_child(void)
{
	struct rpcc_interface *i;

	for (i = interfaces; i; i = i->next)
		i->calls = 0;
	all_calls = 0;
	auto_calls = 0;
	serving = false;
	listening = false;
	pthread_cond_init(&left, NULL);
	pthread_mutex_unlock(&lock);
}

static RPC_STATUS insert(struct rpcc_interface *new)
{
	struct rpcc_interface **i;
	RPC_STATUS status = RPC_S_OK;

	pthread_mutex_lock(&lock);
	for (i = &interfaces; *i; i = &(*i)->next)
		if (same_interface(&(*i)->id, &new->id) &&
		    (*i)->id.SyntaxVersion.MinorVersion ==
			    new->id.SyntaxVersion.MinorVersion)
			break;
	if (*i)
		status = RPC_S_ALREADY_REGISTERED;
	else
		*i = new;
	pthread_mutex_unlock(&lock);
	return status;
}

RPC_STATUS rpcc_interface_register(const RPC_SERVER_INTERFACE *spec,
				   const struct rpcc_interface *how)
{
	struct rpcc_interface *new = malloc(sizeof(*new));
	RPC_STATUS status;

	if (!new)
		return RPC_S_OUT_OF_MEMORY;
	*new = *how;
	new->spec = spec;
	new->id = spec->InterfaceId;
	new->dispatch = spec->DispatchTable;
	if (!new->epv)
		new->epv = spec->DefaultManagerEpv;
	new->refs = 1;
	new->registered = true;
	status = insert(new);
	if (status != RPC_S_OK)
		free(new);
	return status;
}

static bool is_nil(const UUID *uuid)
{
	static const UUID nil;

	return !uuid || !memcmp(uuid, &nil, sizeof(nil));
}

static bool is_spec(const RPC_SERVER_INTERFACE *spec)
{
	return spec && spec->Length >= sizeof(*spec) && spec->DispatchTable;
}

/*
 * Managers for types of objects need RpcObjectSetType(), which is not here: an
 * interface has one manager, for all objects.
 */
EXPORT RPC_STATUS RpcServerRegisterIf2(RPC_IF_HANDLE IfSpec, UUID *MgrTypeUuid,
				       RPC_MGR_EPV *MgrEpv, unsigned int Flags,
				       unsigned int MaxCalls,
				       unsigned int MaxRpcSize,
				       RPC_IF_CALLBACK_FN *IfCallbackFn)
{
	const struct rpcc_interface how = {
		.epv = MgrEpv,
		.flags = Flags,
		.max_calls = MaxCalls,
		.max_size = MaxRpcSize,
		.callback = IfCallbackFn,
	};
	RPC_STATUS status;
	KEEP_ERRNO();

	if (!is_spec(IfSpec) || Flags & ~KNOWN_FLAGS)
		return RPC_S_INVALID_ARG;
	if (!is_nil(MgrTypeUuid))
		return RPC_S_CANNOT_SUPPORT;
	status = rpcc_server_prepare();
	if (status != RPC_S_OK)
		return status;
	status = rpcc_interface_register(IfSpec, &how);
	if (status != RPC_S_OK || !(Flags & RPC_IF_AUTOLISTEN))
		return status;
	status = rpcc_server_serve();
	if (status != RPC_S_OK)
		RpcServerUnregisterIf(IfSpec, NULL, 0);
	return status;
}

EXPORT RPC_STATUS RpcServerRegisterIfEx(RPC_IF_HANDLE IfSpec, UUID *MgrTypeUuid,
					RPC_MGR_EPV *MgrEpv, unsigned int Flags,
					unsigned int MaxCalls,
					RPC_IF_CALLBACK_FN *IfCallback)
{
	return RpcServerRegisterIf2(IfSpec, MgrTypeUuid, MgrEpv, Flags,
				    MaxCalls, UINT32_MAX, IfCallback);
}

EXPORT RPC_STATUS RpcServerRegisterIf(RPC_IF_HANDLE IfSpec, UUID *MgrTypeUuid,
				      RPC_MGR_EPV *MgrEpv)
{
	return RpcServerRegisterIf2(IfSpec, MgrTypeUuid, MgrEpv, 0,
				    RPC_C_LISTEN_MAX_CALLS_DEFAULT, UINT32_MAX,
				    NULL);
}

/*
 * Off the list. All but the run time's own if @spec is NULL. The list's
 * reference is the caller's now.
 */
static struct rpcc_interface *take(const void *spec)
{
	struct rpcc_interface **i, *found;

	for (i = &interfaces; *i; i = &(*i)->next)
		if (spec ? (*i)->spec == spec : !(*i)->builtin)
			break;
	found = *i;
	if (found) {
		*i = found->next;
		found->registered = false;
	}
	return found;
}

static bool unregister_one(const void *spec, bool wait)
{
	struct rpcc_interface *interface;

	pthread_mutex_lock(&lock);
	interface = take(spec);
	while (interface && wait && interface->calls)
		pthread_cond_wait(&left, &lock);
	pthread_mutex_unlock(&lock);
	if (!interface)
		return false;
	rpcc_interface_put(interface);
	return true;
}

EXPORT RPC_STATUS RpcServerUnregisterIf(RPC_IF_HANDLE IfSpec, UUID *MgrTypeUuid,
					unsigned int WaitForCallsToComplete)
{
	KEEP_ERRNO();

	if (!is_nil(MgrTypeUuid))
		return RPC_S_UNKNOWN_MGR_TYPE;
	if (!unregister_one(IfSpec, WaitForCallsToComplete))
		return RPC_S_UNKNOWN_IF;
	while (!IfSpec && unregister_one(NULL, WaitForCallsToComplete))
		;
	return RPC_S_OK;
}

/* Of a client's interface, too: both begin alike. */
EXPORT RPC_STATUS RpcIfInqId(RPC_IF_HANDLE RpcIfHandle, RPC_IF_ID *RpcIfId)
{
	const RPC_SERVER_INTERFACE *spec = RpcIfHandle;

	if (!spec || !RpcIfId)
		return RPC_S_INVALID_ARG;
	RpcIfId->Uuid = spec->InterfaceId.SyntaxGUID;
	RpcIfId->VersMajor = spec->InterfaceId.SyntaxVersion.MajorVersion;
	RpcIfId->VersMinor = spec->InterfaceId.SyntaxVersion.MinorVersion;
	return RPC_S_OK;
}

/* Each element is freed by itself in RpcIfIdVectorFree(). */
static bool add_id(RPC_IF_ID_VECTOR *vector, const RPC_SYNTAX_IDENTIFIER *id)
{
	RPC_IF_ID *copy = malloc(sizeof(*copy));

	if (!copy)
		return false;
	copy->Uuid = id->SyntaxGUID;
	copy->VersMajor = id->SyntaxVersion.MajorVersion;
	copy->VersMinor = id->SyntaxVersion.MinorVersion;
	vector->IfId[vector->Count++] = copy;
	return true;
}

static RPC_IF_ID_VECTOR *list_ids(void)
{
	const struct rpcc_interface *i;
	RPC_IF_ID_VECTOR *vector;
	bool good = true;
	size_t count = 0;

	for (i = interfaces; i; i = i->next)
		count++;
	vector = calloc(1, sizeof(*vector) + count * sizeof(vector->IfId[0]));
	for (i = interfaces; i && vector && good; i = i->next)
		good = add_id(vector, &i->id);
	if (!good) {
		while (vector->Count)
			free(vector->IfId[--vector->Count]);
		free(vector);
		vector = NULL;
	}
	return vector;
}

RPC_STATUS rpcc_server_inq_if_ids(RPC_IF_ID_VECTOR **vector)
{
	RPC_IF_ID_VECTOR *list;

	pthread_mutex_lock(&lock);
	list = list_ids();
	pthread_mutex_unlock(&lock);
	if (!list)
		return RPC_S_OUT_OF_MEMORY;
	*vector = list;
	return RPC_S_OK;
}

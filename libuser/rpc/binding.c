// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Binding handles of clients: what the application names a server with.
 *
 * Nothing here touches the network. The connections hang on the association,
 * which the protocol makes at the first call; copies share it, unless
 * RPC_C_OPT_UNIQUE_BINDING says that they do not.
 *
 * A handle is freed by its owner when nobody uses it any more, so only what may
 * be set while other threads make calls is under a lock. There is one for all
 * handles, so that fork(2) can take it: a child never finds it taken, nor a
 * handle half changed. It is held for a moment, and no other lock inside it.
 */
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "rpc/binding.h"
#include "rpc/client.h"
#include "rpc/server.h"

#define SECOND 1000000000ull

static const UUID nil;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void rpcc_bindings_lock(void)
{
	pthread_mutex_lock(&lock);
}

void rpcc_bindings_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

RPCC_AT_FORK(RPCC_FORK_CLIENT, rpcc_bindings_lock, rpcc_bindings_unlock,
	     rpcc_bindings_unlock);

struct rpcc_binding *rpcc_binding_get(RPC_BINDING_HANDLE handle)
{
	struct rpcc_binding *binding = handle;

	if (!binding || binding->magic != RPCC_BINDING_MAGIC)
		return NULL;
	return binding;
}

RPC_STATUS rpcc_not_a_binding(RPC_BINDING_HANDLE handle)
{
	if (handle && rpcc_server_call_get(handle))
		return RPC_S_WRONG_KIND_OF_BINDING;
	return RPC_S_INVALID_BINDING;
}

/*
 * Microsoft's pages do not agree on what the numbers mean (a minute or two for
 * the least), and both are long for somebody who waits. These are the seconds
 * of DCE's reference implementation, where the default gives half a minute.
 */
uint64_t rpcc_com_timeout(unsigned int timeout)
{
	static const uint16_t seconds[] = { 1,	2,  4,	 8,   15,
					    30, 60, 120, 240, 480 };

	if (timeout > RPC_C_BINDING_MAX_TIMEOUT)
		return RPCCANCEL_INFINITE;
	return seconds[timeout] * SECOND;
}

static void binding_free(struct rpcc_binding *binding)
{
	if (!binding)
		return;
	binding->magic = 0;
	free(binding->address);
	free(binding->endpoint);
	free(binding->options);
	free(binding);
}

/* Without association. The strings are copied. */
static struct rpcc_binding *binding_alloc(const struct rpcc_protseq *protseq,
					  const char *address,
					  const char *endpoint,
					  const char *options)
{
	struct rpcc_binding *binding;

	if (rpcc_fork_error())
		return NULL;
	binding = calloc(1, sizeof(*binding));
	if (!binding)
		return NULL;
	binding->magic = RPCC_BINDING_MAGIC;
	binding->protseq = protseq;
	binding->com_timeout = RPC_C_BINDING_DEFAULT_TIMEOUT;
	binding->address = strdup(address);
	binding->endpoint = strdup(endpoint);
	binding->options = strdup(options);
	if (!binding->address || !binding->endpoint || !binding->options) {
		binding_free(binding);
		return NULL;
	}
	return binding;
}

static RPC_STATUS from_parts(const struct rpcc_string_binding *parts,
			     struct rpcc_binding **result)
{
	const struct rpcc_protseq *protseq;
	struct rpcc_binding *binding;
	RPC_STATUS status = RPC_S_OK;
	UUID object = nil;

	if (*parts->object &&
	    UuidFromString((RPC_CSTR)parts->object, &object) != RPC_S_OK)
		return RPC_S_INVALID_STRING_UUID;
	protseq = rpcc_protseq_find(parts->protseq, &status);
	if (!protseq)
		return status;
	status = protseq->check(parts->address, parts->endpoint);
	if (status != RPC_S_OK)
		return status;
	binding = binding_alloc(protseq, parts->address, parts->endpoint,
				parts->options);
	if (!binding)
		return RPC_S_OUT_OF_MEMORY;
	binding->object = object;
	*result = binding;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcBindingFromStringBinding(RPC_CSTR StringBinding,
					      RPC_BINDING_HANDLE *Binding)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding = NULL;
	struct rpcc_string_binding parts;
	RPC_STATUS status;

	if (!StringBinding || !Binding)
		return RPC_S_INVALID_ARG;
	*Binding = NULL;
	status = rpcc_string_binding_parse((const char *)StringBinding, &parts);
	if (status != RPC_S_OK)
		return status;
	status = from_parts(&parts, &binding);
	rpcc_string_binding_free(&parts);
	*Binding = binding;
	return status;
}

static RPC_STATUS compose(const UUID *object, const char *protseq,
			  const char *address, const char *endpoint,
			  const char *options, RPC_CSTR *text)
{
	RPC_CSTR uuid = NULL;
	RPC_STATUS status;

	if (memcmp(object, &nil, sizeof(nil))) {
		status = UuidToString(object, &uuid);
		if (status != RPC_S_OK)
			return status;
	}
	status = RpcStringBindingCompose(uuid, (RPC_CSTR)protseq,
					 (RPC_CSTR)address, (RPC_CSTR)endpoint,
					 (RPC_CSTR)options, text);
	if (uuid)
		RpcStringFree(&uuid);
	return status;
}

/* Of a call being served: where its client is, as far as that can be said. */
static RPC_STATUS client_to_string(struct rpcc_server_call *call,
				   RPC_CSTR *text)
{
	char address[INET6_ADDRSTRLEN + IF_NAMESIZE];
	struct rpcc_address peer = { 0 };
	pid_t pid;

	call->ops->peer(call, &peer, &pid);
	rpcc_address_text(&peer, address, sizeof(address));
	return compose(&call->object, call->protseq->name, address, NULL, NULL,
		       text);
}

EXPORT RPC_STATUS RpcBindingToStringBinding(RPC_BINDING_HANDLE Binding,
					    RPC_CSTR *StringBinding)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding = rpcc_binding_get(Binding);
	struct rpcc_server_call *call;
	RPC_STATUS status;

	if (!StringBinding)
		return RPC_S_INVALID_ARG;
	*StringBinding = NULL;
	if (!binding) {
		call = Binding ? rpcc_server_call_get(Binding) : NULL;
		return call ? client_to_string(call, StringBinding)
			    : RPC_S_INVALID_BINDING;
	}
	rpcc_bindings_lock();
	status = compose(&binding->object, binding->protseq->name,
			 binding->address, binding->endpoint, binding->options,
			 StringBinding);
	rpcc_bindings_unlock();
	return status;
}

static struct rpcc_binding *copy_locked(struct rpcc_binding *from)
{
	struct rpcc_binding *to = binding_alloc(from->protseq, from->address,
						from->endpoint, from->options);

	if (!to)
		return NULL;
	to->object = from->object;
	to->com_timeout = from->com_timeout;
	to->call_timeout = from->call_timeout;
	to->unique = from->unique;
	to->dont_linger = from->dont_linger;
	return to;
}

EXPORT RPC_STATUS RpcBindingCopy(RPC_BINDING_HANDLE SourceBinding,
				 RPC_BINDING_HANDLE *DestinationBinding)
{
	KEEP_ERRNO();
	struct rpcc_binding *from = rpcc_binding_get(SourceBinding);
	struct rpcc_binding *to;

	if (!DestinationBinding)
		return RPC_S_INVALID_ARG;
	*DestinationBinding = NULL;
	if (!from)
		return rpcc_not_a_binding(SourceBinding);
	rpcc_bindings_lock();
	to = copy_locked(from);
	rpcc_bindings_unlock();
	if (!to)
		return RPC_S_OUT_OF_MEMORY;
	if (!to->unique)
		rpcc_client_protocol(from)->share(from, to);
	*DestinationBinding = to;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcBindingFree(RPC_BINDING_HANDLE *Binding)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding;

	if (!Binding)
		return RPC_S_INVALID_ARG;
	binding = rpcc_binding_get(*Binding);
	if (!binding)
		return rpcc_not_a_binding(*Binding);
	rpcc_client_protocol(binding)->release(binding);
	binding_free(binding);
	*Binding = NULL;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcBindingReset(RPC_BINDING_HANDLE Binding)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding = rpcc_binding_get(Binding);

	if (!binding)
		return rpcc_not_a_binding(Binding);
	rpcc_bindings_lock();
	*binding->endpoint = '\0';
	rpcc_bindings_unlock();
	rpcc_client_protocol(binding)->release(binding);
	return RPC_S_OK;
}

/* The vector itself too, and the handles in it that the caller has left. */
EXPORT RPC_STATUS RpcBindingVectorFree(RPC_BINDING_VECTOR **BindingVector)
{
	RPC_BINDING_VECTOR *vector;
	uint32_t i;

	if (!BindingVector || !*BindingVector)
		return RPC_S_INVALID_ARG;
	vector = *BindingVector;
	for (i = 0; i < vector->Count; i++)
		if (vector->BindingH[i])
			RpcBindingFree(&vector->BindingH[i]);
	free(vector);
	*BindingVector = NULL;
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcBindingSetObject(RPC_BINDING_HANDLE Binding,
				      UUID *ObjectUuid)
{
	struct rpcc_binding *binding = rpcc_binding_get(Binding);

	if (!binding)
		return rpcc_not_a_binding(Binding);
	rpcc_bindings_lock();
	binding->object = ObjectUuid ? *ObjectUuid : nil;
	rpcc_bindings_unlock();
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcBindingInqObject(RPC_BINDING_HANDLE Binding,
				      UUID *ObjectUuid)
{
	struct rpcc_binding *binding = rpcc_binding_get(Binding);
	struct rpcc_server_call *call;

	if (!ObjectUuid)
		return RPC_S_INVALID_ARG;
	if (!binding) {
		call = Binding ? rpcc_server_call_get(Binding) : NULL;
		if (!call)
			return RPC_S_INVALID_BINDING;
		*ObjectUuid = call->object;
		return RPC_S_OK;
	}
	rpcc_bindings_lock();
	*ObjectUuid = binding->object;
	rpcc_bindings_unlock();
	return RPC_S_OK;
}

/*
 * Microsoft refuses the option before a call has been made, when there is no
 * association yet; here it is the binding's, and may be set at any time.
 * Connections go when the last handle goes: nothing ever lingers.
 */
static RPC_STATUS set_option(struct rpcc_binding *binding, unsigned long option,
			     uintptr_t value)
{
	switch (option) {
	case RPC_C_OPT_CALL_TIMEOUT:
		if (value > UINT32_MAX)
			return RPC_S_INVALID_ARG;
		/* Windows' INFINITE is none, too. */
		binding->call_timeout =
			value == UINT32_MAX ? 0 : (uint32_t)value;
		return RPC_S_OK;
	case RPC_C_OPT_DONT_LINGER:
		binding->dont_linger = value;
		return RPC_S_OK;
	case RPC_C_OPT_UNIQUE_BINDING:
		binding->unique = value;
		return RPC_S_OK;
	default:
		return RPC_S_CANNOT_SUPPORT;
	}
}

EXPORT RPC_STATUS RpcBindingSetOption(RPC_BINDING_HANDLE hBinding,
				      unsigned long option,
				      uintptr_t optionValue)
{
	KEEP_ERRNO();
	struct rpcc_binding *binding = rpcc_binding_get(hBinding);
	bool leave = false;
	RPC_STATUS status;

	if (!binding)
		return rpcc_not_a_binding(hBinding);
	rpcc_bindings_lock();
	if (option == RPC_C_OPT_UNIQUE_BINDING)
		leave = optionValue && !binding->unique;
	status = set_option(binding, option, optionValue);
	rpcc_bindings_unlock();
	/* From now on it has connections of its own. */
	if (leave)
		rpcc_client_protocol(binding)->release(binding);
	return status;
}

EXPORT RPC_STATUS RpcBindingInqOption(RPC_BINDING_HANDLE hBinding,
				      unsigned long option,
				      uintptr_t *pOptionValue)
{
	struct rpcc_binding *binding = rpcc_binding_get(hBinding);
	RPC_STATUS status = RPC_S_OK;

	if (!binding)
		return rpcc_not_a_binding(hBinding);
	if (!pOptionValue)
		return RPC_S_INVALID_ARG;
	rpcc_bindings_lock();
	if (option == RPC_C_OPT_CALL_TIMEOUT)
		*pOptionValue = binding->call_timeout;
	else if (option == RPC_C_OPT_DONT_LINGER)
		*pOptionValue = binding->dont_linger;
	else if (option == RPC_C_OPT_UNIQUE_BINDING)
		*pOptionValue = binding->unique;
	else
		status = RPC_S_CANNOT_SUPPORT;
	rpcc_bindings_unlock();
	return status;
}

EXPORT RPC_STATUS RpcMgmtSetComTimeout(RPC_BINDING_HANDLE Binding,
				       unsigned int Timeout)
{
	struct rpcc_binding *binding = rpcc_binding_get(Binding);

	if (!binding)
		return rpcc_not_a_binding(Binding);
	if (Timeout > RPC_C_BINDING_INFINITE_TIMEOUT)
		return RPC_S_INVALID_TIMEOUT;
	rpcc_bindings_lock();
	binding->com_timeout = Timeout;
	rpcc_bindings_unlock();
	return RPC_S_OK;
}

EXPORT RPC_STATUS RpcMgmtInqComTimeout(RPC_BINDING_HANDLE Binding,
				       unsigned int *Timeout)
{
	struct rpcc_binding *binding = rpcc_binding_get(Binding);

	if (!binding)
		return rpcc_not_a_binding(Binding);
	if (!Timeout)
		return RPC_S_INVALID_ARG;
	rpcc_bindings_lock();
	*Timeout = binding->com_timeout;
	rpcc_bindings_unlock();
	return RPC_S_OK;
}

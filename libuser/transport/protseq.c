// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The table of protocol sequences, and what is the same for all transports.
 *
 * Names are compared with regard to case, as Windows does. Those that Microsoft
 * lists and we do not have are told from nonsense, by their status.
 */
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "transport/transport.h"

static const struct rpcc_protseq *const supported[] = {
	&rpcc_tcp,
	&rpcc_udp,
	&rpcc_np,
	&rpcc_lrpc,
};

/* Microsoft's "Protocol Sequence Constants", without the above. */
static const char *const known[] = {
	"ncacn_at_dsp",	 "ncacn_dnet_nsp", "ncacn_hvsocket", "ncacn_http",
	"ncacn_nb_ipx",	 "ncacn_nb_nb",	   "ncacn_nb_tcp",   "ncacn_nb_xns",
	"ncacn_osi_dna", "ncacn_spx",	   "ncacn_vns_spp",  "ncadg_at_ddp",
	"ncadg_ipx",	 "ncadg_mq",
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const struct rpcc_protseq *rpcc_protseq_find(const char *name,
					     RPC_STATUS *status)
{
	size_t i;

	*status = RPC_S_INVALID_RPC_PROTSEQ;
	if (!name)
		return NULL;
	for (i = 0; i < COUNT(supported); i++) {
		if (strcmp(name, supported[i]->name))
			continue;
		*status = RPC_S_OK;
		return supported[i];
	}
	for (i = 0; i < COUNT(known); i++)
		if (!strcmp(name, known[i]))
			*status = RPC_S_PROTSEQ_NOT_SUPPORTED;
	return NULL;
}

RPC_STATUS rpcc_listen_status(int error)
{
	switch (error) {
	case EADDRINUSE:
		return RPC_S_DUPLICATE_ENDPOINT;
	case ENOMEM:
	case ENOBUFS:
		return RPC_S_OUT_OF_MEMORY;
	case EMFILE:
	case ENFILE:
		return RPC_S_OUT_OF_RESOURCES;
	default:
		return RPC_S_CANT_CREATE_ENDPOINT;
	}
}

void rpcc_listener_close(struct rpcc_listener *listener)
{
	KEEP_ERRNO();

	if (listener->local.sun_path[0])
		rpcc_local_unlink(listener);
	listener->local.sun_path[0] = '\0';
	while (listener->fd_count)
		close(listener->fd[--listener->fd_count]);
}

void rpcc_address_text(const struct rpcc_address *address, char *text,
		       size_t size)
{
	KEEP_ERRNO();

	if (address->any.sa_family == AF_UNIX ||
	    getnameinfo(&address->any, address->len, text, (socklen_t)size,
			NULL, 0, NI_NUMERICHOST))
		text[0] = '\0';
}

pid_t rpcc_peer_pid(int fd)
{
	KEEP_ERRNO();
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return 0;
	return peer.pid > 0 ? peer.pid : 0;
}

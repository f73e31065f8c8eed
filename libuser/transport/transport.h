/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the files of the transports share.
 */
#ifndef RPCC_TRANSPORT_H
#define RPCC_TRANSPORT_H

#include <rpcasync.h>

#include "transport/protseq.h"

extern const struct rpcc_protseq rpcc_tcp, rpcc_udp; /* ip.c */
extern const struct rpcc_protseq rpcc_np, rpcc_lrpc; /* local.c */

/* Why an endpoint could not be made. @error is an errno. */
RPC_STATUS rpcc_listen_status(int error);
/* Removes the socket's file, if it is still ours; local.c. */
void rpcc_local_unlink(const struct rpcc_listener *listener);

#endif /* RPCC_TRANSPORT_H */

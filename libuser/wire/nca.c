// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Status codes of faults and rejects, and what Windows calls them.
 *
 * Microsoft's runtime sends the codes of C706 for what the runtime itself has
 * to say and raw Win32 codes for everything else, and takes both; so do we.
 */
#include <stdbool.h>
#include <stddef.h>

#include <rpcnterr.h>

#include "wire/nca.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct mapping {
	uint32_t nca;
	RPC_STATUS status;
};

/* In both directions; each status is here once ([MS-RPCE] 3.1.1.5.5). */
static const struct mapping both_ways[] = {
	{ NCA_S_COMM_FAILURE, RPC_S_COMM_FAILURE },
	{ NCA_S_OP_RNG_ERROR, RPC_S_PROCNUM_OUT_OF_RANGE },
	{ NCA_S_UNK_IF, RPC_S_UNKNOWN_IF },
	{ NCA_S_PROTO_ERROR, RPC_S_PROTOCOL_ERROR },
	{ NCA_S_SERVER_TOO_BUSY, RPC_S_SERVER_TOO_BUSY },
	{ NCA_S_UNSUPPORTED_TYPE, RPC_S_UNSUPPORTED_TYPE },
	{ NCA_S_FAULT_INT_DIV_BY_ZERO, RPC_S_ZERO_DIVIDE },
	{ NCA_S_FAULT_ADDR_ERROR, RPC_S_ADDRESS_ERROR },
	{ NCA_S_FAULT_FP_DIV_ZERO, RPC_S_FP_DIV_ZERO },
	{ NCA_S_FAULT_FP_UNDERFLOW, RPC_S_FP_UNDERFLOW },
	{ NCA_S_FAULT_FP_OVERFLOW, RPC_S_FP_OVERFLOW },
	{ NCA_S_FAULT_INVALID_TAG, RPC_S_INVALID_TAG },
	{ NCA_S_FAULT_INVALID_BOUND, RPC_S_INVALID_BOUND },
	{ NCA_S_MANAGER_NOT_ENTERED, RPC_S_CALL_FAILED_DNE },
	{ NCA_S_FAULT_CANCEL, RPC_S_CALL_CANCELLED },
	{ NCA_S_FAULT_UNSPEC, RPC_S_CALL_FAILED },
	{ NCA_S_FAULT_PIPE_EMPTY, RPC_X_PIPE_EMPTY },
	{ NCA_S_FAULT_PIPE_CLOSED, RPC_X_PIPE_CLOSED },
	{ NCA_S_FAULT_PIPE_ORDER, RPC_X_WRONG_PIPE_ORDER },
	{ NCA_S_FAULT_PIPE_DISCIPLINE, RPC_X_PIPE_DISCIPLINE_ERROR },
	{ NCA_S_FAULT_CONTEXT_MISMATCH, RPC_X_SS_CONTEXT_MISMATCH },
	{ NCA_S_FAULT_REMOTE_NO_MEMORY, RPC_S_SERVER_OUT_OF_MEMORY },
};

/*
 * From the wire only. Some have no status of their own; some have none that
 * Microsoft documents, and are what their names say.
 */
static const struct mapping from_wire[] = {
	/* An earlier life of the server may have executed the call. */
	{ NCA_S_WRONG_BOOT_TIME, RPC_S_CALL_FAILED },
	{ NCA_S_YOU_CRASHED, RPC_S_CALL_FAILED },
	{ NCA_S_OUT_ARGS_TOO_BIG, RPC_S_SERVER_OUT_OF_MEMORY },
	{ NCA_S_FAULT_STRING_TOO_LONG, RPC_S_STRING_TOO_LONG },
	{ NCA_S_RPC_VERSION_MISMATCH, RPC_S_PROTOCOL_ERROR },
	/* [MS-RPCE] does not promise, as Wine does, that it was not executed. */
	{ NCA_S_UNSPEC_REJECT, RPC_S_CALL_FAILED },
	{ NCA_S_BAD_ACTID, RPC_S_CALL_FAILED_DNE },
	{ NCA_S_WHO_ARE_YOU_FAILED, RPC_S_CALL_FAILED },
	{ NCA_S_FAULT_ILL_INST, RPC_S_ADDRESS_ERROR },
	{ NCA_S_FAULT_FP_ERROR, RPC_S_FP_OVERFLOW },
	{ NCA_S_FAULT_INT_OVERFLOW, RPC_S_ADDRESS_ERROR },
	{ NCA_S_FAULT_REMOTE_COMM_FAILURE, RPC_S_COMM_FAILURE },
	{ NCA_S_FAULT_PIPE_COMM_ERROR, RPC_S_COMM_FAILURE },
	{ NCA_S_FAULT_PIPE_MEMORY, RPC_S_OUT_OF_MEMORY },
	{ NCA_S_INVALID_PRES_CONTEXT_ID, RPC_S_PROTOCOL_ERROR },
	{ NCA_S_UNSUPPORTED_AUTHN_LEVEL, RPC_S_UNSUPPORTED_AUTHN_LEVEL },
	{ NCA_S_INVALID_CHECKSUM, RPC_S_PROTOCOL_ERROR },
	{ NCA_S_INVALID_CRC, RPC_S_PROTOCOL_ERROR },
	{ NCA_S_FAULT_USER_DEFINED, RPC_S_CALL_FAILED },
	{ NCA_S_FAULT_TX_OPEN_FAILED, RPC_S_CALL_FAILED },
	{ NCA_S_FAULT_CODESET_CONV_ERROR, RPC_S_CALL_FAILED },
	{ NCA_S_FAULT_OBJECT_NOT_FOUND, RPC_S_OBJECT_NOT_FOUND },
	{ NCA_S_FAULT_NO_CLIENT_STUB, RPC_S_CALL_FAILED },
};

/* [MS-RPCE] 3.2.3.5.1 and 3.3.3.5.1: the hardware exceptions of Windows NT. */
static const uint32_t forbidden[] = {
	0x00000000, 0x80000001, 0x80000002, 0x80000003, 0xc0000005,
	0xc0000006, 0xc000001d, 0xc0000096, 0xc00000aa, 0xc00000fd,
	0xc0000194, 0xc0000235, 0xc0000409, 0xc0000420,
};

static const struct mapping *find_nca(const struct mapping *table, size_t count,
				      uint32_t nca)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (table[i].nca == nca)
			return &table[i];
	return NULL;
}

/*
 * A status of 0 announces an exception of the interface's own, which only a
 * stub could understand; to anyone else the call has failed.
 */
RPC_STATUS rpcc_nca_to_status(uint32_t nca)
{
	const struct mapping *m;

	m = find_nca(both_ways, ARRAY_SIZE(both_ways), nca);
	if (!m)
		m = find_nca(from_wire, ARRAY_SIZE(from_wire), nca);
	if (m)
		return m->status;
	return nca && nca < 0x10000 ? (RPC_STATUS)nca : RPC_S_CALL_FAILED;
}

static bool is_forbidden(uint32_t status)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(forbidden); i++)
		if (forbidden[i] == status)
			return true;
	return false;
}

uint32_t rpcc_status_to_nca(RPC_STATUS status)
{
	size_t i;

	/* Sent raw, it would be taken for a lack at the client. */
	if (status == RPC_S_OUT_OF_MEMORY)
		return NCA_S_FAULT_REMOTE_NO_MEMORY;
	for (i = 0; i < ARRAY_SIZE(both_ways); i++)
		if (both_ways[i].status == status)
			return both_ways[i].nca;
	if (is_forbidden((uint32_t)status))
		return NCA_S_FAULT_UNSPEC;
	return (uint32_t)status;
}

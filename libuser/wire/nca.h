/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Status codes of faults and rejects on the wire (C706, appendix N; [MS-RPCE]
 * 3.1.1.5.5), and what they are in Windows' words.
 */
#ifndef RPCC_NCA_H
#define RPCC_NCA_H

#include <stdint.h>

#include <rpcdce.h>

#define NCA_S_COMM_FAILURE		0x1c010001u
#define NCA_S_OP_RNG_ERROR		0x1c010002u
#define NCA_S_UNK_IF			0x1c010003u
#define NCA_S_WRONG_BOOT_TIME		0x1c010006u
#define NCA_S_YOU_CRASHED		0x1c010009u
#define NCA_S_PROTO_ERROR		0x1c01000bu
#define NCA_S_OUT_ARGS_TOO_BIG		0x1c010013u
#define NCA_S_SERVER_TOO_BUSY		0x1c010014u
#define NCA_S_FAULT_STRING_TOO_LONG	0x1c010015u
#define NCA_S_UNSUPPORTED_TYPE		0x1c010017u
#define NCA_S_FAULT_INT_DIV_BY_ZERO	0x1c000001u
#define NCA_S_FAULT_ADDR_ERROR		0x1c000002u
#define NCA_S_FAULT_FP_DIV_ZERO		0x1c000003u
#define NCA_S_FAULT_FP_UNDERFLOW	0x1c000004u
#define NCA_S_FAULT_FP_OVERFLOW		0x1c000005u
#define NCA_S_FAULT_INVALID_TAG		0x1c000006u
#define NCA_S_FAULT_INVALID_BOUND	0x1c000007u
#define NCA_S_RPC_VERSION_MISMATCH	0x1c000008u
#define NCA_S_UNSPEC_REJECT		0x1c000009u
#define NCA_S_BAD_ACTID			0x1c00000au
#define NCA_S_WHO_ARE_YOU_FAILED	0x1c00000bu
#define NCA_S_MANAGER_NOT_ENTERED	0x1c00000cu
#define NCA_S_FAULT_CANCEL		0x1c00000du
#define NCA_S_FAULT_ILL_INST		0x1c00000eu
#define NCA_S_FAULT_FP_ERROR		0x1c00000fu
#define NCA_S_FAULT_INT_OVERFLOW	0x1c000010u
#define NCA_S_FAULT_UNSPEC		0x1c000012u
#define NCA_S_FAULT_REMOTE_COMM_FAILURE 0x1c000013u
#define NCA_S_FAULT_PIPE_EMPTY		0x1c000014u
#define NCA_S_FAULT_PIPE_CLOSED		0x1c000015u
#define NCA_S_FAULT_PIPE_ORDER		0x1c000016u
#define NCA_S_FAULT_PIPE_DISCIPLINE	0x1c000017u
#define NCA_S_FAULT_PIPE_COMM_ERROR	0x1c000018u
#define NCA_S_FAULT_PIPE_MEMORY		0x1c000019u
#define NCA_S_FAULT_CONTEXT_MISMATCH	0x1c00001au
#define NCA_S_FAULT_REMOTE_NO_MEMORY	0x1c00001bu
#define NCA_S_INVALID_PRES_CONTEXT_ID	0x1c00001cu
#define NCA_S_UNSUPPORTED_AUTHN_LEVEL	0x1c00001du
#define NCA_S_INVALID_CHECKSUM		0x1c00001fu
#define NCA_S_INVALID_CRC		0x1c000020u
#define NCA_S_FAULT_USER_DEFINED	0x1c000021u
#define NCA_S_FAULT_TX_OPEN_FAILED	0x1c000022u
#define NCA_S_FAULT_CODESET_CONV_ERROR	0x1c000023u
#define NCA_S_FAULT_OBJECT_NOT_FOUND	0x1c000024u
#define NCA_S_FAULT_NO_CLIENT_STUB	0x1c000025u

/*
 * What a client is told; never RPC_S_OK. A Win32 code on the wire stays what it
 * is, anything else that is unknown has failed the call.
 */
RPC_STATUS rpcc_nca_to_status(uint32_t nca);

/*
 * What a server puts into a fault. Never 0, nor a code that [MS-RPCE]
 * 3.3.3.5.1 forbids: those become NCA_S_FAULT_UNSPEC.
 */
uint32_t rpcc_status_to_nca(RPC_STATUS status);

#endif /* RPCC_NCA_H */

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What faults and rejects on the wire mean, and what a server sends.
 */
#include <rpc.h>

#include "tap.h"
#include "wire/nca.h"

static const struct {
	uint32_t nca;
	RPC_STATUS status;
	bool back; /* and what the status becomes */
} table[] = {
	{ 0x1c010001, 1820, true },  { 0x1c010002, 1745, true },
	{ 0x1c010003, 1717, true },  { 0x1c010006, 1726, false },
	{ 0x1c010009, 1726, false }, { 0x1c01000b, 1728, true },
	{ 0x1c010013, 1130, false }, { 0x1c010014, 1723, true },
	{ 0x1c010015, 1743, false }, { 0x1c010017, 1732, true },
	{ 0x1c000001, 1767, true },  { 0x1c000002, 1768, true },
	{ 0x1c000003, 1769, true },  { 0x1c000004, 1770, true },
	{ 0x1c000005, 1771, true },  { 0x1c000006, 1733, true },
	{ 0x1c000007, 1734, true },  { 0x1c000008, 1728, false },
	{ 0x1c000009, 1726, false }, { 0x1c00000a, 1727, false },
	{ 0x1c00000b, 1726, false }, { 0x1c00000c, 1727, true },
	{ 0x1c00000d, 1818, true },  { 0x1c00000e, 1768, false },
	{ 0x1c00000f, 1771, false }, { 0x1c000010, 1768, false },
	{ 0x1c000012, 1726, true },  { 0x1c000013, 1820, false },
	{ 0x1c000014, 1918, true },  { 0x1c000015, 1916, true },
	{ 0x1c000016, 1831, true },  { 0x1c000017, 1917, true },
	{ 0x1c000018, 1820, false }, { 0x1c000019, 14, false },
	{ 0x1c00001a, 6, true },     { 0x1c00001b, 1130, true },
	{ 0x1c00001c, 1728, false }, { 0x1c00001d, 1821, false },
	{ 0x1c00001f, 1728, false }, { 0x1c000020, 1728, false },
	{ 0x1c000021, 1726, false }, { 0x1c000022, 1726, false },
	{ 0x1c000023, 1726, false }, { 0x1c000024, 1710, false },
	{ 0x1c000025, 1726, false },
};

static void mapped(void)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		ok(rpcc_nca_to_status(table[i].nca) == table[i].status,
		   "%08x is %d", table[i].nca, table[i].status);
		if (table[i].back)
			ok(rpcc_status_to_nca(table[i].status) == table[i].nca,
			   "%d is %08x", table[i].status, table[i].nca);
	}
}

static void received(void)
{
	is(rpcc_nca_to_status(5), RPC_S_ACCESS_DENIED, "Win32 codes stay");
	is(rpcc_nca_to_status(1818), RPC_S_CALL_CANCELLED,
	   "a cancel as Win32 code is one");
	is(rpcc_nca_to_status(0xffff), 0xffff, "unknown ones as well");
	is(rpcc_nca_to_status(0x10000), RPC_S_CALL_FAILED,
	   "anything larger has failed the call");
	is(rpcc_nca_to_status(0x80070005), RPC_S_CALL_FAILED,
	   "as an HRESULT does");
	is(rpcc_nca_to_status(0xffffffff), RPC_S_CALL_FAILED, "and -1");
	is(rpcc_nca_to_status(0), RPC_S_CALL_FAILED, "no fault is a success");
}

static void sent(void)
{
	static const uint32_t forbidden[] = {
		0,	    0x80000001, 0x80000002, 0x80000003, 0xc0000005,
		0xc0000006, 0xc000001d, 0xc0000096, 0xc00000aa, 0xc00000fd,
		0xc0000194, 0xc0000235, 0xc0000409, 0xc0000420,
	};
	size_t i;

	for (i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		ok(rpcc_status_to_nca((RPC_STATUS)forbidden[i]) ==
			   NCA_S_FAULT_UNSPEC,
		   "%08x is not sent", forbidden[i]);
	is(rpcc_status_to_nca(RPC_S_ACCESS_DENIED), 5, "Win32 codes are raw");
	is(rpcc_status_to_nca(1725), 1725, "so is this one");
	is(rpcc_status_to_nca((RPC_STATUS)0xe0000001), 0xe0000001,
	   "and an application's own");
	is(rpcc_status_to_nca(RPC_S_OUT_OF_MEMORY),
	   NCA_S_FAULT_REMOTE_NO_MEMORY, "it is the server's memory");
}

int main(void)
{
	mapped();
	received();
	sent();
	return tap_end();
}

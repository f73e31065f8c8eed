/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * When datagrams are sent again, and how long is waited: the defaults of C706,
 * appendix K, by the names that they have there, in ns. A period that is waited
 * for several times in a row doubles, up to DG_TIMEOUT_LONGEST. TIMEOUT_ACK is
 * not here, since a response is acknowledged at once.
 */
#ifndef RPCC_DG_TIMERS_H
#define RPCC_DG_TIMERS_H

#include <stdint.h>

#define DG_SECOND ((uint64_t)1000000000)

#define DG_TIMEOUT_CANCEL (1 * DG_SECOND)   /* until a cancel is sent again */
#define DG_TIMEOUT_FRAG	  (2 * DG_SECOND)   /* for the next fragment */
#define DG_TIMEOUT_PING	  (2 * DG_SECOND)   /* for a sign of life */
#define DG_TIMEOUT_RESEND (2 * DG_SECOND)   /* until data is sent again */
#define DG_TIMEOUT_IDLE	  (300 * DG_SECOND) /* that a silent peer is kept */

/* Not in appendix K. */
#define DG_TIMEOUT_LONGEST (8 * DG_SECOND)
#define DG_MAX_RESENDS	   5 /* of a server, to a client that is silent */

#endif /* RPCC_DG_TIMERS_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What client and server have in common: the interface "work", version 1.0. */
#ifndef WORK_H
#define WORK_H

/* Any number that nobody else uses; uuidgen(1) makes one. */
#define WORK_ID                                                             \
	{                                                                   \
		{ 0x5b1f2c7e, 0x93d4, 0x4a60,                               \
		  { 0x8e, 0x11, 0x2d, 0x7c, 0x40, 0x9a, 0x6f, 0x35 } },     \
		{ 1, 0 },                                                   \
	}

/* How the data is put into packets: NDR, version 2.0. Always this one. */
#define NDR_ID                                                              \
	{                                                                   \
		{ 0x8a885d04, 0x1ceb, 0x11c9,                               \
		  { 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60 } },     \
		{ 2, 0 },                                                   \
	}

/* Its operation. Request: one byte, seconds. Answer: one byte, seconds. */
#define WORK_FOR 0

#endif /* WORK_H */

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * UUIDs (Microsoft's Uuid functions; RFC 4122).
 *
 * Where Microsoft's pages say that a null pointer stands for the nil UUID, it
 * does so here. Strings are from malloc(), for RpcStringFree().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "internal.h"

#include <rpc.h>

#define UUID_LENGTH 36 /* 8-4-4-4-12 hexadecimal digits */

static const UUID nil;

static const UUID *or_nil(const UUID *uuid)
{
	return uuid ? uuid : &nil;
}

static void set_status(RPC_STATUS *status)
{
	if (status)
		*status = RPC_S_OK;
}

/* Version 4: all random. So few bytes come whole or not at all. */
EXPORT RPC_STATUS UuidCreate(UUID *Uuid)
{
	KEEP_ERRNO();
	ssize_t ret;

	if (!Uuid)
		return RPC_S_INVALID_ARG;
	do {
		ret = getrandom(Uuid, sizeof(*Uuid), 0);
	} while (ret < 0 && errno == EINTR);
	if (ret != sizeof(*Uuid))
		return RPC_S_OUT_OF_RESOURCES;

	Uuid->Data3 = (uint16_t)((Uuid->Data3 & 0x0fff) | 0x4000);
	Uuid->Data4[0] = (uint8_t)((Uuid->Data4[0] & 0x3f) | 0x80);
	return RPC_S_OK;
}

EXPORT RPC_STATUS UuidCreateNil(UUID *NilUuid)
{
	if (!NilUuid)
		return RPC_S_INVALID_ARG;
	*NilUuid = nil;
	return RPC_S_OK;
}

EXPORT RPC_STATUS UuidToString(const UUID *Uuid, RPC_CSTR *StringUuid)
{
	KEEP_ERRNO();
	const UUID *u = or_nil(Uuid);
	const uint8_t *d = u->Data4;
	char *text;

	if (!StringUuid)
		return RPC_S_INVALID_ARG;
	text = malloc(UUID_LENGTH + 1);
	if (!text)
		return RPC_S_OUT_OF_MEMORY;
	snprintf(text, UUID_LENGTH + 1,
		 "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", u->Data1,
		 u->Data2, u->Data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6],
		 d[7]);
	*StringUuid = (RPC_CSTR)text;
	return RPC_S_OK;
}

/* Not isxdigit(): the locale has no say. */
static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The 16 bytes as written, first digit first. */
static bool parse_digits(const unsigned char *text, uint8_t *bytes)
{
	unsigned int i, n = 0;
	int high, low;

	for (i = 0; i < UUID_LENGTH;) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i++] != '-')
				return false;
			continue;
		}
		high = digit_value(text[i]);
		if (high < 0)
			return false;
		low = digit_value(text[i + 1]);
		if (low < 0)
			return false;
		bytes[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	return !text[UUID_LENGTH];
}

EXPORT RPC_STATUS UuidFromString(RPC_CSTR StringUuid, UUID *Uuid)
{
	uint8_t b[16];

	if (!Uuid)
		return RPC_S_INVALID_ARG;
	if (!StringUuid)
		return UuidCreateNil(Uuid);
	if (!parse_digits(StringUuid, b))
		return RPC_S_INVALID_STRING_UUID;

	Uuid->Data1 = (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
	Uuid->Data2 = (uint16_t)(b[4] << 8 | b[5]);
	Uuid->Data3 = (uint16_t)(b[6] << 8 | b[7]);
	memcpy(Uuid->Data4, b + 8, sizeof(Uuid->Data4));
	return RPC_S_OK;
}

static int compare(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* Field by field, as C706, appendix A, orders them; not byte by byte. */
EXPORT signed int UuidCompare(UUID *Uuid1, UUID *Uuid2, RPC_STATUS *Status)
{
	const UUID *a = or_nil(Uuid1), *b = or_nil(Uuid2);
	int order = compare(a->Data1, b->Data1);

	set_status(Status);
	if (!order)
		order = compare(a->Data2, b->Data2);
	if (!order)
		order = compare(a->Data3, b->Data3);
	if (!order)
		order = memcmp(a->Data4, b->Data4, sizeof(a->Data4));
	return (order > 0) - (order < 0);
}

EXPORT int UuidEqual(UUID *Uuid1, UUID *Uuid2, RPC_STATUS *Status)
{
	return !UuidCompare(Uuid1, Uuid2, Status);
}

EXPORT int UuidIsNil(UUID *Uuid, RPC_STATUS *Status)
{
	return UuidEqual(Uuid, NULL, Status);
}

/* FNV-1a; no one may rely on the value but in the same process. */
EXPORT unsigned short UuidHash(UUID *Uuid, RPC_STATUS *Status)
{
	const uint8_t *bytes = (const uint8_t *)or_nil(Uuid);
	uint32_t hash = 2166136261u;
	size_t i;

	set_status(Status);
	for (i = 0; i < sizeof(UUID); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return (unsigned short)(hash >> 16 ^ hash);
}

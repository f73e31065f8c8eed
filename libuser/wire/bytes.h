/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Integers and UUIDs among the bytes of a PDU. Peers send them in their own
 * byte order and say which; we send little-endian. Callers have checked that
 * the bytes are there.
 */
#ifndef RPCC_BYTES_H
#define RPCC_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rpcdce.h>

/*
 * The first byte of a label: integers in its high half, 0 or 1; characters in
 * its low one, ASCII or EBCDIC. The second, for floating point, is the stub's.
 */
static inline bool valid_drep(uint32_t drep)
{
	return !(drep & 0xee);
}

static inline uint16_t get_u16(const uint8_t *p, bool little)
{
	return little ? p[0] | p[1] << 8 : p[0] << 8 | p[1];
}

static inline uint32_t get_u32(const uint8_t *p, bool little)
{
	uint32_t first = get_u16(p, little), second = get_u16(p + 2, little);

	return little ? first | second << 16 : first << 16 | second;
}

/* The fields of a UUID are integers, its last 8 bytes are bytes. */
static inline void get_uuid(const uint8_t *p, bool little, UUID *uuid)
{
	uuid->Data1 = get_u32(p, little);
	uuid->Data2 = get_u16(p + 4, little);
	uuid->Data3 = get_u16(p + 6, little);
	memcpy(uuid->Data4, p + 8, sizeof(uuid->Data4));
}

static inline void put_u16(uint8_t *p, uint16_t value)
{
	p[0] = value & 0xff;
	p[1] = value >> 8;
}

static inline void put_u32(uint8_t *p, uint32_t value)
{
	put_u16(p, value & 0xffff);
	put_u16(p + 2, value >> 16);
}

static inline void put_uuid(uint8_t *p, const UUID *uuid)
{
	put_u32(p, uuid->Data1);
	put_u16(p + 4, uuid->Data2);
	put_u16(p + 6, uuid->Data3);
	memcpy(p + 8, uuid->Data4, sizeof(uuid->Data4));
}

#endif /* RPCC_BYTES_H */

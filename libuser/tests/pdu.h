/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Bytes for the tests of decoders: each is given memory of just the length that
 * it may read, so that a sanitizer sees it read more.
 */
#ifndef PDU_H
#define PDU_H

#include <stdint.h>
#include <string.h>

#include <rpcdce.h>

#include "tap.h"

static inline uint8_t *copy_of(const void *bytes, size_t length)
{
	uint8_t *copy = malloc(length);

	if (!copy)
		abort();
	return memcpy(copy, bytes, length);
}

static inline void is_bytes(const void *got, const void *want, size_t length,
			    const char *what)
{
	const uint8_t *a = got, *b = want;
	size_t i;

	if (ok(!memcmp(got, want, length), "%s", what))
		return;
	for (i = 0; i < length; i++)
		if (a[i] != b[i])
			printf("# byte %zu: got %02x, expected %02x\n", i, a[i],
			       b[i]);
}

/* Appends integers in either byte order, for PDUs of a big-endian peer. */
struct writer {
	uint8_t bytes[1024];
	size_t length;
	bool little;
};

static inline void add(struct writer *w, uint64_t value, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		w->bytes[w->length++] =
			(uint8_t)(value >> 8 * (w->little ? i : size - 1 - i));
}

static inline void add_uuid(struct writer *w, const UUID *uuid)
{
	add(w, uuid->Data1, 4);
	add(w, uuid->Data2, 2);
	add(w, uuid->Data3, 2);
	memcpy(w->bytes + w->length, uuid->Data4, 8);
	w->length += 8;
}

static const UUID test_uuid = { 0x01020304,
				0x0506,
				0x0708,
				{ 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
				  0x10 } };

#endif /* PDU_H */

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Reading and writing NDR; ndr.h says how errors are told. */
#include "ndr.h"

#include <string.h>

void ndr_init(struct ndr *n, void *data, size_t size, uint32_t drep)
{
	*n = (struct ndr){
		.data = data,
		.size = size,
		.big = !(drep & NDR_LITTLE_ENDIAN),
	};
}

/* The next @size bytes, or NULL. */
static uint8_t *take(struct ndr *n, size_t size)
{
	uint8_t *p;

	if (n->bad || size > n->size - n->offset) {
		n->bad = true;
		return NULL;
	}
	if (!size)
		return n->data;
	p = n->data + n->offset;
	n->offset += size;
	return p;
}

void ndr_align(struct ndr *n, size_t alignment)
{
	take(n, -n->offset & (alignment - 1));
}

/* The same for writing: what was in the buffer before must not get out. */
static void pad(struct ndr *n, size_t alignment)
{
	size_t gap = -n->offset & (alignment - 1);
	uint8_t *p = take(n, gap);

	if (p)
		memset(p, 0, gap);
}

static uint64_t get(struct ndr *n, size_t size)
{
	uint64_t value = 0;
	const uint8_t *p;

	ndr_align(n, size);
	p = take(n, size);
	for (size_t i = 0; p && i < size; i++)
		value = value << 8 | p[n->big ? i : size - 1 - i];
	return value;
}

static void put(struct ndr *n, uint64_t value, size_t size)
{
	uint8_t *p;

	pad(n, size);
	p = take(n, size);
	for (size_t i = 0; p && i < size; i++, value >>= 8)
		p[n->big ? size - 1 - i : i] = value;
}

static uint8_t *array(struct ndr *n, size_t count, size_t size)
{
	if (count > n->size / size) {
		n->bad = true;
		return NULL;
	}
	return take(n, count * size);
}

uint8_t ndr_get_u8(struct ndr *n)
{
	return get(n, 1);
}

uint16_t ndr_get_u16(struct ndr *n)
{
	return get(n, 2);
}

uint32_t ndr_get_u32(struct ndr *n)
{
	return get(n, 4);
}

uint64_t ndr_get_u64(struct ndr *n)
{
	return get(n, 8);
}

const uint8_t *ndr_get_array(struct ndr *n, size_t count, size_t size)
{
	ndr_align(n, size);
	return array(n, count, size);
}

void ndr_put_u8(struct ndr *n, uint8_t value)
{
	put(n, value, 1);
}

void ndr_put_u16(struct ndr *n, uint16_t value)
{
	put(n, value, 2);
}

void ndr_put_u32(struct ndr *n, uint32_t value)
{
	put(n, value, 4);
}

void ndr_put_u64(struct ndr *n, uint64_t value)
{
	put(n, value, 8);
}

uint8_t *ndr_put_array(struct ndr *n, size_t count, size_t size)
{
	pad(n, size);
	return array(n, count, size);
}

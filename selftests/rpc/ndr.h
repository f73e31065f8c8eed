/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * As much of NDR (C706, chapter 14) as the interfaces of the tests need, for
 * stubs written by hand. Numbers are aligned to their size, counted from the
 * beginning of the buffer.
 *
 * Errors stick: reading beyond the end gives zeros and sets bad, writing beyond
 * the end sets bad, and who is interested looks once, at the end.
 */
#ifndef NDR_H
#define NDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first byte of a format label: how integers are laid out. */
#define NDR_LITTLE_ENDIAN 0x10
#define NDR_BIG_ENDIAN	  0x00

struct ndr {
	uint8_t *data;
	size_t size, offset;
	bool big; /* the most significant byte comes first */
	bool bad;
};

/* @drep: DataRepresentation of an RPC_MESSAGE. */
void ndr_init(struct ndr *n, void *data, size_t size, uint32_t drep);

void ndr_align(struct ndr *n, size_t alignment);

uint8_t ndr_get_u8(struct ndr *n);
uint16_t ndr_get_u16(struct ndr *n);
uint32_t ndr_get_u32(struct ndr *n);
uint64_t ndr_get_u64(struct ndr *n);
/* @count elements of @size bytes, aligned to @size; NULL if there are less. */
const uint8_t *ndr_get_array(struct ndr *n, size_t count, size_t size);

void ndr_put_u8(struct ndr *n, uint8_t value);
void ndr_put_u16(struct ndr *n, uint16_t value);
void ndr_put_u32(struct ndr *n, uint32_t value);
void ndr_put_u64(struct ndr *n, uint64_t value);
/* Room for such an array, for the caller to fill; NULL if there is none. */
uint8_t *ndr_put_array(struct ndr *n, size_t count, size_t size);

#endif /* NDR_H */

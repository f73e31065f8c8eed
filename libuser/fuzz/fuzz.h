/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the fuzzers share.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer calls it. Returns 0, or -1 for what need not be kept. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is; a finding if it does not. */
#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* In memory of just that length, to be freed: a sanitizer sees its end. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	MUST(copy);
	/* Nothing may be nowhere. */
	return size ? memcpy(copy, data, size) : copy;
}

#endif /* FUZZ_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Times in ns, in buckets of at most 1/128 of their value.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS	  8
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned int histogram_bucket(uint64_t ns)
{
	unsigned int shift = 0;

	if (ns >> HISTOGRAM_BITS)
		shift = 64 - __builtin_clzll(ns) - HISTOGRAM_BITS;
	return (shift << HISTOGRAM_BITS) + (ns >> shift);
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	h->count++;
	h->buckets[histogram_bucket(ns)]++;
	if (ns > h->max)
		h->max = ns;
}

static inline void histogram_merge(struct histogram *to,
				   const struct histogram *from)
{
	to->count += from->count;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	if (from->max > to->max)
		to->max = from->max;
}

/* The time that @share of all do not exceed, 0 without any. */
static inline uint64_t histogram_quantile(const struct histogram *h,
					  double share)
{
	uint64_t before = 0, wanted = (uint64_t)(share * (double)h->count);

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		unsigned int shift = i >> HISTOGRAM_BITS;

		before += h->buckets[i];
		if (before > wanted)
			return (uint64_t)(i - (shift << HISTOGRAM_BITS))
			       << shift;
	}
	return h->max;
}

#endif /* HISTOGRAM_H */

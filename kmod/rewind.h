/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _RPCC_REWIND_H
#define _RPCC_REWIND_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct pt_regs;

/*
 * On x86-64, task work sees a system call as it has ended.  On arm64 the
 * restart logic has been there before, see rewind_arm64.c; what follows lets
 * task work see there what it sees here.
 */
#ifdef CONFIG_ARM64
#define RPCC_REWINDS	1

/**
 * struct rpcc_rewind - the call that a thread comes out of, seen from outside
 * @lock:	protects the others
 * @runs:	how often the thread has run work
 * @noted:	the note is on its list, and its flag set, since the last run
 * @taken:	the note has taken @pc, so work that comes after it is late
 * @pc:		what follows the SVC of the call it was seen in since, or 0
 */
struct rpcc_rewind {
	raw_spinlock_t lock;
	unsigned int runs;
	bool noted;
	bool taken;
	unsigned long pc;
};

/**
 * struct rpcc_rewound - what to put back if a call is not refused
 * @shown:	the registers show the call's end for now
 * @seen:	the thread was seen in it
 * @rewound:	it was rewound
 * @x0:		what x0 was
 */
struct rpcc_rewound {
	bool shown;
	bool seen;
	bool rewound;
	unsigned long x0;
};

void rpcc_rewind_init(struct rpcc_rewind *rewind);
unsigned int rpcc_rewind_runs(const struct rpcc_rewind *rewind);
void rpcc_rewind_noted(struct rpcc_rewind *rewind, unsigned int runs);
bool rpcc_rewind_look(struct rpcc_rewind *rewind, unsigned int *runs);
void rpcc_rewind_seen(struct rpcc_rewind *rewind, unsigned int runs,
		      const struct pt_regs *regs);
void rpcc_rewind_undo(struct rpcc_rewind *rewind, bool woken,
		      struct pt_regs *regs, struct rpcc_rewound *was);
void rpcc_rewind_redo(struct pt_regs *regs, const struct rpcc_rewound *was);
#else
#define RPCC_REWINDS	0

struct rpcc_rewind { };
struct rpcc_rewound { };

static inline void rpcc_rewind_init(struct rpcc_rewind *rewind)
{
}

static inline unsigned int rpcc_rewind_runs(const struct rpcc_rewind *rewind)
{
	return 0;
}

static inline void rpcc_rewind_noted(struct rpcc_rewind *rewind,
				     unsigned int runs)
{
}

static inline bool rpcc_rewind_look(struct rpcc_rewind *rewind,
				    unsigned int *runs)
{
	return false;
}

static inline void rpcc_rewind_seen(struct rpcc_rewind *rewind,
				    unsigned int runs,
				    const struct pt_regs *regs)
{
}

static inline void rpcc_rewind_undo(struct rpcc_rewind *rewind, bool woken,
				    struct pt_regs *regs,
				    struct rpcc_rewound *was)
{
}

static inline void rpcc_rewind_redo(struct pt_regs *regs,
				    const struct rpcc_rewound *was)
{
}
#endif

#endif /* _RPCC_REWIND_H */

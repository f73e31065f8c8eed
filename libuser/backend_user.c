// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back end in user space, for where there is no module: threads of this
 * process, and calls of the library's own run time. It fails no system call, so
 * there are no scopes.
 *
 * A thread that is attached or has been opened has a record, which contains its
 * slot. A handle is an eventfd, and an entry of a table that knows which thread
 * it stands for and what it allows; it is written to when its thread is
 * cancelled, when that gets worse, and when the thread is gone. There is no
 * timer: the end of a grace period is told in advance, as a deadline, and the
 * run time waits for it itself. RPCCANCEL_REASON_GRACE is told only when there
 * is no grace at all.
 *
 * Lifetime: a record is counted; an attached thread has a reference, and so has
 * each handle and each waiter. A thread that exits detaches itself (attach.c).
 * One that was only opened does not know of it: its number is believed together
 * with the time at which it was started.
 *
 * Locking: table.lock protects everything but the slots. Of a slot, the thread
 * writes what is its own without a lock, and the canceller the rest, with the
 * lock. A thread begins and ends a call with plain stores and a load; what makes
 * that enough is a barrier that the canceller makes all threads of the process
 * execute, membarrier(2):
 *
 *	thread				canceller, with the lock
 *	------				------------------------
 *	gen = 6				cancel = NEXT
 *	cancel != 0 ?			membarrier()
 *	  settle, with the lock		gen ?
 *					cancel = 5, NEXT or 0, as decided
 *					unlock
 *
 * Either the thread looks at cancel after its barrier: it sees it, and waits in
 * settle for what is decided. Or it looked before; then its store was before,
 * too, and the canceller sees it. So when the canceller decides, the thread is
 * in the generation that was read, or is about to wait for the lock, in which
 * case settle brings the record up to date. A cancel that is told to generation
 * 5 is over before the thread is in generation 7.
 *
 * Where there is no membarrier(2), both sides use an exchange instead, which is
 * a barrier of their own.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "internal.h"

#define CACHE_LINE 64
#define BUCKETS	   64

struct user_handle;

struct user_thread {
	/* First: away from what other threads write. */
	struct rpccancel_slot slot __attribute__((aligned(2 * CACHE_LINE)));

	struct user_thread *next __attribute__((aligned(2 * CACHE_LINE)));
	uint64_t id;	/* grows along the list */
	uint64_t start; /* see start_time() */
	pid_t tid;
	unsigned int refs;
	bool attached;
	bool gone; /* not in the list any more */
	struct user_handle *handles;

	/* The cancel that has not ended. */
	uint64_t pending; /* a generation, RPCCANCEL_GEN_NEXT, or 0 */
	uint64_t grace;	  /* as asked for */
	uint64_t grace_end;
	uint32_t reason;
	bool told;

	/* The one before, for those who wait for it. */
	uint64_t last_gen;
	uint32_t last_result;

	struct rpccancel_event event;
	uint64_t events; /* how many there were */
};

_Static_assert(offsetof(struct user_thread, slot) == 0,
	       "a slot is not the beginning of its record");

struct user_handle {
	struct user_handle *next;    /* in its bucket */
	struct user_handle *sibling; /* of the same thread */
	struct user_thread *thread;
	uint64_t seen; /* events that were read */
	unsigned int access;
	int fd;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* what a waiter may wait for */
	struct user_thread *threads;
	struct user_handle *handles[BUCKETS];
	uint64_t last_id;
	bool asked;	 /* whether there is membarrier(2) */
	bool membarrier; /* there is */
} table = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

/* A thread that is cancelled (pthread_cancel) must not leave with the lock. */
static void table_lock(int *cancelstate)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancelstate);
	pthread_mutex_lock(&table.lock);
}

static void table_unlock(int cancelstate)
{
	pthread_mutex_unlock(&table.lock);
	pthread_setcancelstate(cancelstate, NULL);
}

static pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/*
 * Records.
 */

/* It is there, but /proc does not tell since when. */
#define START_UNKNOWN 1

/* When the thread was started, in ticks since boot; 0 if it is not there. */
static uint64_t start_time(pid_t tid)
{
	char name[RPCC_PROC_NAME], text[1024];
	const char *p;
	int field;

	if (syscall(SYS_tgkill, getpid(), tid, 0))
		return 0;
	rpcc_proc_name(name, "/proc/self/task/", tid, "/stat");
	if (rpcc_read_proc(name, text, sizeof(text)))
		return START_UNKNOWN;
	/* The second field is a name in brackets, and may contain anything. */
	p = strrchr(text, ')');
	for (field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : START_UNKNOWN;
}

/* Whether a thread with the same number is still the same. */
static bool same_start(const struct user_thread *t, uint64_t start)
{
	return start == t->start || start == START_UNKNOWN ||
	       (start && t->start == START_UNKNOWN);
}

static void thread_put(struct user_thread *t)
{
	if (!--t->refs)
		free(t);
}

/* It is not there any more; what still refers to its record finds out. */
static void thread_remove(struct user_thread *t)
{
	struct user_thread **link = &table.threads;
	const struct user_handle *h;

	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	t->gone = true;
	t->pending = 0;
	for (h = t->handles; h; h = h->sibling)
		eventfd_write(h->fd, 1);
	pthread_cond_broadcast(&table.changed);
}

/* A thread that has not attached itself goes without a word. */
static bool thread_alive(struct user_thread *t)
{
	if (!t->gone && !t->attached && !same_start(t, start_time(t->tid)))
		thread_remove(t);
	return !t->gone;
}

static struct user_thread *thread_create(pid_t tid, uint64_t start)
{
	struct user_thread *t, **link = &table.threads;

	t = aligned_alloc(2 * CACHE_LINE, sizeof(*t));
	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->tid = tid;
	t->start = start;
	t->id = ++table.last_id;
	while (*link)
		link = &(*link)->next;
	*link = t;
	return t;
}

/* The record of a thread, a new one if need be, with a reference; or NULL. */
static struct user_thread *thread_get(pid_t tid, int *err)
{
	uint64_t start = start_time(tid);
	struct user_thread *t;

	*err = -ESRCH;
	if (!start)
		return NULL;
	for (t = table.threads; t && t->tid != tid; t = t->next)
		;
	if (t && !same_start(t, start)) {
		thread_remove(t);
		t = NULL;
	}
	if (!t)
		t = thread_create(tid, start);
	*err = t ? 0 : -ENOMEM;
	if (t)
		t->refs++;
	return t;
}

static void thread_release(struct user_thread *t)
{
	/* Nobody would ever come back to it. */
	if (t->refs == 1 && !t->gone)
		thread_remove(t);
	thread_put(t);
}

/*
 * Handles.
 */

static struct user_handle **bucket(int fd)
{
	return &table.handles[(unsigned int)fd % BUCKETS];
}

static int handle_find(int fd, unsigned int access, struct user_handle **handle)
{
	struct user_handle *h = *bucket(fd);

	while (h && h->fd != fd)
		h = h->next;
	if (!h)
		return -EBADF;
	*handle = h;
	return access & ~h->access ? -EACCES : 0;
}

static int thread_find(int fd, unsigned int access, struct user_thread **thread)
{
	struct user_handle *h;
	int err = handle_find(fd, access, &h);

	if (err)
		return err;
	*thread = h->thread;
	return thread_alive(h->thread) ? 0 : -ESRCH;
}

/* Takes the reference of the caller, also when it fails. */
static int handle_create(struct user_thread *t, unsigned int access)
{
	struct user_handle *h = malloc(sizeof(*h));
	bool unread = t->pending && t->told;
	int fd, err = -ENOMEM;

	if (!h)
		goto put_thread;
	fd = eventfd(unread, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0) {
		err = -errno;
		goto free_handle;
	}
	*h = (struct user_handle){
		.next = *bucket(fd),
		.sibling = t->handles,
		.thread = t,
		/* What is over is of no interest, the one that is not is. */
		.seen = t->events - unread,
		.access = access,
		.fd = fd,
	};
	*bucket(fd) = h;
	t->handles = h;
	return fd;

free_handle:
	free(h);
put_thread:
	thread_release(t);
	return err;
}

static void handle_destroy(struct user_handle *h)
{
	struct user_handle **link;

	for (link = bucket(h->fd); *link != h; link = &(*link)->next)
		;
	*link = h->next;
	for (link = &h->thread->handles; *link != h; link = &(*link)->sibling)
		;
	*link = h->sibling;
	close(h->fd);
	thread_release(h->thread);
	free(h);
}

/*
 * What becomes of a cancel. Microsoft's rules are the same as in the module, see
 * kmod/deliver.c and kmod/cancel.c; but here the canceller can tell the thread.
 */

static uint64_t slot_gen(const struct user_thread *t)
{
	return __atomic_load_n(&t->slot.gen, __ATOMIC_SEQ_CST);
}

static uint64_t real_grace(const struct user_thread *t, uint64_t grace)
{
	if (grace == RPCCANCEL_GRACE_TARGET && t->attached)
		return READ_ONCE(t->slot.grace);
	return grace;
}

/* Shows the thread what is pending. The reason is there before. */
static void show(struct user_thread *t)
{
	WRITE_ONCE(t->slot.reason, t->reason);
	__atomic_store_n(&t->slot.cancel, t->pending, __ATOMIC_RELEASE);
}

static void remember_outcome(struct user_thread *t)
{
	t->last_gen = t->pending;
	t->last_result =
		t->told ? RPCCANCEL_RESULT_ENDED : RPCCANCEL_RESULT_TOO_LATE;
}

static void finish(struct user_thread *t)
{
	remember_outcome(t);
	t->pending = 0;
	t->reason = 0;
	t->told = false;
	t->grace_end = 0;
}

static void start_grace(struct user_thread *t)
{
	uint64_t grace = real_grace(t, t->grace), end;

	t->reason &= ~(uint32_t)RPCCANCEL_REASON_TARGET;
	if (t->grace == RPCCANCEL_GRACE_TARGET)
		t->reason |= RPCCANCEL_REASON_TARGET;
	if (!grace) {
		t->reason |= RPCCANCEL_REASON_GRACE;
		t->grace_end = 0;
		return;
	}
	end = rpcc_deadline(grace);
	if (end != RPCCANCEL_INFINITE && (!t->grace_end || end < t->grace_end))
		t->grace_end = end;
}

static void tell(struct user_thread *t)
{
	const struct user_handle *h;

	if (!(t->reason & RPCCANCEL_REASON_GRACE))
		start_grace(t);
	if (t->told && t->event.reason == t->reason &&
	    t->event.deadline == t->grace_end)
		return;

	t->told = true;
	t->event.gen = t->pending;
	t->event.reason = t->reason;
	t->event.deadline = t->grace_end;
	t->events++;
	/* Whoever is woken looks at the slot, and is not woken again. */
	show(t);
	for (h = t->handles; h; h = h->sibling)
		if (h->access & RPCCANCEL_QUERY_INFORMATION)
			eventfd_write(h->fd, 1);
}

/* Whether the call in progress must not be hit, or not by this grace. */
static uint32_t exclusion(const struct user_thread *t, uint64_t grace)
{
	uint32_t flags = READ_ONCE(t->slot.flags);

	if (flags & RPCCANCEL_SLOT_NO_CANCEL)
		return RPCCANCEL_RESULT_REFUSED;
	if (flags & RPCCANCEL_SLOT_FINITE &&
	    real_grace(t, grace) == RPCCANCEL_INFINITE)
		return RPCCANCEL_RESULT_NOT_FINITE;
	return RPCCANCEL_RESULT_NONE;
}

/* Brings together what is pending and the generation @gen of the thread. */
static void match(struct user_thread *t, uint64_t gen)
{
	if (t->pending == RPCCANCEL_GEN_NEXT && gen & 1) {
		t->pending = gen;
		if (exclusion(t, t->grace))
			finish(t);
	}
	if (t->pending == gen && t->pending)
		tell(t);
	else if (t->pending && t->pending != RPCCANCEL_GEN_NEXT)
		finish(t);
	show(t);
	pthread_cond_broadcast(&table.changed);
}

static int make_barrier(void)
{
	if (!table.membarrier)
		return 0;
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)
		       ? -ENOMEM
		       : 0;
}

/*
 * From here on the thread cannot enter or leave a generation without waiting for
 * the lock: see the diagram. If there is a cancel, that is so already.
 */
static int stop_owner(struct user_thread *t)
{
	int err;

	if (!t->attached || READ_ONCE(t->slot.cancel))
		return 0;
	__atomic_exchange_n(&t->slot.cancel, RPCCANCEL_GEN_NEXT,
			    __ATOMIC_SEQ_CST);
	err = make_barrier();
	if (err)
		show(t);
	return err;
}

/* The same generation was cancelled before; only its grace may get shorter. */
static uint32_t cancel_again(struct user_thread *t, uint64_t grace)
{
	if (real_grace(t, grace) < real_grace(t, t->grace))
		t->grace = grace;
	return RPCCANCEL_RESULT_ALREADY;
}

static uint32_t decide(struct user_thread *t, uint64_t now, __u64 *gen,
		       uint64_t grace)
{
	uint64_t want = *gen;
	uint32_t result;

	if (want == RPCCANCEL_GEN_ANY)
		want = now & 1 ? now : RPCCANCEL_GEN_NEXT;
	else if (want != now)
		return RPCCANCEL_RESULT_TOO_LATE;
	*gen = want == RPCCANCEL_GEN_NEXT ? 0 : want;

	result = now & 1 ? exclusion(t, grace) : RPCCANCEL_RESULT_NONE;
	if (result != RPCCANCEL_RESULT_NONE)
		return result;
	if (t->pending == want || t->pending == RPCCANCEL_GEN_NEXT)
		return cancel_again(t, grace);

	/* What was pending has missed its generation; settle will not see it. */
	if (t->pending)
		remember_outcome(t);
	t->pending = want;
	t->reason = RPCCANCEL_REASON_CANCEL;
	t->grace = grace;
	t->grace_end = 0;
	t->told = false;
	return want == RPCCANCEL_GEN_NEXT ? RPCCANCEL_RESULT_NEXT
					  : RPCCANCEL_RESULT_PENDING;
}

static int cancel_locked(int fd, __u64 *gen, uint64_t grace, uint32_t *result)
{
	struct user_thread *t;
	uint64_t now;
	int err = thread_find(fd, RPCCANCEL_SET_CONTEXT, &t);

	if (err == -EBADF || err == -EACCES)
		return err;
	if (*gen != RPCCANCEL_GEN_ANY && !(*gen & 1))
		return -EINVAL;
	if (!err)
		err = stop_owner(t);
	if (err)
		return err;
	now = slot_gen(t);
	*result = decide(t, now, gen, grace);
	match(t, now);
	return 0;
}

/*
 * The operations: see backend.h.
 */

static int user_query(struct rpccancel_query *query)
{
	(void)query;
	return rpcc_backend_scopes();
}

/* A process that cannot register cannot use it, either. */
static void find_membarrier(void)
{
	if (table.asked)
		return;
	table.asked = true;
	table.membarrier =
		!syscall(SYS_membarrier,
			 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static int user_attach(struct rpccancel_slot **slot)
{
	KEEP_ERRNO();
	struct user_thread *t;
	int cancelstate, err;

	table_lock(&cancelstate);
	find_membarrier();
	t = thread_get(own_tid(), &err);
	if (t) {
		t->attached = true;
		rpcc_self.fence = !table.membarrier;
		/* It may have been opened, and cancelled, before. */
		show(t);
		*slot = &t->slot;
	}
	table_unlock(cancelstate);
	return err;
}

/* The record of the calling thread, which is attached. */
static struct user_thread *self(void)
{
	return (struct user_thread *)rpcc_self.slot;
}

static int user_detach(void)
{
	KEEP_ERRNO();
	int cancelstate;

	table_lock(&cancelstate);
	thread_remove(self());
	thread_put(self());
	table_unlock(cancelstate);
	return 0;
}

static int user_settle(void)
{
	KEEP_ERRNO();
	int cancelstate;

	table_lock(&cancelstate);
	match(self(), slot_gen(self()));
	table_unlock(cancelstate);
	return 0;
}

static int user_set_deadline(uint64_t deadline)
{
	(void)deadline;
	return -EOPNOTSUPP;
}

/* A number that exists but is none of ours is another process's. */
static int foreign_error(pid_t tid)
{
	return syscall(SYS_tkill, tid, 0) && errno == ESRCH ? -ESRCH
							    : -EOPNOTSUPP;
}

static int user_open(pid_t tid, pid_t tgid, unsigned int access)
{
	KEEP_ERRNO();
	struct user_thread *t;
	int cancelstate, ret;

	if (tgid && tgid != getpid())
		return -ESRCH;
	if (!access || access & ~(unsigned int)RPCCANCEL_ACCESS_ALL)
		return -EINVAL;
	table_lock(&cancelstate);
	t = thread_get(tid ? tid : own_tid(), &ret);
	if (t)
		ret = handle_create(t, access);
	else if (ret == -ESRCH)
		ret = foreign_error(tid);
	table_unlock(cancelstate);
	return ret;
}

static int user_cancel(int fd, struct rpccancel_cancel *cancel)
{
	KEEP_ERRNO();
	int cancelstate, err;

	table_lock(&cancelstate);
	err = cancel_locked(fd, &cancel->gen, cancel->grace, &cancel->result);
	table_unlock(cancelstate);
	cancel->state = RPCCANCEL_STATE_RUNNING;
	cancel->syscall = -1;
	return err;
}

static int user_cancel_many(struct rpccancel_bulk *bulk)
{
	struct rpccancel_target *target = (void *)(uintptr_t)bulk->targets;
	KEEP_ERRNO();
	int cancelstate;
	uint32_t i;

	for (i = 0; i < bulk->count; i++, target++) {
		target->result = RPCCANCEL_RESULT_NONE;
		if (target->pad) {
			target->error = EINVAL;
			continue;
		}
		table_lock(&cancelstate);
		target->error = -cancel_locked(target->handle, &target->gen,
					       bulk->grace, &target->result);
		table_unlock(cancelstate);
	}
	return 0;
}

/* -EAGAIN: there is something to wait for. */
static int outcome(struct user_thread *t, struct rpccancel_wait *wait)
{
	if (t->last_gen == wait->gen) {
		wait->result = t->last_result;
		return 0;
	}
	if (!thread_alive(t))
		return -ESRCH;
	if (t->pending != wait->gen) {
		wait->result = RPCCANCEL_RESULT_NONE;
		return 0;
	}
	if (wait->until == RPCCANCEL_WAIT_DELIVERED && t->told) {
		wait->result = RPCCANCEL_RESULT_DELIVERED;
		return 0;
	}
	wait->result = RPCCANCEL_RESULT_PENDING;
	return -EAGAIN;
}

/* Returns false when it is time to give up. */
static bool wait_change(uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / 1000000000),
		.tv_nsec = (long)(deadline % 1000000000),
	};

	if (deadline >= INT64_MAX)
		return !pthread_cond_wait(&table.changed, &table.lock);
	return !pthread_cond_clockwait(&table.changed, &table.lock,
				       CLOCK_MONOTONIC, &ts);
}

static int wait_locked(int fd, struct rpccancel_wait *wait)
{
	struct user_thread *t;
	int err = thread_find(fd, RPCCANCEL_SET_CONTEXT, &t);

	if (err && err != -ESRCH)
		return err;
	if (!(wait->gen & 1) || wait->until > RPCCANCEL_WAIT_ENDED)
		return -EINVAL;
	if (rpcc_self.slot && t == self())
		return -EDEADLK;

	/* The handle may be closed meanwhile. */
	t->refs++;
	do {
		err = outcome(t, wait);
	} while (err == -EAGAIN && wait_change(wait->deadline));
	/* It may have come at the last moment. */
	if (err == -EAGAIN)
		err = outcome(t, wait);
	thread_release(t);
	return err == -EAGAIN ? 0 : err;
}

static int user_wait(int fd, struct rpccancel_wait *wait)
{
	KEEP_ERRNO();
	int cancelstate, err;

	table_lock(&cancelstate);
	err = wait_locked(fd, wait);
	table_unlock(cancelstate);
	return err;
}

static void read_comm(pid_t tid, __u8 *comm, size_t size)
{
	char name[RPCC_PROC_NAME], text[64] = "";
	size_t length;

	rpcc_proc_name(name, "/proc/self/task/", tid, "/comm");
	rpcc_read_proc(name, text, sizeof(text));
	length = strcspn(text, "\n");
	memcpy(comm, text, length < size ? length : size - 1);
}

static void fill_info(const struct user_thread *t, struct rpccancel_info *info)
{
	const struct rpccancel_slot *slot = &t->slot;

	*info = (struct rpccancel_info){
		.pid = getpid(),
		.tid = t->tid,
		.gen = slot_gen(t),
		.since = READ_ONCE(slot->since),
		.tag = READ_ONCE(slot->tag),
		.deadline = t->grace_end,
		.pending = t->pending,
		.mode = READ_ONCE(slot->flags),
		.classes = READ_ONCE(slot->classes),
		.reason = t->reason,
		.state = RPCCANCEL_STATE_RUNNING,
		.syscall = -1,
		.fd = -1,
		.attached = t->attached,
		.error = READ_ONCE(slot->error),
	};
	read_comm(t->tid, info->comm, sizeof(info->comm));
}

static int user_info(int fd, struct rpccancel_info *info)
{
	KEEP_ERRNO();
	struct user_thread *t;
	int cancelstate, err;

	table_lock(&cancelstate);
	err = thread_find(fd, RPCCANCEL_QUERY_INFORMATION, &t);
	if (!err)
		fill_info(t, info);
	table_unlock(cancelstate);
	return err;
}

/* New threads come at the end of the list, so a walk misses and repeats none. */
static int user_list(struct rpccancel_list *list)
{
	struct rpccancel_info *info = (void *)(uintptr_t)list->buf;
	KEEP_ERRNO();
	struct user_thread *t, *next;
	uint32_t count = 0;
	int cancelstate;

	table_lock(&cancelstate);
	for (t = table.threads; t && count < list->count; t = next) {
		next = t->next;
		if (t->id <= list->cursor)
			continue;
		list->cursor = t->id;
		if (thread_alive(t))
			fill_info(t, info + count++);
	}
	list->count = count;
	table_unlock(cancelstate);
	return 0;
}

static int user_duplicate(int fd, unsigned int access)
{
	KEEP_ERRNO();
	struct user_handle *h;
	int cancelstate, ret;

	if (!access || access & ~(unsigned int)RPCCANCEL_ACCESS_ALL)
		return -EINVAL;
	table_lock(&cancelstate);
	ret = handle_find(fd, access, &h);
	if (!ret) {
		h->thread->refs++;
		ret = handle_create(h->thread, access);
	}
	table_unlock(cancelstate);
	return ret;
}

static int user_read_event(int fd, struct rpccancel_event *event)
{
	KEEP_ERRNO();
	struct user_handle *h;
	int cancelstate, err;
	eventfd_t count;

	table_lock(&cancelstate);
	err = handle_find(fd, RPCCANCEL_QUERY_INFORMATION, &h);
	if (!err) {
		eventfd_read(fd, &count);
		*event = h->thread->event;
		event->count = h->thread->events - h->seen;
		h->seen = h->thread->events;
		err = event->count ? 0 : -EAGAIN;
	}
	table_unlock(cancelstate);
	return err;
}

/* What is no handle is left alone. */
static void user_close(int fd)
{
	KEEP_ERRNO();
	struct user_handle *h;
	int cancelstate;

	table_lock(&cancelstate);
	if (!handle_find(fd, 0, &h))
		handle_destroy(h);
	table_unlock(cancelstate);
}

static void user_fork_prepare(void)
{
	pthread_mutex_lock(&table.lock);
}

static void user_fork_parent(void)
{
	pthread_mutex_unlock(&table.lock);
}

/* A descriptor is the parent's, too: nothing may be written to it. */
static void handle_drop(struct user_handle *h)
{
	struct user_thread *t = h->thread;

	*bucket(h->fd) = h->next;
	close(h->fd);
	if (t->gone)
		thread_put(t);
	free(h);
}

/*
 * None of the threads has come along, so no handle means anything here. Nor
 * have waiters, which have left the condition as it was.
 */
static void user_fork_child(void)
{
	KEEP_ERRNO();
	struct user_thread *t;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++)
		while (table.handles[i])
			handle_drop(table.handles[i]);
	while ((t = table.threads)) {
		table.threads = t->next;
		free(t);
	}
	table.changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	table.asked = false;
	pthread_mutex_unlock(&table.lock);
}

const struct rpcc_backend rpcc_user_backend = {
	.name = "user",
	.local = true,
	.query = user_query,
	.attach = user_attach,
	.detach = user_detach,
	.settle = user_settle,
	.set_deadline = user_set_deadline,
	.open = user_open,
	.cancel_many = user_cancel_many,
	.list = user_list,
	.cancel = user_cancel,
	.wait = user_wait,
	.info = user_info,
	.duplicate = user_duplicate,
	.read_event = user_read_event,
	.close = user_close,
	.fork_prepare = user_fork_prepare,
	.fork_parent = user_fork_parent,
	.fork_child = user_fork_child,
};

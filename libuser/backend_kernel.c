// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The back end that is the kernel module.
 *
 * A process opens the device once, when it first needs it, and keeps it open:
 * closing it would detach all threads. Slots are mapped a page at a time, when
 * the kernel first hands one out, and stay mapped.
 *
 * Locking: device.lock protects the opening and the table of pages. The
 * descriptor is read without it, since it changes only from -1, and back in a
 * forked child, which has one thread.
 *
 * A failure to open is not remembered: the module may be loaded later.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "internal.h"

#define DEVICE "/dev/rpccancel"

static struct {
	pthread_mutex_t lock;
	atomic_int fd;
	atomic_int open_error;
	uint32_t slot_size;
	size_t page_size;
	size_t page_count;
	char **pages;
} device = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = -1,
};

static int do_ioctl(int fd, unsigned long command, void *arg)
{
	KEEP_ERRNO();
	int ret = ioctl(fd, command, arg);

	return ret < 0 ? -errno : ret;
}

/* The table must be there before the first thread attaches. */
static int device_prepare(int fd)
{
	struct rpccancel_query query = { 0 };
	int ret = do_ioctl(fd, RPCCANCEL_IOC_QUERY, &query);
	size_t size;

	if (ret < 0)
		return ret == -ENOTTY ? -EOPNOTSUPP : ret;
	if (query.abi < 1 || query.slot_size < sizeof(struct rpccancel_slot))
		return -EOPNOTSUPP;

	device.slot_size = query.slot_size;
	device.page_size = (size_t)sysconf(_SC_PAGESIZE);
	size = (size_t)query.max_slots * query.slot_size;
	device.page_count = size / device.page_size + 1;
	free(device.pages);
	device.pages = calloc(device.page_count, sizeof(*device.pages));
	return device.pages ? 0 : -ENOMEM;
}

static int open_status(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return -EOPNOTSUPP;
	default:
		return -error;
	}
}

static int device_open_locked(void)
{
	int fd, ret;

	fd = atomic_load(&device.fd);
	if (fd >= 0)
		return fd;

	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	atomic_store(&device.open_error, fd < 0 ? errno : 0);
	if (fd < 0)
		return open_status(errno);
	ret = device_prepare(fd);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	atomic_store(&device.fd, fd);
	return fd;
}

/* A thread that is cancelled (pthread_cancel) must not leave with the lock. */
static void device_lock(int *cancelstate)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancelstate);
	pthread_mutex_lock(&device.lock);
}

static void device_unlock(int cancelstate)
{
	pthread_mutex_unlock(&device.lock);
	pthread_setcancelstate(cancelstate, NULL);
}

static int device_fd(void)
{
	KEEP_ERRNO();
	int fd = atomic_load(&device.fd);
	int cancelstate;

	if (likely(fd >= 0))
		return fd;

	device_lock(&cancelstate);
	fd = device_open_locked();
	device_unlock(cancelstate);
	return fd;
}

/* ENOTTY from the device is what a module older than the command says. */
static int device_ioctl(unsigned long command, void *arg)
{
	int ret, fd = device_fd();

	if (fd < 0)
		return fd;
	ret = do_ioctl(fd, command, arg);
	return ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

static int handle_ioctl(int fd, unsigned long command, void *arg)
{
	int ret = do_ioctl(fd, command, arg);

	return ret == -ENOTTY ? -EBADF : ret;
}

static int map_slot(uint32_t number, struct rpccancel_slot **slot)
{
	KEEP_ERRNO();
	size_t offset = (size_t)number * device.slot_size;
	size_t page = offset / device.page_size;
	int cancelstate, ret = 0;
	void *map;

	if (page >= device.page_count)
		return -EOPNOTSUPP;

	device_lock(&cancelstate);
	if (!device.pages[page]) {
		map = mmap(NULL, device.page_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED, atomic_load(&device.fd),
			   (off_t)(page * device.page_size));
		if (map == MAP_FAILED)
			ret = -errno;
		else
			device.pages[page] = map;
	}
	if (!ret)
		*slot = (void *)(device.pages[page] +
				 offset % device.page_size);
	device_unlock(cancelstate);
	return ret;
}

static int kernel_query(struct rpccancel_query *query)
{
	return device_ioctl(RPCCANCEL_IOC_QUERY, query);
}

static int kernel_open_error(void)
{
	return atomic_load(&device.open_error);
}

static int kernel_detach(void)
{
	return device_ioctl(RPCCANCEL_IOC_DETACH, NULL);
}

static int kernel_attach(struct rpccancel_slot **slot)
{
	struct rpccancel_attach attach = { 0 };
	int ret = device_ioctl(RPCCANCEL_IOC_ATTACH, &attach);

	if (ret < 0)
		return ret;
	ret = map_slot(attach.slot, slot);
	if (ret < 0)
		kernel_detach();
	return ret;
}

static int kernel_settle(void)
{
	return device_ioctl(RPCCANCEL_IOC_SETTLE, NULL);
}

static int kernel_set_deadline(uint64_t deadline)
{
	struct rpccancel_deadline arg = {
		.deadline = deadline == RPCCANCEL_INFINITE ? 0 : deadline,
	};

	return device_ioctl(RPCCANCEL_IOC_DEADLINE, &arg);
}

static int kernel_open(pid_t tid, pid_t tgid, unsigned int access)
{
	struct rpccancel_open arg = {
		.tid = tid,
		.tgid = tgid,
		.access = access,
	};

	return device_ioctl(RPCCANCEL_IOC_OPEN, &arg);
}

static int kernel_cancel_many(struct rpccancel_bulk *bulk)
{
	return device_ioctl(RPCCANCEL_IOC_BULK, bulk);
}

static int kernel_list(struct rpccancel_list *list)
{
	return device_ioctl(RPCCANCEL_IOC_LIST, list);
}

static int kernel_cancel(int fd, struct rpccancel_cancel *cancel)
{
	return handle_ioctl(fd, RPCCANCEL_IOC_CANCEL, cancel);
}

/* The deadline is absolute, so waiting again does not make it longer. */
static int kernel_wait(int fd, struct rpccancel_wait *wait)
{
	int ret;

	do {
		ret = handle_ioctl(fd, RPCCANCEL_IOC_WAIT, wait);
	} while (ret == -EINTR);
	return ret;
}

static int kernel_info(int fd, struct rpccancel_info *info)
{
	return handle_ioctl(fd, RPCCANCEL_IOC_INFO, info);
}

static int kernel_duplicate(int fd, unsigned int access)
{
	return handle_ioctl(fd, RPCCANCEL_IOC_DUP, (void *)(uintptr_t)access);
}

/* The handle is one that does not block. */
static int kernel_read_event(int fd, struct rpccancel_event *event)
{
	KEEP_ERRNO();
	int cancelstate;
	ssize_t n;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelstate);
	do {
		n = read(fd, event, sizeof(*event));
	} while (n < 0 && errno == EINTR);
	pthread_setcancelstate(cancelstate, NULL);
	return n == sizeof(*event) ? 0 : -EAGAIN;
}

static void kernel_fork_prepare(void)
{
	pthread_mutex_lock(&device.lock);
}

static void kernel_fork_parent(void)
{
	pthread_mutex_unlock(&device.lock);
}

/*
 * The mappings have not come along, and the descriptor is the parent's: kept
 * open here, it would keep the parent's threads attached after its end.
 */
static void kernel_fork_child(void)
{
	KEEP_ERRNO();
	int fd = atomic_load(&device.fd);

	if (fd >= 0) {
		atomic_store(&device.fd, -1);
		memset(device.pages, 0,
		       device.page_count * sizeof(*device.pages));
		close(fd);
	}
	pthread_mutex_unlock(&device.lock);
}

const struct rpcc_backend rpcc_kernel_backend = {
	.name = "kernel",
	.query = kernel_query,
	.open_error = kernel_open_error,
	.attach = kernel_attach,
	.detach = kernel_detach,
	.settle = kernel_settle,
	.set_deadline = kernel_set_deadline,
	.open = kernel_open,
	.cancel_many = kernel_cancel_many,
	.list = kernel_list,
	.cancel = kernel_cancel,
	.wait = kernel_wait,
	.info = kernel_info,
	.duplicate = kernel_duplicate,
	.read_event = kernel_read_event,
	.close = rpcc_close,
	.fork_prepare = kernel_fork_prepare,
	.fork_parent = kernel_fork_parent,
	.fork_child = kernel_fork_child,
};

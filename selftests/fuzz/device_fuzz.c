// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A fuzzer of /dev/rpccancel: random programs of calls, some at a time, each in
 * a process of its own with some threads. What has shown something new is kept,
 * and more is made of it.
 *
 * It fails when a cancel is lost, when a process cannot be ended, and when
 * something is left in the end. What the kernel finds itself (KASAN, lockdep) is
 * a panic: each program is noted in the kernel's log before it runs, and a panic
 * shows them, so that they can be run again.
 *
 * usage: device_fuzz [FILE [TIMES]]
 *	runs the programs in FILE, in this order; lines of the kernel's log will do
 *	RPCCANCEL_FUZZ_SECONDS=n is how long it makes up some itself
 *	RPCCANCEL_SEED=n makes the same ones, as far as the scheduler lets it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "../faults.h"
#include "fuzz.h"

#define CORPUS		4096
#define CGROUP		"/sys/fs/cgroup/rpccancel_fuzz"
#define THREAD_LIMIT	RC_PARAMETERS "max_threads_per_user"
#define TRACE		"/sys/kernel/tracing/events/rpccancel/enable"
/* The kernel cuts longer ones. */
#define LOG_LINE	900
/* How long a program may run, and be killed, in ms. */
#define RUN_LIMIT	120000
#define KILL_LIMIT	30000

struct shared *shared;

/* What is changed for the time; the first ones all the time, the others at times. */
static struct setting {
	const char *path, *value;
	char old[32];
} settings[] = {
	/* All that is noted is to be there, and a panic shows it. */
	{ .path = "/proc/sys/kernel/printk_devkmsg", .value = "on" },
	{ .path = "/proc/sys/kernel/panic_print", .value = "32" },
	{ .path = THREAD_LIMIT, .value = "6" },
	{ .path = TRACE, .value = "1" },
};

#define ALL_THE_TIME	2

static struct {
	uint32_t seed;
	long seconds;
	FILE *replay;
	long times;		/* that it is to be read */
	int log;
	int passing[2];
	bool guided;
	struct program corpus[CORPUS];
	struct running {
		struct program program;
		pid_t pid;
		uint64_t end;		/* when it counts as stuck */
		bool killed;
	} running[PROCESSES];
	bool stuck;
} fuzz;

static void change(const struct setting *s, bool on)
{
	if (*s->old)
		rc_write_file(s->path, on ? s->value : s->old);
}

static void save(void)
{
	for (size_t i = 0; i < COUNT(settings); i++) {
		struct setting *s = &settings[i];

		if (rc_read_file(s->path, s->old, sizeof(s->old)) < 0)
			*s->old = 0;
		if (i < ALL_THE_TIME)
			change(s, true);
	}
}

static void restore(void)
{
	for (size_t i = 0; i < COUNT(settings); i++)
		change(&settings[i], false);
}

/*
 * The programs.
 */

/* In pieces, each of some whole calls. */
static void note(const struct program *p, int number)
{
	static char text[PROGRAM_TEXT];
	char *at = text, *end, cut;

	if (fuzz.log < 0)
		return;
	program_write(p, text, sizeof(text));
	while (*at) {
		end = at + strlen(at);
		if (end - at > LOG_LINE) {
			end = at + LOG_LINE;
			while (*end != ';')
				end--;
		}
		cut = *end;
		*end = 0;
		dprintf(fuzz.log, "<7>rpccancel-fuzz %ld.%d: %s\n",
			shared->programs, number, at);
		*end = cut;
		at = end;
	}
}

/* A program of several lines goes on in those that have no first word. */
static bool next_in_file(struct program *p)
{
	static char line[PROGRAM_TEXT], text[2 * PROGRAM_TEXT];

	for (;;) {
		char *more = fgets(line, sizeof(line), fuzz.replay);
		bool first = more && (strstr(line, "ordered") ||
				      strstr(line, "collide"));

		if (*text && (!more || first)) {
			int ret = program_read(p, text);

			snprintf(text, sizeof(text), "%s", more ? line : "");
			if (!ret)
				return true;
			ksft_print_msg("not a program: %s", line);
		} else if (first) {
			strcpy(text, line);
		} else if (more && *text && strchr(line, ';')) {
			text[strcspn(text, "\n")] = 0;
			strncat(text, strchr(line, ';'),
				sizeof(text) - strlen(text) - 1);
		}
		if (more)
			continue;
		if (!--fuzz.times)
			return false;
		rewind(fuzz.replay);
	}
}

static bool next_program(struct program *p)
{
	uint32_t *seed = &fuzz.seed;

	if (fuzz.replay)
		return next_in_file(p);
	if (!shared->kept || !rc_random(seed, 4)) {
		program_make(p, seed);
	} else {
		*p = fuzz.corpus[rc_random(seed, shared->kept)];
		program_change(p, &fuzz.corpus[rc_random(seed, shared->kept)],
			       seed);
	}
	return true;
}

static void keep(const struct program *p)
{
	if (shared->kept < CORPUS)
		fuzz.corpus[shared->kept++] = *p;
	else
		fuzz.corpus[rc_random(&fuzz.seed, CORPUS)] = *p;
}

/*
 * The processes. The manager is the first one of their pid namespace: what they
 * leave behind comes to it, and goes with it.
 */

static bool start(int number)
{
	struct running *r = &fuzz.running[number];
	uint32_t seed = rc_random(&fuzz.seed, UINT32_MAX);

	if (!next_program(&r->program))
		return false;
	note(&r->program, number);
	shared->programs++;
	shared->fresh[number] = 0;
	r->killed = false;
	r->end = rc_now() + RUN_LIMIT * RC_NSEC_PER_MSEC;
	r->pid = fork();
	if (r->pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (!r->pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		rc_write_file(CGROUP "/cgroup.procs", "0");
		execute(&r->program, number, fuzz.passing, seed);
	}
	return true;
}

static void show(const char *what, const struct running *r)
{
	static char text[PROGRAM_TEXT];

	program_write(&r->program, text, sizeof(text));
	ksft_print_msg("%s: %s\n", what, text);
}

static void ended(struct running *r, int status)
{
	r->pid = 0;
	if (WIFSIGNALED(status))
		shared->ended_by_signal++;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LOST) {
		shared->lost_cancels++;
		show("in this program a cancel was lost", r);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SETUP)
		show("this program could not be prepared", r);
	if (shared->fresh[r - fuzz.running])
		keep(&r->program);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		for (int i = 0; i < PROCESSES; i++)
			if (fuzz.running[i].pid == pid)
				ended(&fuzz.running[i], status);
	}
}

/* In which calls its threads are, as far as the kernel tells. */
static void show_threads(pid_t pid)
{
	char command[128];

	fflush(stdout);
	snprintf(command, sizeof(command),
		 "cd /proc/%d/task && grep . */wchan */syscall */stack | sed 's/^/# /'",
		 pid);
	if (system(command))
		ksft_print_msg("process %d is not to be seen\n", pid);
}

/* Nothing may keep a process from its end. */
static void watch(struct running *r)
{
	if (!r->pid)
		return;
	/* Somebody may have stopped it. */
	kill(r->pid, SIGCONT);
	if (rc_now() < r->end)
		return;
	fuzz.stuck = true;
	show(r->killed ? "it cannot be killed" : "it does not end", r);
	show_threads(r->pid);
	if (r->killed)
		ksft_exit_fail_msg("process %d is stuck\n", r->pid);
	kill(r->pid, SIGKILL);
	r->killed = true;
	r->end = rc_now() + KILL_LIMIT * RC_NSEC_PER_MSEC;
}

static void freeze_all(void)
{
	int ms = atomic_exchange(&shared->freeze_ms, 0);

	if (!ms || rc_write_file(CGROUP "/cgroup.freeze", "1"))
		return;
	rc_sleep(ms);
	rc_write_file(CGROUP "/cgroup.freeze", "0");
}

static void wait_a_moment(void)
{
	struct timespec ts = { 0, 20000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigtimedwait(&set, NULL, &ts);
	reap();
	freeze_all();
	for (int i = 0; i < PROCESSES; i++)
		watch(&fuzz.running[i]);
}

static bool any_running(void)
{
	for (int i = 0; i < PROCESSES; i++)
		if (fuzz.running[i].pid)
			return true;
	return false;
}

static void progress(void)
{
	static uint64_t next;

	if (rc_now() < next)
		return;
	if (next)
		ksft_print_msg("%ld programs, %ld calls, %d kept, %d places reached\n",
			       shared->programs, shared->calls, shared->kept,
			       shared->pcs);
	next = rc_now() + 60000 * RC_NSEC_PER_MSEC;
}

static int manage(void)
{
	uint64_t end = rc_now() + fuzz.seconds * 1000 * RC_NSEC_PER_MSEC;
	bool more = true;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	shared->queue = msgget(IPC_PRIVATE, IPC_CREAT | 0666);
	shared->semaphore = semget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
	while (more && (fuzz.replay || rc_now() < end)) {
		for (int i = 0; i < PROCESSES && more; i++)
			more = fuzz.running[i].pid || start(i);
		wait_a_moment();
		progress();
		if (!rc_random(&fuzz.seed, 50))
			for (size_t i = ALL_THE_TIME; i < COUNT(settings); i++)
				change(&settings[i], rc_random(&fuzz.seed, 2));
	}
	while (any_running())
		wait_a_moment();
	return fuzz.stuck;
}

/*
 * Before and after.
 */

static void init(int argc, char **argv)
{
	fuzz.seconds = rc_env("RPCCANCEL_FUZZ_SECONDS", 20);
	fuzz.seed = rc_env("RPCCANCEL_SEED", rc_now() >> 10) | 1;
	if (argc > 1) {
		fuzz.times = argc > 2 ? atol(argv[2]) : 1;
		fuzz.replay = fopen(argv[1], "r");
		if (!fuzz.replay)
			ksft_exit_fail_msg("%s: %s\n", argv[1],
					   strerror(errno));
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fuzz.passing))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	mkdir(CGROUP, 0755);
	save();
	fuzz.log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	fuzz.guided = !coverage_init();
	ksft_print_msg("seed %u, %s\n", fuzz.seed, fuzz.guided ?
		       "guided by what is reached" :
		       "guided by results only: this kernel has no KCOV");
}

/* In namespaces of its own: signals and queues stay inside, and go with it. */
static int isolated(void)
{
	pid_t pid;
	int status;

	if (unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS))
		return -errno;
	/* Of /proc, which shows the numbers of the old one. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount("proc", "/proc", "proc", 0, NULL))
			_exit(errno);
		exit(manage());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
	       WEXITSTATUS(status) : -ECHILD;
}

/* From a child: a namespace whose first process has ended takes no more. */
static int run(void)
{
	pid_t pid;

	fflush(stdout);
	pid = rc_fork();
	if (!pid)
		exit(isolated());
	/* Descriptors on their way count as well. */
	close(fuzz.passing[0]);
	close(fuzz.passing[1]);
	return rc_reap(pid, fuzz.replay ? INT32_MAX :
		       fuzz.seconds * 1000 + 2 * RUN_LIMIT);
}

static void summary(void)
{
	ksft_print_msg("%ld programs, %ld calls, %ld of them succeeded, %ld left out\n",
		       shared->programs, shared->calls, shared->succeeded,
		       shared->skipped);
	for (size_t i = 0; i < COUNT(shared->errors); i++)
		if (shared->errors[i])
			ksft_print_msg("  %d x %s\n", shared->errors[i],
				       strerror(i));
	ksft_print_msg("%d programs kept for what they showed, %ld ended by a signal\n",
		       shared->kept, shared->ended_by_signal);
	if (fuzz.guided)
		ksft_print_msg("%d places in the module reached\n", shared->pcs);
}

/* Nothing but the line with the names. */
static bool list_is_empty(void)
{
	char buf[4096];

	return rc_read_file("/sys/kernel/debug/rpccancel/threads", buf,
			    sizeof(buf)) > 0 &&
	       strchr(buf, '\n') == buf + strlen(buf) - 1;
}

static bool still_works(void)
{
	int dev = rc_open_device(), handle = -1;
	struct rc_remote r;
	bool ok;

	ok = !rc_remote_start(&r, NULL, NULL);
	if (ok)
		handle = rc_open(dev, r.pid, RPCCANCEL_ACCESS_ALL);
	ok = ok && rc_cancel_result(handle, r.gen) == RPCCANCEL_RESULT_PENDING &&
	     rc_remote_finish(&r) == RC_REMOTE_CANCELED;
	close(handle);
	close(dev);
	return ok;
}

int main(int argc, char **argv)
{
	struct faults faults;
	bool injects;
	int status;

	if (getuid())
		rc_skip("needs root, for namespaces of its own");
	rc_need_device();
	setvbuf(stdout, NULL, _IOLBF, 0);
	ksft_print_header();
	ksft_set_plan(5);
	init(argc, argv);
	injects = !faults_on(&faults);
	status = run();
	if (injects)
		faults_off(&faults);
	restore();
	rmdir(CGROUP);
	summary();

	ksft_test_result(!status && shared->succeeded,
			 "every process ends in time (status %d)\n", status);
	ksft_test_result(!shared->lost_cancels,
			 "no cancel is lost, of %ld in the end of a program\n",
			 shared->checked_cancels);
	ksft_test_result(rc_wait_number(RC_REFCNT, 0, RC_PATIENCE),
			 "no references are left\n");
	ksft_test_result(list_is_empty(), "no records are left\n");
	ksft_test_result(still_works(), "cancels work as before\n");
	ksft_finished();
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Thousands of threads that wait in system calls and make remote calls, and are
 * cancelled at random, for as long as is wanted, while their processes, their
 * servers and their cancellers are killed, stopped and started again.  At the end
 * what all of them have counted has to add up, one by one: see ledger.h; and
 * nobody may use more memory or descriptors than after the first quarter of the
 * time.
 *
 * RPCCANCEL_SOAK_SECONDS (10), RPCCANCEL_SOAK_THREADS (200), RPCCANCEL_SEED.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../rpccancel_util.h"
#include "ledger.h"
#include "tap.h"

#define CACHE		"rpccancel_thread"
/* For one start of a process, or one end, on a slow machine. */
#define START_MS	600000
/* How much more memory may be in use than after the first quarter. */
#define RSS_SLACK_KB	4096
#define SLAB_SLACK_KB	(48 << 10)
/* A thread that calls has a connection, a ring, a handle and an eventfd. */
#define FD_SLACK	(4 * PER_PROCESS / CALLER)
/* Cancels that one canceller may have in progress when it is killed. */
#define IN_PROGRESS	16

struct process {
	pid_t pid;
	bool killed;
};

static struct process workers[MAX_PROCESSES], cancellers[CANCELLERS];
static struct server servers[SERVERS];
static uint32_t seed;
static unsigned int died, kills, server_kills, stops, too_many_cut;

static pid_t start(void (*fn)(int number, uint32_t seed), int number)
{
	uint32_t s = rc_random(&seed, UINT32_MAX) | 1;
	pid_t pid;

	fflush(stdout);
	pid = rc_fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		fn(number, s);
		_exit(0);
	}
	return pid;
}

/* Their threads are gone: what comes next has the same accounts. */
static void worker_died(int process)
{
	for (int i = 0; i < PER_PROCESS; i++) {
		struct account *a =
			&ledger->account[process * PER_PROCESS + i];

		if (!a->tid)
			continue;
		a->tid = 0;
		a->deaths++;
		ledger->attached--;
	}
}

/* What it has asked for and did not come to count. */
static void canceller_died(int number)
{
	unsigned long before = 0, after = 0;

	for (int i = number; i < ledger->threads; i += CANCELLERS) {
		struct account *a = &ledger->account[i];

		before += a->cut;
		a->cut = a->cancels;
		for (int o = 0; o < OUTCOMES; o++)
			a->cut -= a->outcomes[o];
		after += a->cut;
	}
	too_many_cut += after > before + IN_PROGRESS;
}

static void note_end(struct process *p, int status)
{
	if (p->killed)
		return;
	printf("# process %d ended by itself: %#x\n", p->pid, status);
	died++;
}

static void start_again(pid_t pid, int status)
{
	for (int i = 0; i < ledger->processes; i++) {
		if (workers[i].pid != pid)
			continue;
		note_end(&workers[i], status);
		worker_died(i);
		workers[i] = (struct process){ start(worker_main, i), false };
	}
	for (int i = 0; i < CANCELLERS; i++) {
		if (cancellers[i].pid != pid)
			continue;
		note_end(&cancellers[i], status);
		canceller_died(i);
		cancellers[i] =
			(struct process){ start(canceller_main, i), false };
	}
}

static void look_after(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		start_again(pid, status);
}

static void publish(int number)
{
	for (int i = 0; i < PROTSEQS; i++)
		snprintf(ledger->binding[number][i],
			 sizeof(ledger->binding[number][i]), "%s",
			 servers[number].binding[i]);
}

/* There is none for a moment, and then another one at other endpoints. */
static void kill_server(int number)
{
	server_kill(&servers[number]);
	server_start(&servers[number], NULL);
	publish(number);
	server_kills++;
}

/* It takes its time to die; look_after() starts it again. */
static void kill_process(struct process *p)
{
	if (p->killed)
		return;
	p->killed = true;
	kill(p->pid, SIGKILL);
	kills++;
}

static void happen(void)
{
	int i = rc_random(&seed, ledger->processes);

	switch (rc_random(&seed, 16)) {
	case 0:
		if (!is_spared(i))
			kill_process(&workers[i]);
		break;
	case 1:
		kill_process(&cancellers[1 + i % (CANCELLERS - 1)]);
		break;
	case 2:
		kill_server(1 + i % (SERVERS - 1));
		break;
	case 3 ... 6:
		kill(workers[i].pid, SIGSTOP);
		rc_sleep(rc_random(&seed, 60));
		kill(workers[i].pid, SIGCONT);
		stops++;
		break;
	default:
		break;
	}
}

/*
 * What is in use.
 */

struct use {
	long rss_kb, fds;
};

struct sample {
	struct use worker, canceller, server;
	long records, slab_kb;
};

static long count_fds(pid_t pid)
{
	char path[32];
	long n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static struct use use_of(pid_t pid)
{
	char path[32], text[128];
	struct use use = { -1, count_fds(pid) };
	long pages;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	if (rc_read_file(path, text, sizeof(text)) > 0 &&
	    sscanf(text, "%*d %ld", &pages) == 1)
		use.rss_kb = pages * (sysconf(_SC_PAGESIZE) >> 10);
	return use;
}

static struct sample take_sample(void)
{
	/* What is free but kept by the allocator counts as in use. */
	rc_write_file("/sys/kernel/slab/" CACHE "/shrink", "1");
	return (struct sample){
		.worker = use_of(workers[0].pid),
		.canceller = use_of(cancellers[0].pid),
		.server = use_of(servers[0].pid),
		.records = rc_slab_objects(CACHE),
		.slab_kb = rc_meminfo_kb("SUnreclaim"),
	};
}

static void print_use(const char *who, struct use use)
{
	printf("#   %s %ld kB, %ld descriptors\n", who, use.rss_kb, use.fds);
}

static void print_sample(const char *when, const struct sample *s)
{
	printf("# %s: %ld records, %ld kB of slab\n", when, s->records,
	       s->slab_kb);
	print_use("worker", s->worker);
	print_use("canceller", s->canceller);
	print_use("server", s->server);
}

static void check_use(const char *who, struct use before, struct use after)
{
	ok(after.rss_kb >= 0 && after.rss_kb <= before.rss_kb + RSS_SLACK_KB +
	   before.rss_kb / 10, "the memory of a %s does not grow", who);
	ok(after.fds >= 0 && after.fds <= before.fds + FD_SLACK,
	   "the descriptors of a %s do not grow", who);
}

static void check_samples(const struct sample *before,
			  const struct sample *after)
{
	check_use("worker", before->worker, after->worker);
	check_use("canceller", before->canceller, after->canceller);
	check_use("server", before->server, after->server);
	ok(after->records <= before->records + ledger->threads / 10 + 64,
	   "the records of threads do not grow");
	ok(after->slab_kb <= before->slab_kb + SLAB_SLACK_KB,
	   "the kernel's memory does not grow");
}

/*
 * From the start to the end.
 */

static void prepare(int threads)
{
	struct rlimit files = { 32768, 32768 };

	rc_more_room("/proc/sys/kernel/threads-max", 3 * threads);
	rc_more_room("/proc/sys/kernel/pid_max", 1 << 20);
	rc_more_room("/proc/sys/vm/max_map_count", 1 << 18);
	setrlimit(RLIMIT_NOFILE, &files);
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ledger == MAP_FAILED)
		die("mmap");
	ledger->threads = threads;
	ledger->processes = threads / PER_PROCESS;
	/* Ten thousand that wake up more often would do nothing else. */
	ledger->longest = threads * 6;
	if (ledger->longest < 1000)
		ledger->longest = 1000;
}

static bool wait_attached(int threads)
{
	uint64_t end = now_ms() + START_MS;

	while (ledger->attached < threads && now_ms() < end) {
		look_after();
		rc_sleep(10);
	}
	return ledger->attached >= threads;
}

static void start_all(void)
{
	for (int i = 0; i < SERVERS; i++) {
		server_start(&servers[i], NULL);
		publish(i);
	}
	/* Two at a time: switching between many is what takes the time. */
	for (int i = 0; i < ledger->processes; i++) {
		wait_attached((i - 1) * PER_PROCESS);
		workers[i].pid = start(worker_main, i);
	}
	ok(wait_attached(ledger->threads), "%d threads are there",
	   ledger->threads);
	for (int i = 0; i < CANCELLERS; i++)
		cancellers[i].pid = start(canceller_main, i);
}

/* So that somebody who waits, or reads why it took so long, sees it go on. */
static void print_progress(uint64_t begin)
{
	static uint64_t next;
	struct sums s;

	if (now_ms() < next)
		return;
	next = now_ms() + 60000;
	add_up(&s, false);
	printf("# %lu s: %lu scopes, %lu calls, %lu cancels, %u killed\n",
	       (unsigned long)(now_ms() - begin) / 1000, s.scopes, s.calls,
	       s.cancels, kills + server_kills);
}

static void run(int seconds, struct sample *before, struct sample *after)
{
	uint64_t begin = now_ms(), end = begin + seconds * 1000ULL;
	bool warm = false;

	while (now_ms() < end) {
		look_after();
		print_progress(begin);
		happen();
		if (!warm && now_ms() - begin > seconds * 250ULL) {
			*before = take_sample();
			warm = true;
		}
		rc_sleep(rc_random(&seed, 300));
	}
	*after = take_sample();
}

/* They end by themselves, with status 0, but for those that are dying. */
static void reap(struct process *p, void (*died_fn)(int), int number)
{
	int status = rc_reap(p->pid, START_MS);

	if (p->killed) {
		died_fn(number);
	} else if (status) {
		printf("# process %d ended with %d\n", p->pid, status);
		died++;
	}
	if (status == -ETIMEDOUT)
		kill(p->pid, SIGKILL);
}

/* In a child: a call would attach this process, which has to leave no trace. */
static bool all_stubs_have_left(struct server *s)
{
	pid_t pid;

	fflush(stdout);
	pid = rc_fork();
	if (!pid)
		_exit(!server_wait_left(s, server_counts(s).entered));
	return !rc_reap(pid, 2 * PATIENCE);
}

static void end_all(void)
{
	ledger->stage = CANCELLERS_END;
	for (int i = 0; i < CANCELLERS; i++)
		reap(&cancellers[i], canceller_died, i);
	ledger->stage = WORKERS_END;
	for (int i = 0; i < ledger->processes; i++)
		reap(&workers[i], worker_died, i);
	ok(all_stubs_have_left(&servers[0]),
	   "as many stubs of a server have left as have entered");
	for (int i = 0; i < SERVERS; i++)
		ok(server_stop(&servers[i]), "a server ends well");
}

static void check_sums(void)
{
	struct sums all, spared;

	add_up(&all, false);
	add_up(&spared, true);
	printf("# %u killed, %u of them servers; %u stopped and continued\n",
	       kills + server_kills, server_kills, stops);
	puts("# in all");
	print_sums(&all);
	puts("# with those that nobody has killed");
	print_sums(&spared);
	is(all.bad, 0, "what each thread and its canceller have counted adds up");
	is(spared.scopes, spared.quiet + spared.cancelled,
	   "a scope ends quietly or cancelled");
	is(spared.calls, spared.answered + spared.raised + spared.abandoned,
	   "a call is answered, raised or abandoned, and none fails");
	is(all.scopes_cut + all.calls_cut <= 2 * all.deaths, true,
	   "only the dead leave something open");
	is(too_many_cut, 0, "a canceller leaves only what it was asking for");
	if (ledger->odd)
		printf("# %lu odd answers, the last in line %d: %d\n",
		       ledger->odd, ledger->odd_line, ledger->odd_value);
	is(ledger->odd, 0, "all answers are possible ones");
	is(died, 0, "nobody dies who was not killed");
	ok(all.cancelled && all.answered && all.outcomes[DELIVERED] &&
	   all.outcomes[NEXT] && all.outcomes[TOO_LATE], "there were all kinds");
}

static void check_kernel(void)
{
	static const char leaks[] = "/sys/kernel/debug/kmemleak";
	char text[4096] = "";

	ok(rc_wait_number(RC_REFCNT, 0, RC_PATIENCE),
	   "no reference of the module is left");
	rc_write_file("/sys/kernel/slab/" CACHE "/shrink", "1");
	if (rc_slab_objects(CACHE) >= 0)
		is(rc_slab_objects(CACHE), 0, "no record of a thread is left");
	if (access(leaks, W_OK))
		return;
	rc_write_file(leaks, "scan");
	rc_read_file(leaks, text, sizeof(text));
	ok(!strstr(text, "rpcc"), "nothing of the module's has leaked");
}

int main(void)
{
	int seconds = setting("RPCCANCEL_SOAK_SECONDS", 10);
	int threads = setting("RPCCANCEL_SOAK_THREADS", 200);
	struct sample before = { 0 }, after;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getuid() || access(RC_DEVICE, F_OK))
		tap_skip_all("needs root and " RC_DEVICE);
	if (threads < PER_PROCESS || threads > MAX_THREADS)
		die("RPCCANCEL_SOAK_THREADS is out of range");
	seed = setting("RPCCANCEL_SEED", getpid()) | 1;
	printf("# %d threads for %d s, seed %u\n", threads, seconds, seed);
	prepare(threads - threads % PER_PROCESS);
	start_all();
	run(seconds, &before, &after);
	end_all();
	print_sample("after a quarter", &before);
	print_sample("at the end", &after);
	check_samples(&before, &after);
	check_sums();
	check_kernel();
	return tap_end();
}

// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Protocol sequences: names, addresses, endpoints and sockets, on this machine.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rpcasync.h>
#include <rpccancel.h>

#include "../transport/protseq.h"
#include "tap.h"

static char dir[64];

static const struct rpcc_protseq *find(const char *name)
{
	const struct rpcc_protseq *protseq;
	RPC_STATUS status;

	protseq = rpcc_protseq_find(name, &status);
	if (!protseq)
		abort();
	return protseq;
}

static void refused(const char *name, RPC_STATUS want)
{
	RPC_STATUS status = RPC_S_OK;

	ok(!rpcc_protseq_find(name, &status) && status == want,
	   "no protocol sequence: %s", name ? name : "NULL");
}

static void names(void)
{
	static const struct {
		const char *name;
		enum rpcc_protocol protocol;
		uint32_t number, call_flags;
		unsigned int max_frag;
		bool local;
	} want[] = {
		{ "ncacn_ip_tcp", RPCC_CN, RPC_PROTSEQ_TCP, 0, 5840, false },
		{ "ncadg_ip_udp", RPCC_DG, RPC_PROTSEQ_UDP, 0, 1464, false },
		{ "ncacn_np", RPCC_CN, RPC_PROTSEQ_NMP, RPCCANCEL_SLOT_FINITE,
		  4280, true },
		{ "ncalrpc", RPCC_CN, RPC_PROTSEQ_LRPC,
		  RPCCANCEL_SLOT_NO_CANCEL, 5840, true },
	};
	const struct rpcc_protseq *p;
	size_t i;

	for (i = 0; i < sizeof(want) / sizeof(*want); i++) {
		p = find(want[i].name);
		ok(!strcmp(p->name, want[i].name) &&
			   p->protocol == want[i].protocol &&
			   p->number == want[i].number &&
			   p->call_flags == want[i].call_flags &&
			   p->max_frag == want[i].max_frag &&
			   p->local == want[i].local,
		   "%s is as it should be", want[i].name);
	}
	refused("ncacn_http", RPC_S_PROTSEQ_NOT_SUPPORTED);
	refused("ncadg_mq", RPC_S_PROTSEQ_NOT_SUPPORTED);
	refused("ncacn_spx", RPC_S_PROTSEQ_NOT_SUPPORTED);
	refused("ncacn_nb_tcp", RPC_S_PROTSEQ_NOT_SUPPORTED);
	refused("NCACN_IP_TCP", RPC_S_INVALID_RPC_PROTSEQ);
	refused("ncacn_ip_tcp ", RPC_S_INVALID_RPC_PROTSEQ);
	refused("ncacn", RPC_S_INVALID_RPC_PROTSEQ);
	refused("", RPC_S_INVALID_RPC_PROTSEQ);
	refused(NULL, RPC_S_INVALID_RPC_PROTSEQ);
}

/* For a line of TAP. */
static const char *shown(const char *text, char buffer[64])
{
	size_t i;

	if (!text)
		return "NULL";
	snprintf(buffer, 64, "%s", text);
	for (i = 0; buffer[i]; i++)
		if (buffer[i] < ' ' || buffer[i] > '~')
			buffer[i] = '?';
	return buffer;
}

static void check(const char *name, const char *address, const char *endpoint,
		  RPC_STATUS want)
{
	RPC_STATUS got = find(name)->check(address, endpoint);
	char a[64], e[64];

	if (!ok(got == want, "%s:%s[%s] is %s", name, shown(address, a),
		shown(endpoint, e), want ? "refused" : "taken"))
		printf("# got %ld, expected %ld\n", (long)got, (long)want);
}

static void ip_texts(const char *name)
{
	char longest[300];

	check(name, NULL, NULL, RPC_S_OK);
	check(name, "", "", RPC_S_OK);
	check(name, "127.0.0.1", "135", RPC_S_OK);
	check(name, "::1", "65535", RPC_S_OK);
	check(name, "fe80::1%eth0", "1", RPC_S_OK);
	check(name, "server.example.com", NULL, RPC_S_OK);
	check(name, "a b", NULL, RPC_S_INVALID_NET_ADDR);
	check(name, "\\\\host", NULL, RPC_S_INVALID_NET_ADDR);
	check(name, "host", "0", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "65536", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "-1", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "+1", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", " 1", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "1 ", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "0x50", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "http", RPC_S_INVALID_ENDPOINT_FORMAT);
	check(name, "host", "99999999999999999999",
	      RPC_S_INVALID_ENDPOINT_FORMAT);
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	check(name, longest, NULL, RPC_S_INVALID_NET_ADDR);
	longest[255] = '\0';
	check(name, longest, NULL, RPC_S_OK);
}

static void local_texts(void)
{
	char name[120];

	check("ncalrpc", NULL, NULL, RPC_S_OK);
	check("ncalrpc", "", "a", RPC_S_OK);
	check("ncalrpc", "", "My.Server_1-x", RPC_S_OK);
	check("ncalrpc", "", ".", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", "..", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", ".lock", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", "a/b", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", "a b", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", "a\n", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "", "\xc3\xa4", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncalrpc", "a/b", "a", RPC_S_INVALID_NET_ADDR);
	memset(name, 'a', sizeof(name));
	name[53] = '\0';
	check("ncalrpc", "", name, RPC_S_INVALID_ENDPOINT_FORMAT);
	name[52] = '\0';
	check("ncalrpc", "", name, RPC_S_OK);

	check("ncacn_np", NULL, NULL, RPC_S_OK);
	check("ncacn_np", "\\\\host", "\\pipe\\a", RPC_S_OK);
	check("ncacn_np", "host", "\\PIPE\\a", RPC_S_OK);
	check("ncacn_np", "", "\\pipe\\a\\b/c \xff", RPC_S_OK);
	check("ncacn_np", "", "\\pipe\\", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncacn_np", "", "\\pipe", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncacn_np", "", "pipe\\a", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncacn_np", "", "a", RPC_S_INVALID_ENDPOINT_FORMAT);
	check("ncacn_np", "\\\\a\\b", "\\pipe\\a", RPC_S_INVALID_NET_ADDR);
	memcpy(name, "\\pipe\\", 6);
	memset(name + 6, 'a', sizeof(name) - 6);
	name[108] = '\0';
	check("ncacn_np", "", name, RPC_S_INVALID_ENDPOINT_FORMAT);
	name[107] = '\0';
	check("ncacn_np", "", name, RPC_S_OK);
}

static struct rpcc_address list[RPCC_MAX_ADDRESSES];
static size_t count;

static RPC_STATUS resolve(const char *name, const char *address,
			  const char *endpoint)
{
	count = 77;
	return find(name)->resolve(address, endpoint, list, &count);
}

static bool is_ip(const struct rpcc_address *address, const char *text,
		  int port)
{
	char got[64];

	rpcc_address_text(address, got, sizeof(got));
	return !strcmp(got, text) && ntohs(address->ip4.sin_port) == port;
}

static void resolves_ip(void)
{
	char text[4];
	struct rpcc_address scoped;

	is(resolve("ncacn_ip_tcp", "127.0.0.1", "135"), RPC_S_OK,
	   "a numeric address");
	ok(count == 1 && is_ip(&list[0], "127.0.0.1", 135), "is itself");
	is(resolve("ncadg_ip_udp", "::1", "65535"), RPC_S_OK, "and of IPv6");
	ok(count == 1 && is_ip(&list[0], "::1", 65535), "too");
	is(resolve("ncacn_ip_tcp", "", "1"), RPC_S_OK, "no address");
	ok(count == 2 && is_ip(&list[0], "127.0.0.1", 1) &&
		   is_ip(&list[1], "::1", 1),
	   "is this machine");
	is(resolve("ncacn_ip_tcp", NULL, "1"), RPC_S_OK, "NULL as well");
	is(resolve("ncacn_ip_tcp", "localhost", "7"), RPC_S_OK, "a name");
	ok(count >= 1 && ntohs(list[0].ip4.sin_port) == 7, "is looked up");
	is(resolve("ncacn_ip_tcp", "no-such-host.invalid", "1"),
	   RPC_S_SERVER_UNAVAILABLE, "one that does not exist");
	is(count, 0, "has no addresses");
	is(resolve("ncacn_ip_tcp", "127.0.0.1", ""),
	   RPC_S_INVALID_ENDPOINT_FORMAT, "no endpoint");
	is(resolve("ncacn_ip_tcp", "127.0.0.1", NULL),
	   RPC_S_INVALID_ENDPOINT_FORMAT, "nor NULL");
	is(resolve("ncacn_ip_tcp", "a b", "1"), RPC_S_INVALID_NET_ADDR,
	   "no address at all");

	is(resolve("ncacn_ip_tcp", "127.0.0.1", "135"), RPC_S_OK, "again");
	rpcc_address_text(&list[0], text, sizeof(text));
	is(text[0], 0, "a text that does not fit is empty");
	memset(&scoped, 0, sizeof(scoped));
	scoped.len = sizeof(scoped.local);
	scoped.local.sun_family = AF_UNIX;
	memset(text, 'x', sizeof(text));
	rpcc_address_text(&scoped, text, sizeof(text));
	is(text[0], 0, "as is that of a Unix socket");
}

static void resolves_local(void)
{
	char own[256] = "", unc[300], path[200];

	gethostname(own, sizeof(own) - 1);
	snprintf(unc, sizeof(unc), "\\\\%s", own);
	is(resolve("ncacn_np", "", "\\pipe\\A\\b c"), RPC_S_OK, "a pipe");
	snprintf(path, sizeof(path), "%s/np/a%%5cb%%20c", dir);
	ok(count == 1 && !strcmp(list[0].local.sun_path, path), "is a file: %s",
	   list[0].local.sun_path + strlen(dir));
	is(resolve("ncacn_np", "", "\\PIPE\\.."), RPC_S_OK, "dots");
	ok(count && !strcmp(list[0].local.sun_path + strlen(dir), "/np/%2e."),
	   "do not lead elsewhere");
	is(resolve("ncacn_np", ".", "\\pipe\\a"), RPC_S_OK, "of this machine");
	is(resolve("ncacn_np", "\\\\.", "\\pipe\\a"), RPC_S_OK, "by \\\\.");
	is(resolve("ncacn_np", own, "\\pipe\\a"), RPC_S_OK, "by its name");
	is(resolve("ncacn_np", unc, "\\pipe\\a"), RPC_S_OK, "and \\\\name");
	is(resolve("ncacn_np", "\\\\elsewhere.invalid", "\\pipe\\a"),
	   RPC_S_SERVER_UNAVAILABLE, "no other is reached");
	is(resolve("ncalrpc", "", "Name"), RPC_S_OK, "a local endpoint");
	snprintf(path, sizeof(path), "%s/ncalrpc/Name", dir);
	ok(count == 1 && !strcmp(list[0].local.sun_path, path), "is a file");
	is(resolve("ncalrpc", "elsewhere.invalid", "Name"),
	   RPC_S_SERVER_UNAVAILABLE, "never on another machine");
	is(resolve("ncalrpc", "", "a/b"), RPC_S_INVALID_ENDPOINT_FORMAT,
	   "a bad one");
	is(resolve("ncalrpc", "", ""), RPC_S_INVALID_ENDPOINT_FORMAT, "none");
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	getsockopt(fd, level, name, &value, &len);
	return value;
}

/* Connects to each address of @l, and is accepted. */
static void reaches(const struct rpcc_listener *l, const char *address)
{
	const struct rpcc_protseq *p = l->protseq;
	RPC_STATUS status = p->resolve(address, l->endpoint, list, &count);
	int fd, peer = -1, good = -1;
	unsigned int i;

	if (!ok(status == RPC_S_OK && count == 1, "%s: %s[%s]", p->name,
		address, l->endpoint))
		return;
	fd = p->open(&list[0]);
	ok(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC &&
		   !(fcntl(fd, F_GETFL) & O_NONBLOCK),
	   "a blocking, close-on-exec socket");
	good = connect(fd, &list[0].any, list[0].len);
	ok(!good, "is connected");
	for (i = 0; !good && i < l->fd_count && peer < 0; i++)
		peer = accept4(l->fd[i], NULL, NULL,
			       SOCK_CLOEXEC | SOCK_NONBLOCK);
	ok(peer >= 0, "and accepted");
	if (!p->local)
		ok(option(fd, IPPROTO_TCP, TCP_NODELAY) &&
			   option(peer, IPPROTO_TCP, TCP_NODELAY),
		   "without delay on both sides");
	is(rpcc_peer_pid(peer), p->local ? getpid() : 0, "the peer's process");
	close(peer);
	close(fd);
}

static void nonblocking(struct rpcc_listener *l)
{
	unsigned int i;

	for (i = 0; i < l->fd_count; i++) {
		ok(!(fcntl(l->fd[i], F_GETFL) & O_NONBLOCK) &&
			   fcntl(l->fd[i], F_GETFD) & FD_CLOEXEC,
		   "a listener is blocking and close-on-exec");
		fcntl(l->fd[i], F_SETFL, O_NONBLOCK);
	}
}

static void listens_ip(const char *name)
{
	const struct rpcc_protseq *p = find(name);
	struct rpcc_listener a, b;
	unsigned int i, same = 0;

	is(p->listen(NULL, 5, &a), RPC_S_OK, name);
	ok(a.fd_count >= 1 && strtol(a.endpoint, NULL, 10) > 0, "any port: %s",
	   a.endpoint);
	for (i = 0; i < a.fd_count; i++) {
		struct rpcc_address own = { .len = sizeof(own.ip6) };

		getsockname(a.fd[i], &own.any, &own.len);
		same += ntohs(own.ip4.sin_port) == strtol(a.endpoint, NULL, 10);
	}
	is(same, a.fd_count, "the same for all families");
	is(p->listen(a.endpoint, 5, &b), RPC_S_DUPLICATE_ENDPOINT,
	   "one port, one server");
	is(b.fd_count, 0, "a failure leaves no sockets");
	nonblocking(&a);
	if (p->protocol == RPCC_CN) {
		reaches(&a, "127.0.0.1");
		if (a.fd_count == 2)
			reaches(&a, "::1");
	}
	strcpy(b.endpoint, a.endpoint);
	rpcc_listener_close(&a);
	is(a.fd_count, 0, "closed");
	is(p->listen(b.endpoint, 5, &a), RPC_S_OK, "the port is free again");
	ok(!strcmp(a.endpoint, b.endpoint), "and is what was asked for");
	rpcc_listener_close(&a);
	is(p->listen("0", 5, &a), RPC_S_OK, "0 is any");
	rpcc_listener_close(&a);
	is(p->listen("x", 5, &a), RPC_S_INVALID_ENDPOINT_FORMAT, "x is none");
	rpcc_listener_close(&a);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode & 07777;
}

static void listens_local(const char *name, const char *endpoint,
			  const char *file)
{
	const struct rpcc_protseq *p = find(name);
	struct rpcc_listener a, b;
	char path[200], folder[200];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	strcpy(folder, path);
	*strrchr(folder, '/') = '\0';
	is(p->listen(endpoint, 5, &a), RPC_S_OK, name);
	ok(!strcmp(a.endpoint, endpoint), "has the name it asked for");
	is(mode_of(path), 0666, "everybody may connect");
	is(mode_of(folder), 0755, "but not take its place");
	is(p->listen(endpoint, 5, &b), RPC_S_DUPLICATE_ENDPOINT,
	   "as long as it lives");
	nonblocking(&a);
	close(accept(a.fd[0], NULL, NULL)); /* the second server's look */
	reaches(&a, "");
	rpcc_listener_close(&b);
	ok(mode_of(path), "the second server's end is nothing to the first");

	unlink(path);
	is(p->listen(endpoint, 5, &b), RPC_S_OK, "or its socket is there");
	rpcc_listener_close(&a);
	ok(mode_of(path), "what is not ours is not removed");

	close(b.fd[--b.fd_count]);
	ok(mode_of(path), "a killed server leaves its socket");
	is(p->listen(endpoint, 5, &b), RPC_S_OK, "the next one replaces it");
	rpcc_listener_close(&b);
	ok(!mode_of(path), "what is ours is");
	rpcc_listener_close(&b);

	is(p->listen(NULL, 5, &a), RPC_S_OK, "any name");
	is(p->listen("", 5, &b), RPC_S_OK, "and another");
	ok(strcmp(a.endpoint, b.endpoint), "%s is not %s", a.endpoint,
	   b.endpoint);
	is(p->check(NULL, a.endpoint), RPC_S_OK, "as clients name it");
	nonblocking(&a);
	reaches(&a, "");
	rpcc_listener_close(&a);
	rpcc_listener_close(&b);
	is(p->listen("a/b", 5, &a), RPC_S_INVALID_ENDPOINT_FORMAT, "a bad one");
	rpcc_listener_close(&a);
}

static void occupied_by_file(void)
{
	struct rpcc_listener a;
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/ncalrpc/file", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	is(find("ncalrpc")->listen("file", 5, &a), RPC_S_CANT_CREATE_ENDPOINT,
	   "a file that is no socket");
	ok(mode_of(path), "stays where it is");
	rpcc_listener_close(&a);
	close(fd);
	unlink(path);
}

static void no_folder(void)
{
	char missing[200], longest[200];
	struct rpcc_listener a;

	snprintf(missing, sizeof(missing), "%s/not/there", dir);
	setenv("RPCCANCEL_DIR", missing, 1);
	is(find("ncalrpc")->listen("a", 5, &a), RPC_S_CANT_CREATE_ENDPOINT,
	   "only our own folders are made");
	rpcc_listener_close(&a);
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("RPCCANCEL_DIR", longest, 1);
	is(find("ncalrpc")->listen("a", 5, &a), RPC_S_CANT_CREATE_ENDPOINT,
	   "a path that is too long");
	rpcc_listener_close(&a);
	is(resolve("ncalrpc", "", "a"), RPC_S_SERVER_UNAVAILABLE,
	   "is nobody's");
	setenv("RPCCANCEL_DIR", dir, 1);
}

static bool can_listen(void)
{
	struct rpcc_listener a;
	RPC_STATUS status = find("ncalrpc")->listen("a", 5, &a);

	rpcc_listener_close(&a);
	return status == RPC_S_OK;
}

/* In a folder of which we make nothing but what is ours. */
static void folders_of_others(void)
{
	char own[100], inner[120], link_to[100], lock[128];
	mode_t mask = umask(077);

	snprintf(own, sizeof(own), "%s/own", dir);
	snprintf(link_to, sizeof(link_to), "%s/link", dir);
	snprintf(inner, sizeof(inner), "%s/ncalrpc", own);
	setenv("RPCCANCEL_DIR", own, 1);
	ok(can_listen(), "folders are made");
	umask(mask);
	ok(mode_of(own) == 0755 && mode_of(inner) == 0755,
	   "for all, whatever the umask is");
	chmod(inner, 0777);
	ok(!can_listen(), "none is used that others may write to");
	chmod(inner, 01777);
	ok(can_listen(), "unless what we put there stays ours");
	chmod(inner, 0755);
	chmod(own, 0775);
	ok(!can_listen(), "nor one that lies in such a one");
	chmod(own, 0755);
	if (symlink(own, link_to))
		abort();
	setenv("RPCCANCEL_DIR", link_to, 1);
	ok(can_listen(), "our own link to a folder is as good");
	if (geteuid()) {
		ok(true, "# SKIP needs root");
	} else {
		ok(!lchown(link_to, 65534, 65534) && !can_listen(),
		   "not somebody else's");
		setenv("RPCCANCEL_DIR", own, 1);
		snprintf(lock, sizeof(lock), "%s/.lock", inner);
		ok(!chown(lock, 65534, 65534) && !can_listen(),
		   "nor is somebody else's lock waited for");
		unlink(lock);
		ok(can_listen(), "without it there is one of ours");
		ok(!chown(inner, 65534, 65534) && !can_listen(),
		   "nor somebody else's folder");
	}
	setenv("RPCCANCEL_DIR", dir, 1);
}

static void child_exits(void)
{
	const struct rpcc_protseq *p = find("ncalrpc");
	struct rpcc_listener a;
	int status = -1;
	pid_t pid;

	is(p->listen("parent", 5, &a), RPC_S_OK, "a server that forks");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		exit(0);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "has a child that exits");
	nonblocking(&a);
	reaches(&a, "");
	rpcc_listener_close(&a);
}

/* As somebody who is not root, by default. */
static void places_of_users(void)
{
	int status = -1;
	pid_t pid;

	if (geteuid()) {
		ok(true, "# SKIP needs root");
		return;
	}
	fflush(stdout);
	pid = fork();
	if (!pid) {
		unsetenv("RPCCANCEL_DIR");
		setenv("XDG_RUNTIME_DIR", "/x", 1);
		if (resolve("ncalrpc", "", "a") || count != 1 ||
		    strcmp(list[0].local.sun_path, "/run/rpccancel/ncalrpc/a"))
			_exit(1);
		if (setresuid(65534, 65534, 65534))
			_exit(2);
		if (resolve("ncalrpc", "", "a") || count != 2 ||
		    strcmp(list[0].local.sun_path, "/x/rpccancel/ncalrpc/a") ||
		    strcmp(list[1].local.sun_path, "/run/rpccancel/ncalrpc/a"))
			_exit(3);
		setenv("XDG_RUNTIME_DIR", "x", 1);
		if (resolve("ncalrpc", "", "a") || count != 1 ||
		    strcmp(list[0].local.sun_path, "/run/rpccancel/ncalrpc/a"))
			_exit(4);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a user's own servers come before the system's");
}

/*
 * The socket of a server that has ended, but is held open by somebody else: here
 * a forked child, elsewhere the kernel, until it has taken down a ring.
 */
static void socket_outlives_server(void)
{
	struct rpcc_listener l;
	int hold[2], status = 1;
	pid_t pid;
	char c;

	if (pipe(hold))
		exit(1);
	pid = fork();
	if (!pid) {
		status = find("ncalrpc")->listen("outlived", 5, &l);
		if (!fork()) {
			close(hold[1]);
			(void)!read(hold[0], &c, 1);
		}
		_exit(status);
	}
	close(hold[0]);
	waitpid(pid, &status, 0);
	is(status, 0, "a server that ends, and whose socket does not");
	is(find("ncalrpc")->listen("outlived", 5, &l), RPC_S_OK,
	   "makes room for another one");
	rpcc_listener_close(&l);
	close(hold[1]);
}

/*
 * Servers that all find the same stale socket: one wins, each time.
 */
#define RIVALS 8

static pthread_barrier_t barrier;

static void *rival(void *arg)
{
	struct rpcc_listener *l = arg;

	pthread_barrier_wait(&barrier);
	find("ncalrpc")->listen("contested", 5, l);
	return NULL;
}

static void make_stale(void)
{
	struct rpcc_listener l;

	find("ncalrpc")->listen("contested", 5, &l);
	close(l.fd[--l.fd_count]);
}

static void contest(void)
{
	struct rpcc_listener listeners[RIVALS];
	pthread_t threads[RIVALS];
	int round, i, winners, bad = 0;

	pthread_barrier_init(&barrier, NULL, RIVALS);
	for (round = 0; round < 100; round++) {
		make_stale();
		for (i = 0; i < RIVALS; i++)
			pthread_create(&threads[i], NULL, rival, &listeners[i]);
		for (i = 0, winners = 0; i < RIVALS; i++) {
			pthread_join(threads[i], NULL);
			winners += listeners[i].fd_count;
		}
		bad += winners != 1;
		for (i = 0; i < RIVALS; i++)
			rpcc_listener_close(&listeners[i]);
	}
	pthread_barrier_destroy(&barrier);
	is(bad, 0, "of many servers one gets the name");
}

static void others(void)
{
	int fds[2];

	is(rpcc_peer_pid(-1), 0, "nobody's process");
	if (pipe(fds))
		abort();
	is(rpcc_peer_pid(fds[0]), 0, "nor that of a pipe");
	close(fds[0]);
	close(fds[1]);
}

static void remove_all(void)
{
	char path[200];

	snprintf(path, sizeof(path), "rm -rf %s", dir);
	if (system(path))
		printf("# could not remove %s\n", dir);
}

int main(void)
{
	strcpy(dir, "/tmp/protseq_test.XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	setenv("RPCCANCEL_DIR", dir, 1);
	names();
	ip_texts("ncacn_ip_tcp");
	ip_texts("ncadg_ip_udp");
	local_texts();
	resolves_ip();
	resolves_local();
	listens_ip("ncacn_ip_tcp");
	listens_ip("ncadg_ip_udp");
	listens_local("ncalrpc", "Name", "ncalrpc/Name");
	listens_local("ncacn_np", "\\pipe\\a\\b", "np/a%5cb");
	occupied_by_file();
	no_folder();
	folders_of_others();
	child_exits();
	places_of_users();
	socket_outlives_server();
	contest();
	others();
	remove_all();
	return tap_end();
}

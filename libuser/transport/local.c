// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * ncalrpc and ncacn_np: Unix stream sockets with names in the file system.
 *
 *	ncalrpc		NAME		DIR/ncalrpc/NAME
 *	ncacn_np	\pipe\NAME	DIR/np/NAME
 *
 * DIR is $RPCCANCEL_DIR; without it, /run/rpccancel for root, and for others
 * $XDG_RUNTIME_DIR/rpccancel if there is such a folder. A client that is not
 * root looks there first, and then in /run/rpccancel for the system's servers.
 * Programs with more rights than their callers do not listen to the environment.
 *
 * Names for ncalrpc have 1 to 52 characters out of A-Z a-z 0-9 . _ - and do not
 * begin with a dot. Names of pipes may have any, and do not tell capitals from
 * small letters, as on Windows: they are written in small letters, with %XX for
 * every byte that is not among the above.
 *
 * Everybody may connect, as on Windows, where an endpoint without a security
 * descriptor of its own lets everybody in: who may call what is decided by
 * interfaces, for which there are security callbacks, and the kernel vouches for
 * the peer's identity (SO_PEERCRED). What must be protected is who may pose as
 * a server, so the folders, when we make them, can be written to by their owner
 * only; those that are there are not used if they are somebody else's, or if
 * others may remove what we put there; and those in $XDG_RUNTIME_DIR cannot be
 * reached by others at all.
 *
 * A server that ends leaves its sockets' files behind, however it ends: a process
 * cannot tell at its exit whether a forked child still listens. The next one finds
 * out that nobody listens, and replaces it. The folder's lock is held during
 * both, and while a server removes its own file, so that of two servers only one
 * gets the name, and no server removes another's file.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "transport/transport.h"

#define SYSTEM_DIR    "/run/rpccancel"
#define LRPC_MAX_NAME 52 /* as on Windows */
#define PIPE	      "\\pipe\\"
#define PIPE_LENGTH   (sizeof(PIPE) - 1)
#define MAX_NAME      (3 * RPCC_MAX_ENDPOINT)
#define MAX_HOST      255

struct local_kind {
	const struct rpcc_protseq *protseq;
	const char *folder;
	const char *any; /* the beginning of names that are made up */
	/* The file's name; false if @endpoint is none. */
	bool (*encode)(const char *endpoint, char name[MAX_NAME]);
};

/* In the C locale, whatever the application's is. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static char to_small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool lrpc_encode(const char *endpoint, char name[MAX_NAME])
{
	size_t i, length = strlen(endpoint);

	if (!length || length > LRPC_MAX_NAME || endpoint[0] == '.')
		return false;
	for (i = 0; i < length; i++)
		if (!is_plain(endpoint[i]))
			return false;
	memcpy(name, endpoint, length + 1);
	return true;
}

static bool np_encode(const char *endpoint, char name[MAX_NAME])
{
	const char *c = endpoint + PIPE_LENGTH;

	if (strncasecmp(endpoint, PIPE, PIPE_LENGTH) || !*c ||
	    strlen(endpoint) >= RPCC_MAX_ENDPOINT)
		return false;
	for (; *c; c++) {
		if (is_plain(*c) && (*c != '.' || c > endpoint + PIPE_LENGTH))
			*name++ = to_small(*c);
		else
			name += sprintf(name, "%%%02x", (unsigned char)*c);
	}
	*name = '\0';
	return true;
}

static const struct local_kind np_kind = {
	.protseq = &rpcc_np,
	.folder = "np",
	.any = PIPE,
	.encode = np_encode,
};

static const struct local_kind lrpc_kind = {
	.protseq = &rpcc_lrpc,
	.folder = "ncalrpc",
	.any = "LRPC-",
	.encode = lrpc_encode,
};

/*
 * The folder that is ours to make endpoints in; @tail follows its name in the
 * environment's variable.
 */
static const char *own_dir(const char **tail)
{
	const char *dir = secure_getenv("RPCCANCEL_DIR");

	*tail = "";
	if (dir && dir[0])
		return dir;
	dir = geteuid() ? secure_getenv("XDG_RUNTIME_DIR") : NULL;
	if (!dir || dir[0] != '/')
		return SYSTEM_DIR;
	*tail = "/rpccancel";
	return dir;
}

static bool make_path(char *path, size_t size, const char *dir,
		      const char *tail, const char *folder, const char *name)
{
	int length =
		snprintf(path, size, "%s%s/%s/%s", dir, tail, folder, name);

	return length > 0 && (size_t)length < size;
}

static bool make_address(struct rpcc_address *address, const char *dir,
			 const char *tail, const struct local_kind *kind,
			 const char *name)
{
	memset(address, 0, sizeof(*address));
	address->len = sizeof(address->local);
	address->local.sun_family = AF_UNIX;
	return make_path(address->local.sun_path,
			 sizeof(address->local.sun_path), dir, tail,
			 kind->folder, name);
}

static bool same_name(const char *a, const char *b, size_t length)
{
	return strlen(b) == length && !strncasecmp(a, b, length);
}

/* "host" and "\\host": nothing, a dot, "localhost", or this machine's name. */
static bool is_this_host(const char *address)
{
	char own[MAX_HOST + 1] = "";

	if (!address)
		return true;
	if (!strncmp(address, "\\\\", 2))
		address += 2;
	if (!address[0] || !strcmp(address, ".") ||
	    !strcasecmp(address, "localhost"))
		return true;
	gethostname(own, sizeof(own) - 1);
	return same_name(own, address, strlen(own)) ||
	       same_name(own, address, strcspn(own, "."));
}

static bool is_host(const char *address)
{
	if (!strncmp(address, "\\\\", 2))
		address += 2;
	return strlen(address) <= MAX_HOST && !strpbrk(address, "\\/[],@ ");
}

static RPC_STATUS local_check(const struct local_kind *kind,
			      const char *address, const char *endpoint)
{
	char name[MAX_NAME];

	if (address && !is_host(address))
		return RPC_S_INVALID_NET_ADDR;
	if (endpoint && endpoint[0] && !kind->encode(endpoint, name))
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	return RPC_S_OK;
}

static RPC_STATUS local_resolve(const struct local_kind *kind,
				const char *address, const char *endpoint,
				struct rpcc_address *list, size_t *count)
{
	const char *dir, *tail;
	char name[MAX_NAME];

	*count = 0;
	if (address && !is_host(address))
		return RPC_S_INVALID_NET_ADDR;
	if (!endpoint || !kind->encode(endpoint, name))
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	if (!is_this_host(address))
		return RPC_S_SERVER_UNAVAILABLE;
	dir = own_dir(&tail);
	*count += make_address(&list[*count], dir, tail, kind, name);
	if (tail[0])
		*count +=
			make_address(&list[*count], SYSTEM_DIR, "", kind, name);
	return *count ? RPC_S_OK : RPC_S_SERVER_UNAVAILABLE;
}

static int local_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int local_open(const struct rpcc_address *to)
{
	(void)to;
	return local_socket();
}

/*
 * Listening.
 */

/* The folder of @path, which is absolute or relative but has a slash. */
static void cut_name(char *path)
{
	*strrchr(path, '/') = '\0';
}

static bool is_trusted(const struct stat *st)
{
	return !st->st_uid || st->st_uid == geteuid();
}

/*
 * Whether nobody but us and root can put something into the folder in place of
 * what we have there: others could pose as the server, or have us change the
 * mode of a file of their choice.
 */
static bool is_safe(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !is_trusted(&st))
		return false;
	/* Others cannot change the link; nor must they what it leads to. */
	if (S_ISLNK(st.st_mode) && (stat(path, &st) < 0 || !is_trusted(&st)))
		return false;
	return S_ISDIR(st.st_mode) &&
	       (!(st.st_mode & (S_IWGRP | S_IWOTH)) || st.st_mode & S_ISVTX);
}

/* The umask is the application's, and may be changed by another thread. */
static void let_others_in(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	fchmod(fd, 0755);
	close(fd);
}

static bool make_one(const char *path)
{
	if (!mkdir(path, 0755))
		let_others_in(path);
	else if (errno != EEXIST)
		return false;
	return is_safe(path);
}

/* The two folders that are ours; what they lie in is not for us to make. */
static bool make_folder(const char *socket_path)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char outer[sizeof(path)];

	strcpy(path, socket_path);
	cut_name(path);
	strcpy(outer, path);
	cut_name(outer);
	return make_one(outer) && make_one(path);
}

/* In a folder that others may write to, one of theirs might never be free. */
static int open_lock(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && is_trusted(&st))
		return fd;
	close(fd);
	return -EACCES;
}

/* Returns the lock, a descriptor to be closed; or a negative errno. */
static int lock_folder(const char *socket_path)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];
	int fd, ret;

	strcpy(path, socket_path);
	strcpy(strrchr(path, '/'), "/.lock"); /* no endpoint is called that */
	fd = open_lock(path);
	if (fd < 0)
		return fd;
	do {
		ret = flock(fd, LOCK_EX);
	} while (ret < 0 && errno == EINTR);
	if (!ret)
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

static bool has_died(pid_t pid)
{
	return pid && kill(pid, 0) < 0 && errno == ESRCH;
}

/*
 * Whether a server is there: 0 or a negative errno. The socket that one listened
 * at may outlive it for a moment, since the kernel takes its rings down later
 * than its process.
 */
static int try_connect(const struct rpcc_address *address)
{
	int ret, fd = socket(AF_UNIX,
			     SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	ret = connect(fd, &address->any, address->len) ? -errno : 0;
	if (!ret && has_died(rpcc_peer_pid(fd)))
		ret = -ECONNREFUSED;
	close(fd);
	return ret;
}

/* With the lock. Leaves nothing at the path, or says why there is something. */
static int remove_stale(const struct rpcc_address *address)
{
	const char *path = address->local.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (try_connect(address) != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 0;
}

/* The file's mode does not depend on the umask either. */
static int bind_here(int fd, const struct rpcc_address *address, int backlog,
		     struct stat *st)
{
	const char *path = address->local.sun_path;

	if (bind(fd, &address->any, address->len) < 0)
		return -errno;
	if (!chmod(path, 0666) && !listen(fd, backlog) && !lstat(path, st))
		return 0;
	unlink(path);
	return -EIO;
}

static int bind_socket(const struct rpcc_address *address, int backlog,
		       struct stat *st)
{
	int ret, lock, fd = local_socket();

	if (fd < 0)
		return fd;
	lock = lock_folder(address->local.sun_path);
	ret = lock < 0 ? lock : remove_stale(address);
	if (!ret)
		ret = bind_here(fd, address, backlog, st);
	if (lock >= 0)
		close(lock);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static bool make_up(const struct local_kind *kind, char *endpoint, size_t size)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return false;
	snprintf(endpoint, size, "%s%016llx", kind->any,
		 (unsigned long long)number);
	return true;
}

static RPC_STATUS listen_at(const struct local_kind *kind, int backlog,
			    struct rpcc_listener *listener)
{
	struct rpcc_address address;
	const char *dir, *tail;
	char name[MAX_NAME];
	struct stat st;
	int fd;

	if (!kind->encode(listener->endpoint, name))
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	dir = own_dir(&tail);
	if (!make_address(&address, dir, tail, kind, name) ||
	    !make_folder(address.local.sun_path))
		return RPC_S_CANT_CREATE_ENDPOINT;
	fd = bind_socket(&address, backlog, &st);
	if (fd < 0)
		return rpcc_listen_status(-fd);
	listener->fd[listener->fd_count++] = fd;
	listener->local = address.local;
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	return RPC_S_OK;
}

static RPC_STATUS local_listen(const struct local_kind *kind,
			       const char *endpoint, unsigned int backlog,
			       struct rpcc_listener *listener)
{
	KEEP_ERRNO();
	int length = backlog && backlog < INT32_MAX ? (int)backlog : SOMAXCONN;
	size_t size = sizeof(listener->endpoint);

	memset(listener, 0, sizeof(*listener));
	listener->protseq = kind->protseq;
	if (endpoint && strlen(endpoint) >= size)
		return RPC_S_INVALID_ENDPOINT_FORMAT;
	if (endpoint && endpoint[0])
		strcpy(listener->endpoint, endpoint);
	else if (!make_up(kind, listener->endpoint, size))
		return RPC_S_CANT_CREATE_ENDPOINT;
	return listen_at(kind, length, listener);
}

/*
 * The inode of a bound socket exists until the socket is closed, even if its
 * name does not, so its number cannot be that of another's yet.
 */
void rpcc_local_unlink(const struct rpcc_listener *listener)
{
	const char *path = listener->local.sun_path;
	int lock = lock_folder(path);
	struct stat st;

	if (lock < 0)
		return;
	if (!lstat(path, &st) && st.st_dev == listener->device &&
	    st.st_ino == listener->inode)
		unlink(path);
	close(lock);
}

/*
 * The table's functions.
 */

static RPC_STATUS np_check(const char *address, const char *endpoint)
{
	return local_check(&np_kind, address, endpoint);
}

static RPC_STATUS np_resolve(const char *address, const char *endpoint,
			     struct rpcc_address *list, size_t *count)
{
	return local_resolve(&np_kind, address, endpoint, list, count);
}

static RPC_STATUS np_listen(const char *endpoint, unsigned int backlog,
			    struct rpcc_listener *listener)
{
	return local_listen(&np_kind, endpoint, backlog, listener);
}

static RPC_STATUS lrpc_check(const char *address, const char *endpoint)
{
	return local_check(&lrpc_kind, address, endpoint);
}

static RPC_STATUS lrpc_resolve(const char *address, const char *endpoint,
			       struct rpcc_address *list, size_t *count)
{
	return local_resolve(&lrpc_kind, address, endpoint, list, count);
}

static RPC_STATUS lrpc_listen(const char *endpoint, unsigned int backlog,
			      struct rpcc_listener *listener)
{
	return local_listen(&lrpc_kind, endpoint, backlog, listener);
}

/* Cancelled only with a finite grace; fragments as Windows offers them. */
const struct rpcc_protseq rpcc_np = {
	.name = "ncacn_np",
	.protocol = RPCC_CN,
	.number = RPC_PROTSEQ_NMP,
	.call_flags = RPCCANCEL_SLOT_FINITE,
	.max_frag = 4280,
	.local = true,
	.check = np_check,
	.resolve = np_resolve,
	.open = local_open,
	.listen = np_listen,
};

/* Never cancelled, as Microsoft documents it. */
const struct rpcc_protseq rpcc_lrpc = {
	.name = "ncalrpc",
	.protocol = RPCC_CN,
	.number = RPC_PROTSEQ_LRPC,
	.call_flags = RPCCANCEL_SLOT_NO_CANCEL,
	.max_frag = 5840,
	.local = true,
	.check = lrpc_check,
	.resolve = lrpc_resolve,
	.open = local_open,
	.listen = lrpc_listen,
};

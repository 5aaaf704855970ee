/* Counts the calls by which a process changes files, and kills the process before the n-th of them, or half way through.
   Loaded by LD_PRELOAD. steps_arm(n) begins to count; STEPS_DIE_AT in the environment arms a process from its start.
   Where it kills, it first adds "CALL FILE" to the file that STEPS_LOG names. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long count, last;
static atomic_int counting;

void steps_arm(long n) {
    count = 0;
    last = n;
    counting = 1;
}

long steps_disarm(void) {
    counting = 0;
    return count;
}

__attribute__((constructor)) static void start(void) {
    const char *at = getenv("STEPS_DIE_AT");
    if (at)
        steps_arm(atol(at));
}

static void name_of(int fd, char *name, size_t size) {
    char link[64], target[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : target);
}

static int is_file(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

static void die(const char *call, const char *name) {
    const char *log = getenv("STEPS_LOG");
    int fd = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (fd >= 0)
        dprintf(fd, "%s %.200s\n", call, name);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether this step is the last. */
static int is_last(void) { return counting && atomic_fetch_add(&count, 1) + 1 == last; }

static void step_fd(const char *call, int fd) {
    if (counting && is_file(fd) && is_last()) {
        char name[256];
        name_of(fd, name, sizeof name);
        die(call, name);
    }
}

static void step_path(const char *call, const char *path) {
    const char *slash = strrchr(path, '/');
    if (is_last())
        die(call, slash ? slash + 1 : path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A kill may come when some pages of a large write have reached the file and others have not. */
#define WRITE(name, offset_type)                                                                                       \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) {                                          \
        if (counting && is_file(fd) && is_last()) {                                                                    \
            char file[256];                                                                                            \
            name_of(fd, file, sizeof file);                                                                            \
            if (size > 4096 && REAL(name)(fd, data, size / 8192 * 4096, offset) >= 0)                                  \
                die("half of " #name, file);                                                                           \
            die(#name, file);                                                                                          \
        }                                                                                                              \
        return REAL(name)(fd, data, size, offset);                                                                     \
    }
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

#define WRITEV(name, offset_type)                                                                                      \
    ssize_t name(int fd, const struct iovec *parts, int n, offset_type offset) {                                       \
        if (counting && is_file(fd) && is_last()) {                                                                    \
            char file[256];                                                                                            \
            name_of(fd, file, sizeof file);                                                                            \
            if (n > 1 && REAL(name)(fd, parts, n / 2, offset) >= 0)                                                    \
                die("half of " #name, file);                                                                           \
            die(#name, file);                                                                                          \
        }                                                                                                              \
        return REAL(name)(fd, parts, n, offset);                                                                       \
    }
WRITEV(pwritev, off_t)
WRITEV(pwritev64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    step_fd("write", fd);
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int n) {
    step_fd("writev", fd);
    return REAL(writev)(fd, parts, n);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    step_fd("sendfile", out);
    return REAL(sendfile)(out, in, offset, size);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    step_fd("copy_file_range", out);
    return REAL(copy_file_range)(in, from, out, to, size, flags);
}

int fsync(int fd) {
    step_fd("fsync", fd);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    step_fd("fdatasync", fd);
    return REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t size) {
    step_fd("ftruncate", fd);
    return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    step_fd("ftruncate", fd);
    return REAL(ftruncate64)(fd, size);
}

int truncate(const char *path, off_t size) {
    step_path("truncate", path);
    return REAL(truncate)(path, size);
}

int truncate64(const char *path, off64_t size) {
    step_path("truncate", path);
    return REAL(truncate64)(path, size);
}

int rename(const char *from, const char *to) {
    step_path("rename to", to);
    return REAL(rename)(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    step_path("rename to", to);
    return REAL(renameat)(from_fd, from, to_fd, to);
}

int link(const char *from, const char *to) {
    step_path("link", to);
    return REAL(link)(from, to);
}

int unlink(const char *path) {
    step_path("unlink", path);
    return REAL(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags) {
    step_path("unlink", path);
    return REAL(unlinkat)(fd, path, flags);
}

int rmdir(const char *path) {
    step_path("rmdir", path);
    return REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode) {
    step_path("mkdir", path);
    return REAL(mkdir)(path, mode);
}

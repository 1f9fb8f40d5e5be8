/* Injects faults into the calls that change files (LD_PRELOAD).

   `arm` says which directory is watched. Every call that changes something below it is a point; points
   are numbered from 0. At one of them, or from it on, the fault happens. Calls of the C library to
   itself are not seen, so streams (FILE) are watched at fopen and fwrite. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, KILL, TORN, FULL, EIO_ONCE, EIO_ON, READ_ONLY, FORBIDDEN };
enum kind { DATA, GROWING_DATA, SYNC, CREATE, OPEN, NAMES };

static char watched[PATH_MAX];
static size_t watched_length;
static int fault, list_descriptor;
static long fault_point;
static atomic_long next_point;

void arm(const char *directory, int which, long point, int list_to) {
  snprintf(watched, sizeof watched, "%s/", directory);
  fault = which, fault_point = point, list_descriptor = list_to;
  atomic_store(&next_point, 0);
  watched_length = strlen(watched); /* last: from here on, calls are counted */
}

static void die(void) {
  kill(0, SIGKILL); /* the process group: this process and its children */
  for (;;) pause();
}

/* Return the error with which a call has to fail, 0 to let it happen, or -1 to tear a write. */
static int effect(enum kind kind, long point) {
  if (fault == NONE || point < fault_point) return 0;
  int is_first = point == fault_point, is_data = kind == DATA || kind == GROWING_DATA;
  switch (fault) {
    case KILL:
      if (is_first) die();
      return 0;
    case TORN:
      return is_first && is_data ? -1 : 0;
    case FULL:
      return kind == GROWING_DATA || kind == CREATE ? ENOSPC : 0;
    case EIO_ONCE:
      return is_first ? EIO : 0;
    case EIO_ON:
      return EIO;
    case READ_ONLY:
      return kind == SYNC ? 0 : EROFS;
    case FORBIDDEN:
      return is_data || kind == SYNC ? 0 : EACCES;
  }
  return 0;
}

/* Count a call if its path is watched; return its `effect`. Without a fault all points are listed,
   with one the calls that fail. */
static int check(const char *operation, enum kind kind, const char *path) {
  if (!watched_length || strncmp(path, watched, watched_length)) return 0;
  int error = effect(kind, atomic_fetch_add(&next_point, 1));
  if (fault == NONE || error > 0)
    dprintf(list_descriptor, "%s\t%d\t%s\n", operation, kind, path + watched_length);
  return error;
}

static const char *path_of(int descriptor, char *buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  if (descriptor == AT_FDCWD) strcpy(link, "/proc/self/cwd");
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  buffer[length < 0 ? 0 : length] = 0;
  return buffer;
}

static const char *path_at(int directory, const char *path, char *buffer) {
  if (path[0] == '/') return path;
  size_t length = strlen(path_of(directory, buffer));
  snprintf(buffer + length, PATH_MAX - length, "/%s", path);
  return buffer;
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_IF(error) \
  do { \
    int failed = (error); \
    if (failed) return errno = failed, -1; \
  } while (0)

static int check_descriptor(const char *operation, enum kind kind, int descriptor) {
  if (!watched_length) return 0;
  int before = errno;
  char buffer[PATH_MAX];
  int found = check(operation, kind, path_of(descriptor, buffer));
  errno = before;
  return found;
}

/* --- Opening --- */

static int check_open(int directory, const char *path, int flags) {
  if (!watched_length || !((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC))) return 0;
  char buffer[PATH_MAX];
  struct stat found;
  const char *whole = path_at(directory, path, buffer);
  int creates = flags & O_CREAT && stat(whole, &found);
  return check(creates ? "create" : flags & O_TRUNC ? "truncate" : "open", creates ? CREATE : OPEN, whole);
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

#define WRAP_OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    MODE(flags) \
    FAIL_IF(check_open(AT_FDCWD, path, flags)); \
    return real(path, flags, mode); \
  }
WRAP_OPEN(open)
WRAP_OPEN(open64)

#define WRAP_OPENAT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    REAL(name); \
    MODE(flags) \
    FAIL_IF(check_open(directory, path, flags)); \
    return real(directory, path, flags, mode); \
  }
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

#define WRAP_CREAT(name) \
  int name(const char *path, mode_t mode) { \
    REAL(name); \
    FAIL_IF(check_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC)); \
    return real(path, mode); \
  }
WRAP_CREAT(creat)
WRAP_CREAT(creat64)

#define WRAP_FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    REAL(name); \
    int flags = mode[0] == 'w' ? O_CREAT | O_WRONLY | O_TRUNC \
                : mode[0] == 'a' ? O_CREAT | O_WRONLY \
                : strchr(mode, '+') ? O_RDWR : O_RDONLY; \
    int found = check_open(AT_FDCWD, path, flags); \
    if (found) return errno = found, NULL; \
    return real(path, mode); \
  }
WRAP_FOPEN(fopen)
WRAP_FOPEN(fopen64)

/* --- Data --- */

static enum kind kind_of_write(int descriptor, off_t offset, size_t size) {
  struct stat found;
  if (fstat(descriptor, &found)) return GROWING_DATA;
  if (offset < 0) offset = lseek(descriptor, 0, SEEK_CUR);
  if (fcntl(descriptor, F_GETFL) & O_APPEND) offset = found.st_size;
  off_t allocated = 512 * (off_t)found.st_blocks; /* less than the size if the file has holes */
  return offset + (off_t)size > (allocated < found.st_size ? allocated : found.st_size) ? GROWING_DATA : DATA;
}

static int check_write(const char *operation, int descriptor, off_t offset, size_t size) {
  if (!watched_length) return 0;
  int before = errno;
  int found = check_descriptor(operation, kind_of_write(descriptor, offset, size), descriptor);
  errno = before;
  return found;
}

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(write);
  int found = check_write("write", descriptor, -1, size);
  if (found < 0) real(descriptor, data, size / 2), die();
  FAIL_IF(found);
  return real(descriptor, data, size);
}

#define WRAP_PWRITE(name, offset_type) \
  ssize_t name(int descriptor, const void *data, size_t size, offset_type offset) { \
    REAL(name); \
    int found = check_write("write", descriptor, offset, size); \
    if (found < 0) real(descriptor, data, size / 2, offset), die(); \
    FAIL_IF(found); \
    return real(descriptor, data, size, offset); \
  }
WRAP_PWRITE(pwrite, off_t)
WRAP_PWRITE(pwrite64, off64_t)

static size_t size_of(const struct iovec *parts, int n) {
  size_t size = 0;
  for (int k = 0; k < n; k++) size += parts[k].iov_len;
  return size;
}

ssize_t writev(int descriptor, const struct iovec *parts, int n) {
  REAL(writev);
  int found = check_write("write", descriptor, -1, size_of(parts, n));
  if (found < 0) real(descriptor, parts, n / 2), die();
  FAIL_IF(found);
  return real(descriptor, parts, n);
}

#define WRAP_PWRITEV(name, offset_type) \
  ssize_t name(int descriptor, const struct iovec *parts, int n, offset_type offset) { \
    REAL(name); \
    int found = check_write("write", descriptor, offset, size_of(parts, n)); \
    if (found < 0) real(descriptor, parts, n / 2, offset), die(); \
    FAIL_IF(found); \
    return real(descriptor, parts, n, offset); \
  }
WRAP_PWRITEV(pwritev, off_t)
WRAP_PWRITEV(pwritev64, off64_t)

size_t fwrite(const void *data, size_t size, size_t n, FILE *stream) {
  REAL(fwrite);
  int found = check_descriptor("write", GROWING_DATA, fileno(stream));
  if (found < 0) real(data, size, n / 2, stream), fflush(stream), die();
  if (found) return errno = found, 0;
  return real(data, size, n, stream);
}

#define WRAP_SIZE(name, offset_type) \
  int name(int descriptor, offset_type size) { \
    REAL(name); \
    FAIL_IF(check_descriptor("resize", DATA, descriptor)); \
    return real(descriptor, size); \
  }
WRAP_SIZE(ftruncate, off_t)
WRAP_SIZE(ftruncate64, off64_t)

#define WRAP_TRUNCATE(name, offset_type) \
  int name(const char *path, offset_type size) { \
    REAL(name); \
    char buffer[PATH_MAX]; \
    FAIL_IF(check("resize", DATA, path_at(AT_FDCWD, path, buffer))); \
    return real(path, size); \
  }
WRAP_TRUNCATE(truncate, off_t)
WRAP_TRUNCATE(truncate64, off64_t)

#define WRAP_ALLOCATE(name, offset_type) \
  int name(int descriptor, int mode, offset_type offset, offset_type size) { \
    REAL(name); \
    FAIL_IF(check_descriptor("allocate", GROWING_DATA, descriptor)); \
    return real(descriptor, mode, offset, size); \
  }
WRAP_ALLOCATE(fallocate, off_t)
WRAP_ALLOCATE(fallocate64, off64_t)

#define WRAP_POSIX_ALLOCATE(name, offset_type) \
  int name(int descriptor, offset_type offset, offset_type size) { \
    REAL(name); \
    int found = check_descriptor("allocate", GROWING_DATA, descriptor); \
    return found ? found : real(descriptor, offset, size); /* the error is returned, not in errno */ \
  }
WRAP_POSIX_ALLOCATE(posix_fallocate, off_t)
WRAP_POSIX_ALLOCATE(posix_fallocate64, off64_t)

#define WRAP_SYNC(name) \
  int name(int descriptor) { \
    REAL(name); \
    FAIL_IF(check_descriptor("sync", SYNC, descriptor)); \
    return real(descriptor); \
  }
WRAP_SYNC(fsync)
WRAP_SYNC(fdatasync)

/* --- Names --- */

static int check_path(const char *operation, enum kind kind, int directory, const char *path) {
  char buffer[PATH_MAX];
  return watched_length ? check(operation, kind, path_at(directory, path, buffer)) : 0;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  FAIL_IF(check_path("rename", NAMES, AT_FDCWD, to));
  return real(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  REAL(renameat);
  FAIL_IF(check_path("rename", NAMES, to_directory, to));
  return real(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  REAL(renameat2);
  FAIL_IF(check_path("rename", NAMES, to_directory, to));
  return real(from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to) {
  REAL(link);
  FAIL_IF(check_path("link", CREATE, AT_FDCWD, to));
  return real(from, to);
}

int symlink(const char *target, const char *path) {
  REAL(symlink);
  FAIL_IF(check_path("link", CREATE, AT_FDCWD, path));
  return real(target, path);
}

int unlink(const char *path) {
  REAL(unlink);
  FAIL_IF(check_path("unlink", NAMES, AT_FDCWD, path));
  return real(path);
}

int unlinkat(int directory, const char *path, int flags) {
  REAL(unlinkat);
  FAIL_IF(check_path(flags & AT_REMOVEDIR ? "rmdir" : "unlink", NAMES, directory, path));
  return real(directory, path, flags);
}

int rmdir(const char *path) {
  REAL(rmdir);
  FAIL_IF(check_path("rmdir", NAMES, AT_FDCWD, path));
  return real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  FAIL_IF(check_path("mkdir", CREATE, AT_FDCWD, path));
  return real(path, mode);
}

int mkdirat(int directory, const char *path, mode_t mode) {
  REAL(mkdirat);
  FAIL_IF(check_path("mkdir", CREATE, directory, path));
  return real(directory, path, mode);
}

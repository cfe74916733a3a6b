/*
 * Journals what a program does to the files below a directory, so that the disk can be rebuilt as a
 * power cut would have left it. Loaded with LD_PRELOAD; TRIAL_ROOT is the directory, TRIAL_JOURNAL the
 * journal. Every call is done first and then journalled, both under one lock, so that the journal's
 * order is the order of the calls. A sync counts for what was journalled before it began.
 *
 * Record: kind (1) | sequence or begin of a sync (8) | offset (8) | length of data (8) | length of
 * path (4) | path | data, little-endian.
 *   W write   T truncate   S sync   C created   Z created or emptied   R renamed, data is the new path
 *   U unlinked, file or directory   M directory made
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4200

static int journal = -1;
static const char *root;
static size_t root_length;
static uint64_t sequence;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("TRIAL_JOURNAL");
  root = getenv("TRIAL_ROOT");
  if (!root || !path) return;
  root_length = strlen(root);
  /* Only one process has the journal: what it starts in its turn does nothing below the directory. */
  int opened = syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (opened < 0) return;
  /* Out of the way of the program's own numbers. */
  journal = fcntl(opened, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, opened);
}

static int below(const char *path) { return journal >= 0 && !strncmp(path, root, root_length); }

static int path_of(int fd, char *path) {
  char link[64];
  if (journal < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlink, link, path, 4000);
  if (length <= 0) return 0;
  path[length] = 0;
  return below(path);
}

static const char *absolute(int directory, const char *path, char *buffer) {
  if (path[0] == '/') return path;
  if (directory == AT_FDCWD) {
    if (!getcwd(buffer, 4000)) return path;
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = syscall(SYS_readlink, link, buffer, 4000);
    if (length < 0) return path;
    buffer[length] = 0;
  }
  strcat(buffer, "/");
  return strncat(buffer, path, PATH_BYTES - 1 - strlen(buffer));
}

static void put(const void *bytes, size_t length) {
  const char *next = bytes;
  while (length) {
    ssize_t written = syscall(SYS_write, journal, next, length);
    if (written <= 0) abort();
    next += written;
    length -= written;
  }
}

/* Under the lock. */
static void note_at(char kind, uint64_t number, uint64_t offset, const char *path, const void *data, uint64_t length) {
  struct __attribute__((packed)) {
    char kind;
    uint64_t number, offset, length;
    uint32_t path_length;
  } head = {kind, number, offset, length, strlen(path)};
  put(&head, sizeof head);
  put(path, head.path_length);
  if (length) put(data, length);
}

static void note(char kind, uint64_t offset, const char *path, const void *data, uint64_t length) {
  note_at(kind, sequence++, offset, path, data, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  char path[PATH_BYTES];
  if (!path_of(fd, path)) return syscall(SYS_pwrite64, fd, bytes, length, offset);
  pthread_mutex_lock(&mutex);
  ssize_t written = syscall(SYS_pwrite64, fd, bytes, length, offset);
  if (written > 0) note('W', offset, path, bytes, written);
  pthread_mutex_unlock(&mutex);
  return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
  char path[PATH_BYTES];
  if (!path_of(fd, path)) return syscall(SYS_write, fd, bytes, length);
  pthread_mutex_lock(&mutex);
  off_t offset = syscall(SYS_lseek, fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  ssize_t written = syscall(SYS_write, fd, bytes, length);
  if (written > 0) note('W', offset, path, bytes, written);
  pthread_mutex_unlock(&mutex);
  return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t total = 0;
  for (int part = 0; part < count; part++) {
    if (!parts[part].iov_len) continue;
    ssize_t written = write(fd, parts[part].iov_base, parts[part].iov_len);
    if (written < 0) return total ? total : written;
    total += written;
    if ((size_t)written < parts[part].iov_len) break;
  }
  return total;
}

int ftruncate64(int fd, off64_t length) {
  char path[PATH_BYTES];
  if (!path_of(fd, path)) return syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&mutex);
  int result = syscall(SYS_ftruncate, fd, length);
  if (!result) note('T', length, path, 0, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, long call) {
  char path[PATH_BYTES];
  int known = path_of(fd, path);
  pthread_mutex_lock(&mutex);
  uint64_t begun = sequence;
  pthread_mutex_unlock(&mutex);
  int result = syscall(call, fd);
  if (known && !result) {
    pthread_mutex_lock(&mutex);
    note_at('S', begun, 0, path, 0, 0);
    pthread_mutex_unlock(&mutex);
  }
  return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int opened(int directory, const char *name, int flags, mode_t mode) {
  char buffer[PATH_BYTES];
  if (journal < 0 || !(flags & (O_CREAT | O_TRUNC))) return syscall(SYS_openat, directory, name, flags, mode);
  const char *path = absolute(directory, name, buffer);
  pthread_mutex_lock(&mutex);
  int fd = syscall(SYS_openat, directory, name, flags, mode);
  if (fd >= 0 && below(path)) note(flags & O_TRUNC ? 'Z' : 'C', 0, path, 0, 0);
  pthread_mutex_unlock(&mutex);
  return fd;
}

#define OPEN(name)                        \
  int name(const char *path, int flags, ...) { \
    va_list rest;                         \
    va_start(rest, flags);                \
    mode_t mode = va_arg(rest, mode_t);   \
    va_end(rest);                         \
    return opened(AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name)                      \
  int name(int directory, const char *path, int flags, ...) { \
    va_list rest;                         \
    va_start(rest, flags);                \
    mode_t mode = va_arg(rest, mode_t);   \
    va_end(rest);                         \
    return opened(directory, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  char from_buffer[PATH_BYTES], to_buffer[PATH_BYTES];
  const char *old = absolute(from_directory, from, from_buffer), *new = absolute(to_directory, to, to_buffer);
  pthread_mutex_lock(&mutex);
  int result = syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
  if (!result && below(old)) note('R', 0, old, new, strlen(new));
  pthread_mutex_unlock(&mutex);
  return result;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  return renameat2(from_directory, from, to_directory, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int directory, const char *name, int flags) {
  char buffer[PATH_BYTES];
  const char *path = absolute(directory, name, buffer);
  pthread_mutex_lock(&mutex);
  int result = syscall(SYS_unlinkat, directory, name, flags);
  if (!result && below(path)) note('U', 0, path, 0, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *name, mode_t mode) {
  char buffer[PATH_BYTES];
  const char *path = absolute(AT_FDCWD, name, buffer);
  pthread_mutex_lock(&mutex);
  int result = syscall(SYS_mkdirat, AT_FDCWD, name, mode);
  if (!result && below(path)) note('M', 0, path, 0, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

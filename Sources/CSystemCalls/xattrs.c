#define _GNU_SOURCE
#include "CSystemCalls.h"
#include "retry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// Linux 6.13.
#define NUMBER_SETXATTRAT 463
#define NUMBER_GETXATTRAT 464
#define NUMBER_LISTXATTRAT 465
#define NUMBER_REMOVEXATTRAT 466

struct xattr_arguments {
  _Alignas(8) uint64_t value;
  uint32_t size;
  uint32_t flags;
};
_Static_assert(sizeof(struct xattr_arguments) == 16, "struct xattr_args of linux/xattr.h");

enum { PATH_ROOM = 300 };

// 0 unknown, 1 the kernel has them, 2 it has not.
static atomic_int have_at_calls;

static int missing(long result) {
  if (result != -ENOSYS) return 0;
  atomic_store_explicit(&have_at_calls, 2, memory_order_relaxed);
  return 1;
}

static int use_at_calls(void) {
  return atomic_load_explicit(&have_at_calls, memory_order_relaxed) != 2;
}

// Without a name the link of /proc is followed to the descriptor's file; with one, the final name is
// not followed.
static void path_of(char *path, int directory, const char *name) {
  if (name)
    snprintf(path, PATH_ROOM, "/proc/self/fd/%d/%s", directory, name);
  else
    snprintf(path, PATH_ROOM, "/proc/self/fd/%d", directory);
}

static int at_flags(const char *name) { return AT_SYMLINK_NOFOLLOW | (name ? 0 : AT_EMPTY_PATH); }

ssize_t csys_get_xattr(int directory, const char *name, const char *key, void *value, size_t size) {
  long result;
  if (use_at_calls()) {
    struct xattr_arguments arguments = {(uint64_t)(uintptr_t)value, (uint32_t)size, 0};
    result = RETRY(syscall(NUMBER_GETXATTRAT, directory, name ? name : "", at_flags(name), key, &arguments,
                     sizeof arguments));
    if (!missing(result)) return result;
  }
  char path[PATH_ROOM];
  path_of(path, directory, name);
  return RETRY(name ? lgetxattr(path, key, value, size) : getxattr(path, key, value, size));
}

int csys_set_xattr(
    int directory, const char *name, const char *key, const void *value, size_t size, int flags) {
  long result;
  if (use_at_calls()) {
    struct xattr_arguments arguments = {(uint64_t)(uintptr_t)value, (uint32_t)size, (uint32_t)flags};
    result = RETRY(syscall(NUMBER_SETXATTRAT, directory, name ? name : "", at_flags(name), key, &arguments,
                     sizeof arguments));
    if (!missing(result)) return (int)result;
  }
  char path[PATH_ROOM];
  path_of(path, directory, name);
  return RETRY(name ? lsetxattr(path, key, value, size, flags) : setxattr(path, key, value, size, flags));
}

ssize_t csys_list_xattr(int directory, const char *name, char *list, size_t size) {
  long result;
  if (use_at_calls()) {
    result = RETRY(syscall(NUMBER_LISTXATTRAT, directory, name ? name : "", at_flags(name), list, size));
    if (!missing(result)) return result;
  }
  char path[PATH_ROOM];
  path_of(path, directory, name);
  return RETRY(name ? llistxattr(path, list, size) : listxattr(path, list, size));
}

int csys_remove_xattr(int directory, const char *name, const char *key) {
  long result;
  if (use_at_calls()) {
    result = RETRY(syscall(NUMBER_REMOVEXATTRAT, directory, name ? name : "", at_flags(name), key));
    if (!missing(result)) return (int)result;
  }
  char path[PATH_ROOM];
  path_of(path, directory, name);
  return RETRY(name ? lremovexattr(path, key) : removexattr(path, key));
}

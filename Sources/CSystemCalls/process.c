#define _GNU_SOURCE
#include "CSystemCalls.h"
#include "retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

int csys_unshare_fs(void) { return unshare(CLONE_FS) < 0 ? -errno : 0; }

int csys_keep_capabilities(void) {
  int bits = prctl(PR_GET_SECUREBITS);
  if (bits < 0) return -errno;
  if (bits & SECBIT_NO_SETUID_FIXUP) return 0;
  return prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP) < 0 ? -errno : 0;
}

int csys_has_capability(int capability) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  if (syscall(SYS_capget, &header, data) < 0) return 0;
  return (data[capability / 32].effective >> (capability % 32)) & 1;
}

// What this thread last asked for; a server whose callers are one user switches once. No id and no
// umask has the value that stands for "not yet".
enum { UNKNOWN = 0xFFFFFFFF };
static _Thread_local unsigned current_user = UNKNOWN, current_group = UNKNOWN;
static _Thread_local unsigned current_mask = UNKNOWN;

// glibc's setfsuid acts on the calling thread alone, as the kernel's does. It cannot fail for a
// thread that holds CAP_SETUID and CAP_SETGID, which the caller has made sure of.
void csys_become(int switch_ids, unsigned user, unsigned group, unsigned mask) {
  if (current_mask != mask) {
    umask(mask);
    current_mask = mask;
  }
  if (!switch_ids) return;
  if (current_group != group) {
    setfsgid(group);
    current_group = group;
  }
  if (current_user != user) {
    setfsuid(user);
    current_user = user;
  }
}

void csys_init_mutex(void *mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
  pthread_mutex_init(mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

int csys_start_thread(void *(*body)(void *), void *argument) {
  sigset_t all, old;
  pthread_attr_t attributes;
  pthread_t thread;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 512 * 1024);
  int result = pthread_create(&thread, &attributes, body, argument);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return -result;
}

int csys_signal_descriptor(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  int descriptor = signalfd(-1, &set, SFD_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int csys_event_descriptor(void) {
  int descriptor = eventfd(0, EFD_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int csys_sync_file_system(const char *path) {
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  int result = syncfs(descriptor) < 0 ? -errno : 0;
  close(descriptor);
  return result;
}

int csys_kernel_is(int major, int minor) {
  struct utsname name;
  int has_major = 0, has_minor = 0;
  if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &has_major, &has_minor) != 2) return 0;
  return has_major > major || (has_major == major && has_minor >= minor);
}

int csys_sync_file_system_of(int descriptor) { return RETRY_CALL(CSYS_CALL_PUBLISH, syncfs(descriptor)); }

int csys_wait_readable(int first, int second, int milliseconds) {
  return csys_wait_ended(first, second, -1, milliseconds);
}

int csys_wait_ended(int first, int second, int third, int milliseconds) {
  struct pollfd descriptors[3] = {{first, POLLIN, 0}, {second, POLLIN, 0}, {third, 0, 0}};
  for (;;) {
    // Negative descriptors are passed over.
    int ready = poll(descriptors, 3, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return -errno;
    if (ready == 0) return 2;
    if (descriptors[0].revents) return 0;
    if (descriptors[1].revents) return 1;
    if (descriptors[2].revents) return 3;
  }
}

int csys_clone_mount_read_only(int directory) {
  int tree = RETRY(syscall(SYS_open_tree, directory, "",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE));
  if (tree < 0) return tree;
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
                                  .attr_clr = MOUNT_ATTR__ATIME};
  int result = RETRY(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                             sizeof attributes));
  // The tree's descriptor is one of O_PATH.
  if (result >= 0) result = csys_open_at(tree, ".", O_RDONLY | O_DIRECTORY, 0);
  close(tree);
  return result;
}

// The kernel answers from what it knows: asking a server that is the caller would wait for ever.
int64_t csys_mounted_device(const char *mount_point) {
  struct statx known;
  if (statx(AT_FDCWD, mount_point, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &known) < 0) return -errno;
  // A file system without a device of its own, and a mount: the one that was just made.
  if (known.stx_dev_major != 0 || !(known.stx_attributes & STATX_ATTR_MOUNT_ROOT)) return -ENODEV;
  return known.stx_dev_minor;
}

int csys_set_read_ahead(unsigned minor, unsigned kibibytes) {
  char path[64], value[16];
  snprintf(path, sizeof path, "/sys/class/bdi/0:%u/read_ahead_kb", minor);
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  int length = snprintf(value, sizeof value, "%u", kibibytes);
  int result = write(descriptor, value, (size_t)length) < 0 ? -errno : 0;
  close(descriptor);
  return result;
}

uint64_t csys_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}


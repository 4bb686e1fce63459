#define _GNU_SOURCE
#include "CSystemCalls.h"
#include "retry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

// Devices whose files statx(2) calls immutable though chattr(1) knows nothing of it, as erofs does: 0
// ends the list. Filled before any other thread runs.
static uint64_t flagless[32];

void csys_ignore_flags(uint64_t device) {
  for (size_t index = 0; index + 1 < sizeof flagless / sizeof *flagless; index++) {
    if (flagless[index] == device) return;
    if (flagless[index] == 0) {
      flagless[index] = device;
      return;
    }
  }
}

static uint32_t protecting_flags(const struct statx *from, uint64_t device) {
  uint32_t flags = (from->stx_attributes & STATX_ATTR_IMMUTABLE ? CSYS_IMMUTABLE : 0) |
                   (from->stx_attributes & STATX_ATTR_APPEND ? CSYS_APPEND_ONLY : 0);
  if (flags == 0) return 0;
  for (size_t index = 0; flagless[index] != 0; index++) {
    if (flagless[index] == device) return 0;
  }
  return flags;
}

// statx(2) rather than stat(2): the same time, and it tells the birth time and the inode flags that
// forbid changes.
static int status(int directory, const char *name, int flags, struct csys_attributes *to) {
  struct statx from;
  int result = RETRY(statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &from));
  if (result < 0) return result;
  to->device = makedev(from.stx_dev_major, from.stx_dev_minor);
  to->inode = from.stx_ino;
  to->links = from.stx_nlink;
  to->special_device = makedev(from.stx_rdev_major, from.stx_rdev_minor);
  to->mode = from.stx_mode;
  to->owner = from.stx_uid;
  to->group = from.stx_gid;
  to->block_size = from.stx_blksize;
  to->size = (int64_t)from.stx_size;
  to->blocks = (int64_t)from.stx_blocks;
  to->access_seconds = from.stx_atime.tv_sec;
  to->access_nanoseconds = from.stx_atime.tv_nsec;
  to->modification_seconds = from.stx_mtime.tv_sec;
  to->modification_nanoseconds = from.stx_mtime.tv_nsec;
  to->change_seconds = from.stx_ctime.tv_sec;
  to->change_nanoseconds = from.stx_ctime.tv_nsec;
  to->birth = (from.stx_mask & STATX_BTIME)
                  ? from.stx_btime.tv_sec * 1000000000LL + from.stx_btime.tv_nsec
                  : 0;
  to->flags = protecting_flags(&from, to->device);
  return 0;
}

int csys_stat_at(int directory, const char *name, int follow, struct csys_attributes *out) {
  int flags = (follow ? 0 : AT_SYMLINK_NOFOLLOW) | (name[0] == 0 ? AT_EMPTY_PATH : 0);
  return status(directory, name, flags | AT_NO_AUTOMOUNT, out);
}

int csys_stat_descriptor(int descriptor, struct csys_attributes *out) {
  return status(descriptor, "", AT_EMPTY_PATH, out);
}

int csys_open_at(int directory, const char *name, int flags, unsigned mode) {
  return RETRY_CALL(flags & (O_CREAT | O_TRUNC) ? CSYS_CALL_CHANGE : CSYS_CALL_ANY,
                    openat(directory, name, flags | O_CLOEXEC | O_LARGEFILE, mode));
}

int csys_open_in_root(int root, const char *path, int flags, unsigned mode) {
  struct open_how how = {
      .flags = (unsigned)(flags | O_CLOEXEC | O_LARGEFILE),
      .mode = flags & O_CREAT ? mode : 0,
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  };
  return RETRY(syscall(SYS_openat2, root, path, &how, sizeof how));
}

int csys_rename_at(int from, const char *name, int to, const char *target, unsigned flags) {
  return RETRY_CALL(CSYS_CALL_PUBLISH, renameat2(from, name, to, target, flags));
}

static int csys_duplicate_new(int descriptor) {
  return RETRY(fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
}

int csys_chmod_at(int directory, const char *name, unsigned mode) {
  int result = (int)RETRY(syscall(SYS_fchmodat2, directory, name, mode,
                                  AT_SYMLINK_NOFOLLOW | (name[0] == 0 ? AT_EMPTY_PATH : 0)));
  if (result != -ENOSYS) return result;
  // Before Linux 6.6: by an O_PATH descriptor, so that a symbolic link is never followed.
  int descriptor =
      name[0] == 0 ? csys_duplicate_new(directory) : csys_open_at(directory, name, O_PATH | O_NOFOLLOW, 0);
  if (descriptor < 0) return descriptor;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  result = RETRY(chmod(path, mode));
  close(descriptor);
  return result;
}

ssize_t csys_get_entries(int descriptor, void *buffer, size_t size) {
  return RETRY(syscall(SYS_getdents64, descriptor, buffer, size));
}

ssize_t csys_read_cached(int descriptor, void *buffer, size_t size, int64_t offset) {
  struct iovec part = {buffer, size};
  return RETRY(preadv2(descriptor, &part, 1, offset, RWF_NOWAIT));
}

int csys_clone_file(int target, int source) { return RETRY(ioctl(target, FICLONE, source)); }

ssize_t csys_copy_range(int source, int64_t *from, int target, int64_t *to, size_t size) {
  loff_t in = *from, out = *to;
  ssize_t result = RETRY(copy_file_range(source, &in, target, &out, size, 0));
  *from = in;
  *to = out;
  return result;
}

int csys_write_out(int descriptor) {
  unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return RETRY_CALL(CSYS_CALL_PUBLISH, sync_file_range(descriptor, 0, 0, all));
}

int64_t csys_file_system_type(int descriptor) {
  struct statfs facts;
  int result = RETRY(fstatfs(descriptor, &facts));
  return result < 0 ? result : (int64_t)facts.f_type;
}

int csys_fallocate(int descriptor, int mode, int64_t offset, int64_t size) {
  return RETRY(fallocate(descriptor, mode, offset, size));
}

int64_t csys_seek(int descriptor, int64_t offset, int whence) {
  return RETRY(lseek(descriptor, offset, whence));
}

int csys_duplicate(int source, int target) { return RETRY(dup3(source, target, O_CLOEXEC)); }

int csys_link_descriptor(int descriptor, int directory, const char *name) {
  int result = RETRY_CALL(CSYS_CALL_PUBLISH, linkat(descriptor, "", directory, name, AT_EMPTY_PATH));
  if (result != -ENOENT && result != -EPERM && result != -EINVAL) return result;
  // Without CAP_DAC_READ_SEARCH an empty path is refused (ENOENT); /proc needs no privilege.
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return RETRY_CALL(CSYS_CALL_PUBLISH, linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW));
}

int csys_ioctl_pointer(int descriptor, unsigned long command, void *argument) {
  return RETRY(ioctl(descriptor, command, argument));
}

int csys_get_flags(int descriptor, uint32_t *flags) {
  int value = 0;
  int result = RETRY(ioctl(descriptor, FS_IOC_GETFLAGS, &value));
  *flags = (uint32_t)value;
  return result;
}

int csys_set_flags(int descriptor, uint32_t flags) {
  int value = (int)flags;
  return RETRY(ioctl(descriptor, FS_IOC_SETFLAGS, &value));
}

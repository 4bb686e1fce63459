#define _GNU_SOURCE
#include "CTestCalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RESULT(expression)                     \
  do {                                         \
    __typeof__(expression) value_ = (expression); \
    return value_ < 0 ? -errno : value_;       \
  } while (0)

int ct_open(int directory, const char *path, int flags, uint32_t mode) {
  RESULT(openat(directory, path, flags | O_CLOEXEC, mode));
}
int ct_close(int fd) { RESULT(close(fd)); }
int64_t ct_pread(int fd, void *buffer, size_t size, int64_t offset) {
  RESULT(pread(fd, buffer, size, offset));
}
int64_t ct_pwrite(int fd, const void *buffer, size_t size, int64_t offset) {
  RESULT(pwrite(fd, buffer, size, offset));
}
int64_t ct_read(int fd, void *buffer, size_t size) { RESULT(read(fd, buffer, size)); }
int64_t ct_write(int fd, const void *buffer, size_t size) { RESULT(write(fd, buffer, size)); }
int64_t ct_lseek(int fd, int64_t offset, int whence) { RESULT(lseek(fd, offset, whence)); }
int ct_ftruncate(int fd, int64_t size) { RESULT(ftruncate(fd, size)); }
int ct_fsync(int fd, int data_only) { RESULT(data_only ? fdatasync(fd) : fsync(fd)); }
int ct_fallocate(int fd, int mode, int64_t offset, int64_t size) {
  RESULT(fallocate(fd, mode, offset, size));
}
int64_t ct_copy_file_range(int in, int64_t in_offset, int out, int64_t out_offset, size_t size) {
  RESULT(copy_file_range(in, &in_offset, out, &out_offset, size, 0));
}
int ct_fchmod(int fd, uint32_t mode) { RESULT(fchmod(fd, mode)); }
int ct_fchown(int fd, uint32_t uid, uint32_t gid) { RESULT(fchown(fd, uid, gid)); }
int ct_file_flags(int fd, int *flags) { RESULT(ioctl(fd, FS_IOC_GETFLAGS, flags)); }
int ct_dup(int fd) { RESULT(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }
int ct_ioctl(int fd, uint32_t command, void *argument) { RESULT(ioctl(fd, command, argument)); }

static struct ct_time from_statx(struct statx_timestamp t) {
  return (struct ct_time){t.tv_sec, t.tv_nsec};
}

int ct_stat(int directory, const char *path, int follow, struct ct_stat *out) {
  struct statx s;
  int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  if (statx(directory, path, flags, STATX_BASIC_STATS, &s) < 0) return -errno;
  *out = (struct ct_stat){
      .inode = s.stx_ino,
      .device = makedev(s.stx_dev_major, s.stx_dev_minor),
      .rdev = makedev(s.stx_rdev_major, s.stx_rdev_minor),
      .size = s.stx_size,
      .blocks = s.stx_blocks,
      .links = s.stx_nlink,
      .mode = s.stx_mode,
      .uid = s.stx_uid,
      .gid = s.stx_gid,
      .accessed = from_statx(s.stx_atime),
      .modified = from_statx(s.stx_mtime),
      .changed = from_statx(s.stx_ctime),
  };
  return 0;
}

int ct_truncate(const char *path, int64_t size) { RESULT(truncate(path, size)); }
int ct_chmod(const char *path, uint32_t mode) { RESULT(chmod(path, mode)); }
int ct_lchown(const char *path, uint32_t uid, uint32_t gid) { RESULT(lchown(path, uid, gid)); }

const uint32_t ct_utime_now = UTIME_NOW, ct_utime_omit = UTIME_OMIT;

int ct_utimens(const char *path, int follow, struct ct_time accessed, struct ct_time modified) {
  struct timespec times[2] = {{accessed.seconds, accessed.nanoseconds},
                              {modified.seconds, modified.nanoseconds}};
  RESULT(utimensat(AT_FDCWD, path, times, follow ? 0 : AT_SYMLINK_NOFOLLOW));
}
// The raw call: glibc's access() checks the real ids, which a thread's fsuid does not change.
int ct_access(const char *path, int mode) {
  RESULT((int)syscall(SYS_faccessat, AT_FDCWD, path, mode));
}

int ct_mkdir(int directory, const char *path, uint32_t mode) {
  RESULT(mkdirat(directory, path, mode));
}
int ct_mknod(const char *path, uint32_t mode, unsigned major, unsigned minor) {
  RESULT(mknod(path, mode, makedev(major, minor)));
}
int ct_symlink(const char *target, const char *path) { RESULT(symlink(target, path)); }
int64_t ct_readlink(const char *path, void *buffer, size_t size) {
  RESULT(readlink(path, buffer, size));
}
int ct_link(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  RESULT(linkat(from_directory, from, to_directory, to, flags));
}
int ct_unlink(int directory, const char *path) { RESULT(unlinkat(directory, path, 0)); }
int ct_rmdir(const char *path) { RESULT(rmdir(path)); }
int ct_rename(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags) {
  RESULT(renameat2(from_directory, from, to_directory, to, flags));
}

int ct_bind_socket(const char *folder, const char *name) {
  int directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -errno;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                        directory, name);
  int result = 0;
  if (length < 0 || (size_t)length >= sizeof address.sun_path) result = -ENAMETOOLONG;
  else if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) result = -errno;
  close(fd);
  close(directory);
  return result;
}

int64_t ct_getdents(int fd, void *buffer, size_t size) {
  RESULT((int64_t)syscall(SYS_getdents64, fd, buffer, size));
}

int64_t ct_getxattr(const char *path, const char *name, void *buffer, size_t size) {
  RESULT(lgetxattr(path, name, buffer, size));
}
int64_t ct_listxattr(const char *path, void *buffer, size_t size) {
  RESULT(llistxattr(path, buffer, size));
}
int ct_setxattr(const char *path, const char *name, const void *value, size_t size, int flags) {
  RESULT(lsetxattr(path, name, value, size, flags));
}
int ct_removexattr(const char *path, const char *name) { RESULT(lremovexattr(path, name)); }
int64_t ct_fgetxattr(int fd, const char *name, void *buffer, size_t size) {
  RESULT(fgetxattr(fd, name, buffer, size));
}

int ct_statfs(const char *path, struct ct_statfs *out) {
  struct statfs s;
  if (statfs(path, &s) < 0) return -errno;
  *out = (struct ct_statfs){s.f_type,   s.f_bsize, s.f_blocks,  s.f_bfree, s.f_bavail,
                            s.f_files, s.f_ffree, s.f_namelen, s.f_flags};
  return 0;
}
int ct_mount(const char *source, const char *target, const char *type, uint64_t flags,
             const char *data) {
  RESULT(mount(source, target, type, flags, data));
}
int ct_umount(const char *target, int flags) { RESULT(umount2(target, flags)); }

int64_t ct_mmap(int fd, size_t size, int writable, int shared) {
  void *address = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0),
                       shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
  return address == MAP_FAILED ? -errno : (int64_t)(intptr_t)address;
}
int ct_munmap(int64_t address, size_t size) { RESULT(munmap((void *)(intptr_t)address, size)); }
int ct_msync(int64_t address, size_t size) {
  RESULT(msync((void *)(intptr_t)address, size, MS_SYNC));
}
const char *ct_errno_name(int code) {
  const char *name = strerrorname_np(code);
  return name ? name : "?";
}

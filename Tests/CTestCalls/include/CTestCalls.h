// The system calls of the tests that Swift does not reach or that need a process of their own.
// Every function returns a result of at least 0, or -errno.
#ifndef CTESTCALLS_H
#define CTESTCALLS_H

#include <stddef.h>
#include <stdint.h>

struct ct_time {
  int64_t seconds;
  uint32_t nanoseconds;
};

struct ct_stat {
  uint64_t inode, device, rdev, size, blocks, links;
  uint32_t mode, uid, gid;
  struct ct_time accessed, modified, changed;
};

int ct_open(int directory, const char *path, int flags, uint32_t mode);
int ct_close(int fd);
int64_t ct_pread(int fd, void *buffer, size_t size, int64_t offset);
int64_t ct_pwrite(int fd, const void *buffer, size_t size, int64_t offset);
int64_t ct_read(int fd, void *buffer, size_t size);
int64_t ct_write(int fd, const void *buffer, size_t size);
int64_t ct_lseek(int fd, int64_t offset, int whence);
int ct_ftruncate(int fd, int64_t size);
int ct_fsync(int fd, int data_only);
int ct_fallocate(int fd, int mode, int64_t offset, int64_t size);
int64_t ct_copy_file_range(int in, int64_t in_offset, int out, int64_t out_offset, size_t size);
int ct_fchmod(int fd, uint32_t mode);
int ct_fchown(int fd, uint32_t uid, uint32_t gid);
int ct_file_flags(int fd, int *flags);
int ct_dup(int fd);
int ct_ioctl(int fd, uint32_t command, void *argument);

// statx with AT_SYMLINK_NOFOLLOW unless `follow`; an empty path is the descriptor itself.
int ct_stat(int directory, const char *path, int follow, struct ct_stat *out);
int ct_truncate(const char *path, int64_t size);
int ct_chmod(const char *path, uint32_t mode);
int ct_lchown(const char *path, uint32_t uid, uint32_t gid);
// Nanoseconds may be UTIME_NOW or UTIME_OMIT.
int ct_utimens(const char *path, int follow, struct ct_time accessed, struct ct_time modified);
extern const uint32_t ct_utime_now, ct_utime_omit;
int ct_access(const char *path, int mode);

int ct_mkdir(int directory, const char *path, uint32_t mode);
int ct_mknod(const char *path, uint32_t mode, unsigned major, unsigned minor);
int ct_symlink(const char *target, const char *path);
int64_t ct_readlink(const char *path, void *buffer, size_t size);
int ct_link(int from_directory, const char *from, int to_directory, const char *to, int flags);
int ct_unlink(int directory, const char *path);
int ct_rmdir(const char *path);
int ct_rename(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags);
// Makes a socket file at a path; too long paths are reached by the folder's descriptor.
int ct_bind_socket(const char *folder, const char *name);

// Fills a buffer with linux_dirent64 records; 0 at the end.
int64_t ct_getdents(int fd, void *buffer, size_t size);

int64_t ct_getxattr(const char *path, const char *name, void *buffer, size_t size);
int64_t ct_listxattr(const char *path, void *buffer, size_t size);
int ct_setxattr(const char *path, const char *name, const void *value, size_t size, int flags);
int ct_removexattr(const char *path, const char *name);
int64_t ct_fgetxattr(int fd, const char *name, void *buffer, size_t size);

// `type` is F_RDLCK, F_WRLCK or F_UNLCK. `open_file` chooses the open file description's locks.
int ct_lock(int fd, int open_file, int type, int64_t start, int64_t size, int wait);
// Who would stop that lock: the type (F_UNLCK when nobody) and the process.
int ct_lock_holder(int fd, int open_file, int type, int64_t start, int64_t size, int *holder);
int ct_flock(int fd, int operation);
// The same from another process, that opens the path, tries and ends: 0, or -errno of the try.
int ct_child_lock(const char *path, int type, int64_t start, int64_t size);
int ct_child_flock(const char *path, int operation);
// Another process waits for the lock, then holds it, stopped, until it gets SIGCONT; its id.
int ct_child_hold(const char *path, int type, int64_t start, int64_t size);
// 1 when that process holds the lock; 0 when it waits for it, or has ended.
int ct_child_holds(int pid, int wait);

// Runs `body` on this thread with this identity and umask, without any effective capability unless
// uid is 0; then the thread is root's again.
int ct_run_as(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count, uint32_t umask_bits,
              void (*body)(void *), void *context);

struct ct_statfs {
  uint64_t type, block_size, blocks, free, available, files, free_files, name_max, flags;
};
int ct_statfs(const char *path, struct ct_statfs *out);
int ct_mount(const char *source, const char *target, const char *type, uint64_t flags,
             const char *data);
int ct_umount(const char *target, int flags);

// Returns the address, or -errno as a small negative number.
int64_t ct_mmap(int fd, size_t size, int writable, int shared);
int ct_munmap(int64_t address, size_t size);
int ct_msync(int64_t address, size_t size);

int ct_become_subreaper(void);
int ct_pidfd_open(int pid);
int ct_kill(int pid, int signal);
// 1 when an event is there, 0 at the time limit.
int ct_poll(int fd, short events, int milliseconds);
int ct_eventfd(void);
// The wait status of a child; -ECHILD when it is nobody of ours. Does not wait unless `wait`.
int ct_reap(int pid, int wait, int *status);
// Spawns without leaking any descriptor: standard input from /dev/null, outputs to the two.
// For spawns by other means: the turn that ct_spawn takes.
void ct_spawn_lock(void);
void ct_spawn_unlock(void);
int ct_spawn(const char *const *arguments, const char *const *environment, const char *folder,
             int output, int errors);
int ct_pipe(int *read_end, int *write_end);
const char *ct_errno_name(int code);

#endif

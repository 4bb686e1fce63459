#ifndef CSYSTEMCALLS_H
#define CSYSTEMCALLS_H

// GNU-only and newer-than-glibc system calls behind plain prototypes. Each returns the call's result,
// or -errno; no call here sets errno for the caller to read.

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Faults for tests: every call of the wall on a file system counts, and one of them can be made to
/// fail, to be the process's last, or to find SIGINT sent.
enum csys_fault_mode {
  CSYS_FAULT_OFF,
  CSYS_FAULT_COUNT,
  CSYS_FAULT_FAIL,
  CSYS_FAULT_KILL,
  CSYS_FAULT_INTERRUPT = 5
};
extern volatile int csys_fault_mode_now;
/// What a call does, each kind holding those below it: anything; makes, removes or shortens files; gives
/// what was made another name, or sees that it is on the disk.
enum csys_call { CSYS_CALL_ANY, CSYS_CALL_CHANGE, CSYS_CALL_PUBLISH };
/// Starts counting at 0, calls of that kind alone. `code` is the errno of the call number `target`,
/// counted from 1.
void csys_fault_arm(int mode, enum csys_call least, uint64_t target, int code);
uint64_t csys_fault_count(void);
/// Counts a call. Nonzero, with errno set, where it is to fail.
int csys_fault_hit(enum csys_call call);
static inline int csys_fault(enum csys_call call) {
  return csys_fault_mode_now != CSYS_FAULT_OFF && csys_fault_hit(call);
}

/// Inode flags that statx(2) tells.
enum { CSYS_IMMUTABLE = 1, CSYS_APPEND_ONLY = 2 };

/// What statx(2) tells, in fixed-width fields. `birth` is in nanoseconds since the epoch, 0 where the
/// file system keeps none.
struct csys_attributes {
  uint64_t device, inode, links, special_device;
  uint32_t mode, owner, group, block_size;
  int64_t size, blocks;
  int64_t access_seconds, modification_seconds, change_seconds;
  int64_t birth;
  uint32_t access_nanoseconds, modification_nanoseconds, change_nanoseconds, flags;
};

/// From now on no file of that device is called immutable or append-only. Before any thread is started.
void csys_ignore_flags(uint64_t device);
int csys_stat_at(int directory, const char *name, int follow, struct csys_attributes *out);
int csys_stat_descriptor(int descriptor, struct csys_attributes *out);

int csys_open_at(int directory, const char *name, int flags, unsigned mode);
/// openat2(2) with `root` as the root directory: no link and no `..` leads out of it.
int csys_open_in_root(int root, const char *path, int flags, unsigned mode);
int csys_rename_at(int from, const char *name, int to, const char *target, unsigned flags);
int csys_chmod_at(int directory, const char *name, unsigned mode);

// *xattrat(2) of Linux 6.13, else by /proc/self/fd. A NULL name means the directory itself.
ssize_t csys_get_xattr(int directory, const char *name, const char *key, void *value, size_t size);
int csys_set_xattr(
    int directory, const char *name, const char *key, const void *value, size_t size, int flags);
ssize_t csys_list_xattr(int directory, const char *name, char *list, size_t size);
int csys_remove_xattr(int directory, const char *name, const char *key);

ssize_t csys_get_entries(int descriptor, void *buffer, size_t size);
ssize_t csys_read_cached(int descriptor, void *buffer, size_t size, int64_t offset);
int csys_clone_file(int target, int source);
ssize_t csys_copy_range(int source, int64_t *from, int target, int64_t *to, size_t size);
/// Writes a file's data to its device and waits for that; nothing of its attributes, and no journal.
int csys_write_out(int descriptor);
/// 1 where the kernel is of that version or a later one.
int csys_kernel_is(int major, int minor);
/// statfs(2)'s number of the file system on which a descriptor's file lies; -errno.
int64_t csys_file_system_type(int descriptor);
int csys_fallocate(int descriptor, int mode, int64_t offset, int64_t size);
int64_t csys_seek(int descriptor, int64_t offset, int whence);
int csys_duplicate(int source, int target);
/// Links the file behind a descriptor (O_TMPFILE, unlinked) to a name.
int csys_link_descriptor(int descriptor, int directory, const char *name);
int csys_ioctl_pointer(int descriptor, unsigned long command, void *argument);
int csys_get_flags(int descriptor, uint32_t *flags);
int csys_set_flags(int descriptor, uint32_t flags);

/// Gives this thread its own umask and file-system ids; -errno when the kernel refuses.
int csys_unshare_fs(void);
/// Keeps the capabilities of a root server over a change of the file-system ids.
int csys_keep_capabilities(void);
/// 1 when this process's effective capabilities hold `capability`.
int csys_has_capability(int capability);
/// Sets this thread's umask and, when asked, its file-system ids, where they differ from the last.
void csys_become(int switch_ids, unsigned user, unsigned group, unsigned mask);

/// Makes a pthread_mutex_t that is spun on for a moment before it is slept for (PTHREAD_MUTEX_ADAPTIVE_NP).
void csys_init_mutex(void *mutex);

/// Starts a detached thread with every signal blocked.
int csys_start_thread(void *(*body)(void *), void *argument);
/// A descriptor that becomes readable when one of SIGTERM, SIGINT, SIGHUP arrives; blocks them.
int csys_signal_descriptor(void);
int csys_event_descriptor(void);
/// Waits for a readable descriptor: 0 for the first, 1 for the second, 2 when `milliseconds` have
/// passed (-1: never).
int csys_wait_readable(int first, int second, int milliseconds);
/// The same; 3 when nobody can write into the pipe `third` any more (-1: no pipe).
int csys_wait_ended(int first, int second, int third, int milliseconds);
/// syncfs(2) of the file system at a path.
int csys_sync_file_system(const char *path);
/// syncfs(2) of the file system on which a descriptor's file lies.
int csys_sync_file_system_of(int descriptor);
/// A readable descriptor of a directory in a mount of its own that nobody else sees, read-only and
/// without access times, what is mounted below included; -errno without CAP_SYS_ADMIN.
int csys_clone_mount_read_only(int directory);
/// The minor number of the file system that is mounted at a path and has no device; -errno.
int64_t csys_mounted_device(const char *mount_point);
/// How much the kernel reads ahead on that file system; -errno where this process may not say.
int csys_set_read_ahead(unsigned minor, unsigned kibibytes);
/// Raises RLIMIT_NOFILE to its hard limit and returns it.
uint64_t csys_raise_descriptor_limit(void);

/// How a thread is scheduled: policy, real-time priority, the cores that it may run on.
struct csys_scheduling {
  int policy, priority;
  uint64_t cores[16];
};
/// gettid(2).
int csys_thread(void);
/// The calling thread's.
int csys_get_scheduling(struct csys_scheduling *out);
/// Of any thread of this process; 0 is the caller.
int csys_set_scheduling(int thread, const struct csys_scheduling *scheduling);
/// SCHED_IDLE: runs where nothing else wants to.
int csys_set_idle(int thread);
/// Binds a thread to one core.
int csys_set_core(int thread, int core);
/// How many cores the calling thread may run on.
int csys_core_count(void);
/// 1 where a thread may be given its policy back after csys_set_idle.
int csys_may_leave_idle(void);
/// /proc/THREAD/stat of a thread of any process, to be read by csys_last_core; close it.
int csys_open_thread(int thread);
/// The core on which that thread ran last.
int csys_last_core(int descriptor);
/// How many threads of the machine run or want to.
int csys_runnable(void);
#include "CDaemon.h"

#endif

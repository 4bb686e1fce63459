#define _GNU_SOURCE
#include "CTestCalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int result_of(int value) { return value < 0 ? -errno : value; }

static int set_lock(int fd, int open_file, int type, int64_t start, int64_t size, int wait) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
  int command = open_file ? (wait ? F_OFD_SETLKW : F_OFD_SETLK) : (wait ? F_SETLKW : F_SETLK);
  return result_of(fcntl(fd, command, &lock));
}

int ct_lock(int fd, int open_file, int type, int64_t start, int64_t size, int wait) {
  return set_lock(fd, open_file, type, start, size, wait);
}

int ct_lock_holder(int fd, int open_file, int type, int64_t start, int64_t size, int *holder) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
  if (fcntl(fd, open_file ? F_OFD_GETLK : F_GETLK, &lock) < 0) return -errno;
  *holder = lock.l_pid;
  return lock.l_type;
}

int ct_flock(int fd, int operation) { return result_of(flock(fd, operation)); }

// A child that at no moment holds a second reference to the parent's open files: a plain fork
// would keep another test's file open on its mount for an instant, and its umount would be busy.
static int child_without_files(void) {
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (pid != 0) return pid;
  // The table is still the parent's: leave it first, with a copy of the standard three.
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE) < 0) _exit(255);
  return 0;
}

static int child_result(int pid) {
  int status;
  if (pid < 0) return -errno;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -errno;
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int ct_child_lock(const char *path, int type, int64_t start, int64_t size) {
  int pid = child_without_files();
  if (pid == 0) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    _exit(fd < 0 ? errno : -set_lock(fd, 0, type, start, size, 0));
  }
  return child_result(pid);
}

int ct_child_flock(const char *path, int operation) {
  int pid = child_without_files();
  if (pid == 0) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    _exit(fd < 0 ? errno : flock(fd, operation) < 0 ? errno : 0);
  }
  return child_result(pid);
}

int ct_child_hold(const char *path, int type, int64_t start, int64_t size) {
  int pid = child_without_files();
  if (pid == 0) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) _exit(errno);
    int failed = -set_lock(fd, 0, type, start, size, 1);
    if (failed) _exit(failed);
    raise(SIGSTOP);
    _exit(0);
  }
  return result_of(pid);
}

int ct_child_holds(int pid, int wait) {
  siginfo_t info = {.si_pid = 0};
  int result;
  do result = waitid(P_PID, pid, &info, WSTOPPED | WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));
  while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  return info.si_pid == pid && info.si_code == CLD_STOPPED;
}

// The raw calls change this thread only; glibc's would change every thread of the process.
// With "keep capabilities" they stay permitted but not effective, so that the way back is open,
// while real, effective and saved ids are all the user's, which a FUSE mount of that user checks.
static int take_identity(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count) {
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setgroups, count, groups) < 0 ||
      syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
    return -errno;
  return 0;
}

static int leave_identity(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2];
  if (syscall(SYS_capget, &header, sets) < 0) return -errno;
  for (int i = 0; i < 2; i++) sets[i].effective = sets[i].permitted;
  if (syscall(SYS_capset, &header, sets) < 0) return -errno;
  return take_identity(0, 0, NULL, 0);
}

int ct_run_as(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count, uint32_t umask_bits,
              void (*body)(void *), void *context) {
  // A umask of its own for this thread, from now on.
  if (unshare(CLONE_FS) < 0) return -errno;
  mode_t old_umask = umask(umask_bits);
  int result = take_identity(uid, gid, groups, count);
  if (result == 0) body(context);
  if (leave_identity() < 0) abort();
  umask(old_umask);
  return result;
}

int ct_become_subreaper(void) { return result_of(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); }
int ct_pidfd_open(int pid) { return result_of((int)syscall(SYS_pidfd_open, pid, 0)); }
int ct_kill(int pid, int signal) { return result_of(kill(pid, signal)); }

int ct_poll(int fd, short events, int milliseconds) {
  struct pollfd p = {.fd = fd, .events = events};
  int count;
  do count = poll(&p, 1, milliseconds);
  while (count < 0 && errno == EINTR);
  return result_of(count);
}

int ct_eventfd(void) { return result_of(eventfd(0, EFD_CLOEXEC)); }

int ct_reap(int pid, int wait, int *status) {
  int result;
  do result = waitpid(pid, status, wait ? 0 : WNOHANG);
  while (result < 0 && errno == EINTR);
  return result_of(result);
}

int ct_pipe(int *read_end, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  *read_end = ends[0];
  *write_end = ends[1];
  return 0;
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

void ct_spawn_lock(void) { pthread_mutex_lock(&turn); }
void ct_spawn_unlock(void) { pthread_mutex_unlock(&turn); }

int ct_spawn(const char *const *arguments, const char *const *environment, const char *folder,
             int output, int errors) {
  // Under a lock: between its fork and its exec a child holds every open file, and a mount whose
  // files were just closed would be busy. The child closes them first of all, as exec lets go of
  // them in no order; so the pipe, which ends with the exec, is the last.
  int read_end, write_end, failed = 0;
  pthread_mutex_lock(&turn);
  if (ct_pipe(&read_end, &write_end) < 0) {
    pthread_mutex_unlock(&turn);
    return -errno;
  }
  pid_t pid = vfork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0 ||
        (write_end != 3 && dup3(write_end, 3, O_CLOEXEC) < 0) ||
        syscall(SYS_close_range, 4, ~0U, 0) < 0 || (folder && chdir(folder) < 0) ||
        execvpe(arguments[0], (char *const *)arguments, (char *const *)environment) < 0) {
      int code = errno;
      if (write(3, &code, sizeof code) < 0) _exit(254);
      _exit(255);
    }
  }
  close(write_end);
  if (pid < 0) failed = errno;
  else if (read(read_end, &failed, sizeof failed) <= 0) failed = 0;
  close(read_end);
  pthread_mutex_unlock(&turn);
  if (failed && pid > 0) waitpid(pid, NULL, 0);
  return failed ? -failed : pid;
}

#define _GNU_SOURCE
#include "CDaemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

extern char **environ;

pid_t csys_daemon_fork(void) {
  pid_t process = fork();
  return process < 0 ? -errno : process;
}

_Noreturn void csys_daemon_exit(int status) { _exit(status); }

void csys_daemon_open_standard(void) {
  for (int descriptor = 0; descriptor <= 2; descriptor++)
    // open(2) returns the lowest free number, which is this one.
    if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) return;
}

int csys_daemon_silence(int first, int last) {
  int null = open("/dev/null", O_RDWR);
  if (null < 0) return -errno;
  for (int descriptor = first; descriptor <= last; descriptor++)
    if (dup2(null, descriptor) < 0) return -errno;
  if (null > 2) close(null);
  return 0;
}

static int close_between(unsigned first, unsigned last) {
  if (first > last) return 0;
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, last, 0) == 0) return 0;
#endif
  // Kernels before 5.9.
  long limit = sysconf(_SC_OPEN_MAX);
  for (unsigned descriptor = first; descriptor <= last && (long)descriptor < limit; descriptor++)
    close((int)descriptor);
  return 0;
}

int csys_daemon_close_inherited(int kept) {
  if (kept <= 2) return close_between(3, ~0U);
  close_between(3, (unsigned)kept - 1);
  return close_between((unsigned)kept + 1, ~0U);
}

int csys_daemon_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

void csys_daemon_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }

int csys_daemon_wait(pid_t process) {
  int status;
  while (waitpid(process, &status, 0) < 0)
    if (errno != EINTR) return -errno;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return 256 + WTERMSIG(status);
}

int csys_daemon_unmount(const char *path, int lazy) {
  int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  return umount2(path, flags) < 0 ? -errno : 0;
}

int csys_daemon_own_mounts(void) {
  if (unshare(CLONE_NEWNS) < 0) return -errno;
  return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -errno : 0;
}

int csys_daemon_process_descriptor(pid_t process) {
#ifdef SYS_pidfd_open
  long descriptor = syscall(SYS_pidfd_open, process, 0);
  return descriptor < 0 ? -errno : (int)descriptor;
#else
  (void)process;
  return -ENOSYS;
#endif
}

int csys_daemon_wait_readable(int descriptor, int milliseconds) {
  struct pollfd entry = {.fd = descriptor, .events = POLLIN};
  int count = poll(&entry, 1, milliseconds);
  return count < 0 ? -errno : count;
}

int csys_daemon_run(char *const arguments[], int error_output) {
  posix_spawn_file_actions_t actions;
  int failed = posix_spawn_file_actions_init(&actions);
  if (failed) return -failed;
  pid_t process = 0;
  failed = posix_spawn_file_actions_adddup2(&actions, error_output, 2);
  if (!failed) failed = posix_spawnp(&process, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  return failed ? -failed : csys_daemon_wait(process);
}

pid_t csys_daemon_start(char *const arguments[], const int standard[3]) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  pid_t process = 0;
  int failed = posix_spawn_file_actions_init(&actions);
  if (failed) return -failed;
  failed = posix_spawnattr_init(&attributes);
  if (failed) {
    posix_spawn_file_actions_destroy(&actions);
    return -failed;
  }
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  for (int number = 0; number < 3 && !failed; number++)
    failed = standard[number] < 0
                 ? posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
                 : posix_spawn_file_actions_adddup2(&actions, standard[number], number);
  if (!failed) failed = posix_spawnp(&process, arguments[0], &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed ? -failed : process;
}

int csys_daemon_kill(pid_t process, int signal) { return kill(process, signal) < 0 ? -errno : 0; }

int csys_daemon_is_terminal(int descriptor) { return isatty(descriptor); }

int csys_daemon_read_signal(int descriptor) {
  struct signalfd_siginfo info;
  ssize_t size = read(descriptor, &info, sizeof info);
  if (size < 0) return -errno;
  return size == sizeof info ? (int)info.ssi_signo : -EIO;
}

int csys_daemon_ioctl(int descriptor, unsigned long command, void *buffer) {
  int result = ioctl(descriptor, command, buffer);
  return result < 0 ? -errno : result;
}

int csys_daemon_is_fuse(int descriptor) {
  struct statfs facts;
  if (fstatfs(descriptor, &facts) < 0) return -errno;
  return facts.f_type == 0x65735546;
}

void csys_daemon_open_log(const char *name) { openlog(name, LOG_PID, LOG_DAEMON); }

void csys_daemon_log(int priority, const char *line) { syslog(priority, "%s", line); }

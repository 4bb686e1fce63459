#ifndef CDAEMON_H
#define CDAEMON_H

// What the command needs from the system and Swift cannot call: fork, variadic and GNU-only calls.
// Each returns the call's result, or -errno.

#include <sys/types.h>

/// fork(2). Swift marks it unavailable; it is safe here because no thread runs yet.
pid_t csys_daemon_fork(void);
/// Ends the process without running exit handlers (the parent's half after a fork).
_Noreturn void csys_daemon_exit(int status);
/// Opens /dev/null wherever a standard descriptor is closed, so that no later file takes its number.
void csys_daemon_open_standard(void);
/// Opens /dev/null over the standard descriptors `first` to `last`.
int csys_daemon_silence(int first, int last);
/// Closes every descriptor above 2 but `kept` (-1: none is kept).
int csys_daemon_close_inherited(int kept);
/// pipe2(2) with O_CLOEXEC.
int csys_daemon_pipe(int ends[2]);
/// Ignores SIGPIPE, so that writing to a vanished reader is an errno.
void csys_daemon_ignore_broken_pipes(void);
/// waitpid(2): the exit status, or 256 + the signal's number, or -errno.
int csys_daemon_wait(pid_t process);

/// umount2(2) with UMOUNT_NOFOLLOW; `lazy` adds MNT_DETACH.
int csys_daemon_unmount(const char *path, int lazy);
/// unshare(2) with CLONE_NEWNS: the calling thread, and what it starts, mount where nobody else sees it.
/// What others mount and unmount is seen as before.
int csys_daemon_own_mounts(void);
/// A descriptor that becomes readable when the process ends: pidfd_open(2).
int csys_daemon_process_descriptor(pid_t process);
/// Waits until a descriptor is readable: 1, or 0 after the time.
int csys_daemon_wait_readable(int descriptor, int milliseconds);
/// Runs a program found on PATH with its standard error on `error_output`; the exit status as
/// csys_daemon_wait gives it.
int csys_daemon_run(char *const arguments[], int error_output);

/// Starts a program found on PATH, its signals as a new program has them, these descriptors as its
/// standard ones (-1: /dev/null).
pid_t csys_daemon_start(char *const arguments[], const int standard[3]);
/// kill(2).
int csys_daemon_kill(pid_t process, int signal);
/// isatty(3).
int csys_daemon_is_terminal(int descriptor);
/// The number of the next signal of a signalfd(2).
int csys_daemon_read_signal(int descriptor);

/// ioctl(2) with a buffer.
int csys_daemon_ioctl(int descriptor, unsigned long command, void *buffer);
/// Whether the descriptor lies on a FUSE mount: 1, 0 or -errno.
int csys_daemon_is_fuse(int descriptor);

/// Opens the system log under a name that must outlive the process's use of it.
void csys_daemon_open_log(const char *name);
/// syslog(3) of one line; `priority` is LOG_ERR (3) to LOG_DEBUG (7).
void csys_daemon_log(int priority, const char *line);

#endif

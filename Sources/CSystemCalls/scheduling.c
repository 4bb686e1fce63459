#define _GNU_SOURCE
#include "CSystemCalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// None of these is a call on a file system: they count for no fault.

int csys_thread(void) { return (int)syscall(SYS_gettid); }

_Static_assert(sizeof(cpu_set_t) == sizeof((struct csys_scheduling *)0)->cores, "1024 cores");

int csys_get_scheduling(struct csys_scheduling *out) {
  struct sched_param parameter;
  out->policy = sched_getscheduler(0);
  if (out->policy < 0 || sched_getparam(0, &parameter) < 0) return -errno;
  out->priority = parameter.sched_priority;
  return sched_getaffinity(0, sizeof out->cores, (cpu_set_t *)out->cores) < 0 ? -errno : 0;
}

int csys_set_scheduling(int thread, const struct csys_scheduling *scheduling) {
  struct sched_param parameter = {.sched_priority = scheduling->priority};
  int policy = sched_setscheduler(thread, scheduling->policy, &parameter) < 0 ? -errno : 0;
  int cores = sched_setaffinity(thread, sizeof scheduling->cores, (cpu_set_t *)scheduling->cores) < 0
                  ? -errno : 0;
  return policy < 0 ? policy : cores;
}

int csys_set_idle(int thread) {
  struct sched_param parameter = {0};
  return sched_setscheduler(thread, SCHED_IDLE, &parameter) < 0 ? -errno : 0;
}

int csys_set_core(int thread, int core) {
  cpu_set_t cores;
  if (core < 0 || core >= CPU_SETSIZE) return -EINVAL;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  return sched_setaffinity(thread, sizeof cores, &cores) < 0 ? -errno : 0;
}

int csys_core_count(void) {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof cores, &cores) < 0 ? 1 : CPU_COUNT(&cores);
}

// sched_setscheduler(2): back from SCHED_IDLE needs the right to the thread's nice value.
int csys_may_leave_idle(void) {
  struct rlimit limit;
  if (csys_has_capability(23 /* CAP_SYS_NICE */)) return 1;
  if (getrlimit(RLIMIT_NICE, &limit) < 0) return 0;
  return limit.rlim_cur >= (rlim_t)(20 - getpriority(PRIO_PROCESS, 0));
}

int csys_open_thread(int thread) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", thread);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int csys_last_core(int descriptor) {
  char text[1024];
  ssize_t count = pread(descriptor, text, sizeof text - 1, 0);
  if (count <= 0) return -ESRCH;
  text[count] = 0;
  // The second field is a name in brackets that may hold anything; the 39th is the core.
  char *at = strrchr(text, ')');
  for (int field = 2; at && field < 39; field++) at = strchr(at + 1, ' ');
  return at ? atoi(at + 1) : -EINVAL;
}

int csys_runnable(void) {
  char text[128];
  int descriptor = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  ssize_t count = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  if (count <= 0) return -EIO;
  text[count] = 0;
  char *at = text;
  for (int field = 0; at && field < 3; field++) at = strchr(at + 1, ' ');
  return at ? atoi(at + 1) : -EINVAL;
}

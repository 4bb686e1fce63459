#define _GNU_SOURCE
#include "CSystemCalls.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

volatile int csys_fault_mode_now = CSYS_FAULT_OFF;
static atomic_ullong count;
static unsigned long long fault_target;
static int fault_code;
static enum csys_call fault_least;

void csys_fault_arm(int mode, enum csys_call least, uint64_t target, int code) {
  csys_fault_mode_now = CSYS_FAULT_OFF;
  atomic_store(&count, 0);
  fault_target = target;
  fault_code = code;
  fault_least = least;
  csys_fault_mode_now = mode;
}

uint64_t csys_fault_count(void) { return atomic_load(&count); }

int csys_fault_hit(enum csys_call call) {
  if (call < fault_least) return 0;
  unsigned long long number = atomic_fetch_add(&count, 1) + 1;
  if (number != fault_target) return 0;
  switch (csys_fault_mode_now) {
    case CSYS_FAULT_KILL:
      kill(getpid(), SIGKILL);
      for (;;) pause();
    case CSYS_FAULT_INTERRUPT: kill(getpid(), SIGINT); return 0;
    case CSYS_FAULT_FAIL: errno = fault_code; return 1;
    default: return 0;
  }
}

#ifndef CSYSTEMCALLS_RETRY_H
#define CSYSTEMCALLS_RETRY_H

#include <errno.h>

// The value of a system call that answers -1 and errno, as the value or -errno. EINTR is tried again;
// a fault of a test counts as the call's own answer.
#define RETRY(expression) RETRY_CALL(CSYS_CALL_ANY, expression)
#define RETRY_CALL(kind, expression)                     \
  ({                                                     \
    __typeof__(expression) result_;                      \
    do {                                                 \
      result_ = csys_fault(kind) ? -1 : (expression);    \
    } while (result_ < 0 && errno == EINTR);             \
    result_ < 0 ? (__typeof__(result_))-errno : result_; \
  })

#endif

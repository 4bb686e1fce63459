// Counts allocations by standing in for malloc, which the dynamic linker then gives to the libraries
// too, and retains and releases by the Swift runtime's own hooks: public variables that hold the
// functions it calls.

#include "CCounters.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static struct counters counted;
static int counting;

static void count(size_t bytes) {
  if (!counting) return;
  counted.allocations++;
  counted.bytes += bytes;
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  count(size);
  void *memory = __libc_memalign(alignment, size);
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}

void free(void *memory) { __libc_free(memory); }

// The runtime calls these so that all but a few registers survive; a function that promises this may
// be called by whoever expects less.
#define HOOK __attribute__((preserve_most))

typedef void *(*function)(void *);
typedef void *(*counted_function)(void *, uint32_t);

extern function _swift_retain __attribute__((weak));
extern function _swift_release __attribute__((weak));
extern counted_function _swift_retain_n __attribute__((weak));
extern counted_function _swift_release_n __attribute__((weak));
// Without this the runtime of Swift 6 calls its own functions directly.
extern unsigned char are_hooks_called __asm__(
    "_swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly")
    __attribute__((weak));

static function retain, release;
static counted_function retain_n, release_n;

// A short string is no object, and has the sign bit. The runtime's own functions let it pass; the ones
// that the variables hold at first do not.
static int is_object(void *object) { return (intptr_t)object > 0; }

static HOOK void *hook_retain(void *object) {
  if (!is_object(object)) return object;
  counted.retains++;
  return retain(object);
}

static HOOK void *hook_release(void *object) {
  if (!is_object(object)) return object;
  counted.releases++;
  return release(object);
}

static HOOK void *hook_retain_n(void *object, uint32_t times) {
  if (!is_object(object)) return object;
  counted.retains += times;
  return retain_n(object, times);
}

static HOOK void *hook_release_n(void *object, uint32_t times) {
  if (!is_object(object)) return object;
  counted.releases += times;
  return release_n(object, times);
}

int counters_sees_references(void) {
  return &_swift_retain && &_swift_release && &_swift_retain_n && &_swift_release_n;
}

static void hook_references(void) {
  if (!counters_sees_references()) return;
  retain = _swift_retain, release = _swift_release;
  retain_n = _swift_retain_n, release_n = _swift_release_n;
  _swift_retain = (function)hook_retain, _swift_release = (function)hook_release;
  _swift_retain_n = (counted_function)hook_retain_n;
  _swift_release_n = (counted_function)hook_release_n;
  if (&are_hooks_called) are_hooks_called = 1;
}

static void unhook_references(void) {
  if (!counters_sees_references()) return;
  if (&are_hooks_called) are_hooks_called = 0;
  _swift_retain = retain, _swift_release = release;
  _swift_retain_n = retain_n, _swift_release_n = release_n;
}

void counters_start(void) {
  counted = (struct counters){0};
  hook_references();
  counting = 1;
}

struct counters counters_stop(void) {
  counting = 0;
  unhook_references();
  return counted;
}

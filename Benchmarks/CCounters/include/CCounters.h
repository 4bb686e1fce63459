#ifndef CCOUNTERS_H
#define CCOUNTERS_H

#include <stdint.h>

/// What a piece of code asked for since `counters_start`.
struct counters {
  uint64_t allocations, bytes, retains, releases;
};

/// Begins to count, from zero. One thread only.
void counters_start(void);

/// Ends counting and tells what was counted. Off, each allocation costs one untaken branch more, and
/// reference counting nothing.
struct counters counters_stop(void);

/// Whether the Swift runtime lets its reference counting be counted.
int counters_sees_references(void);

#endif

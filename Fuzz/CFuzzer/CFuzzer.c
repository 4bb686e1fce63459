#include "CFuzzer.h"

// libFuzzer's own main refers to it; ours names the callback itself.
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  (void)bytes;
  (void)size;
  return 0;
}

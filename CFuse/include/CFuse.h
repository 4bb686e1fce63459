#ifndef CFUSE_H
#define CFUSE_H

// The low-level API of libfuse, as Debian 12's libfuse3-dev (3.14) has it.
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>

_Static_assert(sizeof(struct fuse_in_header) == 40, "the wire's request header");
_Static_assert(sizeof(struct fuse_init_out) == 64, "the wire's INIT reply");

// Flags of INIT that libfuse 3.14 knows the wire for, but never sends.
enum {
  CFUSE_PARALLEL_DIROPS = 1 << 18,
  CFUSE_HANDLE_KILLPRIV_V2 = 1 << 28,
  CFUSE_INIT_EXT = 1 << 30,
};
enum {
  CFUSE_OPCODE_TMPFILE = 51,
  CFUSE_FATTR_KILL_SUIDGID = 1 << 11,
};

/// A session's userdata: what the I/O callbacks below and the operations share.
struct cfuse_state {
  void *file_system;
  /// Flags to add to the INIT reply where the kernel offers them; flags2 in the upper half.
  uint64_t extra_wanted;
  /// What the kernel offered, the same shape; 0 before INIT.
  uint64_t offered;
  uint64_t init_unique;
};

/// fuse_session_new(3) with one comma-separated string of options.
struct fuse_session *cfuse_session_new(
    const char *options, const struct fuse_lowlevel_ops *operations, struct cfuse_state *state);
void cfuse_free(void *memory);

/// Makes the session read and write through callbacks that complete the INIT reply. Call it after
/// fuse_session_mount. 0, or -errno.
int cfuse_complete_init(struct fuse_session *session);

/// Sends a raw reply: header, then `size` bytes. 0, or -errno.
int cfuse_reply_raw(
    struct fuse_session *session, uint64_t unique, int error, const void *body, size_t size);

/// This thread's worker, an opaque pointer.
void *cfuse_worker(void);
void cfuse_set_worker(void *worker);

/// Collects libfuse's own messages instead of printing them; the last one, or an empty string.
void cfuse_capture_messages(void);
const char *cfuse_last_message(void);

#endif

#ifndef CFUSE_H
#define CFUSE_H

// The low-level API of libfuse, as Debian 12's libfuse3-dev (3.14) has it.
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>

_Static_assert(sizeof(struct fuse_in_header) == 40, "the wire's request header");
_Static_assert(sizeof(struct fuse_init_out) == 64, "the wire's INIT reply");

// Of the wire's version 7.40, which Debian 12's header (7.38) does not have. In the INIT reply the word
// after flags2 is max_stack_depth, in an open's reply the padding is the backing id.
#define CFUSE_PASSTHROUGH (1ULL << 37)
// Of 7.39: files opened for direct I/O may be mapped shared.
#define CFUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
enum { CFUSE_FOPEN_PASSTHROUGH = 1 << 7 };
struct cfuse_backing_map {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
_Static_assert(sizeof(struct cfuse_backing_map) == 16, "the wire's backing map");
_Static_assert(sizeof(struct fuse_open_out) == 16, "the wire's open reply");

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
  /// Whether the kernel shall collect what is written, where it does not read and write by itself.
  int wants_writeback;
  /// Whether it does.
  int has_writeback;
  /// Whether the kernel shall enforce POSIX ACLs.
  int wants_acl;
  /// What the mount option `max_read` says, 0 without it: libfuse wants it in INIT as well.
  uint32_t max_read;
  /// How many file systems with files below files may lie under the mount; for passthrough.
  uint32_t max_stack_depth;
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

/// Registers an open file with the connection as one that the kernel may read and write by itself: its
/// backing id, or -errno (EPERM without CAP_SYS_ADMIN, ELOOP on a stacked file system).
int cfuse_backing_open(struct fuse_session *session, int fd);
void cfuse_backing_close(struct fuse_session *session, int backing);

/// fuse_reply_open(3) and fuse_reply_create(3) with a backing id, which libfuse 3.14 cannot pass on.
int cfuse_reply_open(fuse_req_t request, uint64_t handle, uint32_t flags, int backing);
int cfuse_reply_create(
    fuse_req_t request, const struct fuse_entry_out *entry, uint64_t handle, uint32_t flags,
    int backing);

/// Puts bytes of a file into the kernel's page cache (FUSE_NOTIFY_STORE). 0, or -errno.
int cfuse_store(
    struct fuse_session *session, uint64_t node, uint64_t offset, const void *bytes, size_t size);

/// This thread's worker, an opaque pointer.
void *cfuse_worker(void);
void cfuse_set_worker(void *worker);

/// Collects libfuse's own messages instead of printing them; the last one, or an empty string.
void cfuse_capture_messages(void);
const char *cfuse_last_message(void);

#endif

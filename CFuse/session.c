#define _GNU_SOURCE
#include "CFuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t read_request(int fd, void *buffer, size_t size, void *userdata) {
  ssize_t count = read(fd, buffer, size);
  struct cfuse_state *state = userdata;
  if (state->offered != 0 || count < (ssize_t)(sizeof(struct fuse_in_header) + 16)) return count;
  struct fuse_in_header header;
  memcpy(&header, buffer, sizeof header);
  if (header.opcode != FUSE_INIT) return count;
  struct fuse_init_in in = {0};
  size_t body = (size_t)count - sizeof header;
  memcpy(&in, (char *)buffer + sizeof header, body < sizeof in ? body : sizeof in);
  state->offered = in.flags;
  if (in.flags & CFUSE_INIT_EXT) state->offered |= (uint64_t)in.flags2 << 32;
  state->init_unique = header.unique;
  return count;
}

// The one INIT reply: adds the wanted flags that were offered and that libfuse left out. A libfuse
// that sends them itself loses nothing by it.
static void complete(struct fuse_init_out *out, const struct cfuse_state *state) {
  uint64_t add = state->extra_wanted & state->offered;
  out->flags |= (uint32_t)add & ~(uint32_t)CFUSE_INIT_EXT;
  if ((add >> 32) && (state->offered & CFUSE_INIT_EXT)) {
    out->flags |= CFUSE_INIT_EXT;
    out->flags2 |= (uint32_t)(add >> 32);
    if (add & CFUSE_PASSTHROUGH) out->unused[0] = state->max_stack_depth;
  }
}

// The kernel takes each piece of a reply by its page, one piece of one page with the least work.
static ssize_t write_pieces(int fd, const struct iovec *iov, int count) {
  static _Thread_local char page[512] __attribute__((aligned(512)));
  size_t size = 0;
  if (count > 1) {
    for (int i = 0; i < count; i++) {
      if (iov[i].iov_len > sizeof page - size) return writev(fd, iov, count);
      memcpy(page + size, iov[i].iov_base, iov[i].iov_len);
      size += iov[i].iov_len;
    }
    return write(fd, page, size);
  }
  return writev(fd, iov, count);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata) {
  struct cfuse_state *state = userdata;
  if (state->init_unique != 0 && count == 2 && iov[0].iov_len == sizeof(struct fuse_out_header) &&
      iov[1].iov_len == sizeof(struct fuse_init_out)) {
    struct fuse_out_header *header = iov[0].iov_base;
    if (header->unique == state->init_unique && header->error == 0) {
      complete(iov[1].iov_base, state);
      state->init_unique = 0;
    }
  }
  return write_pieces(fd, iov, count);
}

// Without both of these libfuse gives up the splice capabilities.
static ssize_t splice_in(int from, off_t *from_offset, int to, off_t *to_offset, size_t size,
                         unsigned flags, void *userdata) {
  (void)userdata;
  return splice(from, from_offset, to, to_offset, size, flags);
}

static ssize_t splice_out(int from, off_t *from_offset, int to, off_t *to_offset, size_t size,
                          unsigned flags, void *userdata) {
  (void)userdata;
  return splice(from, from_offset, to, to_offset, size, flags);
}

struct fuse_session *cfuse_session_new(
    const char *options, const struct fuse_lowlevel_ops *operations, struct cfuse_state *state) {
  struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
  struct fuse_session *session = NULL;
  if (fuse_opt_add_arg(&arguments, "unionfs-swift") == 0 &&
      (options[0] == 0 || (fuse_opt_add_arg(&arguments, "-o") == 0 &&
                           fuse_opt_add_arg(&arguments, options) == 0))) {
    session = fuse_session_new(&arguments, operations, sizeof *operations, state);
  }
  fuse_opt_free_args(&arguments);
  return session;
}

void cfuse_free(void *memory) { free(memory); }

int cfuse_complete_init(struct fuse_session *session) {
  static const struct fuse_custom_io io = {
      .writev = write_reply,
      .read = read_request,
      .splice_receive = splice_in,
      .splice_send = splice_out,
  };
  return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}

int cfuse_reply_raw(
    struct fuse_session *session, uint64_t unique, int error, const void *body, size_t size) {
  struct fuse_out_header header = {(uint32_t)(sizeof header + size), error, unique};
  struct iovec iov[2] = {{&header, sizeof header}, {(void *)body, size}};
  ssize_t result = write_pieces(fuse_session_fd(session), iov, size ? 2 : 1);
  return result < 0 ? -errno : 0;
}

enum { FUSE_MAGIC = 229 };

int cfuse_backing_open(struct fuse_session *session, int fd) {
  struct cfuse_backing_map map = {.fd = fd};
  int id = ioctl(fuse_session_fd(session), _IOW(FUSE_MAGIC, 1, struct cfuse_backing_map), &map);
  return id < 0 ? -errno : id;
}

void cfuse_backing_close(struct fuse_session *session, int backing) {
  uint32_t id = (uint32_t)backing;
  ioctl(fuse_session_fd(session), _IOW(FUSE_MAGIC, 2, uint32_t), &id);
}

int cfuse_reply_open(fuse_req_t request, uint64_t handle, uint32_t flags, int backing) {
  struct fuse_open_out out = {handle, flags, (uint32_t)backing};
  return fuse_reply_buf(request, (const char *)&out, sizeof out);
}

int cfuse_reply_create(
    fuse_req_t request, const struct fuse_entry_out *entry, uint64_t handle, uint32_t flags,
    int backing) {
  struct {
    struct fuse_entry_out entry;
    struct fuse_open_out open;
  } out = {*entry, {handle, flags, (uint32_t)backing}};
  return fuse_reply_buf(request, (const char *)&out, sizeof out);
}

int cfuse_store(
    struct fuse_session *session, uint64_t node, uint64_t offset, const void *bytes, size_t size) {
  struct fuse_notify_store_out store = {.nodeid = node, .offset = offset, .size = (uint32_t)size};
  struct fuse_out_header header = {
      (uint32_t)(sizeof header + sizeof store + size), FUSE_NOTIFY_STORE, 0};
  struct iovec iov[3] = {
      {&header, sizeof header}, {&store, sizeof store}, {(void *)bytes, size}};
  return writev(fuse_session_fd(session), iov, 3) < 0 ? -errno : 0;
}

static _Thread_local void *current_worker;
void *cfuse_worker(void) { return current_worker; }
void cfuse_set_worker(void *worker) { current_worker = worker; }

static char last_message[512];
static void capture(enum fuse_log_level level, const char *format, va_list arguments) {
  (void)level;
  vsnprintf(last_message, sizeof last_message, format, arguments);
  size_t length = strlen(last_message);
  while (length > 0 && last_message[length - 1] == '\n') last_message[--length] = 0;
}
void cfuse_capture_messages(void) { fuse_set_log_func(capture); }
const char *cfuse_last_message(void) { return last_message; }

// A file system for scripts/test-power-cut. Its files `disk0`, `disk1` are images of disks; every write and
// every flush of them is appended to a log. What is written to `mark` is noted in the log too. As disks do, it
// takes a while for a write, answers in another order than it was asked, and flushes only what it has
// answered: a write is in the log when it is answered, a flush when it comes.
//   disk LOG MOUNTPOINT SEED IMAGE [IMAGE]     prints `ready`; ends with its mount or with standard input
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MARK = 2, DISK = 3, MOST_DISKS = 2, MOST_PENDING = 32 };

struct record {
  uint16_t kind; // 'W', 'F' or 'M'
  uint16_t disk;
  uint32_t length;
  uint64_t offset;
};

// A write that is not yet answered.
struct pending {
  fuse_req_t request;
  unsigned disk;
  char *data;
  size_t size;
  off_t offset;
};

static int images[MOST_DISKS], logged;
static unsigned disk_count;
static struct pending pending[MOST_PENDING];
static unsigned pending_count;
static uint64_t random_state;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void append(char kind, unsigned disk, const char *data, size_t length, off_t offset) {
  struct record record = {(uint16_t)kind, (uint16_t)disk, (uint32_t)length, (uint64_t)offset};
  struct iovec parts[] = {{&record, sizeof record}, {(void *)data, length}};
  if (writev(logged, parts, 2) != (ssize_t)(sizeof record + length)) fail("the log");
}

static unsigned random_below(unsigned bound) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(random_state >> 33) % bound;
}

static void answer_one(void) {
  unsigned index = random_below(pending_count);
  struct pending done = pending[index];
  pending[index] = pending[--pending_count];
  if (pwrite(images[done.disk], done.data, done.size, done.offset) == (ssize_t)done.size) {
    append('W', done.disk, done.data, done.size, done.offset);
    fuse_reply_write(done.request, done.size);
  } else {
    fuse_reply_err(done.request, EIO);
  }
  free(done.data);
}

static int attributes(fuse_ino_t node, struct stat *result) {
  memset(result, 0, sizeof *result);
  result->st_ino = node;
  result->st_nlink = 1;
  result->st_mode = node == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (node < DISK) return 0;
  struct stat own;
  if (fstat(images[node - DISK], &own) != 0) return errno;
  result->st_size = own.st_size;
  return 0;
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name) {
  struct fuse_entry_param entry = {.attr_timeout = 1, .entry_timeout = 1};
  if (parent == FUSE_ROOT_ID) {
    if (!strcmp(name, "mark")) entry.ino = MARK;
    if (!strcmp(name, "disk0")) entry.ino = DISK;
    if (!strcmp(name, "disk1") && disk_count > 1) entry.ino = DISK + 1;
  }
  if (entry.ino == 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  int code = attributes(entry.ino, &entry.attr);
  code ? fuse_reply_err(request, code) : fuse_reply_entry(request, &entry);
}

static void get_attributes(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
  (void)file;
  struct stat result;
  int code = attributes(node, &result);
  code ? fuse_reply_err(request, code) : fuse_reply_attr(request, &result, 1);
}

static void open_file(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
  (void)node;
  file->direct_io = 1;
  fuse_reply_open(request, file);
}

static void read_file(
  fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)file;
  char *data = malloc(size);
  ssize_t count = data && node >= DISK ? pread(images[node - DISK], data, size, offset) : -1;
  count < 0 ? fuse_reply_err(request, EIO) : fuse_reply_buf(request, data, (size_t)count);
  free(data);
}

static void write_file(
  fuse_req_t request, fuse_ino_t node, const char *data, size_t size, off_t offset,
  struct fuse_file_info *file) {
  (void)file;
  if (node == MARK) {
    append('M', 0, data, size, offset);
    fuse_reply_write(request, size);
    return;
  }
  char *copy = malloc(size);
  if (!copy) {
    fuse_reply_err(request, EIO);
    return;
  }
  memcpy(copy, data, size);
  if (pending_count == MOST_PENDING) answer_one();
  pending[pending_count++] = (struct pending){request, (unsigned)node - DISK, copy, size, offset};
}

static void flush_disk(
  fuse_req_t request, fuse_ino_t node, int data_only, struct fuse_file_info *file) {
  (void)data_only, (void)file;
  if (node >= DISK) append('F', (unsigned)node - DISK, NULL, 0, 0);
  fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
  .lookup = look_up,
  .getattr = get_attributes,
  .open = open_file,
  .read = read_file,
  .write = write_file,
  .fsync = flush_disk,
};

int main(int count, char **words) {
  if (count < 5 || count > 4 + MOST_DISKS) {
    fputs("usage: disk LOG MOUNTPOINT SEED IMAGE [IMAGE]\n", stderr);
    return 2;
  }
  logged = open(words[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (logged < 0) fail(words[1]);
  random_state = strtoull(words[3], NULL, 10);
  for (char **path = words + 4; *path; path++) {
    int image = open(*path, O_RDWR | O_CLOEXEC);
    if (image < 0) fail(*path);
    images[disk_count++] = image;
  }
  char *own[] = {"disk", "-o", "fsname=power-cut", NULL};
  struct fuse_args arguments = FUSE_ARGS_INIT(3, own);
  struct fuse_session *session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
  if (!session || fuse_session_mount(session, words[2]) != 0) return 1;
  puts("ready");
  fflush(stdout);
  struct pollfd events[] = {{fuse_session_fd(session), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  struct fuse_buf buffer = {0};
  while (!fuse_session_exited(session)) {
    struct timespec soon = {0, 20000 + random_below(400000)};
    int ready = ppoll(events, 2, pending_count ? &soon : NULL, NULL);
    if (ready < 0 && errno != EINTR) fail("poll");
    if (ready <= 0) {
      if (pending_count) answer_one();
      continue;
    }
    if (events[1].revents) break;
    int size = fuse_session_receive_buf(session, &buffer);
    if (size > 0) fuse_session_process_buf(session, &buffer);
    if (size <= 0 && size != -EINTR && size != -EAGAIN) break;
    if (pending_count && random_below(4) == 0) answer_one();
  }
  while (pending_count) answer_one();
  free(buffer.mem);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return 0;
}

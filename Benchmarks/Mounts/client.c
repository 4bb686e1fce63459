// The work that is measured, as lean as it gets: the mount is the bottleneck, not its client.
//
//   client COMMAND ARGUMENT…        prints one JSON object: seconds, count, bytes, user, system
//
// The clock runs around the work alone: reading lists of names and starting up are not in it. A
// result that is not what was asked for ends the program with a line on standard error and status 1.
// A data file is a row of 4 KiB blocks, each of which begins with its own number: what a read gives
// is checked at the price of one cache line a block.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, CHUNK = 1 << 20 };

struct result { uint64_t count, bytes, private; };

static double started, stopped;

__attribute__((format(printf, 1, 2))) static void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "client: ");
  vfprintf(stderr, format, list);
  fprintf(stderr, "\n");
  va_end(list);
  exit(1);
}

static void failed(const char *what, const char *path) {
  die("%s %s: %s", what, path, strerror(errno));
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void start(void) { started = now(); }
static void stop(void) { stopped = now(); }

static uint64_t number(const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (*text == 0 || *end != 0) die("no number: %s", text);
  return value;
}

static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// --- Names ---------------------------------------------------------------------------------------

// Every name below a directory, with an lstat of each.
static void walk(int parent, const char *name, struct result *result) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) failed("open", name);
  DIR *stream = fdopendir(fd);
  if (!stream) failed("fdopendir", name);
  struct dirent *entry;
  while (errno = 0, (entry = readdir(stream))) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    struct stat st;
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) failed("lstat", entry->d_name);
    result->count++;
    if (S_ISREG(st.st_mode)) result->bytes += st.st_size;
    if (!S_ISLNK(st.st_mode) && (st.st_mode & 077) == 0) result->private++;
    if (S_ISDIR(st.st_mode)) walk(fd, entry->d_name, result);
  }
  if (errno) failed("readdir", name);
  closedir(stream);
}

// A process that ends in another way than well ends the whole program.
static void wait_for(int processes) {
  for (int i = 0; i < processes; i++) {
    int status;
    if (wait(&status) < 0 || status != 0) die("a process of the work failed");
  }
}

static void walk_command(char **words, struct result *result) {
  int processes = number(words[1]);
  start();
  for (int i = 1; i < processes; i++) {
    pid_t pid = fork();
    if (pid < 0) failed("fork", "");
    if (pid > 0) continue;
    struct result own = {0};
    walk(AT_FDCWD, words[0], &own);
    _exit(0);
  }
  walk(AT_FDCWD, words[0], result);
  wait_for(processes - 1);
  stop();
}

// The lines of a file, each put behind a root.
static char **paths(const char *list, const char *root, uint64_t *count) {
  FILE *file = fopen(list, "r");
  if (!file) failed("open", list);
  char **all = NULL, *line = NULL;
  size_t room = 0, capacity = 0;
  ssize_t length;
  while ((length = getline(&line, &room, file)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (*count == capacity) all = realloc(all, (capacity = capacity ? capacity * 2 : 1024) * sizeof *all);
    if (!all || asprintf(&all[*count], "%s/%s", root, line) < 0) die("no memory");
    (*count)++;
  }
  free(line);
  fclose(file);
  return all;
}

static void absent_command(char **words, struct result *result) {
  uint64_t count = 0;
  char **all = paths(words[0], words[1], &count);
  struct stat st;
  start();
  for (uint64_t i = 0; i < count; i++) {
    if (lstat(all[i], &st) == 0 || errno != ENOENT) failed("there is a", all[i]);
    result->count++;
  }
  stop();
}

// A request to the server and its answer, and next to nothing else.
static void ask_command(char **words, struct result *result) {
  uint64_t count = number(words[1]);
  struct statx st;
  start();
  for (; result->count < count; result->count++) {
    if (statx(AT_FDCWD, words[0], AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0)
      failed("statx", words[0]);
  }
  stop();
}

// What a program does that commits an image: lstat, one xattr asked for, the list of all.
static void xattrs_command(char **words, struct result *result) {
  uint64_t count = 0;
  char **all = paths(words[0], words[1], &count), value[256];
  struct stat st;
  start();
  for (uint64_t i = 0; i < count; i++) {
    if (lstat(all[i], &st) != 0) failed("lstat", all[i]);
    if (lgetxattr(all[i], "security.capability", value, sizeof value) >= 0 ||
        (errno != ENODATA && errno != EOPNOTSUPP))
      failed("lgetxattr", all[i]);
    if (llistxattr(all[i], value, sizeof value) < 0 && errno != EOPNOTSUPP)
      failed("llistxattr", all[i]);
    result->count++;
  }
  stop();
}

static void small_command(char **words, struct result *result) {
  uint64_t count = 0;
  char **all = paths(words[0], words[1], &count);
  static char buffer[CHUNK];
  start();
  for (uint64_t i = 0; i < count; i++) {
    int fd = open(all[i], O_RDONLY | O_CLOEXEC);
    if (fd < 0) failed("open", all[i]);
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0) failed("read", all[i]);
    close(fd);
    result->count++;
    result->bytes += got;
  }
  stop();
}

static void create_command(char **words, struct result *result) {
  uint64_t count = number(words[1]);
  char path[4096];
  start();
  for (uint64_t i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/f%06lu", words[0], (unsigned long)i);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) failed("create", path);
    if (close(fd) != 0) failed("close", path);
    result->count++;
  }
  stop();
}

static void unlink_command(char **words, struct result *result) {
  uint64_t count = number(words[1]);
  char path[4096];
  start();
  for (uint64_t i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/f%06lu", words[0], (unsigned long)i);
    if (unlink(path) != 0) failed("unlink", path);
    result->count++;
  }
  stop();
}

// There and back again, an even number of times.
static void rename_command(char **words, struct result *result) {
  uint64_t count = number(words[2]);
  start();
  for (uint64_t i = 0; i < count; i++) {
    if (rename(words[i % 2], words[1 - i % 2]) != 0) failed("rename", words[i % 2]);
    result->count++;
  }
  stop();
}

// --- Content -------------------------------------------------------------------------------------

static uint64_t stamp(const char *block) {
  uint64_t value;
  memcpy(&value, block, sizeof value);
  return value;
}

static void set_stamps(char *buffer, size_t size, uint64_t block) {
  for (size_t at = 0; at + BLOCK <= size; at += BLOCK, block++) memcpy(buffer + at, &block, sizeof block);
}

static void check_stamps(const char *buffer, size_t size, uint64_t block) {
  for (size_t at = 0; at + BLOCK <= size; at += BLOCK, block++)
    if (stamp(buffer + at) != block)
      die("block %lu holds %lu", (unsigned long)block, (unsigned long)stamp(buffer + at));
}

static void read_command(char **words, struct result *result) {
  static char buffer[CHUNK];
  start();
  int fd = open(words[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) failed("open", words[0]);
  for (;;) {
    size_t filled = 0;
    ssize_t got = 0;
    while (filled < sizeof buffer && (got = read(fd, buffer + filled, sizeof buffer - filled)) > 0)
      filled += got;
    if (got < 0) failed("read", words[0]);
    if (filled == 0) break;
    check_stamps(buffer, filled, result->bytes / BLOCK);
    result->bytes += filled;
  }
  close(fd);
  stop();
}

static void write_command(char **words, struct result *result) {
  uint64_t size = number(words[1]), chunk = number(words[2]);
  static char buffer[CHUNK];
  if (chunk > sizeof buffer || chunk % BLOCK || size % chunk) die("no such chunk");
  memset(buffer, 'x', sizeof buffer);
  start();
  int fd = open(words[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) failed("create", words[0]);
  while (result->bytes < size) {
    set_stamps(buffer, chunk, result->bytes / BLOCK);
    if (write(fd, buffer, chunk) != (ssize_t)chunk) failed("write", words[0]);
    result->bytes += chunk;
  }
  if (close(fd) != 0) failed("close", words[0]);
  stop();
}

static void random_reads(const char *path, uint64_t count, uint64_t seed) {
  char buffer[BLOCK];
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0) failed("open", path);
  uint64_t blocks = st.st_size / BLOCK;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t block = next_random(&seed) % blocks;
    if (pread(fd, buffer, BLOCK, block * BLOCK) != BLOCK) failed("pread", path);
    check_stamps(buffer, BLOCK, block);
  }
  close(fd);
}

static void random_command(char **words, struct result *result) {
  uint64_t count = number(words[1]);
  int processes = number(words[2]);
  start();
  for (int i = 1; i < processes; i++) {
    pid_t pid = fork();
    if (pid < 0) failed("fork", "");
    if (pid > 0) continue;
    random_reads(words[0], count, i);
    _exit(0);
  }
  random_reads(words[0], count, 0);
  wait_for(processes - 1);
  stop();
  result->count = count * processes;
}

static void rewrite_command(char **words, struct result *result) {
  uint64_t count = number(words[1]), seed = 42;
  char buffer[BLOCK];
  struct stat st;
  memset(buffer, 'y', sizeof buffer);
  start();
  int fd = open(words[0], O_RDWR | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0) failed("open", words[0]);
  for (uint64_t i = 0; i < count; i++) {
    uint64_t block = next_random(&seed) % (st.st_size / BLOCK);
    set_stamps(buffer, BLOCK, block);
    if (pwrite(fd, buffer, BLOCK, block * BLOCK) != BLOCK) failed("pwrite", words[0]);
    result->count++;
  }
  if (close(fd) != 0) failed("close", words[0]);
  stop();
}

// The first change of a lower file: the last byte of its first block.
static void change_command(char **words, struct result *result) {
  start();
  int fd = open(words[0], O_WRONLY | O_CLOEXEC);
  if (fd < 0) failed("open", words[0]);
  if (pwrite(fd, "!", 1, BLOCK - 1) != 1) failed("pwrite", words[0]);
  if (close(fd) != 0) failed("close", words[0]);
  stop();
  result->count = 1;
}

// --- Programs ------------------------------------------------------------------------------------

// Runs a program in a directory and counts the lines and bytes that it writes.
static void run_command(char **words, struct result *result) {
  static char buffer[CHUNK];
  int ends[2], status;
  if (pipe2(ends, O_CLOEXEC) != 0) failed("pipe", "");
  fcntl(ends[1], F_SETPIPE_SZ, CHUNK);
  start();
  pid_t pid = fork();
  if (pid < 0) failed("fork", "");
  if (pid == 0) {
    if (chdir(words[0]) != 0) failed("chdir", words[0]);
    dup2(ends[1], 1);
    execvp(words[1], words + 1);
    failed("run", words[1]);
  }
  close(ends[1]);
  ssize_t got;
  while ((got = read(ends[0], buffer, sizeof buffer)) > 0) {
    result->bytes += got;
    for (char *at = buffer; (at = memchr(at, '\n', buffer + got - at)); at++) result->count++;
  }
  if (waitpid(pid, &status, 0) < 0 || status != 0) die("%s ended with status %d", words[1], status);
  stop();
}

static const struct {
  const char *name, *usage;
  int words;
  void (*run)(char **, struct result *);
} commands[] = {
  {"walk", "DIRECTORY PROCESSES", 2, walk_command},
  {"absent", "LIST ROOT", 2, absent_command},
  {"ask", "PATH COUNT", 2, ask_command},
  {"xattrs", "LIST ROOT", 2, xattrs_command},
  {"small", "LIST ROOT", 2, small_command},
  {"create", "DIRECTORY COUNT", 2, create_command},
  {"unlink", "DIRECTORY COUNT", 2, unlink_command},
  {"rename", "FROM TO COUNT", 3, rename_command},
  {"read", "FILE", 1, read_command},
  {"write", "FILE SIZE CHUNK", 3, write_command},
  {"random", "FILE COUNT PROCESSES", 3, random_command},
  {"rewrite", "FILE COUNT", 2, rewrite_command},
  {"change", "FILE", 1, change_command},
  {"run", "DIRECTORY PROGRAM [ARGUMENT…]", 2, run_command},
};

static double seconds(struct timeval a, struct timeval b) {
  return a.tv_sec + b.tv_sec + (a.tv_usec + b.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(argv[1], commands[i].name)) continue;
    if (argc - 2 < commands[i].words) die("usage: client %s %s", argv[1], commands[i].usage);
    struct result result = {0};
    commands[i].run(argv + 2, &result);
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    printf("{\"seconds\": %.9f, \"count\": %lu, \"bytes\": %lu, \"private\": %lu, \"user\": %.6f, "
           "\"system\": %.6f}\n", stopped - started, (unsigned long)result.count,
           (unsigned long)result.bytes, (unsigned long)result.private,
           seconds(own.ru_utime, children.ru_utime), seconds(own.ru_stime, children.ru_stime));
    return 0;
  }
  die("no such command");
}

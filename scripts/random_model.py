#!/usr/bin/env python3
"""Random operations on a mount and on a plain directory that starts equal to its view.

Several processes work at once, each in a folder of its own and, with operations that commute, in a
shared one. Every step's result or errno is compared, the trees after each round, and again after a
new mount. What happens follows from the seed alone:

    random_model.py BINARY SECONDS SEED [--folder FOLDER] [--processes N] [--steps N] [--trace]
                    [--drop-caches]
"""

import argparse
import contextlib
import ctypes
import errno
import mmap
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time

NAMES = "abcdefgh"
OLD = 1_000_000_000_123_456_789  # ns; the times of everything that the layers hold
LIBC = ctypes.CDLL(None, use_errno=True)
EXCHANGE, NO_REPLACE = 2, 1
AT_FDCWD = -100


class Difference(Exception):
    pass


def renameat2(source, target, flags):
    if LIBC.renameat2(AT_FDCWD, source.encode(), AT_FDCWD, target.encode(), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def fallocate(fd, mode, offset, size):
    call = LIBC.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if call(fd, mode, offset, size) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


# --- The layers -------------------------------------------------------------------------------


def make_file(path, rng):
    kind = rng.random()
    with open(path, "wb") as file:
        if kind < 0.5:
            file.write(rng.randbytes(rng.randrange(300)))
        elif kind < 0.8:
            file.write(rng.randbytes(rng.randrange(20000)))
        else:
            file.seek(rng.randrange(1, 20) * 4096)
            file.write(rng.randbytes(100))
            file.truncate(file.tell() + rng.randrange(10000))
    os.chmod(path, rng.choice([0o644, 0o600, 0o4755, 0o444]))
    if rng.random() < 0.3:
        os.chown(path, rng.randrange(4), rng.randrange(4))
    if rng.random() < 0.3:
        os.setxattr(path, "user.k", rng.randbytes(8))


def make_special(path, rng):
    if rng.random() < 0.8:
        os.symlink("/".join(rng.choice(NAMES) for _ in range(rng.randrange(1, 3))), path)
    else:
        os.mkfifo(path, 0o640)


def fill(folder, rng, depth, marks):
    """Random content; `marks` are the chances of whiteouts and of an opaque directory."""
    files = []
    for name in NAMES:
        path, dice = os.path.join(folder, name), rng.random()
        if dice < 0.25:
            make_file(path, rng)
            files.append(path)
        elif dice < 0.35:
            make_special(path, rng)
        elif dice < 0.6 and depth > 0:
            os.mkdir(path)
            os.chmod(path, rng.choice([0o755, 0o700, 0o1777]))
            files += fill(path, rng, depth - 1, marks)
        elif rng.random() < marks:
            mark(os.path.join(folder, ".wh." + name))
    if rng.random() < marks / 2:
        mark(os.path.join(folder, ".wh..wh..opq"))
    return files


def mark(path):
    with open(path, "wb"):
        pass
    os.chmod(path, 0o444)


def make_layers(folder, rng, processes):
    """Three layers below an empty top, nearest first."""
    layers = [os.path.join(folder, f"layer{i}") for i in range(3)]
    for index, layer in enumerate(layers):
        os.mkdir(layer)
        for sub in [f"p{i}" for i in range(processes)] + ["shared"]:
            top = os.path.join(layer, sub)
            os.mkdir(top)
            if sub == "shared":
                make_shared(top, index)
                continue
            files = fill(top, rng, 3, 0.15 if index < 2 else 0)
            for _ in range(4):
                if files:
                    link(rng.choice(files), top, rng)
    return layers


def make_shared(folder, index):
    if index == 1:
        for name in NAMES[:4]:
            with open(os.path.join(folder, "file" + name), "wb") as file:
                file.write(name.encode() * 8192)
    for name in NAMES[:3]:
        os.makedirs(os.path.join(folder, name, "deep"))
        with open(os.path.join(folder, name, f"of{index}"), "wb") as file:
            file.write(b"x")


def link(source, top, rng):
    folder = rng.choice([root for root, _, _ in os.walk(top)])
    target = os.path.join(folder, "link" + rng.choice(NAMES))
    if not os.path.lexists(target):
        os.link(source, target)


def hidden_names(entries):
    return {e[4:] for e in entries if e.startswith(".wh.") and not e.startswith(".wh..wh.")}


def merge(folders):
    """The view of directories at rest: name -> (path on its branch, the directories that merge)."""
    found, ended = {}, set()
    for folder in folders:
        entries = sorted(os.listdir(folder))
        for name in entries:
            if name.startswith(".wh.") or name in ended:
                continue
            path = os.path.join(folder, name)
            is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
            if name not in found:
                found[name] = (path, [path] if is_directory else [])
            elif is_directory:
                found[name][1].append(path)
            if not is_directory:
                ended.add(name)
        ended |= hidden_names(entries)
        if ".wh..wh..opq" in entries:
            break
    return found


def visible(folders):
    """The branch paths of everything that the view shows."""
    shown = set()
    for path, merged in merge(folders).values():
        shown.add(path)
        if merged:
            shown |= visible(merged)
    return shown


def cut_hidden_links(layers):
    """A lower file's link count counts hidden names too; so that the plain tree can have the same,
    none of a visible file is hidden."""
    shown = visible(layers)
    for layer in layers:
        groups = {}
        for root, _, names in os.walk(layer):
            for name in names:
                path = os.path.join(root, name)
                if os.lstat(path).st_nlink > 1:
                    groups.setdefault(os.lstat(path).st_ino, []).append(path)
        for paths in groups.values():
            for path in paths:
                if path not in shown:
                    os.unlink(path)


def set_times(folder):
    for root, folders, names in os.walk(folder, topdown=False):
        for name in names + folders:
            os.utime(os.path.join(root, name), ns=(OLD, OLD), follow_symlinks=False)
    os.utime(folder, ns=(OLD, OLD))


def copy_view(folders, target, links):
    for name, (path, merged) in merge(folders).items():
        to, status = os.path.join(target, name), os.lstat(path)
        key = (status.st_dev, status.st_ino)
        if merged:
            os.mkdir(to)
            copy_view(merged, to, links)
        elif key in links:
            os.link(links[key], to, follow_symlinks=False)
            continue
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(path), to)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(to)
        else:
            shutil.copyfile(path, to)
        if not merged and status.st_nlink > 1:
            links[key] = to
        os.chown(to, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(to, stat.S_IMODE(status.st_mode))
        for attribute in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, attribute, follow_symlinks=False)
            os.setxattr(to, attribute, value, follow_symlinks=False)


# --- Comparing --------------------------------------------------------------------------------


def status_of(status, start):
    kind = stat.S_IFMT(status.st_mode)
    mtime = status.st_mtime_ns if status.st_mtime_ns < start else "now"
    seen = (kind, oct(status.st_mode & 0o7777), status.st_uid, status.st_gid, mtime)
    # A directory's size and link count are the file system's own business.
    return seen if stat.S_ISDIR(status.st_mode) else seen + (status.st_size, status.st_nlink)


def attributes_of(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]


def content_of(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.pread(fd, 1 << 26, 0)
    finally:
        os.close(fd)


def tree(root, start, skip=()):
    """Path -> everything that the two trees have in common; and path -> inode number."""
    seen, inodes, groups = {}, {}, {}

    def add(path, relative):
        status = os.lstat(path)
        inodes[relative] = status.st_ino
        entry = [status_of(status, start), attributes_of(path)]
        if stat.S_ISREG(status.st_mode):
            entry.append(content_of(path))
            if status.st_nlink > 1:
                entry.append(groups.setdefault(status.st_ino, relative))
        elif stat.S_ISLNK(status.st_mode):
            entry.append(os.readlink(path))
        seen[relative] = entry
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as entries:
                listed = sorted((e.name, e.inode()) for e in entries)
            for name, inode in listed:
                below = os.path.join(relative, name)
                if below in skip:
                    continue
                add(os.path.join(path, name), below)
                if inodes[below] != inode:
                    raise Difference(f"{below}: d_ino {inode}, st_ino {inodes[below]}")

    add(root, ".")
    return seen, inodes


def shorten(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}…{text[-60:]} ({len(text)} characters)"


def compare_trees(mounted, plain, what):
    lines = []
    for path in sorted(set(mounted) | set(plain)):
        one, other = mounted.get(path), plain.get(path)
        if one != other:
            lines.append(f"  {path}:\n    mount {shorten(one)}\n    plain {shorten(other)}")
    if lines:
        raise Difference(f"{what}: {len(lines)} paths differ\n" + "\n".join(lines[:10]))


# --- A process --------------------------------------------------------------------------------


class Process:
    """Does each step on the mount and on the plain directory."""

    def __init__(self, roots, index, seed, start, trace):
        self.roots, self.index, self.start = roots, index, start
        self.rng = random.Random(seed)
        self.handles = []
        self.log = []
        self.trace = trace
        names = [name for name in dir(self) if name.startswith("do_")]
        weights = {"do_open": 3, "do_write": 4, "do_rename": 5, "do_mkdir": 3, "do_unlink": 3,
                   "do_shared": 4, "do_handle": 6, "do_rename_directory": 3}
        self.steps = [getattr(self, n) for n in names for _ in range(weights.get(n, 2))]

    def run(self, count):
        for number in range(count):
            self.number = number
            self.rng.choice(self.steps)()
        for pair in self.handles:
            for fd in pair:
                os.close(fd)
        own = f"p{self.index}"
        trees = [tree(os.path.join(root, own), self.start)[0] for root in self.roots]
        compare_trees(*trees, f"the tree of process {self.index}")

    def both(self, what, *paths, call):
        """Calls `call` with the paths in each root; results, or errnos, must be equal."""
        self.log.append(f"{self.number}: {what} {' '.join(map(str, paths))}")
        if self.trace:
            print(f"process {self.index} step {self.log[-1]}", flush=True)
        results = []
        for side in (0, 1):
            try:
                full = [os.path.join(self.roots[side], p) if isinstance(p, str) else p[side]
                        for p in paths]
                results.append(call(*full))
            except OSError as error:
                results.append(errno.errorcode.get(error.errno, error.errno))
        if results[0] != results[1]:
            raise Difference(
                f"mount gives {shorten(results[0])}, plain gives {shorten(results[1])}")
        return results[0]

    def path(self, only_folders=False):
        """Mostly of something that is there."""
        folder, rng = f"p{self.index}", self.rng
        while True:
            names = sorted(os.listdir(os.path.join(self.roots[1], folder)))
            name = ("link" if rng.random() < 0.1 else "") + rng.choice(NAMES)
            if names and rng.random() < 0.7:
                name = rng.choice(names)
            path = f"{folder}/{name}"
            full = os.path.join(self.roots[1], path)
            if os.path.islink(full) and rng.random() < 0.1:
                return f"{path}/{rng.choice(NAMES)}"
            is_folder = os.path.isdir(full) and not os.path.islink(full)
            if is_folder and path.count("/") < 5 and rng.random() < 0.6:
                folder = path
            elif is_folder or not only_folders or rng.random() < 0.2:
                return path

    def data(self):
        size = self.rng.choice([1, 10, 100, 5000, 70000])
        return self.rng.randbytes(self.rng.randrange(size) + 1)

    def offset(self):
        return self.rng.choice([0, 1, self.rng.randrange(5000), self.rng.randrange(200000)])

    # Names

    def do_mkdir(self):
        mode = self.rng.choice([0o755, 0o700, 0o2775])
        self.both(f"mkdir {mode:o}", self.path(), call=lambda p: os.mkdir(p, mode))

    def do_rmdir(self):
        self.both("rmdir", self.path(True), call=os.rmdir)

    def do_unlink(self):
        self.both("unlink", self.path(), call=os.unlink)

    def do_remove_tree(self):
        """Empties a directory, mostly, and removes it."""
        if self.rng.random() < 0.7:
            return
        path = self.path(True)

        def call(p):
            for root, folders, names in os.walk(p, topdown=False):
                for name in names:
                    os.unlink(os.path.join(root, name))
                for name in folders:
                    below = os.path.join(root, name)
                    (os.unlink if os.path.islink(below) else os.rmdir)(below)
            os.rmdir(p)

        self.both("remove tree", path, call=call)

    def do_rename(self):
        self.both("rename", self.path(), self.path(), call=os.rename)

    def do_rename_directory(self):
        self.both("rename", self.path(True), self.path(self.rng.random() < 0.5), call=os.rename)

    def do_exchange(self):
        self.both("exchange", self.path(), self.path(), call=lambda a, b: renameat2(a, b, EXCHANGE))

    def do_rename_no_replace(self):
        self.both("rename without replacement", self.path(), self.path(),
                  call=lambda a, b: renameat2(a, b, NO_REPLACE))

    def do_link(self):
        self.both("link", self.path(), self.path(),
                  call=lambda a, b: os.link(a, b, follow_symlinks=False))

    def do_symlink(self):
        target = "/".join(self.rng.choice(NAMES) for _ in range(self.rng.randrange(1, 3)))
        self.both(f"symlink {target}", self.path(), call=lambda p: os.symlink(target, p))

    def do_fifo(self):
        if self.rng.random() < 0.3:
            self.both("mkfifo", self.path(), call=os.mkfifo)

    def do_unnamed(self):
        data, folder, name = self.data(), self.path(True), self.path()

        def call(f, n):
            fd = os.open(f, os.O_TMPFILE | os.O_RDWR, 0o640)
            try:
                os.write(fd, data)
                # A folder makes it linkat(2), which follows.
                os.link(f"/proc/self/fd/{fd}", n, src_dir_fd=fd, follow_symlinks=True)
                return status_of(os.fstat(fd), self.start)
            finally:
                os.close(fd)

        self.both(f"O_TMPFILE {len(data)}", folder, name, call=call)

    # Content

    def with_open(self, path, flags, body):
        # A FIFO would wait for its other end.
        fd = os.open(path, flags | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return "no regular file"
            return body(fd)
        finally:
            os.close(fd)

    def do_write(self):
        data, offset = self.data(), self.offset()
        flags = os.O_RDWR | self.rng.choice([0, os.O_CREAT, os.O_CREAT | os.O_EXCL])
        self.both(f"write {len(data)} at {offset}, flags {flags:o}", self.path(), call=lambda p:
                  self.with_open(p, flags, lambda fd: os.pwrite(fd, data, offset)))

    def do_append(self):
        data = self.data()
        self.both(f"append {len(data)}", self.path(), call=lambda p: self.with_open(
            p, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, data)))

    def do_truncate(self):
        size = self.offset()
        self.both(f"truncate {size}", self.path(), call=lambda p: os.truncate(p, size)
                  if not stat.S_ISFIFO(os.stat(p).st_mode) else None)

    def do_open_truncated(self):
        data = self.data()
        flags = os.O_WRONLY | os.O_TRUNC | self.rng.choice([0, os.O_CREAT])
        self.both(f"write {len(data)} with O_TRUNC", self.path(), call=lambda p: self.with_open(
            p, flags, lambda fd: os.write(fd, data)))

    def do_map(self):
        data, offset = self.data()[:100], self.rng.randrange(3000)

        def body(fd):
            size = os.fstat(fd).st_size
            if size < offset + len(data):
                return "too short"
            with mmap.mmap(fd, size) as mapping:
                old = mapping[offset:offset + len(data)]
                mapping[offset:offset + len(data)] = data
                mapping.flush()
            return old

        self.both(f"map {len(data)} at {offset}", self.path(),
                  call=lambda p: self.with_open(p, os.O_RDWR, body))

    def do_allocate(self):
        mode, offset, size = self.rng.choice([0, 1, 3]), self.offset(), self.offset() + 1
        self.both(f"fallocate {mode} {offset} {size}", self.path(), call=lambda p: self.with_open(
            p, os.O_RDWR, lambda fd: fallocate(fd, mode, offset, size)))

    def do_copy_range(self):
        count, at = self.offset() + 1, self.offset()

        def copy(a, b):
            return self.with_open(a, os.O_RDONLY, lambda source: self.with_open(
                b, os.O_RDWR, lambda target: os.copy_file_range(source, target, count, 0, at)
                if not os.path.samestat(os.fstat(source), os.fstat(target)) else "the same"))

        self.both(f"copy_file_range {count} to {at}", self.path(), self.path(), call=copy)

    def do_read(self):
        offset, size = self.offset(), self.rng.choice([10, 5000, 1 << 20])
        self.both(f"read {size} at {offset}", self.path(), call=lambda p: self.with_open(
            p, os.O_RDONLY, lambda fd: os.pread(fd, size, offset)))

    # Attributes

    def do_chmod(self):
        mode = self.rng.choice([0o600, 0o644, 0o4711, 0o2755, 0o1777])
        self.both(f"chmod {mode:o}", self.path(), call=lambda p: os.chmod(p, mode))

    def do_chown(self):
        user, group = self.rng.randrange(3), self.rng.randrange(3)
        self.both(f"lchown {user} {group}", self.path(), call=lambda p: os.lchown(p, user, group))

    def do_times(self):
        times = (self.rng.randrange(1 << 60), self.rng.randrange(1 << 60))
        self.both(f"utimens {times}", self.path(),
                  call=lambda p: os.utime(p, ns=times, follow_symlinks=False))

    def do_stat(self):
        self.both("stat", self.path(), call=lambda p: status_of(os.lstat(p), self.start))

    def do_list(self):
        def call(p):
            with os.scandir(p) as entries:
                return sorted((e.name, e.is_dir(follow_symlinks=False), e.is_symlink())
                              for e in entries)

        self.both("list", self.path(), call=call)

    def do_readlink(self):
        self.both("readlink", self.path(), call=os.readlink)

    def do_set_attribute(self):
        key, value = self.rng.choice(["user.k", "user.l", "trusted.t"]), self.data()[:200]
        flags = self.rng.choice([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])
        self.both(f"setxattr {key} {flags}", self.path(),
                  call=lambda p: os.setxattr(p, key, value, flags, follow_symlinks=False))

    def do_remove_attribute(self):
        key = self.rng.choice(["user.k", "user.l", "trusted.t"])
        self.both(f"removexattr {key}", self.path(),
                  call=lambda p: os.removexattr(p, key, follow_symlinks=False))

    def do_attributes(self):
        self.both("xattrs", self.path(), call=attributes_of)

    # Files that stay open

    def do_open(self):
        if len(self.handles) >= 6:
            for fd in self.handles.pop(self.rng.randrange(6)):
                os.close(fd)
        flags, pair = self.rng.choice([os.O_RDONLY, os.O_RDWR]), []

        def call(p):
            fd = os.open(p, flags | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                return "no regular file"
            pair.append(fd)
            return "open"

        if self.both(f"open {flags}", self.path(), call=call) == "open":
            self.handles.append(pair)

    def do_handle(self):
        if not self.handles:
            return
        position = self.rng.randrange(len(self.handles))
        pair, data, offset = self.handles[position], self.data(), self.offset()
        mode = self.rng.choice([0o600, 0o755])
        calls = {
            "pwrite": lambda fd: os.pwrite(fd, data, offset),
            "pread": lambda fd: os.pread(fd, 10000, offset),
            "fstat": lambda fd: status_of(os.fstat(fd), self.start),
            "ftruncate": lambda fd: os.ftruncate(fd, offset),
            "fchmod": lambda fd: os.fchmod(fd, mode),
            "fsync": os.fsync,
            "all": lambda fd: os.pread(fd, 1 << 24, 0),
        }
        name = self.rng.choice(list(calls))
        self.both(f"{name} of handle {pair} {offset} {len(data)}", pair, call=calls[name])

    # What the processes do in one folder: every order has the same result.

    def do_shared(self):
        mine, letter = f"{self.index}{self.rng.choice(NAMES)}", self.rng.choice(NAMES[:3])
        folder = f"shared/{letter}" + self.rng.choice(["", "/deep"])
        file = f"shared/file{self.rng.choice(NAMES[:4])}"
        data = self.rng.randbytes(self.rng.randrange(1, 1024))
        at = self.index * 1024 + self.rng.randrange(1024 - len(data) + 1)
        other = f"shared/{self.rng.choice(NAMES[:3])}/{self.index}{self.rng.choice(NAMES)}"
        choice = self.rng.randrange(8)
        if choice == 0:
            self.both("create", f"{folder}/{mine}", call=lambda p: os.close(
                os.open(p, os.O_CREAT | os.O_EXCL | os.O_WRONLY)))
        elif choice == 1:
            self.both("unlink", f"{folder}/{mine}", call=os.unlink)
        elif choice == 2:
            self.both("rename", f"{folder}/{mine}", other, call=os.rename)
        elif choice == 3:
            self.both(f"write {len(data)} at {at}", file, call=lambda p: self.with_open(
                p, os.O_RDWR, lambda fd: os.pwrite(fd, data, at)))
        elif choice == 4:
            self.both("setxattr", file,
                      call=lambda p: os.setxattr(p, f"user.p{self.index}", data[:20]))
        elif choice == 5:
            self.both("read", file, call=lambda p: self.with_open(
                p, os.O_RDONLY, lambda fd: os.pread(fd, 1024, self.index * 1024)))
        elif choice == 6:
            self.both("mkdir", f"{folder}/{mine}", call=os.mkdir)
        else:
            self.both("rmdir", f"{folder}/{mine}", call=os.rmdir)


# --- The run ----------------------------------------------------------------------------------


class Run:
    def __init__(self, words, folder):
        self.binary, self.seed, self.words = words.binary, words.seed, words
        self.folder = folder
        self.mount_point = os.path.join(folder, "mnt")
        self.plain = os.path.join(folder, "plain")
        self.top = os.path.join(folder, "top")
        rng = random.Random(f"{self.seed} layers")
        for path in (self.mount_point, self.plain, self.top):
            os.mkdir(path)
        self.layers = make_layers(folder, rng, words.processes)
        cut_hidden_links(self.layers)
        for layer in self.layers:
            set_times(layer)
        copy_view(self.layers, self.plain, {})
        set_times(self.plain)
        self.start = time.time_ns() - 10**9
        self.before = [tree(layer, self.start)[0] for layer in self.layers]

    def mount(self):
        words = [self.binary, "mount", "--branch", f"{self.top}=rw"]
        for layer in self.layers:
            words += ["--branch", f"{layer}=ro+wh"]
        subprocess.run(words + [self.mount_point], check=True)

    def unmount(self):
        for _ in range(20):
            # Whoever looks at every mount of the machine holds this one for a moment.
            if subprocess.run([self.binary, "umount", self.mount_point], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise Difference("cannot be unmounted")

    def view(self):
        """The mount's tree, equal to the plain one's; inode numbers beside it."""
        seen, inodes = tree(self.mount_point, self.start)
        plain, _ = tree(self.plain, self.start)
        # The root of the mount is the top branch's own.
        seen.pop("."), plain.pop("."), inodes.pop(".")
        for folder in list(seen):
            # Shared directories are changed by both sides at different moments.
            if folder.startswith("shared") and stat.S_ISDIR(seen[folder][0][0]):
                seen[folder] = plain[folder] = None
        compare_trees(seen, plain, "the view")
        return inodes

    @contextlib.contextmanager
    def forgetting(self):
        """With --drop-caches the kernel forgets meanwhile what no program holds, again and again."""
        over = threading.Event()

        def forget():
            while not over.wait(0.01):
                with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                    file.write("3")

        thread = threading.Thread(target=forget)
        if self.words.drop_caches:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.words.drop_caches:
                thread.join()

    def round(self, number):
        children = []
        for index in range(self.words.processes):
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                os._exit(self.process(number, index))
            children.append(child)
        codes = []
        with self.forgetting():
            for child in children:
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if any(codes):
            raise Difference(f"round {number}: processes ended with {codes}")
        return self.view()

    def process(self, number, index):
        process = Process([self.mount_point, self.plain], index,
                          f"{self.seed} {number} {index}", self.start, self.words.trace)
        try:
            process.run(self.words.steps)
            return 0
        except Exception as error:  # pylint: disable=broad-except
            last = process.log[-1] if process.log else ""
            print(f"FAILED: seed {self.seed}, round {number}, process {index}, step {last}: {error}")
            names = set(last.split()[1:])
            touching = [line for line in process.log[:-1]
                        if any("/" in n and n in line for n in names)]
            print("\n".join("  " + line for line in touching[-12:]))
            sys.stdout.flush()
            return 1

    def check_branches(self):
        for layer, old in zip(self.layers, self.before):
            compare_trees(tree(layer, self.start)[0], old, f"{os.path.basename(layer)} changed")
        left = [n for n in os.listdir(os.path.join(self.top, ".wh..wh.unionfs")) if n != "inodes"]
        if left:
            raise Difference(f"left in the work area: {left}")

    def check_whiteouts(self):
        """Each whiteout on top hides something."""
        needless = []

        def look(folder, below):
            entries = os.listdir(folder)
            shown = merge(below)
            if ".wh..wh..opq" in entries:
                below, shown = [], {}
            needless.extend(os.path.join(folder, ".wh." + name)
                            for name in hidden_names(entries) if name not in shown)
            for name in entries:
                path = os.path.join(folder, name)
                if not name.startswith(".wh.") and stat.S_ISDIR(os.lstat(path).st_mode):
                    merged = [] if ".wh." + name in entries else shown.get(name, (0, []))[1]
                    look(path, merged)

        look(self.top, self.layers)
        if needless:
            raise Difference(f"whiteouts that hide nothing: {needless[:10]}")

    def run(self):
        end = time.monotonic() + self.words.seconds
        number = 0
        self.mount()
        self.view()
        while number == 0 or time.monotonic() < end:
            inodes = self.round(number)
            number += 1
            if number % 3 == 2:
                continue
            self.unmount()
            self.check_branches()
            self.check_whiteouts()
            self.mount()
            again = self.view()
            changed = {p: (inodes[p], again.get(p)) for p in inodes if inodes[p] != again.get(p)}
            if changed:
                raise Difference(f"inode numbers changed by a remount: {shorten(changed)}")
        self.unmount()
        return number * self.words.steps * self.words.processes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("seconds", type=float)
    parser.add_argument("seed")
    parser.add_argument("--folder", help="kept after a failure; else a temporary one")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000, help="of each process in a round")
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument("--drop-caches", action="store_true",
                        help="let the kernel forget all the time what is not in use")
    words = parser.parse_args()
    if words.processes > 8:
        parser.error("at most 8 processes share the files")
    print(f"seed {words.seed}", flush=True)
    os.umask(0o022)
    folder = words.folder or tempfile.mkdtemp(
        prefix="unionfs-swift-random.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    status = 1
    try:
        steps = Run(words, folder).run()
        status = 0
        print(f"{steps} steps, no difference")
    except Exception as error:  # pylint: disable=broad-except
        print(f"FAILED: seed {words.seed}: {type(error).__name__}: {error}")
    finally:
        subprocess.run(["umount", "-l", os.path.join(folder, "mnt")], check=False,
                       stderr=subprocess.DEVNULL)
        if status == 0 or not words.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return status


sys.exit(main())

"""A disk whose writes and flushes are recorded, and what a power cut leaves of it."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import struct
import subprocess
import threading

LOOP_CONTROL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
AUTO_CLEAR, DIRECT_IO = 4, 16
BTRFS_START_SYNC, BTRFS_WAIT_SYNC = 0x80089418, 0x40089416
RECORD = struct.Struct("=IIQ")


def run(*words):
    """Runs a command; what it said is in the error."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}: {said}")
    return done.stdout


def attach(path, flags=0):
    """A loop device over a file: its path and a descriptor. It goes with its last user."""
    file = os.open(path, os.O_RDWR | (os.O_DIRECT if flags & DIRECT_IO else 0))
    control = os.open("/dev/loop-control", os.O_RDWR)
    info = struct.pack("<5Q4I64s64s32s2Q", *([0] * 8), flags | AUTO_CLEAR, b"", b"", b"", 0, 0)
    config = bytearray(struct.pack("<II", file, 0) + info + bytes(64))
    try:
        while True:
            device = f"/dev/loop{fcntl.ioctl(control, LOOP_CONTROL_GET_FREE)}"
            opened = os.open(device, os.O_RDWR)
            try:
                fcntl.ioctl(opened, LOOP_CONFIGURE, config)
                return device, opened
            except OSError as error:
                os.close(opened)
                if error.errno != errno.EBUSY:  # somebody else was faster
                    raise
    finally:
        os.close(control)
        os.close(file)


class FileSystem:
    """A kind of file system with the options to make and to mount it."""

    def __init__(self, name, kind, make=(), options="", size=320, journal=True):
        self.name, self.kind, self.make, self.options = name, kind, list(make), options
        self.size, self.journal = size, journal

    def create(self, path):
        with open(path, "wb") as file:
            file.truncate(self.size << 20)
        force = {"ext4": "-F", "xfs": "-f", "btrfs": "-f"}[self.kind]
        run(f"mkfs.{self.kind}", "-q", force, *self.make, path)
        run("fallocate", "--dig-holes", path)

    @contextlib.contextmanager
    def mounted(self, image, folder, flags=0):
        """Mounts an image, a disk after a cut or a new one."""
        if not self.journal and not flags:
            checked = subprocess.run(
                ["fsck.ext4", "-fy", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False)
            if checked.returncode > 2:
                raise RuntimeError(f"fsck.ext4: {checked.stdout.decode(errors='replace')}")
        device, opened = attach(image, flags)
        try:
            options = ["-o", self.options] if self.options else []
            run("mount", "-t", self.kind, *options, device, folder)
            try:
                yield device
            finally:
                run("umount", folder)
                if self.kind == "btrfs":  # an older image would be taken for a stale device
                    run("btrfs", "device", "scan", "--forget", device)
        finally:
            os.close(opened)


class Committer(threading.Thread):
    """Makes the file system commit, again and again, while other work goes on: what is not yet on the
    disk is as little as can be, so that each cut falls into the midst of something."""

    def __init__(self, system, device, folder):
        super().__init__(daemon=True)
        self.system, self.device, self.folder = system, device, folder
        self.ended = threading.Event()
        self.error = None

    def run(self):
        try:
            self.commit()
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def commit(self):
        file = os.open(f"{self.folder}/committed", os.O_RDWR | os.O_CREAT, 0o600)
        dirty = os.open(f"{self.folder}/dirty", os.O_RDWR | os.O_CREAT, 0o600)
        disk = os.open(self.device, os.O_RDWR)
        turn = 0
        while not self.ended.is_set():
            turn += 1
            # What nobody flushes lies between what is flushed.
            os.pwrite(dirty, b"d" * 4096, turn * 7919 % 1024 * 4096)
            os.pwrite(file, b"%0512d" % turn, turn % 64 * 512)
            os.utime(file)
            if self.system.kind == "btrfs" and turn % 2:
                # Commits, but writes no data that is not flushed already.
                number = fcntl.ioctl(dirty, BTRFS_START_SYNC, bytes(8))
                fcntl.ioctl(dirty, BTRFS_WAIT_SYNC, number)
            elif not self.system.journal and turn % 2:
                os.fsync(disk)  # writes metadata, and no data
            else:
                os.fsync(file)
        for opened in (file, dirty, disk):
            os.close(opened)

    def end(self):
        self.ended.set()
        self.join()
        if self.error:
            raise self.error


class Recording:
    """The disk `image`, mounted at `folder`, with all that is written to it."""

    def __init__(self, server, system, work, image, seed):
        self.system, self.work = system, work
        self.folder = f"{work}/mounted"
        self.log = f"{work}/log"
        self.disk = f"{work}/recorded"
        for folder in (self.folder, self.disk):
            os.makedirs(folder, exist_ok=True)
        copy_sparse(image, f"{work}/current.img")
        self.words = [server, f"{work}/current.img", self.log, self.disk, str(seed)]

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        with self.stack:
            self.server = subprocess.Popen(
                self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
            self.stack.callback(self._end_server)
            if self.server.stdout.readline() != b"ready\n":
                raise RuntimeError("the recorded disk does not begin")
            self.marks = os.open(f"{self.disk}/mark", os.O_WRONLY)
            self.stack.callback(os.close, self.marks)
            self.device = self.stack.enter_context(
                self.system.mounted(f"{self.disk}/disk", self.folder, DIRECT_IO))
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def _end_server(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def mark(self, text):
        """Notes that something has happened: a cut after it comes later."""
        os.pwrite(self.marks, text.encode(), 0)

    @contextlib.contextmanager
    def committing(self):
        committer = Committer(self.system, self.device, self.folder)
        committer.start()
        try:
            yield
        finally:
            committer.end()


def copy_sparse(source, target):
    """A copy of a file whose holes stay holes."""
    with open(source, "rb") as read, open(target, "wb") as write:
        size = os.fstat(read.fileno()).st_size
        write.truncate(size)
        end = 0
        while end < size:
            try:
                start = os.lseek(read.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return
            end = os.lseek(read.fileno(), start, os.SEEK_HOLE)
            os.lseek(read.fileno(), start, os.SEEK_SET)
            os.lseek(write.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(write.fileno(), read.fileno(), None, end - start)


class Cut:
    """One cut: what was flushed last, how far the power held, and what of the rest was written."""

    def __init__(self, flush, position, kept, marks):
        self.flush, self.position, self.kept, self.marks = flush, position, kept, marks

    def __str__(self):
        return f"cut at record {self.position}, flushed to {self.flush}, {len(self.kept)} writes more"


class Log:
    """What was recorded between the marks `begin` and `end`."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.records, at = [], 0
        while at < len(self.data):
            kind, length, offset = RECORD.unpack_from(self.data, at)
            at += RECORD.size
            self.records.append((chr(kind), offset, at, length))
            at += length
        self.begin, self.end = self._marked("begin"), self._marked("end")
        self.flushes = [
            index for index in range(self.begin, self.end) if self.records[index][0] == "F"]

    def _marked(self, text):
        for index, (kind, _, at, length) in enumerate(self.records):
            if kind == "M" and self.data[at:at + length] == text.encode():
                return index
        raise RuntimeError(f"the log has no mark `{text}`")

    def kinds_between(self, first, last):
        """The kinds of the records between two marks, a letter each."""
        return "".join(
            record[0] for record in self.records[self._marked(first) + 1:self._marked(last)])

    def apply(self, file, index):
        kind, offset, at, length = self.records[index]
        if kind == "W":
            os.pwrite(file, memoryview(self.data)[at:at + length], offset)

    def cuts(self, count, rng):
        """Cuts in the order of the log, spread over it: nothing of what was not flushed is there, or
        all of it, or some."""
        cuts = []
        for turn in range(count):
            last = len(self.flushes) - 1
            window = min(last - 1, int((turn + rng.random()) * last / count))
            flush, following = self.flushes[window], self.flushes[window + 1]
            position = rng.randint(flush + 1, following)
            writes = [i for i in range(flush + 1, position) if self.records[i][0] == "W"]
            share = (0, 1, 0.2, 0.5, 0.8, None)[turn % 6]
            if share is None:  # one is missing
                missing = rng.choice(writes) if writes else 0
                kept = [index for index in writes if index != missing]
            else:
                kept = [index for index in writes if rng.random() < share]
            cuts.append(Cut(flush, position, kept, None))
        cuts.sort(key=lambda cut: cut.flush)
        marks = [
            (index, bytes(self.data[at:at + length]).decode())
            for index, (kind, _, at, length) in enumerate(self.records) if kind == "M"]
        for cut in cuts:
            cut.marks = {text for index, text in marks if index < cut.position}
        return cuts

    def images(self, initial, work, cuts):
        """For each cut the path of the disk after it. The path is the same each time."""
        base, path, done = f"{work}/base.img", f"{work}/cut.img", 0
        copy_sparse(initial, base)
        file = os.open(base, os.O_RDWR)
        try:
            for cut in cuts:
                for index in range(done, cut.flush):
                    self.apply(file, index)
                done = max(done, cut.flush)
                copy_sparse(base, path)
                written = os.open(path, os.O_RDWR)
                for index in cut.kept:
                    self.apply(written, index)
                os.close(written)
                yield cut, path
        finally:
            os.close(file)


LIBC = ctypes.CDLL(None, use_errno=True)


def sync_file_range(opened, flags=7):
    """Writes a file's data and waits for it (or, with flags, does not); the disk is not flushed."""
    call = LIBC.sync_file_range
    call.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_uint]
    if call(opened, 0, 0, flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

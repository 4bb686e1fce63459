"""A disk whose writes and flushes are recorded, and what a power cut leaves of it."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import struct
import subprocess
import threading

LOOP_CONTROL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
AUTO_CLEAR, DIRECT_IO = 4, 16
BTRFS_START_SYNC, BTRFS_WAIT_SYNC = 0x80089418, 0x40089416
RECORD = struct.Struct("=HHIQ")


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

    def __init__(self, name, kind, make=(), options="", size=320, journal=True,
                 apart=False):
        self.name, self.kind, self.make, self.options = name, kind, list(make), options
        self.size, self.journal = size, journal
        # Whether a name is never on the disk before one that was made or taken away earlier.
        self.ordered = journal and kind != "btrfs"
        # Whether the journal is on a disk of its own, the second one.
        self.apart = apart

    def paths(self, path):
        """The images' paths, one for each disk."""
        return [path, f"{path}.journal"] if self.apart else [path]

    def create(self, path):
        for disk in self.paths(path):
            with open(disk, "wb") as file:
                file.truncate((self.size if disk == path else 32) << 20)
        force = {"ext4": "-F", "xfs": "-f", "btrfs": "-f"}[self.kind]
        make = [f"mkfs.{self.kind}", "-q", force, *self.make]
        with contextlib.ExitStack() as stack:
            if self.apart:
                run("mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", f"{path}.journal")
                device, opened = attach(f"{path}.journal")
                stack.callback(os.close, opened)
                make += ["-b", "4096", "-J", f"device={device}"]
            run(*make, path)
        for disk in self.paths(path):
            run("fallocate", "--dig-holes", disk)

    @contextlib.contextmanager
    def mounted(self, images, folder, flags=0):
        """Mounts the images of disks, after a cut or new ones."""
        if not self.journal and not flags:
            checked = subprocess.run(
                ["fsck.ext4", "-fy", images[0]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False)
            if checked.returncode > 2:
                raise RuntimeError(f"fsck.ext4: {checked.stdout.decode(errors='replace')}")
        with contextlib.ExitStack() as stack:
            options, devices = self.options, []
            for disk in images:
                device, opened = attach(disk, flags)
                stack.callback(os.close, opened)
                devices.append(device)
            if self.apart:
                options += f",journal_path={devices[1]}"
            run("mount", "-t", self.kind, *(["-o", options] if options else []), devices[0], folder)
            try:
                yield devices[0]
            finally:
                run("umount", folder)
                if self.kind == "btrfs":  # an older image would be taken for a stale device
                    run("btrfs", "device", "scan", "--forget", devices[0])


class Committer(threading.Thread):
    """Makes the file system commit, again and again, while other work goes on: what is not yet on the
    disk is as little as can be, so that each cut falls into the midst of something. Half of the commits
    follow the one before at once. The others come after some steps of the work: a commit that flushes
    what the next one needs would hide that the next one does not."""

    def __init__(self, system, device, folder, seed):
        super().__init__(daemon=True)
        self.system, self.device, self.folder = system, device, folder
        self.rng = random.Random(f"commits {seed}")
        self.changed = threading.Condition()
        self.steps, self.ended = 0, False
        self.error = None

    def step(self):
        with self.changed:
            self.steps += 1
            self.changed.notify()

    def wait_for_steps(self):
        with self.changed:
            wanted = self.steps + self.rng.choice((0, 0, 0, 1, 2, 5))
            self.changed.wait_for(lambda: self.ended or self.steps >= wanted)

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
        while not self.ended:
            turn += 1
            self.wait_for_steps()
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
        with self.changed:
            self.ended = True
            self.changed.notify()
        self.join()
        if self.error:
            raise self.error


class Recording:
    """The disk `image`, mounted at `folder`, with all that is written to it."""

    def __init__(self, server, system, work, image, seed):
        self.system, self.work, self.seed = system, work, seed
        self.folder = f"{work}/mounted"
        self.log = f"{work}/log"
        self.disk = f"{work}/recorded"
        for folder in (self.folder, self.disk):
            os.makedirs(folder, exist_ok=True)
        current = system.paths(f"{work}/current.img")
        for source, target in zip(system.paths(image), current):
            copy_sparse(source, target)
        self.words = [server, self.log, self.disk, str(seed), *current]

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
                self.system.mounted(self._disks(), self.folder, DIRECT_IO))
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def _disks(self):
        return [f"{self.disk}/disk{number}" for number in range(2 if self.system.apart else 1)]

    def _end_server(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def mark(self, text):
        """Notes that something has happened: a cut after it comes later."""
        os.pwrite(self.marks, text.encode(), 0)

    @contextlib.contextmanager
    def committing(self):
        committer = Committer(self.system, self.device, self.folder, self.seed)
        committer.start()
        try:
            yield committer
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
    """One cut: the last flush of each disk, how far the power held, and what of the rest was written."""

    def __init__(self, flushed, position, kept, marks):
        self.flushed, self.position, self.kept, self.marks = flushed, position, kept, marks

    def __str__(self):
        flushed = " and ".join(map(str, self.flushed))
        return f"cut at record {self.position}, flushed to {flushed}, {len(self.kept)} writes more"


class Log:
    """What was recorded between the marks `begin` and `end`."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.records, at = [], 0
        while at < len(self.data):
            kind, disk, length, offset = RECORD.unpack_from(self.data, at)
            at += RECORD.size
            self.records.append((chr(kind), disk, offset, at, length))
            at += length
        self.begin, self.end = self._marked("begin"), self._marked("end")
        self.flushes = [
            index for index in range(self.begin, self.end) if self.records[index][0] == "F"]

    def _marked(self, text):
        for index, (kind, _, _, at, length) in enumerate(self.records):
            if kind == "M" and self.data[at:at + length] == text.encode():
                return index
        raise RuntimeError(f"the log has no mark `{text}`")

    def kinds_between(self, first, last):
        """The kinds of the records between two marks, a letter each."""
        return "".join(
            record[0] for record in self.records[self._marked(first) + 1:self._marked(last)])

    def apply(self, file, disk, index):
        kind, own, offset, at, length = self.records[index]
        if kind == "W" and own == disk:
            os.pwrite(file, memoryview(self.data)[at:at + length], offset)

    def cuts(self, disks, count, rng):
        """Cuts in the order of the log, spread over it: nothing of what was not flushed is there, or
        all of it, or some."""
        cuts, last = [], len(self.flushes) - 1
        marks = [
            (index, bytes(self.data[at:at + length]).decode())
            for index, (kind, _, _, at, length) in enumerate(self.records) if kind == "M"]
        for turn in range(count):
            window = min(last - 1, int((turn + rng.random()) * last / count))
            position = rng.randint(self.flushes[window] + 1, self.flushes[window + 1])
            flushed = [self._flushed(disk, position) for disk in range(disks)]
            writes = [
                index for index in range(min(flushed), position)
                if self.records[index][0] == "W" and index >= flushed[self.records[index][1]]]
            marked = {text for index, text in marks if index < position}
            cuts.append(Cut(flushed, position, self._kept(writes, turn, rng), marked))
        return sorted(cuts, key=lambda cut: cut.position)

    def _flushed(self, disk, position):
        """The last flush of a disk before a position; the log's begin where there is none."""
        for index in range(position - 1, -1, -1):
            if self.records[index][:2] == ("F", disk):
                return index
        return 0

    @staticmethod
    def _kept(writes, turn, rng):
        share = (0, 1, 0.2, 0.5, 0.8, None)[turn % 6]
        if share is None:  # one is missing
            missing = rng.choice(writes) if writes else 0
            return [index for index in writes if index != missing]
        return [index for index in writes if rng.random() < share]

    def images(self, initial, targets, cuts):
        """For each cut makes the disks after it, at the same paths each time."""
        with contextlib.ExitStack() as stack:
            bases, done = [], [0] * len(targets)
            for source, target in zip(initial, targets):
                copy_sparse(source, f"{target}.base")
                bases.append(os.open(f"{target}.base", os.O_RDWR))
                stack.callback(os.close, bases[-1])
            for cut in cuts:
                for disk, base in enumerate(bases):
                    for index in range(done[disk], cut.flushed[disk]):
                        self.apply(base, disk, index)
                    done[disk] = max(done[disk], cut.flushed[disk])
                    copy_sparse(f"{targets[disk]}.base", targets[disk])
                    written = os.open(targets[disk], os.O_RDWR)
                    for index in cut.kept:
                        self.apply(written, disk, index)
                    os.close(written)
                yield cut


LIBC = ctypes.CDLL(None, use_errno=True)


def sync_file_range(opened, flags=7):
    """Writes a file's data and waits for it (or, with flags, does not); the disk is not flushed."""
    call = LIBC.sync_file_range
    call.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_uint]
    if call(opened, 0, 0, flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

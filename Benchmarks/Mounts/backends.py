"""The unions that are compared: how each is mounted, and what it cannot do."""

import dataclasses
import fcntl
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import time

import layers

OURS, PEER, KERNEL, PLAIN = "ours", "peer", "kernel", "plain"
# What a work may need of a backend.
LAYERS, LOWER_CHANGES, SERVER, READ_ONLY = "layers", "lower changes", "server", "read-only mounts"
ALL = frozenset({LAYERS, LOWER_CHANGES, SERVER, READ_ONLY})
READY_SECONDS = 60
# Sources/UnionCore/Names/FaultProtocol.swift.
ASK_FAULTS, ROUND_TRIPS = 3 << 30 | 16 << 16 | 0x75 << 8 | 2, 4


class MountFailed(Exception):
    """The mount did not come to be; says why."""


def octal_escaped(path):
    return str(path).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")


def is_mounted(path):
    """Whether a path is a mount point, without asking the file system that is mounted there."""
    wanted = octal_escaped(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        return any(line.split(" ")[4] == wanted for line in table)


def clear(folder):
    """Takes away every mount below a folder: what an end at a bad moment may have left."""
    while True:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            points = [line.split(" ")[4] for line in table]
        found = [point for point in points if point.startswith(octal_escaped(folder) + "/")]
        if not found or subprocess.run(["umount", "-l", found[-1]], check=False).returncode:
            return


@dataclasses.dataclass(frozen=True)
class Backend:
    """`command(layers, upper, work, mnt)` answers the words; `upper` is None for a read-only mount."""

    name: str
    kind: str
    layer_format: str
    command: object = None
    abilities: frozenset = ALL
    as_user: bool = False
    package: str = ""

    @property
    def has_server(self):
        return self.kind in (OURS, PEER)


def ours(binary, *options):
    def command(stack, upper, work, mnt):
        words = [binary, "mount", "-f"]
        for option in options:
            words += ["-o", option]
        if upper:
            words += ["--branch", f"{upper}=rw"]
        for layer in stack:
            words += ["--branch", f"{layer}=ro+wh"]
        return [*words, mnt]

    return command


def overlay_options(stack, upper, work):
    options = "lowerdir=" + ":".join(stack)
    return options + (f",upperdir={upper},workdir={work}" if upper else "")


def overlay(stack, upper, work, mnt):
    # One lower layer without an upper one is not a union to overlayfs: it is named twice then.
    if not upper and len(stack) == 1:
        stack = [*stack, str(pathlib.Path(work))]
    return ["mount", "-t", "overlay", "overlay", "-o", overlay_options(stack, upper, work), mnt]


def fuse_overlayfs(stack, upper, work, mnt):
    return ["fuse-overlayfs", "-f", "-o", overlay_options(stack, upper, work), mnt]


def branches(stack, upper):
    return ":".join(([f"{upper}=RW"] if upper else []) + [f"{layer}=RO" for layer in stack])


def unionfs_fuse(stack, upper, work, mnt):
    return ["unionfs-fuse", "-f", "-o", "cow,allow_other,suid,dev", branches(stack, upper), mnt]


def mergerfs(stack, upper, work, mnt):
    options = "allow_other,suid,dev,category.create=ff,minfreespace=0,fsname=mergerfs"
    return ["mergerfs", "-f", "-o", options, branches(stack, upper), mnt]


def every(binary):
    """All backends in the order of the tables."""
    return [
        Backend("overlay", KERNEL, layers.OVERLAY, overlay, ALL - {SERVER}),
        Backend("root", OURS, layers.AUFS, ours(binary)),
        Backend("root-fast", OURS, layers.AUFS, ours(binary, "readers=fast")),
        Backend("root-nopassthrough", OURS, layers.AUFS, ours(binary, "passthrough=off")),
        Backend("root-volatile", OURS, layers.AUFS, ours(binary, "sync=volatile")),
        Backend("user", OURS, layers.USER, ours(binary), as_user=True),
        Backend("fuse-overlayfs", PEER, layers.OVERLAY, fuse_overlayfs, package="fuse-overlayfs"),
        Backend("unionfs-fuse", PEER, layers.UNIONFS, unionfs_fuse, package="unionfs-fuse"),
        Backend("mergerfs", PEER, layers.MERGERFS, mergerfs, ALL - {LOWER_CHANGES}, package="mergerfs"),
        Backend("plain", PLAIN, layers.ANY, abilities=frozenset({LOWER_CHANGES})),
    ]


@dataclasses.dataclass
class User:
    """The unprivileged user of the run."""

    name: str
    uid: int
    gid: int

    def words(self):
        """What starts a process as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

class Mounted:
    """One mount with an upper layer of its own; `close` leaves nothing of it."""

    def __init__(self, backend, scene, folder, user, *, read_only=False):
        self.backend, self.scene, self.folder, self.user = backend, scene, folder, user
        self.read_only = read_only
        self.mnt, self.upper, self.work = (folder / name for name in ("mnt", "upper", "work"))
        self.server = None
        self.peak = None
        self.seconds = None

    def prepare(self, *, copies):
        """The folders; for a plain directory a copy of the scene, where the work changes it."""
        self.folder.mkdir(parents=True)
        if self.backend.kind == PLAIN:
            self.mnt = self.upper = self.folder / "copy" if copies else self.scene.flat
            if copies:
                subprocess.run(["cp", "-a", self.scene.flat, self.mnt], check=True)
            return
        for path in (self.folder, self.mnt, self.upper, self.work):
            path.mkdir(exist_ok=True)
            self.own(path)

    def own(self, path):
        """Gives a path to whoever the mount belongs to."""
        if self.backend.as_user:
            os.chown(path, self.user.uid, self.user.gid)

    def open(self):
        """Mounts, and waits until the root answers; `seconds` is how long that took."""
        if self.backend.kind == PLAIN:
            return
        upper = None if self.read_only else self.upper
        words = self.backend.command(self.scene.layers, upper, self.work, self.mnt)
        log = open(self.folder / "log", "w", encoding="utf-8")
        extra = self.user.words() if self.backend.as_user else {}
        with log, open("/proc/self/mountinfo", "rb") as table:
            start = time.monotonic()
            # With it our server tells how many requests were waited for.
            environment = {**os.environ, "UNIONFS_SWIFT_TEST_FAULTS": "1"}
            process = subprocess.Popen(
                [str(word) for word in words], env=environment, cwd=self.scene.stack(self.backend.layer_format),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **extra)
            self.server = process
            self.wait_until_ready(table)
            self.seconds = time.monotonic() - start
        if not self.backend.has_server:
            self.server = None

    def wait_until_ready(self, table):
        poller = select.poll()
        poller.register(table, select.POLLPRI | select.POLLERR)
        deadline = time.monotonic() + READY_SECONDS
        while not is_mounted(self.mnt):
            status = self.server.poll()
            if status is not None and (status or self.backend.has_server):
                raise MountFailed(self.why() or f"it ended with status {status}")
            if time.monotonic() > deadline:
                raise MountFailed("it was not mounted in time")
            poller.poll(50)
        if not self.backend.has_server and self.server.wait():
            raise MountFailed(self.why())
        try:
            os.stat(self.mnt)
        except PermissionError:
            pass  # A user's mount answers to nobody else.

    def why(self):
        """The last line of what the mount's program wrote."""
        lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    # --- The server ---------------------------------------------------------------------------------

    def cpu(self):
        """Seconds of processor time that the server has used; None where there is none."""
        if not self.server:
            return None
        with open(f"/proc/{self.server.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field):
        """A size of /proc/PID/status in bytes, such as `VmHWM`; None where there is no server."""
        if not self.server:
            return None
        with open(f"/proc/{self.server.pid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        return None

    def requests(self):
        """How many requests callers have waited for, but for this one; None where nobody counts."""
        if self.backend.kind != OURS or self.backend.as_user:
            return None
        root = os.open(self.mnt, os.O_RDONLY | os.O_DIRECTORY)
        try:
            answer = fcntl.ioctl(root, ASK_FAULTS, struct.pack("<IIQ", ROUND_TRIPS, 0, 0))
        finally:
            os.close(root)
        return struct.unpack("<IIQ", answer)[2] - 1

    # --- The end ------------------------------------------------------------------------------------

    def unmount(self):
        """Takes the mount away and waits for its server; may be called twice."""
        if self.server and self.server.poll() is None and self.peak is None:
            self.peak = self.memory("VmHWM")
        for words in (["umount"], ["umount", "-l"]):
            if self.backend.kind != PLAIN and is_mounted(self.mnt):
                # A program that has just ended may still hold the mount for a moment.
                for _ in range(20):
                    done = subprocess.run([*words, self.mnt], capture_output=True, check=False)
                    if done.returncode == 0:
                        break
                    time.sleep(0.05)
        self.end_server()

    def end_server(self):
        if not self.server:
            return
        for wait, number in ((20, signal.SIGTERM), (5, signal.SIGKILL), (5, None)):
            try:
                self.server.wait(wait)
                break
            except subprocess.TimeoutExpired:
                if number is not None:
                    self.server.send_signal(number)
        self.server = None

    def close(self):
        self.unmount()
        if self.backend.kind != PLAIN and is_mounted(self.mnt):
            raise MountFailed(f"{self.mnt} cannot be unmounted")
        shutil.rmtree(self.folder, ignore_errors=True)

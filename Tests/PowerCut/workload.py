"""Changes through a union, each of a file of its own, and what each file may look like after a cut.

A file's content follows from its name. Every path shows what the lower branch has or what the change
made of it, whole. Only what was appended to a copy and not flushed may be missing."""

import os
import random
import subprocess

from primitive import difference

SIZES = (100, 5 << 10, 70 << 10, 3 << 20)
OLD = 1_000_000_000  # the time of everything that is on a lower branch
NEW = 1_500_000_000
TAIL = b"appended" * 700
MODE = 0o644


def content(name, size):
    return random.Random(name).randbytes(size)


def status(path):
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def read(path):
    with open(path, "rb") as file:
        return file.read()


def flush_directory(path):
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


class Change:
    """A change of the file `name`, which a lower branch has."""

    # Whether the file system keeps the order of two changes of directories.
    ordered = True

    def __init__(self, name, size):
        self.name, self.size = name, size
        self.before = content(name, size)

    def prepare(self, lower):
        path = f"{lower}/{self.name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(self.before)
        os.chmod(path, MODE)
        os.utime(path, (OLD, OLD))

    def act(self, mount, mark):
        """Changes it; calls `mark` when the change has to last."""
        raise NotImplementedError

    def verify(self, mount, lasts):
        """What is wrong with it after a cut; `lasts` is whether the mark was reached."""
        raise NotImplementedError

    def whole(self, mount, name=None):
        name = name or self.name
        return difference(name, read(f"{mount}/{name}"), self.before)


class ChangeMode(Change):
    def act(self, mount, mark):
        os.chmod(f"{mount}/{self.name}", 0o600)

    def verify(self, mount, lasts):
        mode = os.stat(f"{mount}/{self.name}").st_mode & 0o7777
        wrong = [] if mode in (MODE, 0o600) else [f"{self.name}: mode {mode:o}"]
        return wrong + self.whole(mount)


class Touch(Change):
    def act(self, mount, mark):
        os.utime(f"{mount}/{self.name}", (NEW, NEW))

    def verify(self, mount, lasts):
        time = os.stat(f"{mount}/{self.name}").st_mtime
        wrong = [] if time in (OLD, NEW) else [f"{self.name}: of {time}"]
        return wrong + self.whole(mount)


class Attribute(Change):
    def act(self, mount, mark):
        os.setxattr(f"{mount}/{self.name}", "user.changed", b"1")

    def verify(self, mount, lasts):
        return self.whole(mount)


class Append(Change):
    """Not flushed: what is appended may be lost, or be zeros; what was copied may not."""

    def act(self, mount, mark):
        with open(f"{mount}/{self.name}", "ab", buffering=0) as file:
            file.write(TAIL)

    def verify(self, mount, lasts):
        data = read(f"{mount}/{self.name}")
        wrong = difference(self.name, data[:self.size], self.before)
        if len(data) > self.size + len(TAIL):
            wrong.append(f"{self.name}: {len(data)} bytes, {self.size} and {len(TAIL)} appended")
        return wrong


class AppendFlushed(Append):
    """Flushed, its directory too: all of it is there once that has returned."""

    def act(self, mount, mark):
        path = f"{mount}/{self.name}"
        with open(path, "ab", buffering=0) as file:
            file.write(TAIL)
            os.fsync(file.fileno())
        flush_directory(os.path.dirname(path))
        mark(self.name)

    def verify(self, mount, lasts):
        if lasts:
            return difference(self.name, read(f"{mount}/{self.name}"), self.before + TAIL)
        return super().verify(mount, lasts)


class Truncate(Change):
    """The copy has the first half alone."""

    def act(self, mount, mark):
        os.truncate(f"{mount}/{self.name}", self.size // 2)

    def verify(self, mount, lasts):
        data = read(f"{mount}/{self.name}")
        if len(data) == self.size // 2:
            return difference(self.name, data, self.before[:self.size // 2])
        return difference(self.name, data, self.before)


class Rename(Change):
    def act(self, mount, mark):
        os.rename(f"{mount}/{self.name}", f"{mount}/{self.name}.new")

    def verify(self, mount, lasts):
        names = [n for n in (self.name, f"{self.name}.new") if status(f"{mount}/{n}")]
        if self.ordered and len(names) != 1:
            return [f"{self.name}: a rename shows {names or 'no name'}"]
        return [text for name in names for text in self.moved(mount, name)]

    def moved(self, mount, name):
        """What is wrong with what has that name."""
        return self.whole(mount, name)


class Link(Change):
    def act(self, mount, mark):
        os.link(f"{mount}/{self.name}", f"{mount}/{self.name}.new")

    def verify(self, mount, lasts):
        names = [n for n in (self.name, f"{self.name}.new") if status(f"{mount}/{n}")]
        if self.name not in names:
            return [f"{self.name}: is gone"]
        return [text for name in names for text in self.whole(mount, name)]


class Unlink(Change):
    def act(self, mount, mark):
        os.unlink(f"{mount}/{self.name}")

    def verify(self, mount, lasts):
        return self.whole(mount) if status(f"{mount}/{self.name}") else []


class Replace(Change):
    """As editors save: a new file, flushed, in the place of the old one."""

    def act(self, mount, mark):
        path = f"{mount}/{self.name}"
        with open(f"{path}.new", "xb", buffering=0) as file:
            file.write(content(f"{self.name}.new", self.size))
            os.fsync(file.fileno())
        os.rename(f"{path}.new", path)
        flush_directory(os.path.dirname(path))
        mark(self.name)

    def verify(self, mount, lasts):
        after = content(f"{self.name}.new", self.size)
        data = read(f"{mount}/{self.name}")
        return [] if data == self.before and not lasts else difference(self.name, data, after)


class Create(Change):
    """A new file, flushed with its directory."""

    def prepare(self, lower):
        os.makedirs(os.path.dirname(f"{lower}/{self.name}"), exist_ok=True)

    def act(self, mount, mark):
        path = f"{mount}/{self.name}"
        with open(path, "xb", buffering=0) as file:
            file.write(self.before)
            os.fsync(file.fileno())
        flush_directory(os.path.dirname(path))
        mark(self.name)

    def verify(self, mount, lasts):
        if lasts:
            return self.whole(mount) if status(f"{mount}/{self.name}") else [f"{self.name}: is gone"]
        return []


class RenameDirectory(Rename):
    """A directory with files of the lower branch, which are copied first."""

    FILES = 12

    def __init__(self, name, size):
        super().__init__(name, size)
        self.files = [
            Change(f"{name}/sub{number % 3}/{number}", SIZES[number % 3])
            for number in range(self.FILES)]

    def prepare(self, lower):
        for file in self.files:
            file.prepare(lower)

    def moved(self, mount, name):
        wrong = []
        for file in self.files:
            path = name + file.name[len(self.name):]
            if self.ordered or status(f"{mount}/{path}"):
                wrong += file.whole(mount, path)
        return wrong


KINDS = (
    ChangeMode, Touch, Attribute, Append, AppendFlushed, Truncate, Rename, Link, Unlink, Replace, Create)


class Union:
    """The program under test on `top` and `low` of the disk, and on a branch elsewhere."""

    def __init__(self, binary, options, elsewhere, mount):
        self.binary, self.options, self.mount = binary, options, mount
        self.elsewhere = elsewhere

    def branches(self, disk):
        words = []
        for branch in (f"{disk}/top=rw", f"{disk}/low=ro+wh", f"{self.elsewhere}=ro+wh"):
            words += ["--branch", branch]
        return words

    def call(self, *words):
        done = subprocess.run(
            [self.binary, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode(errors="replace").strip()
        return "" if done.returncode == 0 else said or f"status {done.returncode}"

    def begin(self, disk):
        options = ["-o", self.options] if self.options else []
        return self.call("mount", *options, *self.branches(disk), self.mount)

    def end(self):
        return self.call("umount", self.mount)

    def check(self, disk):
        return self.call("check", *self.branches(disk))


class Workload:
    """Some rounds of all kinds of changes, in an order that follows from the seed."""

    def __init__(self, union, rounds, seed, ordered):
        self.union, self.changes, self.ordered = union, [], ordered
        rng = random.Random(f"workload {seed}")
        for turn in range(rounds):
            changes = [
                kind(f"{place}/d{turn}/{kind.__name__}{size}", size)
                for number, kind in enumerate(KINDS) for at, size in enumerate(SIZES)
                for place in (("low", "away")[(number + at + turn) % 2],)
                # A large one of few: it takes long to compare.
                if size != SIZES[-1] or (number + turn) % 4 == 0]
            changes += [
                RenameDirectory(f"{place}/d{turn}/directory", 0) for place in ("low", "away")]
            rng.shuffle(changes)
            for change in changes:
                change.ordered = ordered
            self.changes += changes

    def prepare(self, disk):
        for folder in ("top", "low"):
            os.makedirs(f"{disk}/{folder}", exist_ok=True)
        for change in self.changes:
            where = f"{disk}/low" if change.name.startswith("low/") else self.union.elsewhere
            change.prepare(where)
            # Whose parents are on the top branch already, so that they last as long as the files.
            os.makedirs(os.path.dirname(f"{disk}/top/{change.name}"), exist_ok=True)

    def run(self, disk, mark, step):
        said = self.union.begin(disk)
        if said:
            raise RuntimeError(f"the union does not mount: {said}")
        try:
            mark("begin")
            for change in self.changes:
                change.act(self.union.mount, mark)
                step()
            mark("end")
        finally:
            said = self.union.end()
            if said:
                raise RuntimeError(f"the union does not end: {said}")

    def verify(self, disk, marks):
        said = self.union.begin(disk)
        if said:
            return [f"the union does not mount: {said}"]
        wrong = []
        try:
            for change in self.changes:
                try:
                    wrong += change.verify(self.union.mount, change.name in marks)
                except OSError as error:
                    wrong.append(f"{change.name}: {error}")
        finally:
            said = self.union.end()
        if said:
            raise RuntimeError(f"the union does not end: {said}")
        # Without an order of names the note of a change may be lost and its first step, a whiteout beside what
        # is still there, be kept: it shows the same, and `check` tells of it.
        said = self.union.check(disk) if self.ordered else ""
        return wrong + [f"check: {line}" for line in said.splitlines()]

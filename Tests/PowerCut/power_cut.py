#!/usr/bin/env python3
"""What a power cut leaves of a union, or of files that are published as it publishes copies.

A disk is recorded while there is work on it. Then, for many moments, the disk is made as a cut may
leave it: everything up to the last flush, and of what was written since nothing, all, or some. It is
mounted and every file looked at. scripts/test-power-cut calls this in namespaces of its own:

    power_cut.py DISK WORK BINARY SEED [--full] [--cuts N] [--keep FOLDER] [NAME…]

DISK is the program made of disk.c, WORK an empty directory. A NAME chooses a file system, or `union`,
or `raw`.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys

from primitive import METHODS, Primitive
from recording import FileSystem, Log, Recording, copy_sparse
from workload import Union, Workload

SYSTEMS = [
    FileSystem("ext4", "ext4", options="commit=1"),
    FileSystem("xfs", "xfs"),
    FileSystem("ext4-writeback", "ext4", options="commit=1,data=writeback"),
    FileSystem("ext4-dioread-lock", "ext4", options="commit=1,dioread_lock"),
    FileSystem("ext4-nodelalloc", "ext4", options="commit=1,nodelalloc"),
    FileSystem("ext4-data-journal", "ext4", options="commit=1,data=journal"),
    FileSystem("ext4-async-commit", "ext4", options="commit=1,data=writeback,journal_async_commit"),
    FileSystem("ext4-journal-apart", "ext4", options="commit=1", apart=True),
    FileSystem("ext4-no-journal", "ext4", make=["-O", "^has_journal"], journal=False),
    FileSystem("btrfs", "btrfs", options="commit=1"),
]
SHORT = ("ext4", "xfs")
# Where a journal puts data before names by itself, so that nothing is ever lost.
SAFE = ("ext4-nodelalloc", "ext4-data-journal")
# Where sync_file_range(2) orders nothing. With journal_async_commit a commit is on the disk before what it
# needs is flushed; that shows.
UNORDERED = ("ext4-no-journal", "ext4-async-commit", "btrfs")
# What has to break files, or the cuts prove nothing: data that nobody flushes, or nobody waits for.
CAUGHT = [(name, "unawaited") for name in SHORT]


class Report:
    """A line for each thing that is shown, and the sums."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def say(self, good, text, details=()):
        print(f"{'ok' if good else 'FAILED'}: {text}")
        for detail in [] if good else details:
            print(f"    {detail}")
        self.passed += good
        self.failed += not good
        sys.stdout.flush()

    def note(self, text):
        print(f"-: {text}", flush=True)

    def skip(self, text):
        print(f"skipped: {text}", flush=True)
        self.skipped += 1

    def end(self):
        tail = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{tail}")
        return 1 if self.failed else 0


class Trial:
    """Recordings and cuts on one file system."""

    def __init__(self, words, system, report):
        self.words, self.system, self.report = words, system, report
        self.work = f"{words.work}/{system.name}"
        self.initial, self.mounted = f"{self.work}/initial.img", f"{self.work}/after"
        self.images = system.paths(f"{self.work}/cut.img")
        os.makedirs(self.mounted)

    def record(self, work):
        """Makes a file system, prepares it, and records the work."""
        self.system.create(self.initial)
        with self.system.mounted(self.system.paths(self.initial), self.mounted):
            work.prepare(self.mounted)
        with Recording(self.words.disk, self.system, self.work, self.initial, self.words.seed) as recording:
            self.flushes(recording)
            with recording.committing() as committer:
                work.run(recording.folder, recording.mark, committer.step)
        return Log(f"{self.work}/log")

    def flushes(self, recording):
        """An fsync(2) has to arrive as a flush, after what it is for, or nothing here means anything."""
        recording.mark("before")
        with open(f"{recording.folder}/flushed", "wb") as file:
            file.write(b"flushed" * 1000)
            file.flush()
            os.fsync(file.fileno())
        recording.mark("after")

    def cut(self, name, work, count):
        """How many cuts were looked at, how many left something wrong, and what, of the first ones."""
        log = self.record(work)
        kinds = log.kinds_between("before", "after")
        if "F" not in kinds.lstrip("F") or "W" not in kinds:
            raise RuntimeError(f"{self.system.name}: an fsync has not arrived as a flush: {kinds}")
        rng = random.Random(f"{self.words.seed} {self.system.name} {name}")
        cuts, bad, details = log.cuts(len(self.images), count, rng), 0, []
        for cut in log.images(self.system.paths(self.initial), self.images, cuts):
            if self.words.keep:
                copy_sparse(self.images[0], f"{self.work}/kept.img")
            wrong = self.look(work, cut)
            if not wrong:
                continue
            bad += 1
            if len(details) < 20:
                details += [str(cut)] + [f"  {text}" for text in wrong[:4]]
            if self.words.keep and bad == 1:
                copy_sparse(
                    f"{self.work}/kept.img", f"{self.words.keep}/{self.system.name}-{name}.img")
        return len(cuts), bad, details

    def look(self, work, cut):
        try:
            with self.system.mounted(self.images, self.mounted):
                return work.verify(self.mounted, cut.marks)
        except (OSError, RuntimeError) as error:
            return [str(error).splitlines()[0]]

    def raw(self, count):
        for method in METHODS:
            work = Primitive(method, 600)
            cuts, bad, details = self.cut(f"raw-{method}", work, count)
            text = f"{self.system.name}: files linked after {method}: {bad} of {cuts} cuts break one"
            self.judge(method, text, bad, details)

    def judge(self, method, text, bad, details):
        name = self.system.name
        if method == "nothing" and name not in SAFE or (name, method) in CAUGHT:
            self.report.say(bad > 0, f"{text}, as they should", ["what is not flushed seems safe"])
        elif method in ("nothing", "unawaited") or method == "sync_file_range" and name in UNORDERED:
            self.report.note(text)
        else:
            self.report.say(bad == 0, text, details)

    def union(self, count, rounds):
        """With the default options, and once more where nothing is flushed: that has to be seen."""
        options = os.environ.get("UNIONFS_TEST_OPTIONS", "")
        for flushed in (True, False):
            if not flushed:
                options, count, rounds = "sync=volatile", 15, 1
            text = f"{self.system.name}: {options or 'a union'}"
            elsewhere, mount = f"{self.work}/elsewhere", f"{self.work}/union"
            for folder in (elsewhere, mount):
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
            union = Union(self.words.binary, options, elsewhere, mount)
            work = Workload(union, rounds, self.words.seed, self.system.ordered)
            cuts, bad, details = self.cut(f"union-{flushed}", work, count)
            text += f": {bad} of {cuts} cuts show a wrong file"
            self.judge("fdatasync" if flushed else "nothing", text, bad, details)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("disk", "work", "binary", "seed"):
        parser.add_argument(name)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--cuts", type=int, help="how many for each trial")
    parser.add_argument("--keep", help="where the first bad disk of each trial goes")
    parser.add_argument("names", nargs="*")
    words = parser.parse_intermixed_args()
    known = [system.name for system in SYSTEMS] + ["union", "raw"]
    unknown = [name for name in words.names if name not in known]
    if unknown:
        parser.error(f"{unknown[0]}: known are {' '.join(known)}")
    return words


def main():
    words, report = arguments(), Report()
    print(f"seed {words.seed}")
    chosen = [s for s in SYSTEMS if s.name in words.names] or [
        s for s in SYSTEMS if words.full or s.name in SHORT]
    parts = [part for part in ("raw", "union") if part in words.names] or ["raw", "union"]
    known = {line.split()[-1] for line in open("/proc/filesystems", encoding="ascii")}
    for system in chosen:
        if system.kind not in known:
            subprocess.run(["modprobe", system.kind], stderr=subprocess.DEVNULL, check=False)
            known = {line.split()[-1] for line in open("/proc/filesystems", encoding="ascii")}
        if system.kind not in known:
            report.skip(f"{system.name}: this kernel has no {system.kind}")
            continue
        trial = Trial(words, system, report)
        if "raw" in parts:
            trial.raw(words.cuts or (100 if words.full else 40))
        if "union" in parts:
            trial.union(words.cuts or (100 if words.full else 40), 6 if words.full else 2)
        shutil.rmtree(trial.work)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())

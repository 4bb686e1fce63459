#!/usr/bin/env python3
"""Runs the same work through every union file system, checks each result, and reports.

scripts/bench calls this; `scripts/bench --help` tells the options.
"""

import argparse
import dataclasses
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import backends
import layers
import machine
import report
import samples
import sizes
import works

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def die(text):
    say(text)
    sys.exit(1)


@dataclasses.dataclass
class Bench:
    """What the whole run shares."""

    folder: pathlib.Path
    sizes: sizes.Sizes
    user: backends.User
    client: samples.Client


def comma(text):
    return text.split(",")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Compares union file systems by the same work.",
        epilog="Work: " + ", ".join(works.all_names()) + ". Backends: "
        + ", ".join(backend.name for backend in backends.every("")) + ".")
    add = parser.add_argument
    add("--rounds", type=int, metavar="N", help="samples of each number (5; 2 with --short)")
    add("--minutes", type=float, metavar="M",
        help="begin no round that would end later, by the length of the first")
    add("--only", type=comma, metavar="WORK,…", help="only this work")
    add("--backends", type=comma, metavar="B,…", help="only these backends")
    add("--short", action="store_true", help="less of everything: minutes instead of hours")
    add("--million", action="store_true", help="measure memory with a million files")
    add("--seed", type=int, help="the order of the samples (a random one)")
    add("--output", type=pathlib.Path, metavar="DIR", help="where the results go (.build/bench)")
    add("--cache", type=pathlib.Path, metavar="DIR", help="keeps the Debian packages for later runs")
    add("--binary", type=pathlib.Path, metavar="PATH", help="the program (the release build)")
    add("--user", default="unionfs-test", help=argparse.SUPPRESS)
    add("--no-image", action="store_true",
        help="work on the file system of TMPDIR itself, not on an ext4 image there")
    add("--keep", action="store_true", help="leave the layers there; mounts are taken away anyway")
    add("--update-docs", action="store_true", help="rewrite the results in docs/performance.md")
    add("--report", type=pathlib.Path, metavar="JSON", help="report an earlier run, measure nothing")
    return parser.parse_args()


def chosen(wanted, known, what):
    """The ones that were named, in their own order; all where none were."""
    names = [one.name for one in known]
    for name in wanted or []:
        if name not in names:
            die(f"there is no {what} {name}; there are: {', '.join(names)}")
    return [one for one in known if not wanted or one.name in wanted]


def make_folder(options):
    """A folder on a file system of its own: an ext4 image, so that what else the disk's file system has
    been through (deleted inodes that it looks at anew, a missing journal) is in no number."""
    place = os.environ.get("TMPDIR", "/var/tmp")
    kind = machine.file_system(place)
    if kind in ("tmpfs", "ramfs"):
        die(f"{place} is a {kind}; set TMPDIR to a folder on a disk")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="unionfs-bench.", dir=place)).resolve()
    try:
        if not options.no_image:
            mount_image(folder, (6 if options.short else 14) << 30, 4096 if options.million else 16384)
        folder.chmod(0o755)
    except BaseException:
        remove_folder(folder)
        raise
    return folder


def mount_image(folder, size, bytes_an_inode):
    """A new ext4 of at most so many bytes at a folder."""
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(size)
    words = ["mkfs.ext4", "-q", "-i", str(bytes_an_inode), "-E", "lazy_itable_init=0,lazy_journal_init=0",
             image]
    subprocess.run(words, check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)


def remove_folder(folder):
    image = folder.with_suffix(".ext4")
    if image.exists():
        subprocess.run(["umount", folder], check=False, stderr=subprocess.DEVNULL)
        image.unlink()
    shutil.rmtree(folder)


def compile_client(folder):
    program = folder / "client"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "client.c"]
    subprocess.run(command, check=True)
    return samples.Client(program)


def usable(candidates, bench):
    """The backends that mount here, and why the others do not."""
    stack = bench.folder / "data/any/probe"
    (stack / "0/work").mkdir(parents=True)
    scene = layers.Scene("probe", {layers.ANY: stack}, 1, stack / "0")
    found, others = [], {}
    for backend in candidates:
        mounted = backends.Mounted(backend, scene, bench.folder / "run/probe", bench.user)
        try:
            mounted.prepare(copies=False)
            mounted.open()
            user = bench.user if backend.as_user else None
            bench.client("walk", mounted.mnt / "work", 1, user=user)
            found.append(backend)
        except (backends.MountFailed, samples.Wrong, OSError) as error:
            say(f"left out: {backend.name}: {error}")
            others[backend.name] = str(error).replace(str(bench.folder), "…")
        finally:
            mounted.close()
    return found, others


def measure(bench, scenes, chosen_works, chosen_backends, rounds, seed, minutes):
    """All samples, and the load average after each round.

    Each round takes the works, and for each its backends, in another order.
    """
    order, taken, load = random.Random(seed), [], []
    begin = time.monotonic()
    for number in range(1, rounds + 1):
        spent = time.monotonic() - begin
        if minutes and load and spent / len(load) * number > minutes * 60:
            break
        start = time.monotonic()
        for position, work in enumerate(order.sample(chosen_works, len(chosen_works)), 1):
            say(f"round {number}: {work.name} ({position} of {len(chosen_works)})")
            for backend in order.sample(chosen_backends, len(chosen_backends)):
                if not work.needs <= backend.abilities:
                    continue
                new = samples.take(work, backend, scenes[work.scene], bench, number)
                for sample in {one.error for one in new if one.error}:
                    say(f"failed: {work.name} on {backend.name}: {sample}")
                taken += new
        load.append(os.getloadavg()[1])
        say(f"round {number} of {rounds} took {time.monotonic() - start:.0f} s")
    return taken, load


def run(options, folder):
    """Builds, measures; answers the results as the JSON file holds them."""
    account = pwd.getpwnam(options.user)
    user = backends.User(account.pw_name, account.pw_uid, account.pw_gid)
    amount = sizes.SHORT if options.short else sizes.FULL
    if options.million:
        amount = dataclasses.replace(amount, many=1_000_000)
    bench = Bench(folder, amount, user, compile_client(folder))
    shutil.copy(options.binary, folder / "unionfs-swift")
    (folder / "run").mkdir()
    candidates = chosen(options.backends, backends.every(folder / "unionfs-swift"), "backend")
    work_list = chosen(options.only, works.Catalogue(amount).works, "work")
    found, others = usable(candidates, bench)
    if not found:
        die("no backend is left")
    cache = options.cache or folder / "packages"
    cache.mkdir(parents=True, exist_ok=True)
    builder = layers.Builder(folder / "data", cache.resolve(), amount, bench.client, say)
    scenes = builder.build({work.scene for work in work_list})
    if any(backend.as_user for backend in found):
        builder.copy_for(user)
    seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
    rounds = options.rounds or amount.rounds
    say(f"seed {seed}, {rounds} rounds, {len(work_list)} works, {len(found)} backends")
    start = time.monotonic()
    taken, load = measure(
        bench, scenes, work_list, found, rounds, seed, options.minutes)
    about = machine.describe(folder, ROOT, found)
    about |= {"seed": seed, "load": load, "left out": others, "rounds": len(load), "short": options.short,
              "minutes": round((time.monotonic() - start) / 60, 1),
              "files": scenes["tree"].facts["entries"]}
    return report.results(about, found, work_list, taken)


def interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def in_folder(options):
    """The run, in a folder that is gone afterwards, whatever happens."""
    if os.geteuid() != 0:
        die("run as root: mounts, owners and device nodes need it")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    folder = make_folder(options)
    try:
        return run(options, folder)
    except KeyboardInterrupt as reason:
        die(f"ended by {reason}")
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        backends.clear(folder)
        if options.keep:
            say(f"kept: {folder}")
        else:
            remove_folder(folder)


def main():
    options = arguments()
    results = report.load(options.report) if options.report else in_folder(options)
    output = options.output or ROOT / ".build/bench"
    report.write(results, output)
    if options.update_docs:
        report.update_docs(output, ROOT / "docs")
    print((output / "results.md").read_text(encoding="utf-8"), end="")
    return 1 if report.has_failures(results) else 0


if __name__ == "__main__":
    sys.exit(main())

"""One sample: one work on one fresh mount, timed by the client, checked, cleaned up."""

import dataclasses
import json
import os
import signal
import subprocess

import backends

CLIENT_SECONDS = 900


class Wrong(Exception):
    """The work failed, or its result is not what it must be."""


class Client:
    """Runs the compiled client program."""

    def __init__(self, program):
        self.program = program

    def __call__(self, *words, user=None):
        extra = user.words() if user else {}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent"}
        process = subprocess.Popen(
            [self.program, *map(str, words)], cwd="/", stdin=subprocess.DEVNULL, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True,
            errors="replace", **extra)
        try:
            output, errors = process.communicate(timeout=CLIENT_SECONDS)
        except BaseException as error:
            # `communicate` may have reaped it: an error here would hide why the run ends.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            # Not `wait`: a program in a file system that does not answer cannot be reaped yet.
            if isinstance(error, subprocess.TimeoutExpired):
                raise Wrong(f"{words[0]} took more than {CLIENT_SECONDS} seconds") from None
            raise
        if process.returncode != 0:
            lines = errors.strip().split("\n")
            raise Wrong(lines[-1] if lines[-1] else f"{words[0]} ended with {process.returncode}")
        return json.loads(output)


@dataclasses.dataclass
class Sample:
    """A number that was measured, or why there is none."""

    round: int
    backend: str
    work: str
    label: str
    value: float | None = None
    unit: str = "s"
    server_cpu: float | None = None
    client_cpu: float | None = None
    peak: int | None = None
    requests: int | None = None
    error: str | None = None


class Session:
    """What a work sees: the mount, the client, the facts of its scene, and where numbers go."""

    def __init__(self, mounted, client, sizes, number, work):
        self.mounted, self.client, self.sizes = mounted, client, sizes
        self.number, self.work = number, work
        self.samples = []

    @property
    def facts(self):
        return self.mounted.scene.facts

    @property
    def upper(self):
        return self.mounted.upper

    def path(self, name):
        return self.mounted.mnt / name

    def run(self, *words):
        """The client, as whoever the mount belongs to, not timed."""
        user = self.mounted.user if self.mounted.backend.as_user else None
        return self.client(*words, user=user)

    def time(self, label, *words, per=1):
        """The client; its seconds, for each of so many things, are the sample."""
        asked, before = self.mounted.requests(), self.mounted.cpu()
        result = self.run(*words)
        cpu = None if before is None else self.mounted.cpu() - before
        # The first question is one of them by now.
        requests = None if asked is None else self.mounted.requests() - asked - 1
        self.record(
            label, result["seconds"] / per, "s", cpu, result["user"] + result["system"], requests)
        return result

    def record(self, label, value, unit="s", server_cpu=None, client_cpu=None, requests=None):
        self.samples.append(Sample(
            self.number, self.mounted.backend.name, self.work.name, label, value, unit, server_cpu,
            client_cpu, requests=requests))

    def same(self, what, found, expected):
        """Fails the sample where a result is not what it must be."""
        if found != expected:
            raise Wrong(f"{what}: {found}, not {expected}")

    def check_upper(self, name, size):
        """A file of numbered blocks in the top branch is whole."""
        self.same(f"bytes of {name}", self.client("read", self.upper / name)["bytes"], size)


def failed(work, backend, number, reason):
    """Samples without numbers for all that a work measures."""
    return [Sample(number, backend.name, work.name, label, error=reason) for label in work.labels]


def take(work, backend, scene, bench, number):
    """One sample of each label of a work. Never raises for what a backend does wrong."""
    folder = bench.folder / "run" / f"{work.name}-{backend.name}"
    mounted = backends.Mounted(
        backend, scene, folder, bench.user, read_only=work.read_only)
    session = Session(mounted, bench.client, bench.sizes, number, work)
    try:
        warm(scene, backend, work, bench)
        mounted.prepare(copies=work.changes)
        if work.prepare:
            work.prepare(session)
        os.sync()
        mounted.open()
        work.run(session)
        mounted.unmount()
        if work.verify:
            work.verify(session)
    except (Wrong, backends.MountFailed, OSError, subprocess.CalledProcessError) as error:
        return failed(work, backend, number, str(error).replace(str(bench.folder), "…"))
    finally:
        mounted.close()
    for sample in session.samples:
        sample.peak = mounted.peak
    return session.samples


def warm(scene, backend, work, bench):
    """Brings what lies below the mount into the kernel's caches: the disk is nobody's subject."""
    stack = scene.flat if backend.kind == backends.PLAIN else scene.stack(backend.layer_format)
    for layer in [stack] if backend.kind == backends.PLAIN else [stack / n for n in scene.layers]:
        bench.client("walk", layer, 1)
    for name in work.warm:
        if (stack / "0" / name).exists():
            bench.client("read", stack / "0" / name)

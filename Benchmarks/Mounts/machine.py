"""What a result depends on besides the program: machine, kernel, file system, versions."""

import os
import platform
import subprocess
import time


def output(*words):
    """A command's output, or nothing where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def first_value(path, key):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return "unknown"


def file_system(folder):
    """The type of the file system of a folder, as findmnt names it."""
    return output("findmnt", "-no", "FSTYPE", "--target", str(folder)) or "unknown"


def version(package):
    return output("dpkg-query", "-W", "-f=${Version}", package)


def describe(folder, root, chosen):
    """A dictionary of texts, for the tables and the JSON."""
    memory = int(first_value("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)
    versions = {name: version(name) for name in ("libfuse3-3", "fuse3")}
    versions |= {backend.package: version(backend.package) for backend in chosen if backend.package}
    commit = output("git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*")
    with open("/etc/os-release", encoding="utf-8") as file:
        system = next(line for line in file if line.startswith("PRETTY_NAME="))
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processors": f"{os.cpu_count()} × {first_value('/proc/cpuinfo', 'model name')}",
        "memory": f"{memory:.0f} GiB",
        "system": system.partition("=")[2].strip().strip('"'),
        "file system": file_system(folder),
        "commit": commit or "unknown",
        "versions": versions,
    }

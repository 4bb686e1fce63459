"""Files that are made without a name, filled, perhaps flushed, and linked: what the union does to
publish a copy, without the union. `unawaited` begins to write the data and waits for nothing."""

import os

from recording import sync_file_range

SIZES = (100, 5 << 10, 70 << 10, 100, 5 << 10, 70 << 10, 100, 300 << 10)
METHODS = ("fdatasync", "sync_file_range", "unawaited", "nothing")
LINE = 64


def content(number):
    size = SIZES[number % len(SIZES)]
    lines = (b"%020d %042d\n" % (number, line) for line in range(size // LINE + 1))
    return b"".join(lines)[:size]


class Primitive:
    """Makes numbered files in a directory."""

    def __init__(self, method, count):
        self.method, self.count = method, count
        self.contents = [content(number) for number in range(count)]

    def prepare(self, folder):
        os.mkdir(f"{folder}/files")

    def run(self, folder, mark, step):
        mark("begin")
        directory = os.open(f"{folder}/files", os.O_RDONLY | os.O_DIRECTORY)
        for number, data in enumerate(self.contents):
            file = os.open(f"{folder}/files", os.O_TMPFILE | os.O_RDWR, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(file, view):]
            os.fchmod(file, 0o644)
            if self.method == "fdatasync":
                os.fdatasync(file)
            elif self.method == "sync_file_range":
                sync_file_range(file)
            elif self.method == "unawaited":
                sync_file_range(file, 2)
            os.link(f"/proc/self/fd/{file}", f"{number}", dst_dir_fd=directory)
            os.close(file)
            step()
        mark("end")
        os.close(directory)

    def verify(self, folder, marks):
        """What is wrong with the files that have a name."""
        wrong = []
        for name in os.listdir(f"{folder}/files"):
            with open(f"{folder}/files/{name}", "rb") as file:
                wrong += difference(name, file.read(), self.contents[int(name)])
        return wrong


def difference(name, data, wanted):
    """In words, how a file's content is not what it should be."""
    if data == wanted:
        return []
    if len(data) != len(wanted):
        return [f"{name}: {len(data)} bytes of {len(wanted)}"]
    first = next(at for at in range(len(data)) if data[at] != wanted[at])
    zeros = "zeros" if not any(data[first:first + 64]) else "other bytes"
    return [f"{name}: {zeros} at {first} of {len(wanted)}"]

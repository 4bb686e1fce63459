"""The work: what is done on a fresh mount, what of it is timed, and how its result is checked."""

import dataclasses

from backends import LAYERS, LOWER_CHANGES, READ_ONLY, SERVER
from layers import ARCHIVE
from sizes import FULL, words

NAMES, CONTENT, CHANGES, PROGRAMS, SCALE = (
    "Names", "Content", "Changes", "Programs", "Mounting, depth, memory")


@dataclasses.dataclass(frozen=True)
class Work:
    """`labels` are the numbers that `run` measures, with what each is called in the tables."""

    name: str
    group: str
    scene: str
    labels: dict
    run: object
    needs: frozenset = frozenset()
    changes: bool = False
    read_only: bool = False
    prepare: object = None
    verify: object = None
    warm: tuple = ()


class Catalogue:
    """All works for one choice of sizes; made by functions that register themselves."""

    def __init__(self, sizes):
        self.sizes = sizes
        self.works = []
        for make in (names, listing, content, writing, tree_changes, programs, scale):
            make(self, sizes)

    def work(self, name, group, scene, labels, needs=(), **options):
        def register(run):
            self.works.append(
                Work(name, group, scene, labels, run, frozenset(needs), **options))
            return run

        return register


def all_names():
    return [work.name for work in Catalogue(FULL).works]


def twice(title):
    return {"first": f"{title}, first", "second": f"{title}, second"}


# --- Names -----------------------------------------------------------------------------------------


def names(catalogue, sizes):
    work = catalogue.work

    @work("walk", NAMES, "tree", twice("walk with lstat"))
    def walk(s):
        for label in ("first", "second"):
            got = s.time(label, "walk", s.path("tree"), 1)
            s.same("names", got["count"], s.facts["entries"])
            s.same("sum of sizes", got["bytes"], s.facts["bytes"])

    @work("walks", NAMES, "tree", {"four": "four walks at once, first"})
    def walks(s):
        got = s.time("four", "walk", s.path("tree"), 4)
        s.same("names", got["count"], s.facts["entries"])

    @work("ask", NAMES, "tree", {"ask": "a forced statx: one request, and next to nothing else"})
    def ask(s):
        # Before it is known that one caller asks, the server is not yet on its core.
        s.run("ask", s.mounted.mnt, sizes.asked // 10)
        s.time("ask", "ask", s.mounted.mnt, sizes.asked, per=sizes.asked)

    @work("absent", NAMES, "tree", {
        "first": "lstat of missing names, first", "second": "the same names again"})
    def absent(s):
        for label in ("first", "second"):
            got = s.time(label, "absent", s.facts["absent"], s.mounted.mnt)
            s.same("names", got["count"], s.facts["absent_count"])

    @work("xattrs", NAMES, "tree", twice("lstat, lgetxattr (absent), llistxattr of every file"))
    def xattrs(s):
        for label in ("first", "second"):
            got = s.time(label, "xattrs", s.facts["all"], s.mounted.mnt)
            s.same("names", got["count"], s.facts["all_count"])


def listing(catalogue, sizes):
    def add(name, title, arguments, lines):
        @catalogue.work(name, NAMES, "names", twice(f"`{title}` of {sizes.names:,} names, 8 layers"))
        def run(s):
            for label in ("first", "second"):
                got = s.time(label, "run", s.path("names"), *arguments)
                s.same("lines", got["count"], lines)

    add("ls", "ls", ["ls"], sizes.names)
    add("ls-long", "ls -l", ["ls", "-l"], sizes.names + 1)


# --- Content ---------------------------------------------------------------------------------------


def upper_file(size):
    """Puts a file of numbered blocks into the top branch before the mount."""

    def prepare(s):
        folder = s.upper / "work"
        folder.mkdir(exist_ok=True)
        s.client("write", folder / "file", size, 1 << 20)
        for path in (folder, folder / "file"):
            s.mounted.own(path)

    return prepare


def content(catalogue, sizes):
    work, size = catalogue.work, words(sizes.large)

    def read_twice(s, name):
        for label in ("first", "second"):
            s.same("bytes", s.time(label, "read", s.path(name))["bytes"], sizes.large)

    large = {"warm": ("big/large",)}

    @work("read-lower", CONTENT, "big", twice(f"read {size}, lower file"), **large)
    def read_lower(s):
        read_twice(s, "big/large")

    @work("read-upper", CONTENT, "empty", twice(f"read {size}, upper file"), changes=True,
          prepare=upper_file(sizes.large))
    def read_upper(s):
        read_twice(s, "work/file")

    @work("read-only", CONTENT, "big", twice(f"read {size}, read-only mount"), needs={READ_ONLY},
          read_only=True, **large)
    def read_only(s):
        read_twice(s, "big/large")

    for clients, word in ((1, "one client"), (4, "four clients")):
        title = f"{sizes.random:,} random 4 KiB reads, lower file, {word}"

        @work(f"random-{clients}", CONTENT, "big", {"reads": title}, **large)
        def random_reads(s, clients=clients):
            got = s.time("reads", "random", s.path("big/large"), sizes.random, clients)
            s.same("reads", got["count"], sizes.random * clients)

    @work("small", CONTENT, "tree", twice(f"open, read, close {sizes.small:,} small files"))
    def small(s):
        for label in ("first", "second"):
            got = s.time(label, "small", s.facts["small"], s.mounted.mnt)
            s.same("files", got["count"], s.facts["small_count"])
            s.same("bytes", got["bytes"], s.facts["small_bytes"])


def writing(catalogue, sizes):
    work = catalogue.work
    for name, size, chunk, unit in (
            ("write", sizes.large, 1 << 20, "1 MiB"), ("write-4k", sizes.medium, 4096, "4 KiB")):
        title = f"write {words(size)} in pieces of {unit}, new file"

        @work(name, CONTENT, "empty", {"write": title}, changes=True,
              verify=lambda s, size=size: s.check_upper("work/file", size))
        def write(s, size=size, chunk=chunk):
            s.time("write", "write", s.path("work/file"), size, chunk)

    @work("rewrite", CONTENT, "empty",
          {"writes": f"{sizes.rewrites:,} random 4 KiB rewrites, upper file"}, changes=True,
          prepare=upper_file(sizes.medium),
          verify=lambda s: s.check_upper("work/file", sizes.medium))
    def rewrite(s):
        s.time("writes", "rewrite", s.path("work/file"), sizes.rewrites)

    def copied(s):
        s.check_upper("big/medium", sizes.medium)
        with open(s.upper / "big/medium", "rb") as file:
            s.same("the changed byte", file.read(4096)[-1:], b"!")

    @work("copy-up", CONTENT, "big", {"change": f"first change of a lower file of {words(sizes.medium)}"},
          needs={LOWER_CHANGES, LAYERS}, changes=True, verify=copied, warm=("big/medium",))
    def copy_up(s):
        s.time("change", "change", s.path("big/medium"))


# --- Changes ---------------------------------------------------------------------------------------


def tree_changes(catalogue, sizes):
    work = catalogue.work

    @work("create", CHANGES, "empty", {
        "create": f"create {sizes.created:,} empty files", "unlink": "unlink them"}, changes=True)
    def create(s):
        s.time("create", "create", s.path("work"), sizes.created)
        s.same("files", s.run("walk", s.path("work"), 1)["count"], sizes.created)
        s.time("unlink", "unlink", s.path("work"), sizes.created)
        s.same("files left", s.run("walk", s.path("work"), 1)["count"], 0)

    @work("unlink-lower", CHANGES, "names",
          {"unlink": f"unlink {sizes.unlinked:,} of {sizes.names:,} lower files"},
          needs={LOWER_CHANGES}, changes=True)
    def unlink_lower(s):
        s.time("unlink", "unlink", s.path("names"), sizes.unlinked)
        left = s.run("walk", s.path("names"), 1)["count"]
        s.same("files left", left, sizes.names - sizes.unlinked)

    @work("rm", CHANGES, "tree", {"rm": "`rm -rf` of the lower tree"}, needs={LOWER_CHANGES}, changes=True)
    def remove(s):
        s.time("rm", "run", s.mounted.mnt, "rm", "-rf", "tree/usr")
        s.same("names left", s.run("walk", s.path("tree"), 1)["count"], s.facts["outside_usr"])

    @work("chmod", CHANGES, "tree", {"chmod": "`chmod -R` of a lower folder"}, needs={LOWER_CHANGES},
          changes=True)
    def chmod(s):
        folder = s.facts["chmod"]
        s.time("chmod", "run", s.mounted.mnt, "chmod", "-R", "go-rwx", folder)
        s.same("changed", s.run("walk", s.path(folder), 1)["private"], s.facts["chmod_count"])

    @work("rename-upper", CHANGES, "empty", {"rename": f"rename an upper folder {sizes.renames:,} times"},
          changes=True)
    def rename_upper(s):
        s.run("run", s.path("work"), "mkdir", "a")
        s.run("create", s.path("work/a"), 100)
        s.time("rename", "rename", s.path("work/a"), s.path("work/b"), sizes.renames)
        s.same("files", s.run("walk", s.path("work/a"), 1)["count"], 100)

    @work("rename-lower", CHANGES, "moved",
          {"mv": f"`mv` of {sizes.moved} lower folders of 50 files"}, needs={LOWER_CHANGES}, changes=True)
    def rename_lower(s):
        folders = [f"from/d{number:02}" for number in range(sizes.moved)]
        s.time("mv", "run", s.path("moved"), "mv", *folders, "to")
        s.same("moved", s.run("walk", s.path("moved/to"), 1)["count"], s.facts["entries"])
        s.same("left", s.run("walk", s.path("moved/from"), 1)["count"], 0)

    @work("untar", CHANGES, "empty", {"untar": "untar one of the layers"}, changes=True)
    def untar(s):
        s.time("untar", "run", s.path("work"), "tar", "-xf", s.facts["archive"])
        got = s.run("walk", s.path("work"), 1)
        s.same("names", got["count"], s.facts["archive_entries"])


# --- Programs --------------------------------------------------------------------------------------


def programs(catalogue, sizes):
    work = catalogue.work

    @work("tar", PROGRAMS, "tree", {"tar": "`tar` of the tree, first"})
    def tar(s):
        got = s.time("tar", "run", s.mounted.mnt, *ARCHIVE)
        s.same("bytes", got["bytes"], s.facts["archive_bytes"])

    @work("compile", PROGRAMS, "project", {"compile": f"compile a C program of {sizes.sources + 1} files"},
          changes=True)
    def compile_program(s):
        got = s.time("compile", "run", s.path("project"), "sh", "build.sh")
        s.same("bytes of output", got["bytes"], s.facts["output"])

    @work("git", PROGRAMS, "repository", twice("`git status`, lower work tree"))
    def git(s):
        options = ("safe.directory=*", "core.checkStat=minimal", "core.trustctime=false")
        command = ["git", "--no-optional-locks"]
        for option in options:
            command += ["-c", option]
        for label in ("first", "second"):
            got = s.time(label, "run", s.path("repository"), *command, "status", "--porcelain")
            s.same("changed files", got["count"], 1)


# --- Scale -----------------------------------------------------------------------------------------


def scale(catalogue, sizes):
    work = catalogue.work
    for depth in sizes.depths:
        layers = "1 layer" if depth == 1 else f"{depth} layers"
        labels = {"mount": f"mount {layers}", "walk": f"first walk, {layers}"}

        @work(f"depth-{depth}", SCALE, f"depth{depth}", labels, needs={LAYERS})
        def walk(s):
            s.record("mount", s.mounted.seconds)
            got = s.time("walk", "walk", s.path("tree"), 1)
            s.same("names", got["count"], s.facts["entries"])

    @work("memory", SCALE, "many", {
        "walk": f"first walk of {sizes.many:,} files in folders of 1,000",
        "resident": "server's resident memory per known file"}, needs={SERVER})
    def memory(s):
        s.run("walk", s.path("many/d0000"), 1)
        before = s.mounted.memory("VmRSS")
        got = s.time("walk", "walk", s.path("many"), 1)
        s.same("names", got["count"], s.facts["entries"])
        grown = s.mounted.memory("VmRSS") - before
        s.record("resident", grown / (s.facts["entries"] - 1000), "B")

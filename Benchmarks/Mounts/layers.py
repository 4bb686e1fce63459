"""The layers that every backend is given, and what a correct view of them shows.

A scene is a stack of layers with one folder in it. Whiteouts are written four times, each backend's
way; scenes without whiteouts exist once. All of it belongs to root; the unprivileged user has a copy
of its own (who is not a folder's owner makes the kernel ask for its ACL, which would be another work).
"""

import dataclasses
import os
import pathlib
import shutil
import stat
import subprocess
import zlib

ANY, AUFS, OVERLAY, UNIONFS, MERGERFS = "any", "aufs", "overlay", "unionfs", "mergerfs"
USER = "user"
FORMATS = (AUFS, OVERLAY, UNIONFS, MERGERFS)
# Of the files that the layers below show, a layer overrides every 41st and hides every 67th.
OVERRIDDEN, HIDDEN = 41, 67
SMALL_FILE = 16 << 10
# Hard links are told apart by backends in different ways; without them the archive has one size.
ARCHIVE = ("tar", "--hard-dereference", "-cf", "-", "tree")


@dataclasses.dataclass
class Scene:
    """Layers by format, each a folder whose sub-folders `0`, `1`, … are the layers, top first."""

    name: str
    stacks: dict
    count: int
    flat: pathlib.Path | None = None
    facts: dict = dataclasses.field(default_factory=dict)

    def stack(self, layer_format):
        return self.stacks.get(layer_format) or self.stacks[ANY]

    @property
    def layers(self):
        return [str(position) for position in range(self.count)]


def below(top):
    """Every path below a folder, relative to it, with its lstat; sorted."""
    found = []
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            found.append((os.path.relpath(path, top), os.lstat(path)))
    return sorted(found)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Builder:
    """Makes the scenes in a folder."""

    def __init__(self, folder, cache, sizes, client, say):
        self.folder, self.cache, self.sizes = folder, cache, sizes
        self.client, self.say = client, say
        self.scenes = {}

    def build(self, names):
        """The scenes of those names; the tree always, as others are made from it."""
        self.tree()
        for name in sorted(set(names) - {"tree"}):
            self.say(f"layers: {name}")
            if name.startswith("depth"):
                self.depth(int(name.removeprefix("depth")))
            else:
                getattr(self, name)()
        shutil.rmtree(self.folder / "stage")
        return self.scenes

    def copy_for(self, user):
        """The unprivileged user's own layers, of every scene."""
        for scene in self.scenes.values():
            self.say(f"layers: {scene.name}, the user's own")
            target = self.folder / USER / scene.name
            target.parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", scene.stack(AUFS), target], check=True)
            subprocess.run(["chown", "-hR", f"{user.uid}:{user.gid}", target], check=True)
            scene.stacks[USER] = target

    def add(self, name, count, stacks=None, **facts):
        flat = self.folder / "flat" / name
        scene = Scene(name, stacks or {ANY: self.folder / ANY / name}, count)
        scene.flat = flat if flat.exists() else None
        scene.facts = facts
        self.scenes[name] = scene

    def layer(self, scene, position, layer_format=ANY):
        path = self.folder / layer_format / scene / str(position)
        path.mkdir(parents=True, exist_ok=True)
        return path

    # --- Debian packages in eight layers, with overridden and hidden files -------------------------

    def tree(self):
        self.say("layers: tree (unpacking packages)")
        stages = self.unpack()
        hidden = self.override(stages)
        self.flatten(stages, hidden)
        stacks = {}
        for layer_format in FORMATS:
            stacks[layer_format] = self.folder / layer_format / "tree"
            for number in range(len(stages)):
                position = len(stages) - 1 - number
                self.write_layer(stages, hidden, number, layer_format, position)
        self.add("tree", len(stages), stacks, **self.tree_facts())

    def unpack(self):
        stages = []
        self.download([name for group in self.sizes.packages for name in group])
        for number, group in enumerate(self.sizes.packages):
            stage = self.folder / "stage" / str(number)
            for name in group:
                archive = next(self.cache.glob(f"{name}_*.deb"))
                (stage / "tree").mkdir(parents=True, exist_ok=True)
                subprocess.run(["dpkg-deb", "-x", archive, stage / "tree"], check=True)
            stages.append(stage)
        return stages

    def download(self, names):
        missing = [name for name in names if not list(self.cache.glob(f"{name}_*.deb"))]
        if not missing:
            return
        self.say(f"downloading {len(missing)} packages")
        command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *missing]
        subprocess.run(command, cwd=self.cache, check=True)

    def override(self, stages):
        """Lets each layer override and hide some of what is below; answers what each hides."""
        view, hidden = {}, []
        for stage in stages:
            own = {path: info for path, info in below(stage) if not stat.S_ISDIR(info.st_mode)}
            others = [path for path in sorted(view) if path not in own]
            gone = others[HIDDEN - 1 :: HIDDEN]
            for path in set(others[OVERRIDDEN - 1 :: OVERRIDDEN]) - set(gone):
                if stat.S_ISREG(view[path][1].st_mode):
                    self.copy_parents(view[path][0], stage, path)
                    shutil.copy2(view[path][0] / path, stage / path)
                    with open(stage / path, "ab") as file:
                        file.write(b"\n")
                    own[path] = os.lstat(stage / path)
            hidden.append(gone)
            for path in gone:
                del view[path]
            view.update({path: (stage, info) for path, info in own.items()})
        return hidden

    @staticmethod
    def copy_parents(source, target, path):
        """Makes the folders of a path as they are in another layer."""
        for parent in reversed(pathlib.Path(path).parents):
            if not (target / parent).exists():
                (target / parent).mkdir()
                shutil.copystat(source / parent, target / parent)

    def flatten(self, stages, hidden):
        """What a correct view shows, as a plain folder."""
        flat = self.folder / "flat" / "tree"
        flat.mkdir(parents=True)
        for stage, gone in zip(stages, hidden):
            for path in gone:
                (flat / path).unlink()
            subprocess.run(["cp", "-a", f"{stage}/.", flat], check=True)

    def write_layer(self, stages, hidden, number, layer_format, position):
        layer = self.layer("tree", position, layer_format)
        subprocess.run(["cp", "-a", f"{stages[number]}/.", layer], check=True)
        flat = self.folder / "flat" / "tree"
        if layer_format == MERGERFS:  # It knows no whiteouts: what they hide is not there.
            for gone in hidden[number + 1 :]:
                for path in gone:
                    (layer / path).unlink(missing_ok=True)
            return
        for path in map(pathlib.Path, hidden[number]):
            if layer_format == UNIONFS:
                write(layer / ".unionfs-fuse" / path.parent / f"{path.name}_HIDDEN~", "")
                continue
            self.copy_parents(flat, layer, path)
            if layer_format == AUFS:
                (layer / path.parent / f".wh.{path.name}").touch(mode=0o444)
            else:
                os.mknod(layer / path, stat.S_IFCHR, os.makedev(0, 0))

    def tree_facts(self):
        """Lists for the client, and what the work on the tree must come to."""
        flat = self.folder / "flat" / "tree"
        entries = below(flat)
        files = [(path, info) for path, info in entries if stat.S_ISREG(info.st_mode)]
        folders = [path for path, info in entries if stat.S_ISDIR(info.st_mode)]
        small = [(path, info) for path, info in files if info.st_size <= SMALL_FILE]
        step = max(1, len(small) // self.sizes.small)
        small = small[::step][: self.sizes.small]
        each = max(1, self.sizes.absent // len(folders))
        absent = [f"{folder}/no-such-name-{n}" for folder in folders for n in range(each)]
        perl = below(flat / "tree/usr/share/perl")
        return {
            "entries": len(entries) - 1,  # `tree` itself is not below `tree`.
            "bytes": sum(info.st_size for _, info in files),
            "archive_bytes": self.client("run", flat, *ARCHIVE)["bytes"],
            "outside_usr": sum(f"{path}/".split("/")[1] not in ("", "usr") for path, _ in entries),
            "chmod": "tree/usr/share/perl",
            "chmod_count": sum(not stat.S_ISLNK(info.st_mode) for _, info in perl),
            "all": self.list("all", [path for path, _ in entries]), "all_count": len(entries),
            "small": self.list("small", [path for path, _ in small]), "small_count": len(small),
            "small_bytes": sum(info.st_size for _, info in small),
            "absent": self.list("absent", absent), "absent_count": len(absent),
        }

    def list(self, name, paths):
        path = self.folder / "lists" / name
        write(path, "".join(f"{line}\n" for line in paths))
        return path

    # --- The other scenes ---------------------------------------------------------------------------

    def names(self):
        """One folder whose names are spread over eight layers."""
        flat = self.folder / "flat/names/names"
        flat.mkdir(parents=True)
        for position in range(8):
            (self.layer("names", position) / "names").mkdir()
        for number in range(self.sizes.names):
            name = f"f{number:06}"
            (self.folder / ANY / "names" / str(number % 8) / "names" / name).touch()
            (flat / name).touch()
        self.add("names", 8)

    def big(self):
        """Two big files in one layer; the flat copy is the layer itself."""
        folder = self.layer("big", 0) / "big"
        folder.mkdir()
        for name in ("large", "medium"):
            self.client("write", folder / name, getattr(self.sizes, name), 1 << 20)
        self.add("big", 1)
        self.scenes["big"].flat = self.folder / ANY / "big/0"

    def empty(self):
        """A lower layer with an empty folder: what is worked on lies in the top branch."""
        (self.layer("empty", 0) / "work").mkdir()
        (self.folder / "flat/empty/work").mkdir(parents=True)
        archive = self.folder / "lists/untar.tar"
        archive.parent.mkdir(exist_ok=True)
        stage = self.folder / "stage/3"
        subprocess.run(["tar", "-C", stage, "-cf", archive, "tree"], check=True)
        self.add("empty", 1, archive=archive, archive_entries=len(below(stage)))

    def project(self):
        """A C program of several files; its headers lie in another layer than its sources."""
        upper, lower = (self.layer("project", position) / "project" for position in (0, 1))
        count = self.sizes.sources
        declarations = "".join(f"int f{n}(int);\n" for n in range(count))
        write(lower / "all.h", f"#include <stdio.h>\n#include <stdlib.h>\n{declarations}")
        for number in range(count):
            write(upper / f"f{number}.c",
                  f'#include "all.h"\nint f{number}(int x) {{ return x + {number}; }}\n')
        calls = "".join(f"  x = f{n}(x);\n" for n in range(count))
        write(upper / "main.c",
              f'#include "all.h"\nint main(void) {{\n  int x = 0;\n{calls}  printf("%d\\n", x);\n'
              "  return 0;\n}\n")
        write(upper / "build.sh",
              "set -e\nfor f in *.c; do gcc -O1 -c $f; done\ngcc -o program *.o\n./program\n")
        self.flat_copy("project", 2)
        self.add("project", 2, output=len(f"{count * (count - 1) // 2}\n"))

    def moved(self):
        """Folders with files, to be moved."""
        for folder in range(self.sizes.moved):
            for number in range(50):
                write(self.layer("moved", 0) / f"moved/from/d{folder:02}/f{number:02}", "content\n")
        (self.layer("moved", 0) / "moved/to").mkdir()
        self.flat_copy("moved", 1)
        self.add("moved", 1, entries=self.sizes.moved * 51)

    def repository(self):
        """A git work tree in the lower layer; the layer above it changes one file."""
        lower = self.layer("repository", 1) / "repository"
        subprocess.run(["cp", "-a", self.folder / "stage/6/tree", lower], check=True)
        git = ["git", "-C", lower, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "everything"], check=True)
        files = [path for path, info in below(lower)
                 if stat.S_ISREG(info.st_mode) and not path.startswith(".git/")]
        changed = self.layer("repository", 0) / "repository" / files[len(files) // 2]
        write(changed, "changed in the upper of the two layers\n")
        self.flat_copy("repository", 2)
        self.add("repository", 2)

    def flat_copy(self, name, count):
        flat = self.folder / "flat" / name
        flat.mkdir(parents=True)
        for position in reversed(range(count)):
            subprocess.run(["cp", "-a", f"{self.layer(name, position)}/.", flat], check=True)

    def depth(self, count):
        """The tree's names as empty files, each in the layer that its hash tells."""
        scene = f"depth{count}"
        entries = below(self.folder / "flat/tree")
        for position in range(count):
            (self.layer(scene, position) / "tree").mkdir()
        for path, info in entries:
            position = zlib.crc32(path.encode(errors="surrogateescape")) % count
            target = self.layer(scene, position) / path
            if stat.S_ISDIR(info.st_mode):
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
        self.add(scene, count, entries=len(entries) - 1)

    def many(self):
        """Very many empty files, a thousand a folder."""
        for number in range(self.sizes.many):
            if number % 1000 == 0:
                folder = self.layer("many", 0) / f"many/d{number // 1000:04}"
                folder.mkdir(parents=True)
            os.close(os.open(folder / f"f{number % 1000:03}", os.O_CREAT | os.O_WRONLY, 0o644))
        self.add("many", 1, entries=self.sizes.many + -(-self.sizes.many // 1000))

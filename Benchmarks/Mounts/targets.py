"""What this program aims at, as ratios of medians in one run, and how far a run comes."""

import dataclasses

DEPTHS = ("depth-128", "depth-1")


@dataclasses.dataclass(frozen=True)
class Target:
    """At most these ratios for one number; None where nothing is aimed at."""

    work: str
    label: str
    overlay: float | None
    peer: float | None
    subject: str = "root"


TARGETS = (
    Target("walk", "first", 2.0, 0.4),
    Target("ls-long", "first", 2.0, 0.4),
    Target("walks", "four", 2.0, 0.4),
    Target("walk", "second", 0.7, 1.0),
    Target("absent", "first", 1.8, 0.95),
    Target("absent", "second", 1.0, 0.5),
    Target("tar", "tar", 1.5, 0.65),
    Target("create", "create", 1.5, 0.75),
    Target("untar", "untar", 1.5, 0.75),
    Target("rename-upper", "rename", 1.5, 0.75),
    Target("rename-lower", "mv", 1.5, 0.75),
    Target("create", "unlink", 2.3, 0.6),
    Target("unlink-lower", "unlink", 2.3, 0.6),
    Target("rm", "rm", 2.5, 0.2),
    Target("chmod", "chmod", 1.0, None),
    Target("copy-up", "change", 1.0, None),
    Target("chmod", "chmod", 0.45, 0.9, "root-volatile"),
    Target("copy-up", "change", 0.45, 0.9, "root-volatile"),
    Target("read-upper", "first", 1.05, 1.0),
    Target("read-upper", "second", 1.0, 1.0),
    Target("read-only", "first", 1.05, 1.0),
    Target("read-only", "second", 1.0, 1.0),
    Target("write", "write", 1.05, 1.0),
    Target("write-4k", "write", 1.05, 1.0),
    Target("rewrite", "writes", 1.05, 1.0),
    Target("read-lower", "first", 3.0, 0.85),
    Target("read-lower", "second", 1.0, 1.0),
    Target("write", "write", 4.0, 0.7, "user"),
    Target("write-4k", "write", 4.0, 0.7, "user"),
    Target("rewrite", "writes", 4.0, 0.7, "user"),
    Target("compile", "compile", 1.05, 0.95),
    Target("git", "first", 1.05, 0.95),
    Target("git", "second", 1.05, 0.95),
)
# Of this program alone: the deepest tree's walk to the flattest's, seconds of a mount, bytes a file.
DEPTH, MOUNT, RESIDENT, RESIDENT_PEER = 1.2, 0.05, 200, 0.5


def verdict(value, aim):
    """A ratio beside its aim, bold where it is missed."""
    if aim is None or value is None:
        return "" if value is None else f"{value:.2f}"
    text = f"{value:.2f}"
    return f"{text} ({aim})" if value <= aim else f"**{text}** ({aim})"


def ratio(ours, other):
    usable = all(one and one.is_number for one in (ours, other)) and other.median > 0
    return ours.median / other.median if usable else None


def floor(table, ours, overlay, subject="root"):
    """What overlayfs takes and the requests by themselves, in seconds; None where one is not known."""
    trip = table.get(("ask", "ask", subject))
    usable = all(one and one.is_number for one in (ours, overlay, trip))
    if not usable or ours.unit != "s" or ours.requests is None:
        return None
    return overlay.median + ours.requests * trip.median


def lines(rows, table, best_peer, quantity):
    """The table's lines: what, on which backend, the two ratios with what is aimed at."""
    titles = {(row["work"], row["label"]): row for row in rows}
    found = []
    for target in TARGETS:
        row = titles.get((target.work, target.label))
        ours = table.get((target.work, target.label, target.subject))
        if row is None or ours is None or not ours.is_number:
            continue
        overlay = table.get((target.work, target.label, "overlay"))
        least = floor(table, ours, overlay, target.subject)
        found.append([
            row["title"], target.subject, verdict(ratio(ours, overlay), target.overlay),
            verdict(ratio(ours, best_peer(row)), target.peer),
            f"{ours.median / least:.2f}" if least else ""])
    deep, flat = (table.get((work, "walk", "root")) for work in DEPTHS)
    if (value := ratio(deep, flat)) is not None:
        found.append(["first walk, 128 layers to 1", "root", f"to its own: {verdict(value, DEPTH)}", "",
                      ""])
    mount = table.get(("depth-128", "mount", "root"))
    if mount and mount.is_number:
        text = quantity(mount.median, "s")
        found.append(["mount 128 layers", "root", f"{text if mount.median <= MOUNT else f'**{text}**'} "
                      f"({quantity(MOUNT, 's')})", "", ""])
    resident = table.get(("memory", "resident", "root"))
    if resident and resident.is_number:
        text = quantity(resident.median, "B")
        peer = best_peer(titles["memory", "resident"])
        found.append(["resident memory per known file", "root",
                      f"{text if resident.median <= RESIDENT else f'**{text}**'} ({RESIDENT} B)",
                      verdict(ratio(resident, peer), RESIDENT_PEER), ""])
    return found

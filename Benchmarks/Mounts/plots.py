"""The plots: ratios to the kernel's overlayfs, depth, memory."""

import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402

OVERLAY = "overlay"
COLOURS = {
    "overlay": "#555555", "root": "#c0392b", "root-fast": "#ff7f7f", "root-nopassthrough": "#e67e22",
    "root-volatile": "#f1c40f", "user": "#8e44ad", "fuse-overlayfs": "#2980b9",
    "unionfs-fuse": "#16a085", "mergerfs": "#27ae60", "plain": "#aaaaaa"}
MARKERS = {"ours": "o", "peer": "s", "kernel": "|", "plain": "x"}


def slug(text):
    return re.sub("[^a-z]+", "-", text.lower()).strip("-")


def draw(kept, table, folder):
    """Group → the pictures that were written into the folder."""
    pictures = {}
    for group in dict.fromkeys(row["group"] for row in kept["rows"]):
        found = [ratios(kept, table, group, folder), depth(kept, table, group, folder),
                 memory(kept, table, group, folder)]
        pictures[group] = [picture for picture in found if picture]
    return pictures


def save(figure, path):
    # Without the time of day, so that the same results give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return path


def rows_of(kept, group, unit="s"):
    units = {(one["work"], one["label"]): one["unit"] for one in kept["samples"] if not one["error"]}
    return [row for row in kept["rows"]
            if row["group"] == group and units.get((row["work"], row["label"])) == unit]


def ratios(kept, table, group, folder):
    """A line for each number: every backend's median over overlayfs's, on a logarithmic axis."""
    rows = [row for row in rows_of(kept, group)
            if (base := table.get((row["work"], row["label"], OVERLAY))) and base.is_number]
    if not rows:
        return None
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.36 * len(rows)), layout="constrained")
    for backend in kept["backends"]:
        points = []
        for height, row in enumerate(rows):
            cell = table.get((row["work"], row["label"], backend["name"]))
            if cell and cell.is_number:
                base = table[row["work"], row["label"], OVERLAY].median
                points.append((cell.median / base, -height))
        if points and backend["name"] != OVERLAY:
            axes.scatter(*zip(*points), label=backend["name"], s=32, alpha=0.85,
                         color=COLOURS.get(backend["name"]), marker=MARKERS[backend["kind"]])
    axes.axvline(1, color=COLOURS[OVERLAY], linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks([-height for height in range(len(rows))])
    axes.set_yticklabels([row["title"].replace("`", "") for row in rows], fontsize=8)
    axes.set_xlabel("time, kernel overlayfs = 1; to the left is faster")
    axes.set_title(group)
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return save(figure, folder / f"ratios-{slug(group)}.png")


def depth(kept, table, group, folder):
    """First walk and mount by the number of layers."""
    rows = [row for row in rows_of(kept, group) if row["work"].startswith("depth-")]
    if len(rows) < 4:
        return None
    figure, both = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, label in zip(both, ("walk", "mount")):
        for backend in kept["backends"]:
            found = [(int(row["work"].removeprefix("depth-")),
                      table.get((row["work"], label, backend["name"])))
                     for row in rows if row["label"] == label]
            points = [(count, cell.median) for count, cell in found if cell and cell.is_number]
            if points:
                axes.plot(*zip(*points), marker=MARKERS[backend["kind"]], label=backend["name"],
                          color=COLOURS.get(backend["name"]))
        axes.set(xscale="log", yscale="log", xlabel="layers", ylabel="seconds")
        axes.set_title({"walk": "first walk of the same names", "mount": "mount"}[label], fontsize=10)
        axes.set_xticks(sorted({int(row["work"].removeprefix("depth-")) for row in rows}))
        axes.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
        axes.grid(alpha=0.25)
    both[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return save(figure, folder / "depth.png")


def memory(kept, table, group, folder):
    """Resident bytes per known file."""
    found = [(backend["name"], table.get(("memory", "resident", backend["name"])))
             for backend in kept["backends"]] if rows_of(kept, group, "B") else []
    bars = [(name, cell.median) for name, cell in found if cell and cell.is_number]
    if not bars:
        return None
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.32 * len(bars)), layout="constrained")
    names, values = zip(*reversed(bars))
    drawn = axes.barh(names, values, color=[COLOURS.get(name) for name in names])
    axes.bar_label(drawn, fmt="%.0f", fontsize=8, padding=3)
    axes.set_xlabel("bytes of the server's resident memory per known file")
    return save(figure, folder / "memory.png")

"""Medians, ratios, and the files that hold them: results.json, results.md, plots, the document."""

import dataclasses
import json
import statistics

import plots
import targets

BEGIN = "<!-- scripts/bench --update-docs writes from here … -->"
END = "<!-- … to here -->"
OVERLAY, SUBJECT = "overlay", "root"


@dataclasses.dataclass
class Cell:
    """What the samples of one number on one backend come to."""

    values: list
    cpu: float | None
    peak: int | None
    unit: str
    errors: int
    requests: float | None = None

    @property
    def is_number(self):
        return bool(self.values) and not self.errors

    @property
    def median(self):
        return statistics.median(self.values)

    def overlaps(self, other):
        return min(self.values) <= max(other.values) and min(other.values) <= max(self.values)


# --- Results as they are kept --------------------------------------------------------------------


def results(about, backends, works, samples):
    """A dictionary that JSON can hold."""
    return {
        "about": about,
        "backends": [{"name": one.name, "kind": one.kind} for one in backends],
        "rows": [
            {"work": work.name, "label": label, "title": title, "group": work.group}
            for work in works for label, title in work.labels.items()],
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def has_failures(kept):
    return any(sample["error"] for sample in kept["samples"])


def cells(kept):
    """(work, label, backend) → Cell; what was not measured has none."""
    gathered = {}
    for sample in kept["samples"]:
        key = sample["work"], sample["label"], sample["backend"]
        gathered.setdefault(key, []).append(sample)
    return {key: cell(group) for key, group in gathered.items()}


def cell(group):
    good = [sample for sample in group if not sample["error"]]
    peak = [sample["peak"] for sample in good if sample["peak"] is not None]
    return Cell(
        [sample["value"] for sample in good], middle(good, "server_cpu"),
        max(peak, default=None), group[0]["unit"], len(group) - len(good), middle(good, "requests"))


def middle(samples, field):
    """The median of what samples have of a field; None where none has it."""
    values = [sample[field] for sample in samples if sample.get(field) is not None]
    return statistics.median(values) if values else None


def best_peer(kept, table, row):
    """The fastest FUSE peer's cell of a row, None where none has a number."""
    peers = [one["name"] for one in kept["backends"] if one["kind"] == "peer"]
    found = [table.get((row["work"], row["label"], name)) for name in peers]
    return min((one for one in found if one and one.is_number), key=lambda one: one.median, default=None)


# --- Text ----------------------------------------------------------------------------------------


def quantity(value, unit):
    """Three digits and a unit that suits them."""
    steps = {"s": [(1, "s"), (1e-3, "ms"), (1e-6, "µs")], "B": [(1 << 20, "MiB"), (1, "B")]}[unit]
    for step, name in steps:
        if value >= step:
            break
    scaled = value / step
    digits = 0 if scaled >= 99.5 else 1 if scaled >= 9.95 else 2
    return f"{scaled:.{digits}f} {name}"


def cell_text(found):
    if found is None:
        return "n/a"
    if not found.is_number:
        return "**failed**"
    if len(found.values) == 1:
        return quantity(found.median, found.unit)
    low, high = (quantity(edge(found.values), found.unit) for edge in (min, max))
    number, _, unit = quantity(found.median, found.unit).partition(" ")
    same = low.endswith(f" {unit}") and high.endswith(f" {unit}")
    low, high = (text.partition(" ")[0] if same else text for text in (low, high))
    return f"{number} {unit} <sub>{low}–{high}</sub>"


def ratio_text(ours, other):
    """A ratio of medians; `~` where the samples of the two overlap."""
    if not ours or not other or not ours.is_number or not other.is_number or other.median <= 0:
        return ""
    return f"{'~' if ours.overlaps(other) else ''}{ours.median / other.median:.2f}"


def markdown_table(heads, lines):
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, rule, *lines])


def time_table(kept, table, group):
    names = [one["name"] for one in kept["backends"]]
    heads = ["", *names]
    has_ratios = SUBJECT in names
    if has_ratios:
        heads += [f"{SUBJECT} ÷ {OVERLAY}", f"{SUBJECT} ÷ best peer"]
    lines = []
    for row in (row for row in kept["rows"] if row["group"] == group):
        key = row["work"], row["label"]
        found = {name: table.get((*key, name)) for name in names}
        line = [row["title"], *(cell_text(found[name]) for name in names)]
        if has_ratios:
            line += [ratio_text(found[SUBJECT], found.get(OVERLAY)),
                     ratio_text(found[SUBJECT], best_peer(kept, table, row))]
        lines.append(line)
    return markdown_table(heads, lines)


def server_table(kept, table):
    """Processor time and peak memory of the servers, for the numbers that are times."""
    names = [one["name"] for one in kept["backends"] if one["kind"] in ("ours", "peer")]
    lines = []
    for row in kept["rows"]:
        found = [table.get((row["work"], row["label"], name)) for name in names]
        if any(one and one.is_number and one.cpu is not None for one in found):
            lines.append([row["title"], *map(server_text, found)])
    return markdown_table(["", *names], lines)


def server_text(found):
    if not found or not found.is_number or found.cpu is None:
        return ""
    return f"{found.cpu:.2f} s, {found.peak / (1 << 20):.1f} MiB"


def target_table(kept, table):
    found = targets.lines(
        kept["rows"], table, lambda row: best_peer(kept, table, row), quantity)
    heads = ["", "backend", f"÷ {OVERLAY} (aimed at)", "÷ best peer (aimed at)", "÷ floor"]
    return markdown_table(heads, found) if found else ""


def request_table(kept, table):
    """How many requests the work takes on a mount, and what that comes to."""
    lines = []
    for row in kept["rows"]:
        ours, overlay = (table.get((row["work"], row["label"], name)) for name in (SUBJECT, OVERLAY))
        floor = targets.floor(table, ours, overlay)
        if floor is None or row["work"] == "ask":
            continue
        lines.append([
            row["title"], f"{ours.requests:,.0f}", quantity(overlay.median, "s"), quantity(floor, "s"),
            quantity(ours.median, "s"), f"{ours.median / floor:.2f}"])
    return markdown_table(
        ["", "requests", OVERLAY, "floor", SUBJECT, f"{SUBJECT} ÷ floor"], lines) if lines else ""


def about_text(about):
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    kind = "Short run" if about["short"] else "Full run"
    load = ", ".join(f"{value:.1f}" for value in about["load"])
    return (
        f"{kind} of {about['date']}, commit {about['commit']}: {about['rounds']} rounds in "
        f"{about['minutes']} minutes, seed {about['seed']}; the tree has {about['files']:,} names. "
        f"Load average after each round: {load} (the benchmark itself makes about 1 of it).\n\n"
        f"Linux {about['kernel']} ({about['machine']}), {about['processors']}, {about['memory']} of "
        f"memory, {about['file system']}, {about['system']}. {versions}.\n")


def failures(kept):
    """A line for each backend and work that failed, with its first reason."""
    found = {}
    for sample in kept["samples"]:
        if sample["error"]:
            found.setdefault((sample["work"], sample["backend"]), sample["error"])
    return "".join(f"- `{work}` on `{backend}`: {error.replace('|', ' ')}\n"
                   for (work, backend), error in sorted(found.items()))


def document(kept, pictures, prefix=""):
    table = cells(kept)
    parts = [about_text(kept["about"])]
    parts += [f"- Left out: `{name}`: {why}\n" for name, why in kept["about"]["left out"].items()]
    if failed := failures(kept):
        parts += ["What failed:\n", failed]
    if aims := target_table(kept, table):
        parts += ["### What is aimed at\n",
                  "At most the ratio in parentheses; bold where this run misses it.\n", aims]
    for group in dict.fromkeys(row["group"] for row in kept["rows"]):
        parts.append(f"### {group}\n")
        parts.append(time_table(kept, table, group))
        parts += [f"![{picture.stem}]({prefix}{picture.name})\n"
                  for picture in pictures.get(group, [])]
    if requests := request_table(kept, table):
        trip = quantity(table["ask", "ask", SUBJECT].median, "s")
        parts += ["### Requests and the floor\n",
                  "Requests that a caller waited for on a mount of root's, counted by the server. The floor is "
                  f"what {OVERLAY} takes and, for each request, the {trip} of one that does next to nothing; "
                  "below 1 is what does less than overlayfs, or has several requests under way at once.\n",
                  requests]
    parts.append("### Processor time and peak memory of the servers\n")
    parts.append(server_table(kept, table))
    return "\n".join(parts)


# --- Files ---------------------------------------------------------------------------------------


def write(kept, folder):
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(sample, ensure_ascii=False) for sample in kept["samples"])
    head = json.dumps({**kept, "samples": []}, ensure_ascii=False, indent=1)
    text = head.replace('"samples": []', f'"samples": [\n{lines}\n]')
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    pictures = plots.draw(kept, cells(kept), folder)
    (folder / "results.md").write_text(document(kept, pictures), encoding="utf-8")


def update_docs(folder, docs):
    """Puts a run into the marked part of docs/performance.md, its plots beside it."""
    page = docs / "performance.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no part between {BEGIN!r} and {END!r}")
    kept = load(folder / "results.json")
    target = docs / "performance"
    target.mkdir(exist_ok=True)
    for old in target.glob("*.png"):
        old.unlink()
    pictures = plots.draw(kept, cells(kept), target)
    text = document(kept, pictures, "performance/")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")

// The search, and the lists of names.

// MARK: The search

/** All paths in lower case, one a line, and where each begins; made when the search is first used. */
let index = null;
function makeIndex() {
  if (index) return index;
  const parts = new Array(tree.total), starts = new Int32Array(tree.total + 1);
  const paths = new Array(tree.total);
  paths[0] = "";
  let at = 0;
  for (let node = 0; node < tree.total; node++) {
    if (node > 0) paths[node] = tree.kind[node] === REST ? "" : `${paths[tree.parent[node]]}/${tree.names[node].toLowerCase()}`;
    const line = node === 0 ? "" : paths[node];
    parts[node] = line;
    starts[node] = at;
    at += line.length + 1;
  }
  starts[tree.total] = at;
  index = { text: "\n" + parts.join("\n") + "\n", starts };
  return index;
}

/** The node on whose line a place lies. The text has one character more in front. */
function nodeAt(place) {
  const { starts } = index;
  let low = 0, high = tree.total - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] < place) low = middle; else high = middle - 1;
  }
  return low;
}

/** The nodes whose paths begin with a query with a slash in front, or contain another one. */
function* matches(query) {
  const { text, starts } = makeIndex();
  const isPrefix = query.startsWith("/"), wanted = (isPrefix ? "\n" : "") + query.toLowerCase();
  for (let at = text.indexOf(wanted); at >= 0;) {
    const node = nodeAt(isPrefix ? at + 1 : at);
    yield node;
    at = text.indexOf(wanted, starts[node + 1]);
  }
}

const PAGE = 100, COUNTED = 100000;
let shown = 0, results = [];

function search() {
  const query = byId("find").value;
  results = [];
  shown = 0;
  byId("found").replaceChildren();
  if (query.trim() === "" || query.includes("\n")) { byId("find-count").textContent = ""; byId("more").hidden = true; return; }
  for (const node of matches(query)) {
    if (node > 0 && tree.kind[node] !== REST) results.push(node);
    if (results.length >= COUNTED) break;
  }
  byId("find-count").textContent = results.length >= COUNTED ? `more than ${count(COUNTED)} names` : several(results.length, "name", "names");
  showMore();
}

function showMore() {
  const query = byId("find").value;
  byId("found").append(...results.slice(shown, shown + PAGE).map(node => row(node, query)));
  shown += PAGE;
  byId("more").hidden = shown >= results.length;
}

// MARK: A name in a list

/** A row that tells which layer a name is from; it opens. */
function row(node, query, bytes) {
  const first = tree.first[node], last = tree.first[node + 1];
  const where = make("span", { class: "where" });
  let seen = -1;
  for (let copy = first; copy < last && seen < 0; copy++) if (copies.fate[copy] === VISIBLE) seen = copy;
  if (seen >= 0) where.append(chip(copies.layer[seen]));
  for (let copy = first; copy < last; copy++) if (isWasted(copy)) where.append(chip(copies.layer[copy], "older"));
  if (seen < 0 && first < last) where.append(make("span", { class: "gone-by" }, "removed by"), chip(copies.hider[first]));
  const amount = bytes ?? (seen >= 0 ? copies.size[seen] : copies.size[first]);
  const kind = tree.kind[node];
  const button = make("button", { type: "button", class: "row", "aria-expanded": "false" },
    make("span", { class: "path" }, ...marked(pathOf(node), query)), where,
    make("span", { class: "size" }, kind === FILE ? size(amount) : kindText(kind)));
  const item = make("li", {}, button);
  button.addEventListener("click", () => toggle(item, button, node));
  return item;
}

function toggle(item, button, node) {
  const old = item.querySelector(".detail");
  button.setAttribute("aria-expanded", !old);
  if (old) return old.remove();
  item.append(make("div", { class: "detail" }, copiesList(node),
    make("button", { type: "button", onclick: () => reveal(node) }, "Show in the map")));
}

/** A path with what was searched for marked. */
function marked(path, query) {
  if (!query) return [path];
  const at = path.toLowerCase().indexOf(query.toLowerCase());
  if (at < 0) return [path];
  return [path.slice(0, at), make("mark", {}, path.slice(at, at + query.length)), path.slice(at + query.length)];
}

// MARK: The lists

function showLists() {
  const best = (of, limit = 12) => {
    const list = [];
    for (const entry of of) {
      list.push(entry);
      if (list.length > 4000) { list.sort((a, b) => b[1] - a[1]); list.length = limit; }
    }
    return list.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, limit);
  };
  const wasted = function* () {
    for (let node = 1; node < tree.total; node++) {
      if (tree.kind[node] === REST) continue;
      let bytes = 0;
      for (let copy = tree.first[node]; copy < tree.first[node + 1]; copy++) if (isWasted(copy)) bytes += copies.size[copy];
      if (bytes > 0) yield [node, bytes];
    }
  };
  const large = function* () {
    for (let copy = 0; copy < copies.size.length; copy++) {
      const node = tree.owner[copy];
      if (copies.fate[copy] === VISIBLE && copies.size[copy] > 0 && tree.kind[node] !== REST) yield [node, copies.size[copy]];
    }
  };
  fill("wasters", best(wasted()), "Nothing is wasted.");
  fill("largest", best(large()), "There are no files.");
}

function fill(id, list, nothing) {
  byId(id).append(...(list.length ? list.map(([node, bytes]) => row(node, "", bytes)) : [make("li", { class: "note" }, nothing)]));
}

byId("find").addEventListener("input", search);
byId("find").addEventListener("focus", makeIndex, { once: true });
byId("more").addEventListener("click", showMore);
byId("find").addEventListener("keydown", event => {
  if (event.key === "ArrowDown") { byId("found").querySelector("button")?.focus(); event.preventDefault(); }
});
byId("found").addEventListener("keydown", event => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = [...byId("found").querySelectorAll(".row")], at = rows.indexOf(document.activeElement.closest("li")?.querySelector(".row"));
  event.preventDefault();
  const next = at + (event.key === "ArrowDown" ? 1 : -1);
  if (next < 0) byId("find").focus(); else rows[Math.min(next, rows.length - 1)].focus();
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement.tagName !== "INPUT") { byId("find").focus(); event.preventDefault(); }
});

showLists();
byId("note").textContent = [
  data.folded ? `The ${count(tree.kind.reduce((total, kind) => total + (kind !== REST), -1))} names with the most bytes are here; ${count(data.folded)} smaller ones are summed where they lie.` : "",
  data.problems ? `${several(data.problems, "directory", "directories")} could not be read; the figures lack what is in them.` : "",
  "Bytes are those of regular files, each once in a layer; 1 MB is 1,000,000 bytes. Made by unionfs-swift layers.",
].filter(Boolean).join(" ");
byId("find").disabled = false;
if (byId("find").value) search();
document.documentElement.dataset.ready = "true";

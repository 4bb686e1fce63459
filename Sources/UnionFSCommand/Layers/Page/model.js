"use strict";
// The data of the page, and what all its parts use. Texts from the data go into text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const layers = data.layers; // 0 is the bottom
const byId = id => document.getElementById(id);

/** An element with attributes (or properties, for what begins with `on`) and children. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child != null));
  return element;
}

/** Bytes as Docker prints them. */
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.length) { bytes /= 1000; unit += 1; }
  return (unit === 0 ? String(Math.round(bytes)) : String(Number(bytes.toPrecision(3)))) + units[unit];
}

const count = new Intl.NumberFormat("en").format;
const several = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
const percent = part => `${(Math.floor(part * 1000) / 10).toFixed(1)} %`;

// MARK: Names

const CHANGES = ["added", "changed", "attributes", "identical", "passes"];
const FATES = ["visible", "merged", "replaced", "removed"];
const VISIBLE = 0, MERGED = 1, REPLACED = 2;
const FILE = 0, DIRECTORY = 1, LINK = 2, REST = 7;

/** The names in the order of a walk, as flat arrays. What `i` holds lies from i + 1 to `end[i]`. */
const tree = (() => {
  const names = data.names.split("/");
  const total = data.nodes;
  const packed = atob(data.tree);
  let at = 0;
  const byte = () => packed.charCodeAt(at++);
  const number = () => {
    let value = 0, unit = 1, next;
    do { next = byte(); value += (next & 127) * unit; unit *= 128; } while (next > 127);
    return value;
  };
  const parent = new Int32Array(total), end = new Int32Array(total), first = new Int32Array(total + 1);
  const kind = new Uint8Array(total);
  const copies = { layer: [], change: [], fate: [], hider: [], link: [], kind: [], size: [], names: [] };
  const add = (layer, what, hider, names, bytes) => {
    copies.layer.push(layer); copies.change.push(what & 7); copies.fate.push(what >> 3 & 3);
    copies.hider.push(hider); copies.link.push(what >> 5 & 1); copies.kind.push(what >> 6);
    copies.names.push(names); copies.size.push(bytes);
  };
  const open = [], left = [];
  let layer = 0;
  for (let node = 0; node < total; node++) {
    while (open.length && left[open.length - 1] === 0) { end[open.pop()] = node; left.pop(); }
    if (open.length) { parent[node] = open[open.length - 1]; left[open.length - 1] -= 1; } else parent[node] = -1;
    const head = byte();
    kind[node] = head & 7;
    first[node] = copies.layer.length;
    const children = kind[node] === DIRECTORY ? number() : 0;
    if (head & 8) {
      const bytes = kind[node] === FILE ? number() : 0;
      if (node > 0) add(layer, kind[node] << 6, 0, 1, bytes);
    } else {
      for (let copy = number(); copy > 0; copy--) {
        const of = number(), what = byte();
        if (kind[node] !== REST) layer = of;
        const hider = (what >> 3 & 3) === VISIBLE ? 0 : number();
        const names = kind[node] === REST ? number() : 1;
        add(of, what, hider, names, kind[node] === REST || what >> 6 === FILE ? number() : 0);
      }
    }
    end[node] = node + 1;
    if (kind[node] === DIRECTORY) { open.push(node); left.push(children); }
  }
  while (open.length) end[open.pop()] = total;
  first[total] = copies.layer.length;
  const owner = new Int32Array(copies.layer.length);
  for (let node = 0; node < total; node++) owner.fill(node, first[node], first[node + 1]);
  return { names, parent, end, first, kind, copies, owner, total };
})();

const { copies } = tree;
const isWasted = copy => copies.fate[copy] >= REPLACED;

function nameOf(node) {
  if (tree.kind[node] !== REST) return tree.names[node];
  let names = 0;
  for (let copy = tree.first[node]; copy < tree.first[node + 1]; copy++) names += copies.names[copy];
  return `${several(names, "small name", "small names")}`;
}

function pathOf(node) {
  const parts = [];
  for (let at = node; at > 0; at = tree.parent[at]) parts.push(nameOf(at));
  return "/" + parts.reverse().join("/");
}

// MARK: Colours

// Told apart with the usual kinds of colour blindness (after Okabe and Ito, and Tol); each has a tone for
// light and one for dark pages.
const TONES = [
  ["#3a75b2", "#4c8fd1"], ["#e08a00", "#eba337"], ["#12907a", "#27ae94"], ["#b8548f", "#d27bae"],
  ["#7fb7e6", "#8fc7f4"], ["#c8501e", "#e4733f"], ["#8a8f23", "#b4b945"], ["#6c4fa3", "#9a80cf"],
  ["#d9b310", "#e9cb4a"], ["#7a5a43", "#a9856b"],
];
const isDark = matchMedia("(prefers-color-scheme: dark)");

/** Layers with files take the colours in turn; the others are grey. */
const toneIndex = (() => {
  let next = 0;
  return layers.map(layer => (layer.files[0] + layer.directories > 0 ? next++ : -1));
})();

function toneOf(layer) {
  const index = toneIndex[layer];
  if (index < 0) return isDark.matches ? "#6b7683" : "#8b96a3";
  const tone = TONES[index % TONES.length][isDark.matches ? 1 : 0];
  // A second time round, lighter or darker.
  const round = Math.floor(index / TONES.length);
  return round === 0 ? tone : mix(tone, round % 2 ? "#ffffff" : "#000000", 0.25 + 0.1 * (round % 3));
}

const channels = colour => [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16));

function mix(a, b, part) {
  const [from, to] = [channels(a), channels(b)];
  return "#" + from.map((value, i) => Math.round(value + (to[i] - value) * part).toString(16).padStart(2, "0")).join("");
}

/** Black or white, whichever reads better on a colour. */
function inkOn(colour) {
  const [r, g, b] = channels(colour).map(value => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.0565 ? "#ffffff" : "#101418";
}

/** Gives an element a layer's colours, now and when the page turns dark. */
const painted = [];
function paint(element, layer) {
  const set = () => {
    const tone = toneOf(layer);
    element.style.setProperty("--tone", tone);
    element.style.setProperty("--on", inkOn(tone));
  };
  set();
  if (painted.length > 4000) painted.splice(0, painted.length, ...painted.filter(([old]) => old.isConnected));
  painted.push([element, set]);
  return element;
}
isDark.addEventListener("change", () => painted.forEach(([, set]) => set()));

const chip = (layer, extra) =>
  paint(make("span", { class: `chip ${extra || ""}`, title: `layer ${layer + 1}` }, String(layer + 1)), layer);

// MARK: What is known of a name

function fateText(copy) {
  const by = copies.hider[copy] + 1;
  return { visible: "seen", merged: `merged into layer ${by}'s`, replaced: `replaced by layer ${by}`,
    removed: `removed by layer ${by}` }[FATES[copies.fate[copy]]];
}

function changeText(copy) {
  if (copies.link[copy]) return "another name of a file that is counted there";
  return { added: "", changed: "in place of an older one", identical: "a copy that changes nothing",
    attributes: copies.kind[copy] === DIRECTORY ? "changes mode or owner" : "a copy for mode or owner alone",
    passes: "" }[CHANGES[copies.change[copy]]];
}

/** The layers' copies of a name, the top one's first. */
function copiesList(node) {
  const list = make("ol", { class: "copies" });
  for (let copy = tree.first[node]; copy < tree.first[node + 1]; copy++) {
    const note = changeText(copy);
    list.append(make("li", {}, chip(copies.layer[copy]),
      make("span", { class: "size" }, copies.kind[copy] === FILE || tree.kind[node] === REST ? size(copies.size[copy]) : kindText(copies.kind[copy])),
      make("span", { class: isWasted(copy) ? "gone" : "seen" }, fateText(copy)),
      note ? make("span", { class: "note" }, note) : null));
  }
  return list;
}

const kindText = kind => ["file", "directory", "link", "special"][kind];

// The map: a squarified treemap on a canvas. Only what is large enough to be seen is laid out, so its cost
// does not grow with the number of names.

const LAYER_GROUP = 0, FOLDER = 1, LEAF = 2;
const canvas = byId("canvas"), stage = byId("stage"), frame = byId("frame"), tip = byId("tip");
const pen = canvas.getContext("2d");
const prefersStill = matchMedia("(prefers-reduced-motion: reduce)");

// MARK: What is shown

/**
 * The copies in groups, as flat arrays in the order of a walk: what item `i` holds lies from i + 1 to `end[i]`.
 * A leaf is a copy with bytes; `ref` is a layer, a node or a copy; `main` is a group's heaviest copy.
 */
function buildView(group, onlyWasted) {
  const type = [], ref = [], parent = [], end = [];
  const add = (kind, of, above) => { type.push(kind); ref.push(of); parent.push(above); return type.length - 1; };
  const fill = (root, list) => {
    const items = [root], nodes = [0];
    const close = () => { end[items.pop()] = type.length; nodes.pop(); };
    for (const copy of list) {
      const node = tree.owner[copy];
      while (nodes.length > 1 && tree.end[nodes[nodes.length - 1]] <= node) close();
      const chain = [];
      for (let at = tree.parent[node]; at !== nodes[nodes.length - 1]; at = tree.parent[at]) chain.push(at);
      for (const at of chain.reverse()) { items.push(add(FOLDER, at, items[items.length - 1])); nodes.push(at); }
      end[add(LEAF, copy, items[items.length - 1])] = type.length;
    }
    while (items.length) close();
  };
  const wanted = copy => copies.size[copy] > 0 && (!onlyWasted || isWasted(copy));
  const root = add(FOLDER, 0, -1);
  if (group === "directory") {
    fill(root, [...copies.size.keys()].filter(wanted));
  } else {
    const lists = layers.map(() => []);
    copies.layer.forEach((layer, copy) => { if (wanted(copy)) lists[layer].push(copy); });
    lists.forEach((list, layer) => { if (list.length) fill(add(LAYER_GROUP, layer, root), list); });
    end[root] = type.length;
  }
  return { type, ref, parent, end, group, sorted: new Map(), ...weigh(type, ref, parent) };
}

function weigh(type, ref, parent) {
  const weight = new Float64Array(type.length), main = new Int32Array(type.length).fill(-1);
  const best = new Float64Array(type.length), files = new Int32Array(type.length);
  for (let item = type.length - 1; item >= 0; item--) {
    if (type[item] === LEAF) { weight[item] = copies.size[ref[item]]; main[item] = ref[item]; files[item] = copies.names[ref[item]]; }
    const above = parent[item];
    if (above < 0) continue;
    weight[above] += weight[item];
    files[above] += files[item];
    if (weight[item] > best[above]) { best[above] = weight[item]; main[above] = main[item]; }
  }
  return { weight, main, files };
}

let view = buildView("layer", false);
let root = 0;      // the item that fills the canvas
let cursor = -1;   // the item that the keyboard, the pointer or a search is at
let rects = [];    // what is drawn, outer ones first

/** What an item holds, the heaviest first; kept once it was asked for. */
function childrenOf(item) {
  let list = view.sorted.get(item);
  if (!list) {
    list = [];
    for (let at = item + 1; at < view.end[item]; at = view.end[at]) list.push(at);
    list.sort((a, b) => view.weight[b] - view.weight[a] || a - b);
    view.sorted.set(item, list);
  }
  return list;
}

function labelOf(item) {
  if (view.type[item] === LAYER_GROUP) {
    const layer = layers[view.ref[item]];
    return `${view.ref[item] + 1} · ${layer.command || layer.short}`;
  }
  if (item === 0) return view.group === "layer" ? "all layers" : "/";
  return nameOf(nodeOf(item));
}

const nodeOf = item => (view.type[item] === LEAF ? tree.owner[view.ref[item]] : view.type[item] === FOLDER ? view.ref[item] : 0);

// MARK: Layout

/** Rows of rectangles that are as square as may be (Bruls, Huizing, van Wijk). `list` is sorted, largest first. */
function squarify(list, x, y, w, h, place) {
  let rest = list.reduce((total, item) => total + view.weight[item], 0);
  let from = 0;
  while (from < list.length && rest > 0 && w > 0 && h > 0) {
    const side = Math.min(w, h), scale = w * h / rest;
    let row = 0, worst = Infinity, to = from;
    while (to < list.length) {
      const next = row + view.weight[list[to]] * scale;
      const large = side * side * view.weight[list[from]] * scale / (next * next);
      const small = next * next / (side * side * view.weight[list[to]] * scale);
      const shape = Math.max(large, small);
      if (shape > worst) break;
      worst = shape; row = next; to += 1;
    }
    const depth = row / side;
    let along = 0;
    for (let at = from; at < to; at++) {
      const length = view.weight[list[at]] * scale / depth;
      if (w >= h) place(list[at], x, y + along, depth, length); else place(list[at], x + along, y, length, depth);
      along += length;
      rest -= view.weight[list[at]];
    }
    if (w >= h) { x += depth; w -= depth; } else { y += depth; h -= depth; }
    // What is left is less than a pixel wide.
    if (w < 0.5 || h < 0.5) return;
    from = to;
  }
}

const HEADER = 18;
/** Square pixels below which nothing is drawn by itself, so that there are some ten thousand rectangles. */
let least = 1;

function layOut(item, x, y, w, h, depth) {
  if (w < 0.5 || h < 0.5 || w * h < least) return;
  const isLeaf = view.type[item] === LEAF;
  if (isLeaf || (depth > 0 && (w < 6 || h < 6))) { rects.push({ item, x, y, w, h, isLeaf: true, header: 0 }); return; }
  let label = depth > 0 ? labelOf(item) : "", inner = item;
  // A folder in a folder in a folder is one.
  while (depth > 0 && inner + 1 < view.end[inner] && view.end[inner + 1] === view.end[inner] && view.type[inner + 1] === FOLDER) {
    inner += 1;
    label += (view.type[inner - 1] === LAYER_GROUP ? "  /" : "/") + labelOf(inner);
  }
  const header = depth > 0 && w > 46 && h > 42 ? HEADER : 0;
  const pad = depth === 0 ? 0 : header ? 2 : w > 24 && h > 24 ? 1 : 0.5;
  rects.push({ item: inner, x, y, w, h, header, label, depth });
  squarify(childrenOf(inner), x + pad, y + (header || pad), w - 2 * pad, h - (header || pad) - pad,
    (child, ...place) => layOut(child, ...place, depth + 1));
}

// MARK: Drawing

let theme = {};
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme = Object.fromEntries(["card", "raised", "ink", "dim", "line"].map(name => [name, hex(style.getPropertyValue(`--${name}`).trim())]));
  theme.tones = layers.map((_, layer) => {
    const tone = toneOf(layer);
    return { tone, ink: inkOn(tone), mass: mix(tone, theme.card, 0.16), waste: hatch(tone) };
  });
  theme.font = style.getPropertyValue("--sans");
}
const hex = colour => (colour.length === 4 ? "#" + [...colour.slice(1)].map(digit => digit + digit).join("") : colour);

function hatch(tone) {
  const tile = document.createElement("canvas"), ratio = devicePixelRatio || 1, edge = Math.round(7 * ratio);
  tile.width = tile.height = edge;
  const pen = tile.getContext("2d");
  pen.fillStyle = mix(tone, theme.card, 0.72);
  pen.fillRect(0, 0, edge, edge);
  pen.strokeStyle = tone;
  pen.lineWidth = edge / 3.4;
  for (const shift of [-edge, 0, edge]) {
    pen.beginPath(); pen.moveTo(shift - 1, edge + 1); pen.lineTo(shift + edge + 1, -1); pen.stroke();
  }
  const pattern = canvas.getContext("2d").createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

function draw(x = 0, y = 0, w = stage.clientWidth, h = stage.clientHeight) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(stage.clientWidth * ratio), Math.round(stage.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = theme.raised;
  pen.fillRect(0, 0, stage.clientWidth, stage.clientHeight);
  rects = [];
  least = Math.max(1, stage.clientWidth * stage.clientHeight / 60000);
  layOut(root, x, y, w, h, 0);
  for (const rect of rects) if (rect.isLeaf) drawLeaf(rect); else if (rect.depth > 0) drawFolder(rect);
  byId("nothing").hidden = view.weight[0] > 0;
  canvas.setAttribute("aria-label", `Map of ${labelOf(root)}: ${size(view.weight[root])} in ${several(view.files[root], "file", "files")}`);
  showFrame();
}

/** Of the chosen layer, or hidden by it; everything while none is chosen. */
const isChosen = copy => chosenLayer < 0 || copies.layer[copy] === chosenLayer || (isWasted(copy) && copies.hider[copy] === chosenLayer);

/** Fills with a copy's colour, pale where another layer is chosen; the paleness stays set. */
function ground(copy, fill, x, y, w, h) {
  const isPale = !isChosen(copy);
  if (isPale) {
    pen.globalAlpha = 1;
    pen.fillStyle = theme.card;
    pen.fillRect(x, y, w, h);
  }
  pen.globalAlpha = isPale ? 0.2 : 1;
  pen.fillStyle = fill;
  pen.fillRect(x, y, w, h);
}

function drawFolder({ item, x, y, w, h, header, label, depth }) {
  const isLayer = root === 0 && view.group === "layer" && depth === 1;
  const tone = theme.tones[copies.layer[view.main[item]]];
  pen.globalAlpha = isLayer && !isChosen(view.main[item]) ? 0.35 : 1;
  if (header) {
    pen.fillStyle = theme.card;
    pen.fillRect(x, y, w, h);
    pen.fillStyle = isLayer ? tone.tone : depth % 2 ? theme.line : mix(theme.line, theme.raised, 0.5);
    pen.fillRect(x + 0.5, y + 0.5, w - 1, h - 1);
  }
  // What is too small to be drawn shows as this.
  const inset = header ? 2 : 0;
  ground(view.main[item], isWasted(view.main[item]) ? tone.waste : tone.mass,
    x + inset, y + (header || inset), w - 2 * inset, h - (header || inset) - inset);
  pen.globalAlpha = isLayer && !isChosen(view.main[item]) ? 0.35 : 1;
  if (header) text(label, size(view.weight[item]), x + 6, y, w - 10, header, isLayer ? tone.ink : theme.ink, isLayer ? 600 : 500, 2);
  pen.globalAlpha = 1;
}

function drawLeaf({ item, x, y, w, h }) {
  const copy = view.main[item], tone = theme.tones[copies.layer[copy]];
  ground(copy, isWasted(copy) ? tone.waste : tone.tone, x, y, w, h);
  if (w > 3 && h > 3) {
    pen.fillStyle = theme.card;
    const line = w > 12 && h > 12 ? 1 : 0.6;
    pen.fillRect(x + w - line, y, line, h);
    pen.fillRect(x, y + h - line, w, line);
  }
  if (w > 34 && h > 15) {
    const isSmall = view.type[item] !== LEAF;
    if (isWasted(copy)) {
      plate(labelOf(item), x + 4, y + 3, w - 8);
    } else {
      const isNamed = text(labelOf(item), "", x + 5, y, w - 8, Math.min(h, 20), tone.ink, isSmall ? 400 : 450);
      if (!isNamed || h <= 36 || isSmall) { pen.globalAlpha = 1; return; }
      pen.globalAlpha *= 0.8;
      text(size(view.weight[item]), "", x + 5, y + 15, w - 8, 18, tone.ink, 400, Infinity);
    }
  }
  pen.globalAlpha = 1;
}

/** A name that stands on hatching, on a ground of its own. */
function plate(label, x, y, room) {
  pen.font = `450 11.5px ${theme.font}`;
  const shown = clip(label, room - 6);
  if (!shown) return;
  pen.fillStyle = theme.card;
  pen.fillRect(x, y, pen.measureText(shown).width + 6, 15);
  pen.fillStyle = theme.ink;
  pen.textBaseline = "middle";
  pen.fillText(shown, x + 3, y + 8);
}

function text(label, right, x, y, w, h, ink, weight, least) {
  pen.font = `${weight} 11.5px ${theme.font}`;
  pen.textBaseline = "middle";
  pen.fillStyle = ink;
  let room = w;
  if (right) {
    const width = pen.measureText(right).width;
    if (width + 40 < w) { room -= width + 8; pen.globalAlpha *= 0.75; pen.fillText(right, x + w - width, y + h / 2 + 0.5); pen.globalAlpha /= 0.75; }
  }
  const shown = clip(label, room, least);
  if (shown) pen.fillText(shown, x, y + h / 2 + 0.5);
  return shown !== "";
}

/** As much of a label as there is room for; empty where that says nothing. */
function clip(label, room, least = 4) {
  if (label.length > 200) label = label.slice(0, 200);
  if (pen.measureText(label).width <= room) return label;
  let low = 0, high = label.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(label.slice(0, middle) + "…").width <= room) low = middle; else high = middle - 1;
  }
  return low < least ? "" : label.slice(0, low) + "…";
}

// MARK: Moving about

/** Makes an item fill the canvas. */
function zoom(item, animate = true) {
  if (view.type[item] === LEAF || item === root) return;
  const from = rects.find(rect => rect.item === item);
  const isIn = from && item > root;
  root = item;
  cursor = -1;
  showCrumbs();
  byId("chosen").replaceChildren();
  if (!animate || !isIn || prefersStill.matches) return draw();
  const start = performance.now(), { x, y, w, h } = from;
  const step = now => {
    const part = Math.min(1, (now - start) / 170), ease = 1 - (1 - part) ** 3;
    if (root !== item) return;
    draw(x * (1 - ease), y * (1 - ease), w + (stage.clientWidth - w) * ease, h + (stage.clientHeight - h) * ease);
    if (part < 1) requestAnimationFrame(step);
  };
  step(start);
}

function zoomOut() {
  if (root === 0) return;
  const old = root;
  let above = view.parent[root];
  // Over the folders that were one.
  while (above > 0 && view.end[above + 1] === view.end[above]) above = view.parent[above];
  zoom(above, false);
  setCursor(old);
}

function showCrumbs() {
  const chain = [];
  for (let item = root; item >= 0; item = view.parent[item]) chain.unshift(item);
  const crumbs = chain.map(item => make("button", { type: "button", title: labelOf(item), "aria-current": item === root ? "location" : null,
    onclick: () => zoom(item, false) }, labelOf(item)));
  byId("crumbs").replaceChildren(...crumbs.flatMap((crumb, at) => (at ? [make("span", { class: "sep", "aria-hidden": "true" }, "›"), crumb] : [crumb])),
    make("span", { class: "size" }, `${size(view.weight[root])} in ${several(view.files[root], "file", "files")}`));
}

function setCursor(item, describe = true) {
  cursor = item;
  showFrame();
  if (describe) showChosen(item);
}

function showFrame() {
  const rect = rects.find(rect => rect.item === cursor) || rects.find(rect => !rect.isLeaf && cursor >= rect.item && cursor < view.end[rect.item] && rect.depth > 0 && collapsed(rect.item, cursor));
  frame.hidden = !rect;
  if (rect) Object.assign(frame.style, { left: `${rect.x - 1}px`, top: `${rect.y - 1}px`, width: `${rect.w + 2}px`, height: `${rect.h + 2}px` });
}
const collapsed = (inner, outer) => view.end[inner] === view.end[outer] && outer <= inner;

function showChosen(item) {
  const box = byId("chosen");
  if (item < 0) return box.replaceChildren();
  if (view.type[item] === LEAF && tree.kind[nodeOf(item)] !== REST) {
    box.replaceChildren(make("div", { class: "path" }, pathOf(nodeOf(item))), copiesList(nodeOf(item)));
  } else {
    box.replaceChildren(...summary(item));
  }
}

function summary(item) {
  if (view.type[item] === LEAF) {
    const copy = view.ref[item];
    return [make("div", { class: "path" }, pathOf(nodeOf(item))),
      make("div", {}, chip(copies.layer[copy]), ` ${size(view.weight[item])} in ${several(copies.names[copy], "name", "names")}, ${fateText(copy)}`)];
  }
  const title = view.type[item] === LAYER_GROUP ? labelOf(item) : pathOf(nodeOf(item));
  return [make("div", { class: "path" }, title),
    make("div", { class: "note" }, `${size(view.weight[item])} in ${several(view.files[item], "file", "files")}`)];
}

function rectAt(event) {
  const box = stage.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  for (let at = rects.length - 1; at > 0; at--) {
    const rect = rects[at];
    if (x >= rect.x && y >= rect.y && x < rect.x + rect.w && y < rect.y + rect.h) return rect;
  }
  return null;
}

canvas.addEventListener("pointermove", event => {
  const rect = rectAt(event);
  if (!rect || event.pointerType === "touch") { tip.hidden = true; return; }
  setCursor(rect.item, false);
  showTip(rect.item, event);
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("click", event => {
  const rect = rectAt(event);
  if (!rect) return;
  tip.hidden = true;
  // A folder's own name goes into it; a file goes one step towards it, and tells of itself.
  if (!rect.isLeaf) return zoom(rect.item);
  let step = rect.item;
  while (view.parent[step] !== root) step = view.parent[step];
  while (view.type[step] !== LEAF && step + 1 < view.end[step] && view.end[step + 1] === view.end[step] && view.type[step + 1] === FOLDER) step += 1;
  if (view.type[step] !== LEAF) zoom(step);
  setCursor(rect.item);
});

let tipItem = -1;
function showTip(item, event) {
  if (tip.hidden || tipItem !== item) {
    const parts = summary(item);
    if (view.type[item] === LEAF && tree.kind[nodeOf(item)] !== REST) {
      const copy = view.ref[item], note = changeText(copy);
      parts.splice(1, 1, make("div", {}, chip(copies.layer[copy]), ` ${size(view.weight[item])}, ${fateText(copy)}${note ? `; ${note}` : ""}`));
    }
    parts[0] = make("code", {}, parts[0].textContent);
    tip.replaceChildren(...parts);
    tipItem = item;
  }
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - width - 8), y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18;
  tip.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`;
  tip.style.left = tip.style.top = "0";
}

canvas.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { ArrowRight: () => sideways(1), ArrowLeft: () => sideways(-1), ArrowDown: down, ArrowUp: up, Enter: enter, " ": enter,
    Escape: zoomOut, Backspace: zoomOut, Home: () => zoom(0, false) }[event.key];
  if (!act) return;
  event.preventDefault();
  tip.hidden = true;
  act();
});

const isInRoot = item => item > root && item < view.end[root];

function sideways(step) {
  if (!isInRoot(cursor)) return setCursor(childrenOf(root)[0] ?? -1);
  const list = childrenOf(view.parent[cursor]);
  setCursor(list[(list.indexOf(cursor) + step + list.length) % list.length]);
}
function down() {
  if (!isInRoot(cursor)) return sideways(1);
  const inside = childrenOf(cursor);
  if (inside.length) setCursor(inside[0]);
}
function up() {
  if (isInRoot(cursor) && view.parent[cursor] !== root) setCursor(view.parent[cursor]); else zoomOut();
}
function enter() {
  if (!isInRoot(cursor)) return sideways(1);
  const item = view.type[cursor] === LEAF ? view.parent[cursor] : cursor, at = cursor;
  zoom(item);
  setCursor(at === item ? childrenOf(item)[0] ?? -1 : at);
}

/** Shows a name in the map, by the copy that is seen where there is one. */
function reveal(node) {
  if (!find(node) && byId("only-wasted").checked) { byId("only-wasted").checked = false; rebuild(); }
  const item = find(node);
  if (item) {
    zoom(view.type[item] === LEAF ? view.parent[item] : item, false);
    setCursor(item);
  }
  byId("map-title").scrollIntoView({ behavior: prefersStill.matches ? "auto" : "smooth", block: "start" });
  canvas.focus({ preventScroll: true });
}

function find(node) {
  let found = 0;
  for (let item = 1; item < view.type.length; item++) {
    if (view.type[item] === LAYER_GROUP || nodeOf(item) !== node) continue;
    if (view.type[item] === FOLDER || !isWasted(view.ref[item])) return item;
    found = found || item;
  }
  return found;
}

// MARK: Switches

function rebuild() {
  view = buildView(document.querySelector("input[name=group]:checked").value, byId("only-wasted").checked);
  root = 0;
  cursor = -1;
  showCrumbs();
  byId("chosen").replaceChildren();
  draw();
}

for (const input of [...document.querySelectorAll("input[name=group]"), byId("only-wasted")]) input.addEventListener("change", rebuild);
onChoose.push(() => {
  if (view.group === "layer") {
    let item = 0;
    if (chosenLayer >= 0) for (let at = 1; at < view.end[0]; at = view.end[at]) if (view.ref[at] === chosenLayer) item = at;
    if (item === root) draw(); else zoom(item);
  } else draw();
});
isDark.addEventListener("change", () => { readTheme(); draw(); });
new ResizeObserver(() => {
  const isSame = canvas.width === Math.round(stage.clientWidth * (devicePixelRatio || 1)) && canvas.height === Math.round(stage.clientHeight * (devicePixelRatio || 1));
  if (!isSame) { readTheme(); draw(); }
}).observe(stage);

readTheme();
showCrumbs();
draw();

// The head of the page and the history; which layer is chosen.

let chosenLayer = -1;
const onChoose = [];

/** Chooses a layer, or none where it is chosen already. */
function choose(layer) {
  chosenLayer = chosenLayer === layer ? -1 : layer;
  for (const button of document.querySelectorAll("[data-layer]")) {
    const isChosen = Number(button.dataset.layer) === chosenLayer;
    button.setAttribute("aria-pressed", isChosen);
    if (button.parentNode.id === "strip") button.classList.toggle("dimmed", chosenLayer >= 0 && !isChosen);
  }
  // Only within the list: the page stays where it is.
  const list = byId("history"), stop = list.querySelector("[aria-pressed=true]");
  if (stop && list.scrollHeight > list.clientHeight) {
    const place = stop.parentNode.offsetTop;
    if (place < list.scrollTop || place + stop.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = place - 20;
  }
  onChoose.forEach(act => act());
}

const sum = (pick, from = layers) => from.reduce((total, layer) => total + pick(layer), 0);

function showHead() {
  byId("title").textContent = data.title;
  for (const tag of layers[layers.length - 1].tags.filter(tag => tag !== data.title)) byId("tags").append(make("li", {}, tag));
  const stored = sum(layer => layer.files[1]), seen = sum(layer => layer.visible[1]);
  const wasted = sum(layer => layer.wasted[1]);
  const names = sum(layer => layer.visible[0] + layer.visibleDirectories);
  const figure = (label, value, bad) =>
    byId("figures").append(make("div", { class: bad ? "bad" : "" }, make("dt", {}, label), make("dd", {}, value)));
  figure(layers.length === 1 ? "layer" : "layers", count(layers.length));
  figure("names seen", count(names));
  figure("stored", size(stored));
  figure("seen", size(seen));
  figure("wasted", size(wasted), wasted > 0);
  figure("efficiency", stored ? percent(seen / stored) : "100.0 %");
  showStrip(stored);
}

/** One bar of all that is stored: each layer's part, what of it is wasted hatched. */
function showStrip(stored) {
  if (stored === 0) { byId("strip").hidden = true; return; }
  layers.forEach((layer, index) => {
    for (const [bytes, isWaste] of [[layer.visible[1], false], [layer.wasted[1], true]]) {
      if (bytes / stored < 0.0005) continue;
      const text = `layer ${index + 1}: ${size(bytes)} ${isWaste ? "wasted" : "seen"}`;
      const part = bytes / stored;
      const label = part > 0.16 ? `${index + 1} · ${size(bytes)}${isWaste ? " wasted" : ""}` : part > 0.045 ? String(index + 1) : "";
      const button = paint(make("button", { type: "button", class: isWaste ? "waste" : "", title: text, "aria-label": text,
        "data-layer": index, "aria-pressed": "false", onclick: () => choose(index) }, label && make("span", {}, label)), index);
      button.style.flex = `${bytes} 1 0`;
      byId("strip").append(button);
    }
  });
}

function showHistory() {
  const largest = Math.max(1, ...layers.map(layer => layer.files[1]));
  for (let index = layers.length - 1; index >= 0; index--) byId("history").append(stop(index, largest));
}

function stop(index, largest) {
  const layer = layers[index];
  const isEmpty = layer.files[0] + layer.directories + layer.removed[0] + layer.removedDirectories === 0;
  const word = /^[A-Z]+(?= )/.exec(layer.command);
  const command = layer.command
    ? make("code", {}, word ? make("b", {}, word[0]) : "", word ? layer.command.slice(word[0].length) : layer.command)
    : make("code", {}, layer.short);
  const button = make("button", { type: "button", class: `stop ${isEmpty ? "empty" : ""}`, "data-layer": index,
    "aria-pressed": "false", title: layer.command, onclick: () => choose(index) },
    chip(index), command,
    make("span", { class: "meta" }, time(layer.created),
      layer.command ? make("span", { class: "id", title: layer.id }, layer.short) : null,
      ...layer.tags.map(tag => make("span", {}, tag)), layer.author ? make("span", {}, layer.author) : null));
  if (layer.files[1] > 0) button.append(bars(layer, largest));
  if (!isEmpty) button.append(delta(layer));
  return paint(make("li", {}, button), index);
}

function time(created) {
  const date = new Date(created);
  if (!created || Number.isNaN(date.getTime())) return created ? make("span", {}, created) : null;
  const text = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(date);
  return make("time", { datetime: created, title: created }, text);
}

function bars(layer, largest) {
  const bar = (bytes, name) => {
    const line = make("i", { class: name });
    line.style.width = `${100 * bytes / largest}%`;
    return line;
  };
  const box = make("span", { class: "bars" }, bar(layer.files[1], ""), make("span", {}, size(layer.files[1])));
  if (layer.wasted[1] > 0) {
    box.append(bar(layer.wasted[1], "waste"), make("span", { class: "waste-text" }, `${size(layer.wasted[1])} wasted`));
  }
  return box;
}

function delta(layer) {
  const removed = layer.removed[0] + layer.removedDirectories;
  const copied = layer.attributes[0] + layer.identical[0];
  const part = (name, text, title) => make("span", { class: name, title }, text);
  return make("span", { class: "delta" },
    layer.added ? part("plus", `+${count(layer.added)}`, "names that the layers below do not show") : null,
    layer.changed ? part("tilde", `~${count(layer.changed)}`, "files that take another's place") : null,
    removed ? part("minus", `−${count(removed)}${layer.removed[1] ? ` (${size(layer.removed[1])})` : ""}`, "names that it removes, and their bytes in the layers below") : null,
    copied ? part("", `${count(copied)} copied for mode or owner alone (${size(layer.attributes[1] + layer.identical[1])})`) : null);
}

showHead();
showHistory();

// Marked passages of answers: selected in the source by mouse, by touch or with the keys, and given
// one of the project's labels. The form's field `spans` holds them, in Unicode code points of the
// source; the browser counts UTF-16 units, so every place is converted on its way in and out. The
// page has this script only where the project has labels.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const task = () => $("#task");
const field = () => task()?.elements.spans;
const palette = () => $("#palette");
const labels = () => $$("button", palette()).map((button) => button.dataset.label);
const cardOf = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest(".answer");
const sourceOf = (card) => $(".written", card);
const ready = () => task() && palette() && !task().inert && !$("dialog[open], #skip[open]");

let marking = null; // with the keys: {card, anchor, caret}, in UTF-16 units
let passage = null; // what the palette marks: {card, start, end}, in UTF-16 units
let drawn = null; // the field's value that is on the screen

const say = (text) => {
  $(".status").textContent = text;
};
const filled = (name, values) =>
  palette().dataset[name].replace(/\{(\w+)\}/g, (_all, key) => values[key]);

// ---- Places in the source ----

const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const WORDS = new Intl.Segmenter(undefined, { granularity: "word" });
const cut = new WeakMap(); // of each source: its text, and its parts as they are asked for

function textOf(card) {
  const pre = sourceOf(card);
  if (!cut.has(pre)) {
    pre.normalize(); // one text node, however long
    cut.set(pre, { text: pre.textContent });
  }
  return cut.get(pre).text;
}

// The place in UTF-16 units of each code point, and of the end.
function unitsOf(card) {
  const text = textOf(card),
    parts = cut.get(sourceOf(card));
  if (!parts.units) {
    parts.units = [0];
    for (const character of text) parts.units.push(parts.units.at(-1) + character.length);
  }
  return parts.units;
}

function partsOf(card, name, segmenter) {
  const text = textOf(card),
    parts = cut.get(sourceOf(card));
  parts[name] ??= [...segmenter.segment(text)].map(({ segment, index, isWordLike }) => ({
    start: index,
    end: index + segment.length,
    isWordLike,
  }));
  return parts[name];
}

const graphemesOf = (card) => partsOf(card, "graphemes", GRAPHEMES);
const wordsOf = (card) => partsOf(card, "words", WORDS).filter((part) => part.isWordLike);

const pointOf = (card, unit) => [...textOf(card).slice(0, unit)].length;
const unitOf = (card, point) => unitsOf(card)[Math.min(point, unitsOf(card).length - 1)];

// Whole characters, as they are seen: never half an emoji, or a letter without its accent. Space
// around the passage is left out.
function whole(card, start, end) {
  const text = textOf(card),
    parts = graphemesOf(card);
  const first = parts.find((part) => part.end > start),
    last = parts.findLast((part) => part.start < end);
  if (!first || !last || start >= end) return null;
  const taken = text.slice(first.start, last.end),
    trimmed = taken.trim();
  if (!trimmed) return null;
  const before = taken.length - taken.trimStart().length;
  return { card, start: first.start + before, end: first.start + before + trimmed.length };
}

function brief(text, most = 60) {
  const characters = [...text.replace(/\s+/g, " ")];
  return characters.length > most ? `${characters.slice(0, most).join("")}…` : characters.join("");
}

// ---- The marks: read from the field, written back to it ----

const read = () => JSON.parse(field().value || "[]");

function write(spans) {
  field().value = spans.length ? JSON.stringify(spans) : "";
  field().dispatchEvent(new Event("change", { bubbles: true })); // draws, and saves the draft
}

const isSame = (one, other) =>
  ["answer", "label", "start", "end"].every((name) => one[name] === other[name]);
const textIn = (card, span) => textOf(card).slice(unitOf(card, span.start), unitOf(card, span.end));

function add({ card, start, end }, label) {
  const spans = read(),
    span = {
      answer: card.dataset.letter,
      label,
      start: pointOf(card, start),
      end: pointOf(card, end),
    };
  if (spans.some((other) => isSame(span, other))) return say(palette().dataset.twice);
  const most = +palette().dataset.most;
  if (spans.length >= most) return say(filled("tooMany", { most }));
  const inOrder = (one, other) =>
    one.answer.localeCompare(other.answer) || one.start - other.start || one.end - other.end;
  write([...spans, span].sort(inOrder));
  say(filled("marked", { label, passage: brief(textIn(card, span)) }));
}

function remove(span) {
  const card = $(`#answer-${span.answer}`),
    passage = brief(textIn(card, span));
  write(read().filter((other) => !isSame(span, other)));
  say(filled("removed", { label: span.label, passage }));
}

// ---- What it looks like ----

function draw() {
  if (!field() || !palette()) return;
  drawn = field().value;
  const spans = read();
  for (const card of $$(".answer")) {
    const own = spans.filter((span) => span.answer === card.dataset.letter);
    $(".marks ul", card)?.replaceChildren(...own.map((span) => item(card, span)));
  }
  paint(spans);
}

const numberOf = (label) => labels().indexOf(label) + 1; // 0: a label that the project had once

// In browsers without highlights the list below each answer still has them.
function paint(spans) {
  if (!CSS.highlights) return;
  for (let number = 0; number <= 9; number++) {
    const own = spans.filter((span) => numberOf(span.label) === number);
    const ranges = own.map((span) => {
      const card = $(`#answer-${span.answer}`);
      return range(card, unitOf(card, span.start), unitOf(card, span.end));
    });
    CSS.highlights.set(`mark-${number}`, new Highlight(...ranges));
  }
}

function range(card, start, end) {
  textOf(card);
  const range = new Range(),
    node = sourceOf(card).firstChild;
  range.setStart(node, start);
  range.setEnd(node, end);
  return range;
}

function item(card, span) {
  const row = document.createElement("li"),
    look = document.createElement("button"),
    off = document.createElement("button"),
    name = document.createElement("bdi"),
    words = document.createElement("q"),
    passage = brief(textIn(card, span));
  look.type = off.type = "button";
  look.className = "quiet";
  name.className = `label mark-${numberOf(span.label)}`;
  name.textContent = span.label;
  words.dir = "auto";
  words.textContent = passage;
  look.append(name, " ", words);
  look.addEventListener("click", () => show(card, span));
  off.className = "quiet off";
  off.textContent = "×";
  off.ariaLabel = filled("remove", { label: span.label, passage });
  off.addEventListener("click", () => takeOff(card, row, span));
  row.append(look, off);
  return row;
}

// The focus goes to the next one in the list, or back to where marks are made.
function takeOff(card, row, span) {
  const at = [...row.parentElement.children].indexOf(row);
  remove(span);
  const left = $$(".marks .off", card);
  (left[Math.min(at, left.length - 1)] ?? $("[data-mark]", card)).focus();
}

function openSource(card) {
  if (task().dataset.source !== "on") $(".tools [data-verb=source]").click();
  card.classList.add("unfolded");
}

function show(card, span) {
  openSource(card);
  const found = range(card, unitOf(card, span.start), unitOf(card, span.end));
  sourceOf(card).focus({ preventScroll: true });
  reveal(card, found);
  CSS.highlights?.set("mark-now", new Highlight(found));
}

function reveal(card, found) {
  const pre = sourceOf(card),
    box = pre.getBoundingClientRect(),
    place = found.getBoundingClientRect();
  if (place.top < box.top || place.bottom > box.bottom)
    pre.scrollTop += place.top - box.top - box.height / 3;
  const now = found.getBoundingClientRect(),
    bar = $(".verdict").getBoundingClientRect();
  if (now.top < 60 || now.bottom > bar.top - 60) scrollBy({ top: now.top - innerHeight / 3 });
}

// ---- Select, then choose a label ----

function selected() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const found = selection.getRangeAt(0),
    card = cardOf(found.startContainer) ?? cardOf(found.endContainer),
    pre = card && sourceOf(card);
  if (!pre?.checkVisibility() || !found.intersectsNode(pre)) return null;
  const length = textOf(card).length;
  return whole(
    card,
    unitAt(pre, found.startContainer, found.startOffset, 0),
    unitAt(pre, found.endContainer, found.endOffset, length),
  );
}

// A selection may begin before the source, or end behind it: then its own first or last place
// counts.
function unitAt(pre, container, offset, otherwise) {
  if (container === pre.firstChild) return offset;
  return container === pre ? (offset ? textOf(cardOf(pre)).length : 0) : otherwise;
}

let pressing = false; // a pointer is on the palette: what it does to the selection does not count

document.addEventListener("selectionchange", () => {
  if (pressing || !ready()) return;
  passage = selected();
  place();
});

// Where it covers neither the passage nor what stands below; on touch podium.css puts it elsewhere.
function place() {
  const shown = palette();
  if (!shown) return;
  shown.hidden = !passage;
  if (!passage) return;
  const end = range(passage.card, passage.start, passage.end).getBoundingClientRect(),
    { width, height } = shown.getBoundingClientRect();
  const below = end.bottom + 8,
    fits = below + height < $(".verdict").getBoundingClientRect().top;
  shown.style.left = `${Math.max(8, Math.min(end.left, innerWidth - width - 8))}px`;
  shown.style.top = `${fits ? below : Math.max(8, end.top - height - 8)}px`;
}

function choose(label) {
  const { card, end } = passage;
  add(passage, label);
  passage = null;
  getSelection().removeAllRanges();
  place();
  if (marking) stand(end, end);
  else sourceOf(card).focus({ preventScroll: true });
}

document.addEventListener(
  "pointerdown",
  (event) => {
    pressing = Boolean(event.target.closest("#palette"));
    if (pressing) event.preventDefault();
    else stop();
  },
  true,
);
document.addEventListener("click", (event) => {
  const label = event.target.closest("#palette button"),
    opens = event.target.closest("[data-mark]");
  if (label && passage) choose(label.dataset.label);
  if (opens && ready()) start(cardOf(opens));
  pressing = false;
});
document.addEventListener("pointercancel", () => {
  pressing = false;
});
addEventListener("scroll", place, { passive: true, capture: true });
addEventListener("resize", place);

// ---- With the keys ----

const stood = new WeakMap(); // where the caret was last, by source

function start(card) {
  if (!textOf(card)) return say(palette().dataset.empty);
  openSource(card);
  sourceOf(card).focus();
  marking = { card };
  const at = stood.get(sourceOf(card)) ?? 0;
  stand(at, at);
  say(filled("start", { letter: card.dataset.letter.toUpperCase() }));
}

function stop() {
  if (!marking) return;
  marking = null;
  CSS.highlights?.delete("mark-caret");
  getSelection().removeAllRanges();
  say(palette().dataset.end);
}

// From `anchor` to `caret` is selected; if they are one place, the character there is marked as
// the caret.
function stand(anchor, caret) {
  const { card } = marking,
    node = sourceOf(card).firstChild;
  marking = { card, anchor, caret };
  stood.set(sourceOf(card), caret);
  const behind = graphemesOf(card).find((part) => part.start >= caret) ?? graphemesOf(card).at(-1);
  const here = range(card, behind.start, behind.end);
  CSS.highlights?.set("mark-caret", new Highlight(here));
  if (anchor === caret) getSelection().removeAllRanges();
  else getSelection().setBaseAndExtent(node, anchor, node, caret);
  reveal(card, here);
}

const STEPS = {
  ArrowRight: ({ card, caret }, byWord) =>
    (byWord ? wordsOf(card) : graphemesOf(card)).find((part) => part.end > caret)?.end,
  ArrowLeft: ({ card, caret }, byWord) =>
    (byWord ? wordsOf(card) : graphemesOf(card)).findLast((part) => part.start < caret)?.start,
  ArrowDown: (at) => byBrowser(at, "forward", "line"),
  ArrowUp: (at) => byBrowser(at, "backward", "line"),
  End: (at) => byBrowser(at, "forward", "lineboundary"),
  Home: (at) => byBrowser(at, "backward", "lineboundary"),
};

// Only the browser knows where lines break.
function byBrowser({ card, caret }, way, step) {
  const selection = getSelection(),
    node = sourceOf(card).firstChild;
  selection.collapse(node, caret);
  selection.modify("move", way, step);
  return selection.focusNode === node ? selection.focusOffset : caret;
}

function move(event) {
  const { card, anchor, caret } = marking,
    end = textOf(card).length;
  const edge = event.key === "ArrowRight" ? end : 0;
  const next = STEPS[event.key](marking, event.ctrlKey || event.altKey) ?? edge;
  stand(event.shiftKey ? anchor : next, next);
  const [from, to] = [event.shiftKey ? anchor : caret, next].sort((one, other) => one - other);
  say(brief(textOf(card).slice(from, to)));
}

// Without a selection the word at the caret.
function markAs(number) {
  const label = labels()[number - 1],
    { card, anchor, caret } = marking;
  if (!label) return;
  const word = wordsOf(card).find((part) => part.start <= caret && caret < part.end);
  const [from, to] = [anchor, caret].sort((one, other) => one - other);
  passage =
    from < to ? whole(card, from, to) : whole(card, word?.start ?? caret, word?.end ?? caret + 1);
  if (passage) choose(label);
}

function takeBack() {
  const { card, caret } = marking,
    point = pointOf(card, caret);
  const here = (span) =>
    span.answer === card.dataset.letter && span.start <= point && point <= span.end;
  const span = read().findLast(here);
  if (span) remove(span);
}

const digitOf = ({ key, code }) =>
  /^[1-9]$/.test(key) ? key : /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];

// Before the ranking page's own keys.
addEventListener(
  "keydown",
  (event) => {
    if (!ready() || event.isComposing) return;
    if (!marking) passage = selected(); // a key may overtake the selection's own event
    if (event.key === "Escape" && passage && !marking) getSelection().removeAllRanges();
    if (marking && document.activeElement !== sourceOf(marking.card)) stop();
    const taken = marking ? whileMarking(event) : whileSelected(event);
    if (!taken) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);

function whileSelected(event) {
  const digit = digitOf(event),
    label = labels()[digit - 1];
  if (!passage || !label || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (task().dataset.shortcuts !== "on") return false;
  choose(label);
  return true;
}

// True where the key was for the marks: no letter ranks an answer meanwhile.
function whileMarking(event) {
  const { key } = event;
  if (key === "Tab" || (key === "Enter" && (event.ctrlKey || event.metaKey))) {
    stop();
    return false;
  }
  if (key in STEPS) {
    move(event);
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (digitOf(event)) markAs(+digitOf(event));
  else if (key === "Backspace" || key === "Delete") takeBack();
  else if (key === "Escape" || key === "Enter" || isOwnKey(key)) stop();
  return key.length === 1 || ["Backspace", "Delete", "Escape", "Enter"].includes(key);
}

const isOwnKey = (key) => JSON.parse(task().dataset.keys)[key.toLowerCase()] === "spans";

// ---- The form, the page and htmx ----

document.addEventListener("change", (event) => {
  if (task() && event.target.form === task() && field() && field().value !== drawn) draw();
});
document.addEventListener("podium:draw", () => {
  if (!ready()) return;
  passage = selected();
  place();
});
document.addEventListener("focusin", () => CSS.highlights?.delete("mark-now"));
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "card") begin();
});

function begin() {
  marking = passage = drawn = null;
  for (const name of ["mark-caret", "mark-now"]) CSS.highlights?.delete(name);
  draw();
}

begin();

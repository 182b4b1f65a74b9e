// How answers are looked at: columns or a stack, set or as written, two side by side, and what
// differs. The first two are remembered for the person; none of it is part of the judgment. On a
// narrow screen a long answer is folded until it is read on.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const desk = () => $("#task");
const cards = () => $$(".answer");
const button = (verb) => $(`.tools [data-verb=${verb}]`);
const press = (what, on) => what?.setAttribute("aria-pressed", on);
const body = (card) => $$(".text", card).find((text) => text.checkVisibility());

let compared = [],
  differs = false,
  chosen = null;

// ---- Columns or a stack; set or as written ----

function toggle(name, on, off) {
  const now = desk().dataset[name] === on ? off : on;
  remember(name, now);
  desk().dataset[name] = now;
  draw();
}

function remember(name, value) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", desk().elements.csrfmiddlewaretoken.value);
  body.set(name, value);
  kept[name] = value;
  // It is only a liking.
  fetch(desk().dataset.desk, { method: "POST", body, keepalive: true }).catch(() => {});
}
const kept = {}; // a card that was made before a change still follows it

// ---- A long answer, folded on a narrow screen (podium.css says how narrow) ----

const LONG = 1.2; // screens

function measure() {
  for (const card of cards())
    card.classList.toggle("long", body(card)?.scrollHeight > LONG * innerHeight);
}

function fold(card) {
  card.classList.toggle("unfolded");
  if (!card.classList.contains("unfolded")) card.scrollIntoView({ block: "nearest" });
  body(card).focus({ preventScroll: true });
}

// ---- Two side by side ----

function compare(letter) {
  const had = compared.length === 2 || compared.includes(letter);
  compared = had ? [] : [...compared, letter];
  const one = cards().find((card) => card.dataset.letter === (had ? letter : compared[0]));
  draw();
  body(one).focus();
}

// ---- What the others have that the chosen answer has not ----

const cutter = new Intl.Segmenter(undefined, { granularity: "word" });
// Of the table of common subsequences; what is longer is compared as a set of words.
const CELLS = 4e6;

function words(root) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.matches(".hint, summary")) continue; // ours, not the answer's
    for (const { segment, index, isWordLike } of cutter.segment(node.data)) {
      if (isWordLike)
        found.push({ node, index, end: index + segment.length, word: segment.toLowerCase() });
    }
  }
  return found;
}

// Positions in `mine` that a longest common subsequence with `theirs` leaves over.
export function leftOver(mine, theirs) {
  const m = mine.length,
    n = theirs.length,
    width = n + 1;
  if (m * n > CELLS) {
    const known = new Set(theirs);
    return mine.flatMap((word, i) => (known.has(word) ? [] : [i]));
  }
  const common = new Uint16Array((m + 1) * width);
  for (let i = m - 1; i >= 0; i--) {
    for (let j = n - 1; j >= 0; j--) {
      common[i * width + j] =
        mine[i] === theirs[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const left = [];
  for (let i = 0, j = 0; i < m; ) {
    if (j < n && mine[i] === theirs[j]) i++, j++;
    else if (j < n && common[i * width + j + 1] >= common[(i + 1) * width + j]) j++;
    else left.push(i++);
  }
  return left;
}

function mark() {
  CSS.highlights?.delete("differs");
  for (const card of cards())
    card.classList.toggle("chosen", differs && card.dataset.letter === chosen);
  if (!differs || !CSS.highlights) return;
  const base = cards().find((card) => card.dataset.letter === chosen);
  const theirs = words(body(base)).map(({ word }) => word),
    ranges = [];
  for (const card of cards().filter((other) => other !== base && other.checkVisibility())) {
    const mine = words(body(card));
    for (const i of leftOver(
      mine.map(({ word }) => word),
      theirs,
    ))
      ranges.push(range(mine[i]));
  }
  CSS.highlights.set("differs", new Highlight(...ranges.slice(0, 20_000)));
}

function range({ node, index, end }) {
  const range = new StaticRange({
    startContainer: node,
    startOffset: index,
    endContainer: node,
    endOffset: end,
  });
  return range;
}

// ---- Drawing, and what brings it about ----

function draw() {
  const { layout, source } = desk().dataset,
    comparing = compared.length === 2;
  press(button("layout"), layout === "stack");
  press(button("source"), source === "on");
  press(button("differences"), differs);
  $(".answers").classList.toggle("comparing", comparing);
  for (const card of cards()) {
    const here = compared.includes(card.dataset.letter);
    card.classList.toggle("compared", here);
    press($("[data-verb=compare]", card), here);
  }
  measure();
  document.dispatchEvent(new CustomEvent("podium:draw")); // the status tells the ranking again
  if (compared.length === 1)
    $(".status").textContent = $(".status").dataset.compare.replace(
      "{letter}",
      compared[0].toUpperCase(),
    );
  mark();
}

const deeds = {
  layout: () => toggle("layout", "stack", "columns"),
  source: () => toggle("source", "on", "off"),
  differences: () => {
    differs = !differs;
    chosen ??= cards()[0].dataset.letter;
    draw();
  },
  compare: (what) => compare(what.closest(".answer").dataset.letter),
  fold: (what) => fold(what.closest(".answer")),
};

document.addEventListener("click", (event) => {
  const what = event.target.closest(".tools [data-verb], .answer [data-verb]");
  if (what && desk()) deeds[what.dataset.verb](what);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && compared.length && desk() && !$("dialog[open]"))
    compare(compared[0]);
});
document.addEventListener("focusin", (event) => {
  // the answer at hand is the one that others are held against
  const letter = event.target.closest?.(".answer")?.dataset.letter;
  if (!letter || letter === chosen) return;
  chosen = letter;
  if (differs) mark();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "card") start();
});
addEventListener("resize", measure);

function start() {
  (compared = []), (differs = false), (chosen = null);
  if (!desk()) return;
  Object.assign(desk().dataset, kept);
  draw();
}

start();

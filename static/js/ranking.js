// The ranking widget. The form's own fields hold the state (a <select> for each answer, and the
// order of placing), so that typing, dragging, tapping, a saved draft (draft.js), a reload and a
// browser without JavaScript all agree. Every listener sits on the document and survives htmx's
// swaps. One long file, for all of it reads and writes those fields.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const task = () => $("#task");
const cards = () => $$(".answer");
const letters = () => cards().map((card) => card.dataset.letter);
const field = (letter) => task().elements[`rank-${letter}`];
const words = () => $(".status").dataset;
// Of two answers: how much better, in place of ranks.
const byStrength = () => $(".strength") !== null;
const strength = () => $$(".strength input").find((input) => input.checked);
const inSight = () => cards().filter((card) => card.checkVisibility());
const body = (card) => $$(".text", card).find((text) => text.checkVisibility());

let tieNext = false;
let answer = null; // the one that has the focus
// Whether a letter was ranked since the focus came there: Backspace takes it back.
let rankedLast = false;
let turn = null; // the question of the answer at hand that the next digit answers

// ---- The ranking: read from the fields, written back to them ----

function read() {
  const order = placed();
  const ranks = [...new Set(order.map((letter) => +field(letter).value))].sort((a, b) => a - b);
  return ranks.map((rank) => order.filter((letter) => +field(letter).value === rank));
}

function placed() {
  const known = [...task().elements.order.value];
  const at = (letter) => (known.includes(letter) ? known.indexOf(letter) : known.length);
  return letters()
    .filter((letter) => field(letter).value)
    .sort((a, b) => at(a) - at(b));
}

function write(tiers, order) {
  let rank = 1;
  for (const letter of letters()) field(letter).value = "";
  for (const tier of tiers.filter((group) => group.length)) {
    for (const letter of tier) field(letter).value = rank;
    rank += tier.length;
  }
  task().elements.order.value = order.join("");
  tieNext = false;
  rankedLast = true;
  tell(task().elements.order);
}

// Draws, and saves the draft.
const tell = (input) => input.dispatchEvent(new Event("change", { bubbles: true }));

// ---- Of two answers: a press of a letter prefers it slightly, each further press more ----

const MOST = 3; // the strength of "much better"

function lean(letter) {
  const side = letter === "a" ? 1 : -1, // the sign of strengths that prefer this answer
    strengthNow = side * (strength()?.value ?? 0);
  const more = strengthNow > 0 ? Math.min(strengthNow + 1, MOST) : 1;
  choose($(`.strength [value="${side * more}"]`));
}

// The step at this place from the left, counted from 1.
function step(number) {
  const input = $$(".strength input")[number - 1];
  if (input) choose(input);
}

function choose(input) {
  for (const step of $$(".strength input")) step.checked = step === input;
  rankedLast = true;
  tell(task().elements.order);
}

// Behind the last tier, or into (`tie`) or before the tier `at`.
function place(letter, at = null, tie = false) {
  if (byStrength()) return lean(letter);
  const last = at === null;
  const order = placed()
    .filter((other) => other !== letter)
    .concat(letter);
  let tiers = read().map((group) => group.filter((other) => other !== letter));
  if (last) tiers = tiers.filter((group) => group.length);
  if (last) at = tie && tiers.length ? tiers.length - 1 : tiers.length;
  if (tie && tiers[at]) tiers[at].push(letter);
  else tiers.splice(at, 0, [letter]);
  const left = letters().filter((other) => !order.includes(other));
  if (last && left.length === 1) {
    // the last one follows by itself
    tiers.push(left);
    order.push(left[0]);
  }
  write(tiers, order);
}

function unplace(letter) {
  const order = placed().filter((other) => other !== letter);
  write(
    read().map((group) => group.filter((other) => other !== letter)),
    order,
  );
}

// The last letter; on an answer that was moved to or rated since, its last rating.
function takeBack() {
  const question = lastAnswered();
  if (question && (document.activeElement.closest(".scale") || !rankedLast)) clear(question);
  else if (byStrength()) choose(null);
  else if (tieNext) (tieNext = false), draw();
  else if (placed().length) unplace(placed().at(-1));
}

function tieWithLast() {
  if (byStrength()) return choose($(".strength [value='0']") ?? strength());
  tieNext = placed().length > 0 && task().dataset.ties === "yes";
  draw();
  if (task().dataset.ties !== "yes") $(".status").textContent = words().noTies;
}

// Pressed again, the button takes back what it said; Backspace may mean a rating.
function toggleTie() {
  if (!tieNext) return tieWithLast();
  tieNext = false;
  draw();
}

// ---- What it looks like ----

function draw() {
  if (byStrength()) drawStrength();
  else drawTiers();
  for (const question of questions(task())) question.dataset.given = given(question)?.value ?? "";
  pointOut();
  for (const card of cards().filter((one) => $(".flags", one))) {
    const flags = $$(".flags :checked", card).length,
      count = $(".flags b", card);
    count.hidden = !flags;
    count.textContent = flags;
  }
}

function drawStrength() {
  const ranked = task().elements.outcome.value === "ranked",
    chosen = strength();
  $("#submit").disabled = ranked && !chosen;
  $(".status").textContent = !ranked ? words().unranked : chosen ? chosen.parentElement.title : "";
}

function drawTiers() {
  const tiers = read(),
    board = $(".tiers"),
    held = document.activeElement.closest(".tiers .letter")?.dataset.letter;
  const ranked = task().elements.outcome.value === "ranked";
  const unranked = letters().filter((letter) => !field(letter).value);
  board.replaceChildren(...tiers.map(slot), ...unranked.map(waiting));
  board.classList.toggle("off", !ranked);
  for (const card of cards()) {
    const letter = card.dataset.letter,
      out = $(".place", card);
    out.hidden = !field(letter).value;
    out.textContent = out.hidden ? "" : name(tiers.find((tier) => tier.includes(letter)));
    card.dataset.place = field(letter).value;
  }
  $("#submit").disabled = ranked && unranked.length > 0;
  $(".status").textContent = ranked ? say(tiers) : words().unranked;
  $(".tie")?.setAttribute("aria-pressed", tieNext);
  if (held) $(`.tiers [data-letter=${held}]`)?.focus();
}

function slot(tier) {
  const item = document.createElement("li");
  item.className = "tier full";
  item.dataset.rank = name(tier);
  item.append(...tier.map((letter) => token(letter, words().off)));
  return item;
}

// A letter without a rank, at hand to be tapped however far its answer is; there are as many as
// ranks are left.
function waiting(letter) {
  const item = document.createElement("li");
  item.className = "tier";
  item.append(token(letter, words().next));
  return item;
}

function token(letter, label) {
  const copy = $(`#answer-${letter} .letter`).cloneNode(true);
  copy.ariaLabel = label.replace("{letter}", letter.toUpperCase());
  return copy;
}

function name(tier) {
  const rank = field(tier[0]).selectedOptions[0].text;
  return tier.length > 1 ? `${rank}, ${words().tied}` : rank;
}

function say(tiers) {
  const left = letters().length - tiers.flat().length;
  const order = tiers.map((tier) => tier.join(" = ").toUpperCase()).join(" > ");
  if (tieNext) return `${order}. ${words().tie}`;
  if (!order) return matchMedia("(pointer: coarse)").matches ? words().startTouch : words().start;
  return left ? `${order}. ${words().left.replace("{n}", left)}` : order;
}

// ---- Keys ----

const focused = () => cards().findIndex((card) => card.contains(document.activeElement));

const focus = (card, how) => body(card).focus(how);

function moveFocus(step) {
  const all = inSight(),
    at = all.indexOf(cards()[focused()]);
  focus(all[(Math.max(at, step > 0 ? -1 : 0) + step + all.length) % all.length]);
}

function scrollOrMove(step) {
  const text = body(cards()[focused()] ?? document);
  const room = step > 0 ? text.scrollHeight - text.clientHeight - text.scrollTop : text.scrollTop;
  if (focused() >= 0 && room > 1) text.scrollBy({ top: step * 80 });
  else moveFocus(step);
}

// ---- Questions: the rating, and what the project asks besides; digits answer them in turn ----

const questions = (place) => $$(".scale", place);
const given = (question) => $(":checked", question);
const isOpen = (question) => !given(question);
const ofAll = () => $(".of-all");

// Where digits go: the questions about all answers if the focus is there, else those of an answer.
function asking() {
  if (document.activeElement.closest(".of-all")) return ofAll();
  return cards()[focused()] ?? cards().find((card) => questions(card).some(isOpen)) ?? cards()[0];
}

// Where the focus is, or where the last digit led; else the first that is open.
function current(place) {
  const all = questions(place),
    here = [document.activeElement.closest(".scale"), turn].find((one) => all.includes(one));
  return here ?? all.find(isOpen) ?? all[0];
}

// The same digit again clears the answer, and the focus stays to see it.
function rate(digit) {
  const place = asking(),
    question = current(place),
    input = question && $(`[data-key="${digit}"], :not([data-key])[value="${digit}"]`, question);
  if (!input) return; // not a step of what is asked here
  if (input.checked) return clear(question);
  const again = given(question) !== null,
    all = questions(place);
  input.checked = true;
  tell(input);
  rankedLast = false;
  const behind = all.slice(all.indexOf(question) + 1);
  const stays = goOn(place, behind.find((other) => again || isOpen(other)) ?? all.find(isOpen));
  // The focus did not move to tell it.
  if (stays) $(".status").textContent = `${wordsOf(question)}: ${input.parentElement.innerText}`;
}

const wordsOf = (question) => $("legend, label", question).firstChild.textContent.trim();

// Whether the focus stayed where it was.
function goOn(place, next) {
  const onStep = document.activeElement.closest(".scale");
  if (next && onStep) $("input", next).focus();
  else if (next && focused() < 0) focus(place);
  else if (!next && place !== ofAll()) {
    const all = cards();
    focus(all[Math.min(all.indexOf(place) + 1, all.length - 1)]);
  }
  turn = next ?? null;
  pointOut();
  return Boolean(next && !onStep);
}

// Of several questions, the one that the next digit answers is marked.
function pointOut() {
  const place = focused() >= 0 || document.activeElement.closest(".of-all") ? asking() : null,
    all = place ? questions(place) : [];
  const marked = all.length > 1 ? current(place) : null;
  for (const question of questions(task()))
    question.classList.toggle("asked-now", question === marked);
}

function lastAnswered() {
  const place = document.activeElement.closest(".answer, .of-all");
  if (!place) return null;
  const all = questions(place),
    here = document.activeElement.closest(".scale");
  if (here) return isOpen(here) ? null : here;
  const before = all.includes(turn) ? all.slice(0, all.indexOf(turn)) : [];
  return [...before].reverse().find(given) ?? [...all].reverse().find(given) ?? null;
}

// A radio button that was checked before it was clicked: as it was when the card was drawn last.
function secondClick(input) {
  const question = input.closest(".scale");
  if (question.dataset.given === input.value) clear(question);
}

function clear(question) {
  const input = given(question),
    card = question.closest(".answer");
  input.checked = false;
  tell(input);
  if (card && focused() !== cards().indexOf(card)) focus(card);
  turn = question;
  pointOut();
}

// Those of the answer at hand; from there, or where it has none, those about all answers.
function toQuestions() {
  const card = cards()[focused()],
    inThem = document.activeElement.closest(".scale, .question");
  const own = $$(".answer .scale, .answer .question").filter(
    (one) => one.closest(".answer") === card,
  );
  const here = own.length && !inThem ? own : ofAll() ? $$(".question", ofAll()) : own;
  enterQuestion(here.find(isUnanswered) ?? here[0]);
}

const controls = (question) => $$("input, select, textarea", question);
const isUnanswered = (question) =>
  !given(question) && !controls(question).some((one) => one.type !== "radio" && one.value.trim());

function enterQuestion(question) {
  if (question) (given(question) ?? controls(question)[0]).focus();
}

// What is required and has no answer is said at its place before anything is sent.
function missing() {
  if (task().elements.outcome?.value === "cannot_judge") return null;
  return $$("[data-required]", task()).find(isUnanswered) ?? null;
}

document.addEventListener(
  "submit",
  (event) => {
    const question = event.target === task() && missing();
    if (!question) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    complain(question);
  },
  true,
);

function complain(question) {
  const error = $(".error", question) ?? document.createElement("p");
  error.className = "error";
  error.role = "alert";
  error.textContent = words().missing.replace("{question}", wordsOf(question));
  question.append(error);
  question.classList.add("wrong");
  enterQuestion(question);
}

function forgive(question) {
  if (!question || isUnanswered(question)) return;
  question.classList.remove("wrong");
  $(".error", question)?.remove();
}

let entered = null; // what a key opened, and gave the focus

// The same key again closes it.
function toggle(details) {
  if (!details) return; // this project asks for none
  if (!details.open || !details.contains(document.activeElement)) return open(details);
  details.open = false;
  goHome(details);
}

function open(details) {
  entered = details;
  details.open = true;
  $("textarea, input:not([type=hidden])", details).focus();
}

// The verdict that was chosen already is taken back: the answers are ranked after all.
function decide(outcome) {
  const verdict = task().elements.outcome;
  if (verdict.type === "hidden") return; // an answer key has to rank
  verdict.value = verdict.value === outcome ? "ranked" : outcome;
  tell(verdict);
}

const at = () => cards()[Math.max(focused(), 0)];

const verbs = {
  tie: tieWithLast,
  back: takeBack,
  questions: toQuestions,
  spans: () => $("[data-mark]", at())?.click(),
  flags: () => toggle($(".flags", at())),
  prompt: () => toggle($("#labels")),
  note: () => toggle($("#note")),
  compare: () => $("[data-verb=compare]", at())?.click(),
  differences: () => $("[data-verb=differences]").click(),
  source: () => $("[data-verb=source]").click(),
  layout: () => $("[data-verb=layout]").click(),
  all_bad: () => decide("all_bad"),
  cannot_judge: () => decide("cannot_judge"),
  ask: () => $("#ask")?.click(),
  skip: () => toggle($("#skip")),
  undo: () => $("#undo")?.requestSubmit(), // its button may not know yet of what was just sent
  guidelines: () => $("#read").click(),
};
const moves = {
  arrowright: () => moveFocus(1),
  arrowleft: () => moveFocus(-1),
  arrowdown: () => scrollOrMove(1),
  arrowup: () => scrollOrMove(-1),
};

const isEnter = (key) => key === "enter",
  isEscape = (key) => key === "escape";
const MODIFIERS = ["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock"];
const FIELDS = "textarea, select, input:not([type=checkbox], [type=radio])";

// A list that is open takes Enter for its choice. What a browser without :open can't tell is closed.
const VERDICT = CSS.supports("selector(:open)") ? ".outcome select:not(:open)" : ".outcome select";
const doing = (key) => (owner().shortcuts === "on" ? JSON.parse(owner().keys)[key] : null);
const OPENED_BY = {
  shortcuts: (key) => key === "?",
  guidelines: (key) => doing(key) === "guidelines",
  "ask-about": (key) => doing(key) === "ask",
  skip: (key) => doing(key) === "skip",
};

const ready = () => task() && !task().inert; // inert: submitted, the server has not answered yet
const owner = () => (task() ?? $("#undo[data-keys]"))?.dataset; // says which keys this person has
const sheet = () => $("dialog[open], #skip[open], :popover-open");

document.addEventListener("keydown", (event) => {
  if (MODIFIERS.includes(event.key) || event.isComposing || !owner()) return;
  const names = namesOf(event),
    left = leaveWhatWasPressed(event),
    target = document.activeElement;
  if (names.some(isEnter) && (event.ctrlKey || event.metaKey)) return enter(event);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (names.some(isEscape) && !$("dialog[open]")) return shut(target);
  if (sheet()) return closesWithItsKey(event, names);
  if (names.some(isEnter) && target.matches(VERDICT)) return enter(event);
  if (target.matches(FIELDS)) return;
  if (names.some(isEnter) && !target.closest(PRESSED)) return enter(event);
  const verb = names.map((key) => verbOf(key, target)).find(Boolean);
  if (verb || (left && event.key === " ")) event.preventDefault();
  if (verb && (!event.repeat || names.some((key) => key in moves))) verb();
});

// What is open over the page owns the keyboard, but for the key that opened it.
function closesWithItsKey(event, names) {
  const over = sheet();
  if (document.activeElement.matches(FIELDS) || event.repeat) return;
  if (!names.some((key) => OPENED_BY[over.id]?.(key))) return;
  event.preventDefault();
  if (over.close) over.close();
  else toggle(over);
}

function verbOf(key, target) {
  const { shortcuts } = owner(),
    verb = doing(key);
  if (!ready()) return verb === "undo" ? verbs.undo : null;
  if (key in moves) return target.type === "radio" ? null : moves[key];
  if (shortcuts !== "on") return null;
  if (letters().includes(key)) return () => place(key, null, tieNext);
  if (key.startsWith("step")) return byStrength() ? () => step(+key.at(-1)) : null;
  if (/^[0-9]$/.test(key)) return () => (byStrength() && !$(".scale") ? step(+key) : rate(key));
  if (key === "?") return () => $("#shortcuts").showModal();
  return verbs[verb];
}

function enter(event) {
  if (sheet() || !ready()) return;
  event.preventDefault();
  if (!event.repeat && !$("#submit").disabled) task().requestSubmit($("#submit"));
}

// ---- Keyboard layouts ----

// What a key is called: by what it writes, and by its place where that counts too. A full-width
// letter is the letter.
function namesOf(event) {
  const written = event.key.replace(/^[！-～]$/, (wide) =>
    String.fromCharCode(wide.charCodeAt() - 0xfee0),
  );
  return [stepOf(event), written.toLowerCase(), placeOf(event)].filter(Boolean);
}

// Shift and a digit's place, whatever the layout writes there: a step between two answers.
function stepOf({ code, shiftKey }) {
  const [, digit] = /^(?:Digit|Numpad)([1-7])$/.exec(code) ?? [];
  return shiftKey && digit ? `step${digit}` : null;
}

// The name on a US keyboard of the key at this place. It counts where a layout writes neither a
// Latin letter nor a digit there (Cyrillic, Greek, Arabic, Korean, the top row of AZERTY) or an
// input method swallows the key; but a sign that a layout does write, such as AZERTY's comma where
// others have M, is that sign.
function placeOf(event) {
  const { key, code, shiftKey } = event,
    ascii = /^[ -~]*$/.test(key);
  const named = key.length > 1 && ascii,
    swallowed = ["", "Process", "Unidentified", "Dead"].includes(key);
  if (/^[a-z0-9]$/i.test(key) || (named && !swallowed) || event.getModifierState("AltGraph"))
    return null;
  const [, kind, name] = /^(Key|Digit|Numpad)(\w)$/.exec(code) ?? [];
  if (kind === "Digit" || kind === "Numpad") return shiftKey ? null : name;
  if (ascii && !swallowed) return null;
  if (code === "Slash") return shiftKey ? "?" : null;
  return { Equal: "=" }[code] ?? (name ?? code).toLowerCase();
}

// ---- Enter and Space ----

// They act on the control that has the focus, which is right where Tab brought it there. What a
// pointer pressed has the focus too, and Enter would press it again in place of Submit. So the
// first key after a pointer leaves such a control, for its answer or for the prompt.
const PRESSED = "button, summary, a";
const CONTROLS = `${PRESSED}, select, [type=checkbox], [type=radio]`;
let pointed = false; // a pointer was used since the last key

document.addEventListener(
  "pointerdown",
  () => {
    pointed = true;
  },
  true,
);

function leaveWhatWasPressed(event) {
  const control =
    pointed &&
    event.key !== "Tab" &&
    ready() &&
    !sheet() &&
    document.activeElement.closest(CONTROLS);
  pointed = false;
  if (control) goHome(control);
  return Boolean(control);
}

function goHome(from) {
  const card = from.closest(".answer");
  if (card) focus(card, { preventScroll: true });
  else $("#prompt-title").focus({ preventScroll: true });
}

// ---- What lies over the page ----

// Close it, and leave what is part of the page; the focus goes back to the answer, or to the
// prompt.
function shut(target) {
  if (!ready()) return;
  for (const over of [...$$("#skip"), ...$$(".flags", target.closest(".answer") ?? task())])
    over.open = false;
  goHome(target);
}

document.addEventListener(
  "toggle",
  ({ target }) => {
    if (target.id !== "skip") return;
    // By its summary: the event comes a moment after it opened.
    if (target.open && entered !== target) open(target);
    if (!target.open) entered = null;
  },
  true,
);

document.addEventListener("focusin", ({ target }) => {
  if (!target.closest("#skip")) $("#skip")?.removeAttribute("open");
  const moved = target.closest(".answer") !== answer;
  answer = target.closest(".answer");
  if (moved) rankedLast = false;
  if (moved || target.closest(".scale") !== turn) turn = null;
  if (task()) pointOut();
});

// ---- Pointer: drag a letter into a tier, between two, or off the board; a click ranks it next ----

let drag = null,
  dragged = false;

document.addEventListener("pointerdown", (event) => {
  const letter = event.target.closest(".letter");
  dragged = false;
  if (letter && event.isPrimary && event.button === 0)
    drag = { letter, x: event.clientX, y: event.clientY, ghost: null };
  if (!event.target.closest("#skip")) $("#skip")?.removeAttribute("open");
});

document.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const x = event.clientX,
    y = event.clientY;
  if (!drag.ghost && Math.hypot(x - drag.x, y - drag.y) < 6) return;
  if (!drag.ghost) {
    drag.ghost = document.body.appendChild(drag.letter.cloneNode(true));
    drag.ghost.classList.add("ghost");
  }
  drag.ghost.style.translate = `${x}px ${y}px`;
  mark(target(x, y));
});

document.addEventListener("pointerup", (event) => {
  if (!drag?.ghost) return drop();
  const { letter } = drag.letter.dataset,
    spot = target(event.clientX, event.clientY);
  drop();
  dragged = true;
  if (spot) place(letter, spot.at, spot.tie);
  else if (field(letter)?.value) unplace(letter);
});
document.addEventListener("pointercancel", drop);

function drop() {
  drag?.ghost?.remove();
  drag = null;
  mark(null);
}

function target(x, y) {
  if (byStrength()) return null;
  const board = $(".tiers").getBoundingClientRect(),
    near = 24;
  if (
    x < board.left - near ||
    x > board.right + near ||
    y < board.top - near ||
    y > board.bottom + near
  )
    return null;
  const full = $$(".tier.full");
  for (const [at, tier] of full.entries()) {
    const { left, right, width } = tier.getBoundingClientRect(),
      edge = width * (task().dataset.ties === "yes" ? 0.25 : 0.5);
    if (x < left + edge) return { at, tie: false, tier, mark: "before" };
    if (x <= right - edge) return { at, tie: true, tier, mark: "over" };
  }
  const free = $(".tier:not(.full)");
  return { at: null, tie: false, tier: free ?? full.at(-1), mark: free ? "over" : "after" };
}

function mark(spot) {
  for (const tier of $$(".tier")) tier.classList.remove("over", "before", "after");
  spot?.tier.classList.add(spot.mark);
}

document.addEventListener("click", (event) => {
  const letter = event.target.closest(".letter"),
    opens = event.target.closest("[data-opens]");
  if (opens) $(`#${opens.dataset.opens}`).showModal();
  if (event.target.matches(".scale input")) secondClick(event.target);
  if (event.target.closest(".tie")) toggleTie();
  // A click that ends a drag; a key on a letter has no detail.
  if (!letter || (dragged && event.detail)) return;
  if (letter.closest(".tier.full")) unplace(letter.dataset.letter);
  else place(letter.dataset.letter, null, tieNext);
});

// ---- The form, the page and htmx ----

document.addEventListener("change", (event) => {
  if (!task() || event.target.form !== task()) return;
  forgive(event.target.closest(".question"));
  draw();
});
document.addEventListener("podium:draw", () => {
  if (task()) draw();
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.matches("dialog:not([open])")) event.target.showModal();
  if (event.target.id === "card") start();
});

function start() {
  tieNext = rankedLast = false;
  turn = null;
  if (!task()) return;
  $("#last-letter").textContent = letters().at(-1);
  draw();
  enterQuestion($(".question.wrong")); // the server refused it
}

document.documentElement.classList.add("js");
start();

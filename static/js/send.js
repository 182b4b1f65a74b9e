// Nobody waits for the next task: its card is fetched while this one is worked on, and shown the
// moment this one is submitted. What was submitted stands in an outbox of the browser until the
// server has it, so that a lost connection, a crash or a closed tab loses nothing; the form's own
// key makes a repetition harmless.

const RETRY = 5_000;
const SHORTLY = 250; // ms: the card at hand comes first
const HERE = performance.timeOrigin; // this page, as it was loaded

const task = () => document.querySelector("#task");
const action = () => new URL(task().action).pathname;
const say = (word) => document.dispatchEvent(new CustomEvent("podium:say", { detail: word }));
let next = null,
  busy = false,
  undoing = false,
  sent = [],
  timer;

// ---- The card after this one ----

const ahead = () => setTimeout(fetchNext, SHORTLY);

async function fetchNext() {
  const address = task()?.dataset.ahead,
    here = task();
  // The server must know which one is at hand.
  if (!address || entries().length || next?.address === address) return;
  next = null;
  const answer = await fetch(address, {
    headers: { "HX-Request": "true" },
    redirect: "manual",
  }).catch(() => null);
  if (answer?.status !== 200 || here !== task()) return;
  next = { address, html: await answer.text(), id: answer.headers.get("Podium-Task") };
  here.dataset.next = "here";
}

document.addEventListener(
  "submit",
  (event) => {
    if (event.target !== task() || !task().dataset.ahead) return; // the browser sends it
    event.preventDefault();
    event.stopImmediatePropagation();
    const following = next?.address === task().dataset.ahead ? next : null;
    next = null; // after an undo it is fetched anew, with what was typed into it
    put({ action: action(), next: following?.id ?? "", data: [...new FormData(task())] });
    if (following) show(following.html);
    else wait();
    flush();
  },
  true,
);

// No next card is at hand: this one stays in sight until the server has answered, and what was sent
// can't be changed any more.
function wait() {
  for (const part of document.querySelectorAll("#task, .verdict > :not(#undo, .status, .saved)"))
    part.inert = true;
}

function show(html) {
  htmx.swap("#card", html, { swapStyle: "innerHTML" });
  scrollTo({ top: 0 });
}

// ---- The outbox ----

const box = () => `outbox-${document.body.dataset.account}`;
const entries = () => JSON.parse(localStorage.getItem(box()) ?? "[]");
const store = (all) =>
  all.length ? localStorage.setItem(box(), JSON.stringify(all)) : localStorage.removeItem(box());
const put = (entry) => store([...entries(), entry]);

async function flush() {
  if (busy || !entries().length) return;
  if (entries()[0].refused === HERE) return say("refused");
  busy = true;
  clearTimeout(timer);
  while (entries().length && (await send(entries()[0]))) store(entries().slice(1));
  busy = false;
  if (!entries().length) return settled();
  if (undoing) say("undone");
  undoing = false;
}

function settled() {
  if (undoing) document.querySelector("#undo")?.requestSubmit();
  // Loaded before the server had it.
  else if (task() && sent.includes(action())) htmx.ajax("GET", location.pathname, "#card");
  undoing = false;
  sent = [];
  ahead();
}

// An undo means the submit before it: it waits until the server has that one and the form here
// names it.
document.addEventListener(
  "submit",
  (event) => {
    if (event.target.id !== "undo" || !entries().length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    undoing = true;
    flush();
  },
  true,
);

// True once the entry is done with: the server has it, or has said why it can't.
async function send(entry) {
  const body = new FormData();
  for (const [name, value] of entry.data)
    if (name !== "csrfmiddlewaretoken") body.append(name, value);
  const { "X-CSRFToken": token } = JSON.parse(document.body.getAttribute("hx-headers"));
  const headers = { "HX-Request": "true", "X-CSRFToken": token, "Podium-Next": entry.next };
  const answer = await fetch(entry.action, {
    method: "POST",
    body,
    headers,
    redirect: "manual",
  }).catch(() => null);
  if (answer?.ok) return taken(entry, await answer.text());
  if (answer?.status === 409 || answer?.status === 422) return refused(await answer.text());
  if (answer?.status >= 400 && answer.status < 500) return turnedDown(entry);
  say(answer?.type === "opaqueredirect" ? "out" : "unsent");
  timer = setTimeout(flush, RETRY);
  return false;
}

// The answer tells what changed around the card; it is a card itself where the one that is shown is
// not ours any more.
function taken(entry, html) {
  const waitedFor = task() && action() === entry.action;
  const whole = html.includes('id="task"') || html.includes('class="page empty"');
  sent.push(entry.action);
  if (whole && waitedFor) show(html);
  else if (whole) htmx.swap("#card", html, { swapStyle: "innerHTML" });
  // Not the card: what is typed into it goes on.
  else htmx.swap(document.body, html, { swapStyle: "none" });
  say("sent");
  return true;
}

// A log-in in another window makes this page's token worthless: the page that is loaded next tries
// once more.
function turnedDown(entry) {
  say(entry.refused ? "declined" : "refused");
  if (!entry.refused) store([{ ...entry, refused: HERE }, ...entries().slice(1)]);
  return Boolean(entry.refused);
}

function refused(html) {
  next = null;
  show(html);
  return true;
}

// ---- When ----

function start() {
  if (entries().length) flush();
  else ahead();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "card") start();
});
addEventListener("online", flush);
start();

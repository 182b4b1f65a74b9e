// What is typed into the form at hand (#task) is saved as one goes, and the seconds at it are
// counted. Any field of the form may change, by hand or by ranking.js; it is enough that it says so
// by an event.

const PAUSE = 400; // ms without a change before the draft is saved
const RETRY = 5_000;
const BEAT = 60_000; // ms between two renewals of the lease
const IDLE = 60_000; // ms without a sign of life: no longer counted as work
const AWAY = 600_000; // ms without a sign of life: the lease may run out, others wait

// An inert one is submitted (send.js).
const task = () => document.querySelector("#task:not([inert])");
let timer,
  dirty = false,
  underWay = 0; // drafts that were sent, and that the server has not answered yet

function changed() {
  dirty = true;
  say("");
  later(PAUSE);
}

function later(pause) {
  clearTimeout(timer);
  timer = setTimeout(save, pause);
}

function say(word) {
  const saved = document.querySelector(".saved");
  if (saved) saved.textContent = saved.dataset[word] ?? "";
}

document.addEventListener("podium:say", (event) => say(event.detail));

async function save() {
  const form = task();
  if (!form) return;
  clearTimeout(timer);
  dirty = false;
  underWay += 1;
  const result = await fetch(form.dataset.draft, {
    method: "POST",
    body: new FormData(form),
    redirect: "manual",
  })
    .then((answer) =>
      answer.ok
        ? "saved"
        : answer.status === 409
          ? "gone"
          : answer.status < 500
            ? "out"
            : "offline",
    )
    .catch(() => "offline");
  underWay -= 1;
  if (form !== task()) return;
  if (result === "offline" || result === "out") failed(result);
  else if (!dirty) say(result);
}

// Nothing was typed here, so nothing is sent: an older window must not write over a newer one's
// draft.
async function renew() {
  const form = task(),
    body = new FormData();
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.set("renew", "1");
  const answer = await fetch(form.dataset.draft, {
    method: "POST",
    body,
    redirect: "manual",
  }).catch(() => null);
  if (form === task() && !answer?.ok) say(answer ? "out" : "offline");
}

function beat() {
  if (!task() || document.hidden || performance.now() - alive > AWAY) return;
  renew();
  if (dirty) save();
}

// `undone`: what was asked for, a skip or an undo, is not sent again by itself.
function failed(how) {
  say(how);
  if (!task() || how === "undone") return;
  dirty = true;
  if (how === "offline") later(RETRY);
}

// What the browser itself sends (not send.js) goes once its draft is saved: without a connection
// the page stays as it is.
document.addEventListener("submit", async (event) => {
  const form = event.target,
    { submitter } = event;
  if (form !== task() || form.dataset.ahead || !dirty) return;
  event.preventDefault();
  await save();
  if (form === task() && !dirty) form.requestSubmit(submitter);
});

// On leaving, the last changes are sent, and kept in this tab too: a reload may overtake what was
// sent, or end a request that is under way.
function leave() {
  const form = task();
  if (!form || !(dirty || underWay)) return;
  navigator.sendBeacon(form.dataset.draft, new FormData(form));
  const kept = [...new FormData(form)].filter(
    ([name]) => !["key", "csrfmiddlewaretoken"].includes(name),
  );
  sessionStorage.setItem(form.dataset.draft, JSON.stringify(kept));
}

function comeBack() {
  const form = task(),
    kept = new URLSearchParams(JSON.parse(sessionStorage.getItem(form.dataset.draft) ?? "[]"));
  sessionStorage.removeItem(form.dataset.draft);
  if (!kept.size) return;
  for (const input of form.elements) {
    if (["checkbox", "radio"].includes(input.type))
      input.checked = kept.getAll(input.name).includes(input.value);
    else if (kept.has(input.name)) input.value = kept.get(input.name);
  }
  (form.elements.order ?? form.elements[0]).dispatchEvent(new Event("change", { bubbles: true }));
}

for (const kind of ["input", "change"]) {
  document.addEventListener(kind, (event) => {
    if (task() && event.target.form === task()) changed();
  });
}
addEventListener("online", () => {
  if (dirty) save();
});
addEventListener("pagehide", leave);
setInterval(beat, BEAT);

// ---- Seconds at work: the tab in sight, and a sign of life within the last minute ----

let alive = performance.now(),
  ticked = alive;
for (const sign of ["pointermove", "pointerdown", "keydown", "scroll"]) {
  addEventListener(
    sign,
    () => {
      alive = performance.now();
    },
    { passive: true, capture: true },
  );
}
setInterval(() => {
  const time = performance.now(),
    passed = Math.min(time - ticked, 2_000);
  ticked = time;
  const seconds = task()?.elements.seconds;
  if (seconds && !document.hidden && time - alive < IDLE)
    seconds.value = (+seconds.value + passed / 1_000).toFixed(1);
}, 1_000);

// ---- htmx takes the card away and brings the next ----

// Skip and undo don't send the form along. They wait until its draft is saved: the card that comes
// later must have what was typed.
document.addEventListener("htmx:confirm", async (event) => {
  if (event.target === task() || !(dirty || underWay)) return;
  event.preventDefault();
  await save();
  event.detail.issueRequest();
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target !== task() && dirty) save();
  clearTimeout(timer);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  if (new URL(xhr.responseURL).pathname === requestConfig.path) return;
  event.detail.shouldSwap = false; // sent elsewhere: to the log-in page
  failed("out");
});
document.addEventListener("htmx:responseError", (event) =>
  failed(event.detail.xhr.status < 500 ? "out" : "undone"),
);
document.addEventListener("htmx:sendError", () => failed("undone"));
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.target.id === "card") start();
});

function start() {
  clearTimeout(timer);
  dirty = false;
  if (task()) comeBack();
}

start();

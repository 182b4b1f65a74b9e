// Keys for a list that is read from top to bottom: j and k go from row to row, o reads one in whole
// or folds it, n and p turn the page, / goes to the search field. Each is also a link or a button,
// and all are off for whoever switched single-key shortcuts off.

const $ = (selector, root = document) => root.querySelector(selector);
const list = () => $("[data-shortcuts]");
const rows = () => [...document.querySelectorAll(".browsed article")];
const FIELDS = "input, select, textarea, dialog *";

// Where a reader is: the row with the focus, else the first that the window shows.
function current() {
  const focused = document.activeElement.closest(".browsed article");
  return focused ?? rows().find((row) => row.getBoundingClientRect().bottom > 0);
}

function go(step) {
  const all = rows();
  const focused = document.activeElement.closest(".browsed article");
  const next = focused ? all[all.indexOf(focused) + step] : current();
  if (!next) return;
  $("a, button", next).focus({ preventScroll: true });
  next.scrollIntoView({ block: "start" });
}

const keys = {
  j: () => go(1),
  k: () => go(-1),
  o: () => $("[data-fold]", current())?.click(),
  n: () => $(".pages [rel=next]")?.click(),
  p: () => $(".pages [rel=prev]")?.click(),
  "/": () => $("[type=search], .filters input")?.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(FIELDS)) return;
  if (list()?.dataset.shortcuts !== "on" || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

document.documentElement.classList.add("js");

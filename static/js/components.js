// The page of components: what would be sent is held back, and a state that comes by pressing is
// pressed.

document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.closest("main") || event.target.method === "dialog") return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
document.addEventListener(
  "click",
  (event) => {
    if (!event.target.closest("main a[href*='/p/-/']")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
document.querySelector("[data-verb=differences]")?.click();

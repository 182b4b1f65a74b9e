// A file may be dropped anywhere on the form; without this script it is chosen, or dropped on the
// field itself.

const form = document.querySelector("form[data-drop]");
const field = form?.querySelector("input[type=file]");

function over(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  form.classList.add("over");
}

function drop(event) {
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  form.classList.remove("over");
  field.files = event.dataTransfer.files;
  field.focus();
}

if (field) {
  form.addEventListener("dragover", over);
  form.addEventListener(
    "dragleave",
    (event) => form.contains(event.relatedTarget) || form.classList.remove("over"),
  );
  form.addEventListener("drop", drop);
}

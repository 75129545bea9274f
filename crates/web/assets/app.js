// Every page works without this. It only makes pages follow what happens and spares a few clicks.
"use strict";

// Live progress: an element with data-events follows a stream of events; each replaces the text of the parts it names.
for (const box of document.querySelectorAll("[data-events]")) {
  const source = new EventSource(box.dataset.events);
  source.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    for (const part of box.querySelectorAll("[data-part]")) {
      const value = told[part.dataset.part] ?? "";
      if (part.tagName === "PROGRESS") {
        if (value !== "") part.value = value;
        continue;
      }
      if (part.textContent !== value) part.textContent = value;
      if (part.classList.contains("badge") && told.state) part.className = "badge " + told.state;
    }
    if (told.ended) {
      source.close();
      location.reload();
    }
  });
}

// Ctrl+Enter or Cmd+Enter sends the form one is writing in.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

// A draft outlives a closed tab: kept per member and page, until a page says that it was saved.
const SENT = "draft-sent";
const sent = sessionStorage.getItem(SENT);
if (sent && document.querySelector("[data-said]")) localStorage.removeItem(sent);
sessionStorage.removeItem(SENT);
for (const field of document.querySelectorAll("textarea[data-draft]")) {
  const key = ["draft", field.dataset.draft, location.pathname, field.name].join(":");
  if (!field.value) field.value = localStorage.getItem(key) ?? "";
  field.addEventListener("input", () => {
    if (field.value) localStorage.setItem(key, field.value);
    else localStorage.removeItem(key);
  });
  field.form?.addEventListener("submit", () => sessionStorage.setItem(SENT, key));
}

// Files that are pasted or dropped into a text go to the file field of its form.
function take(event, files) {
  const field = event.target.form?.querySelector("input[type=file]");
  if (!field || !files?.length) return;
  event.preventDefault();
  const all = new DataTransfer();
  for (const file of [...field.files, ...files]) all.items.add(file);
  field.files = all.files;
}
document.addEventListener("paste", (event) => take(event, event.clipboardData?.files));
document.addEventListener("drop", (event) => take(event, event.dataTransfer?.files));

// Ask before what cannot be taken back; send once however often one clicks.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) return event.preventDefault();
  if (form.method !== "post") return;
  if (form.dataset.busy) return event.preventDefault();
  form.dataset.busy = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-busy]")) delete form.dataset.busy;
});

// A menu closes on Escape, and when one goes elsewhere.
function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(except)) menu.open = false;
}
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("focusin", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// A secret is copied with one click.
for (const secret of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(secret.textContent);
    button.textContent = "Copied";
  });
  secret.after(button);
}

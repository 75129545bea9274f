// Every page works without this. It only makes pages follow what happens and spares a few clicks.
"use strict";

// Live progress: an element with data-events follows a stream of events; each replaces the text of the parts it names.
for (const box of document.querySelectorAll("[data-events]")) {
  const source = new EventSource(box.dataset.events);
  source.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    for (const part of box.querySelectorAll("[data-part]")) {
      const value = told[part.dataset.part];
      if (value !== undefined) part.textContent = value ?? "";
      if (part.classList.contains("badge") && told.state) part.className = "badge " + told.state;
    }
    box.hidden = false;
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

// A draft outlives a closed tab: kept per page until it is sent.
for (const field of document.querySelectorAll("textarea[data-draft]")) {
  const key = "draft:" + location.pathname + ":" + field.name;
  if (!field.value) field.value = localStorage.getItem(key) ?? "";
  field.addEventListener("input", () => localStorage.setItem(key, field.value));
  field.form?.addEventListener("submit", () => localStorage.removeItem(key));
}

// Ask before what cannot be taken back.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

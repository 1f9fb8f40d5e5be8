"use strict";
// Reload the report when its runs have changed. Keep the reader's filters and place.

(function live() {
  const KEY = "codeit.report",
    fields = () => [...document.querySelectorAll("#filters input, #filters select")];
  const kept = JSON.parse(sessionStorage.getItem(KEY) || "null");
  if (kept) {
    sessionStorage.removeItem(KEY);
    for (const field of fields()) {
      field.value = kept.values[field.id] ?? "";
      field.dispatchEvent(new Event("change", {bubbles: true}));
    }
    scrollTo({top: kept.top, behavior: "instant"});
  }
  let first = null;
  const source = new EventSource("/changes");
  source.addEventListener("message", event => {
    first ??= event.data;
    if (event.data === first || document.querySelector("dialog[open]")) return; // do not disturb a reader of a task
    source.close();
    const values = Object.fromEntries(fields().map(field => [field.id, field.value]));
    sessionStorage.setItem(KEY, JSON.stringify({values, top: scrollY}));
    location.reload();
  });
})();

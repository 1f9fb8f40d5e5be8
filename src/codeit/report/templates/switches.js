"use strict";
// The switches of a page: numbers in the cells, light or dark theme. The browser remembers them.

// What is drawn again when the switch of numbers changes: elements, and functions that make them.
const drawings = new Set();
function drawing(make) {
  const entry = {element: make(), make};
  drawings.add(entry);
  return entry.element;
}
function redraw() {
  for (const entry of drawings) {
    if (!entry.element.isConnected) {
      drawings.delete(entry);
      continue;
    }
    const made = entry.make();
    entry.element.replaceWith(made);
    entry.element = made;
  }
}

const remembered = {
  get(key) {
    try {
      return localStorage.getItem("codeit." + key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem("codeit." + key, value);
    } catch {
      /* not allowed for a page from a file */
    }
  },
};

(function switches() {
  const buttons = document.querySelectorAll(".numbers"),
    theme = document.getElementById("theme"),
    themes = ["auto", "light", "dark"];
  const setNumbers = on => {
    numbers.on = on;
    for (const button of buttons) button.setAttribute("aria-pressed", on);
  };
  const setTheme = name => {
    document.documentElement.dataset.theme = name;
    theme.textContent = `Theme: ${name}`;
  };
  setNumbers(remembered.get("numbers") === "true");
  setTheme(themes.includes(remembered.get("theme")) ? remembered.get("theme") : "auto");
  for (const button of buttons)
    button.addEventListener("click", () => {
      setNumbers(!numbers.on);
      remembered.set("numbers", numbers.on);
      redraw();
    });
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    setTheme(next);
    remembered.set("theme", next);
  });
})();

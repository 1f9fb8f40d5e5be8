// Drawing: a canvas for each grid of the puzzle, brushes, and the keyboard.

import {MAX_ROWS, blank, filled, line, painted, resized} from "./puzzle.js";

const $ = id => document.getElementById(id);
const LARGEST_CELL = 34,
  SMALLEST_CELL = 9,
  LARGEST_GRID = 300; // sides, in pixels

export function startEditor(puzzle, say) {
  const brush = {colour: 1, tool: "paint"};
  const rows = {train: [], test: []};

  // --- Brushes ---

  const swatches = COLOURS.map((name, number) => {
    const button = html("button", {
      type: "button",
      role: "radio",
      "aria-label": `${number} ${name}`,
      title: `${name} (${number})`,
      style: `background:${PALETTE[number]};color:${INK[number]}`,
    }, String(number));
    button.addEventListener("click", () => choose(number));
    return button;
  });
  $("palette").append(...swatches);
  function choose(number) {
    brush.colour = number;
    swatches.forEach((swatch, k) => {
      swatch.setAttribute("aria-checked", k === number);
      swatch.tabIndex = k === number ? 0 : -1;
    });
  }
  choose(1);
  const tools = {paint: $("tool-paint"), fill: $("tool-fill")};
  function take(tool) {
    brush.tool = tool;
    for (const [name, button] of Object.entries(tools)) {
      button.setAttribute("aria-checked", name === tool);
      button.tabIndex = name === tool ? 0 : -1;
    }
  }
  take("paint");
  for (const [name, button] of Object.entries(tools)) button.addEventListener("click", () => take(name));
  for (const [group, pick] of [[swatches, choose], [Object.values(tools), k => take(Object.keys(tools)[k])]])
    group.forEach((button, k) =>
      button.addEventListener("keydown", event => {
        const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
        if (!by) return;
        event.preventDefault();
        const next = (k + by + group.length) % group.length;
        pick(next);
        group[next].focus();
      }),
    );

  // --- A canvas ---

  function canvas(place, label) {
    const element = html("div", {class: "canvas", tabindex: 0, role: "application"});
    let shown = null,
      cursor = [0, 0],
      last = null, // the last place of the present stroke
      cell = LARGEST_CELL;

    const current = () => puzzle.task[place.part][place.number]?.[place.side];
    const change = (grid, options) => puzzle.changeGrid(place, grid, options);

    function draw(force) {
      const grid_ = current();
      if (!grid_ || (!force && grid_ === shown)) return;
      shown = grid_;
      const height = grid_.length,
        width = grid_[0].length;
      const room = Math.min(LARGEST_GRID, $(place.part).clientWidth - 4);
      cell = Math.max(SMALLEST_CELL, Math.min(LARGEST_CELL, Math.floor(room / Math.max(height, width))));
      cursor = [Math.min(cursor[0], height - 1), Math.min(cursor[1], width - 1)];
      const picture = grid(grid_, cell, {label});
      picture.setAttribute("aria-hidden", "true");
      element.setAttribute("aria-label", `${label}, ${height} rows, ${width} columns; arrows move, 0 to 9 paint`);
      element.replaceChildren(picture);
      mark();
    }

    function mark() {
      element.querySelector(".cursor")?.remove();
      element.firstChild.append(
        svg("rect", {x: cursor[1] + 0.06, y: cursor[0] + 0.06, width: 0.88, height: 0.88, class: "cursor"}),
      );
    }

    function at(event) {
      const box = element.firstChild.getBoundingClientRect(),
        grid_ = current();
      return [
        Math.floor(((event.clientY - box.top) / box.height) * grid_.length),
        Math.floor(((event.clientX - box.left) / box.width) * grid_[0].length),
      ];
    }
    const inside = ([i, j]) => current()[i]?.[j] !== undefined;

    element.addEventListener("pointerdown", event => {
      if (event.button !== 0) return;
      event.preventDefault();
      element.focus({preventScroll: true});
      const here = at(event);
      if (!inside(here)) return;
      cursor = here;
      if (brush.tool === "fill") change(filled(current(), here, brush.colour));
      else {
        element.setPointerCapture(event.pointerId);
        last = here;
        change(painted(current(), [here], brush.colour), {stroke: true});
      }
      mark();
    });
    element.addEventListener("pointermove", event => {
      if (!last) return;
      const here = at(event);
      change(painted(current(), line(last, here), brush.colour), {stroke: true});
      last = here;
    });
    for (const type of ["pointerup", "pointercancel"])
      element.addEventListener(type, () => {
        last = null;
        puzzle.endStroke();
      });

    element.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
      const grid_ = current();
      if (by) {
        const next = [cursor[0] + by[0], cursor[1] + by[1]];
        if (inside(next)) cursor = next;
        mark();
      } else if (/^[0-9]$/.test(event.key)) {
        choose(Number(event.key));
        change(painted(grid_, [cursor], brush.colour));
      } else if (event.key === " " || event.key === "Enter") change(painted(grid_, [cursor], brush.colour));
      else if (event.key === "f" || event.key === "F") change(filled(grid_, cursor, brush.colour));
      else return;
      event.preventDefault();
      const [i, j] = cursor;
      say(`row ${i + 1}, column ${j + 1}: ${COLOURS[current()[i][j]]}`);
    });
    return {element, draw, place};
  }

  // --- A grid with its size and its buttons ---

  function panel(place, label) {
    const drawn = canvas(place, label);
    const field = name =>
      html("input", {type: "number", min: 1, max: MAX_ROWS, step: 1, "aria-label": `${label}: ${name}`});
    const height = field("rows"),
      width = field("columns");
    const resize = () => {
      const old = puzzle.task[place.part][place.number][place.side];
      const bounded = (text, before) => Math.max(1, Math.min(MAX_ROWS, Math.round(Number(text)) || before));
      const [h, w] = [bounded(height.value, old.length), bounded(width.value, old[0].length)];
      if (h !== old.length || w !== old[0].length) puzzle.changeGrid(place, resized(old, h, w));
      else refresh(true);
    };
    for (const input of [height, width]) input.addEventListener("change", resize);
    const action = (text, title, act) => {
      const button = html("button", {type: "button", title, "aria-label": `${label}: ${title}`}, text);
      button.addEventListener("click", act);
      return button;
    };
    const pair = () => puzzle.task[place.part][place.number];
    const buttons = [
      action("Clear", "paint all cells black", () =>
        puzzle.changeGrid(place, blank(pair()[place.side].length, pair()[place.side][0].length)),
      ),
    ];
    if (place.side === "output")
      buttons.unshift(action("Copy input", "copy the input", () => puzzle.changeGrid(place, pair().input)));
    if (place.part === "test" && place.side === "output")
      buttons.push(action("Remove", "remove the known output", () => puzzle.changeGrid(place, undefined)));
    const element = html(
      "div",
      {class: "panel"},
      html("div", {class: "caption"}, html("span", {}, place.side), html("span", {class: "size"}, height, "×", width)),
      drawn.element,
      html("div", {class: "small tools"}, buttons),
    );
    function refresh(force) {
      const grid_ = pair()?.[place.side];
      element.hidden = !grid_;
      if (!grid_) return;
      height.value = grid_.length;
      width.value = grid_[0].length;
      drawn.draw(force);
    }
    return {element, refresh};
  }

  function pairRow(part, number) {
    const label = `${part}[${number}]`;
    const remove = html("button", {type: "button", "aria-label": `Remove ${label}`, title: `Remove ${label}`}, "✕");
    remove.addEventListener("click", () => puzzle.removePair(part, number));
    const panels = ["input", "output"].map(side => panel({part, number, side}, `${label} ${side}`));
    const add = html("button", {type: "button", class: "add"}, "Add a known output");
    add.addEventListener("click", () => {
      const input = puzzle.task.test[number].input;
      puzzle.changeGrid({part, number, side: "output"}, blank(input.length, input[0].length));
    });
    const element = html(
      "article",
      {class: "pair", "aria-label": label},
      html("h3", {}, label, remove),
      html("div", {class: "grids"}, panels[0].element, html("span", {class: "arrow", "aria-hidden": "true"}, "→"), panels[1].element, part === "test" && add),
    );
    function refresh(force) {
      remove.hidden = puzzle.task[part].length === 1;
      add.hidden = puzzle.task[part][number].output !== undefined;
      for (const panel_ of panels) panel_.refresh(force);
    }
    return {element, refresh};
  }

  function render(force = false) {
    for (const part of ["train", "test"]) {
      const n = puzzle.task[part].length;
      while (rows[part].length > n) rows[part].pop().element.remove();
      while (rows[part].length < n) {
        const row = pairRow(part, rows[part].length);
        rows[part].push(row);
        $(part).append(row.element);
      }
      for (const row of rows[part]) row.refresh(force);
    }
    $("undo").disabled = !puzzle.canUndo;
    $("redo").disabled = !puzzle.canRedo;
    if (document.activeElement !== $("name")) $("name").value = puzzle.task.id;
  }

  puzzle.addEventListener("change", () => render());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) render(true);
    width = innerWidth;
  });
  for (const button of document.querySelectorAll(".numbers")) button.addEventListener("click", () => render(true));
  for (const part of ["train", "test"]) $(`add-${part}`).addEventListener("click", () => puzzle.addPair(part));
  $("undo").addEventListener("click", () => puzzle.undo());
  $("redo").addEventListener("click", () => puzzle.redo());
  $("name").addEventListener("change", () => puzzle.change({...puzzle.task, id: $("name").value.trim() || "my-puzzle"}));
  addEventListener("keydown", event => {
    if (!(event.ctrlKey || event.metaKey) || event.target.closest("input, textarea, dialog")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) puzzle.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) puzzle.redo();
    else return;
    event.preventDefault();
  });
  render();
}

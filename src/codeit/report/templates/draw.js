"use strict";
// Pictures of grids, patches and other values as SVG, drawn from the JSON that sheet.py describes.

const {PALETTE, COLOURS} = JSON.parse(document.getElementById("colours").textContent);
const INK = ["#bbb", "#fff", "#fff", "#000", "#000", "#000", "#fff", "#000", "#000", "#fff"]; // text colour of a number on each colour
const NUMBERED = 13; // smallest side, in pixels, of a cell that shows its number
const numbers = {on: false};

const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {}))
    if (name === "style") element.style.cssText = value; // as a policy against inline styles allows
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  element.append(
    ...children.flat(2).filter(child => child !== null && child !== undefined && child !== false),
  );
  return element;
}
const plural = (n, one, many) => `${n} ${n === 1 ? one : many || one + "s"}`;

// Rows of numbers, with null for no cell and "#" for a place without a colour.
function cells(rows) {
  if (typeof rows !== "string") return rows;
  return rows.split("/").map(row => Array.from(row, c => (c === "." ? null : c === "#" ? "#" : Number(c))));
}

// Cells as one path per colour, merged along the rows.
function paint(rows, top = 0, left = 0) {
  const paths = new Map();
  rows.forEach((row, i) => {
    for (let j = 0; j < row.length;) {
      let end = j + 1;
      while (end < row.length && row[end] === row[j]) end++;
      if (row[j] !== null && row[j] !== "#")
        paths.set(row[j], (paths.get(row[j]) || "") + `M${left + j} ${top + i}h${end - j}v1h${j - end}z`);
      j = end;
    }
  });
  return [...paths].map(([colour, d]) => svg("path", {d, fill: PALETTE[colour] || "#fff"}));
}

function lines(height, width) {
  let d = "";
  for (let i = 1; i < height; i++) d += `M0 ${i}h${width}`;
  for (let j = 1; j < width; j++) d += `M${j} 0v${height}`;
  return svg("path", {d, class: "lines"});
}

function digits(rows, top = 0, left = 0, dim = false) {
  const found = [];
  rows.forEach((row, i) =>
    row.forEach((cell, j) => {
      if (cell === null || cell === "#") return;
      const place = {
        x: left + j + 0.5,
        y: top + i + 0.5,
        fill: dim ? "currentColor" : INK[cell] || "#c00",
        class: "digit",
      };
      found.push(
        svg("text", String(cell).length > 1 ? {...place, style: "font-size:.42px"} : place, String(cell)),
      );
    }),
  );
  return found;
}

function outline(rows, top, left) {
  const has = (i, j) => rows[i] && rows[i][j] !== null && rows[i][j] !== undefined;
  let d = "";
  rows.forEach((row, i) =>
    row.forEach((_, j) => {
      if (!has(i, j)) return;
      const x = left + j,
        y = top + i;
      if (!has(i - 1, j)) d += `M${x} ${y}h1`;
      if (!has(i + 1, j)) d += `M${x} ${y + 1}h1`;
      if (!has(i, j - 1)) d += `M${x} ${y}v1`;
      if (!has(i, j + 1)) d += `M${x + 1} ${y}v1`;
    }),
  );
  return d;
}

// A frame for a picture of these rows, with cells of `cell` pixels. `label` is read by screen readers.
function frame(rows, cell, label, children) {
  const height = rows.length,
    width = rows[0].length;
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      width: Math.round(width * cell * 10) / 10,
      height: Math.round(height * cell * 10) / 10,
      class: "grid",
      role: "img",
      "aria-label": label,
      "shape-rendering": cell >= 6 ? "crispEdges" : null,
    },
    ...children,
  );
}

const size = rows => `${rows.length}×${rows[0].length}`;
function description(rows) {
  const text =
    rows.length * rows[0].length <= 100
      ? ": " + rows.map(row => row.map(cell => (cell === null ? "." : cell)).join("")).join(" ")
      : "";
  return `${size(rows)} grid${text}`;
}

// The cells that differ from those of a grid of the same size, as [row, column]; none if the sizes differ.
function differing(rows, wanted) {
  if (rows.length !== wanted.length || rows[0].length !== wanted[0].length) return [];
  return rows.flatMap((row, i) => row.flatMap((cell, j) => (cell === wanted[i][j] ? [] : [[i, j]])));
}

// A grid. `wrong` lists cells to cross out, as [row, column].
function grid(rows, cell, {label = "", wrong = [], thumbnail = false} = {}) {
  const numbered = numbers.on && !thumbnail; // a thumbnail has no room for numbers
  const side = numbered ? Math.max(cell, NUMBERED) : cell;
  const crossed = wrong.map(([i, j]) => `M${j + 0.34} ${i + 0.34}l.32 .32m0 -.32l-.32 .32`).join("");
  return frame(
    rows,
    side,
    `${label}${label && ", "}${description(rows)}${wrong.length ? `, ${plural(wrong.length, "cell")} wrong` : ""}`,
    [
      paint(rows),
      side >= 5 && lines(rows.length, rows[0].length),
      numbered && digits(rows),
      crossed && svg("path", {d: crossed, class: "cross-halo"}),
      crossed && svg("path", {d: crossed, class: "cross"}),
    ],
  );
}

// Objects or sets of places, on a faded grid.
function patches(view, on, cell) {
  const side = numbers.on ? Math.max(cell, NUMBERED) : cell;
  const all = view.patches.map(([top, left, rows]) => [top, left, cells(rows)]);
  const edges = all.map(([top, left, rows]) => outline(rows, top, left)).join("");
  let dots = "",
    coloured = false,
    count = 0;
  const painted = [],
    written = [];
  for (const [top, left, rows] of all) {
    const under = rows.map((row, i) =>
      row.map((c, j) => {
        if (c === null) return null;
        count++;
        if (c !== "#") {
          coloured = true;
          return c;
        }
        dots += `M${left + j + 0.5} ${top + i + 0.5}h0`;
        return on[top + i][left + j];
      }),
    );
    painted.push(paint(under, top, left));
    if (numbers.on && coloured) written.push(digits(under, top, left));
  }
  const order =
    view.ordered && !view.single
      ? all.map(([top, left, rows], k) => {
          const j = rows[0].findIndex(c => c !== null);
          return svg("text", {x: left + j + 0.5, y: top + 0.5, class: "order"}, String(k + 1));
        })
      : null;
  const what = coloured ? ["object", "objects", "cell"] : ["set of places", "sets of places", "place"];
  const caption = view.single
    ? coloured
      ? count === 1
        ? "one cell"
        : `object, ${plural(count, "cell")}`
      : plural(count, "place")
    : `${plural(all.length, what[0], what[1])}, ${plural(count, what[2])}`;
  const picture = frame(on, side, caption + `, on a ${size(on)} grid`, [
    svg("rect", {x: 0, y: 0, width: on[0].length, height: on.length, class: "nothing"}),
    svg("g", {class: "faded"}, paint(on)),
    side >= 5 && lines(on.length, on[0].length),
    painted,
    written,
    dots && svg("path", {d: dots, class: "dots-halo"}),
    dots && svg("path", {d: dots, class: "dots"}),
    svg("path", {d: edges, class: "halo"}),
    svg("path", {d: edges, class: "edges"}),
    order,
  ]);
  return html("figure", {}, picture, html("figcaption", {}, caption));
}

function swatch(number) {
  return html(
    "span",
    {class: "swatch"},
    html(
      "i",
      {style: `background:${PALETTE[number]};color:${INK[number]}`},
      numbers.on ? String(number) : "",
    ),
    `${number} ${COLOURS[number]}`,
  );
}

// A picture of a sheet, by its index. `most` is the largest side of a picture, in pixels.
function picture(views, index, cell, most) {
  const view = views[index];
  if (typeof view === "number") return swatch(view);
  if (typeof view === "string") return html("code", {class: "value"}, view);
  if (view.cells) {
    const rows = cells(view.cells);
    const drawn = grid(rows, fitting(rows, cell, most));
    return html(
      "figure",
      {},
      drawn,
      html("figcaption", {}, view.shape ? `${view.shape.join("×")} grid, top left part` : size(rows)),
    );
  }
  if (view.patches) {
    const on = cells(views[view.on].cells);
    return patches(view, on, fitting(on, cell, most));
  }
  const small = Math.max(3, cell * 0.7);
  return html(
    "div",
    {class: "items"},
    html("span", {class: "bracket"}, view.ordered ? "(" : "{"),
    view.items.map(item => picture(views, item, small, most * 0.7)),
    view.more ? html("span", {class: "more"}, `and ${view.more} more`) : null,
    html("span", {class: "bracket"}, view.ordered ? ")" : "}"),
  );
}

const fitting = (rows, cell, most) =>
  Math.max(2, Math.min(cell, most / Math.max(rows.length, rows[0].length)));

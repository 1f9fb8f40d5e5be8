// The editor of a program's text, and the values that its lines compute, step by step.

import {sameGrid} from "./puzzle.js";
import {post} from "./server.js";

const $ = id => document.getElementById(id);
const WAIT = 150, // milliseconds from a key press to the request
  CELL = 15,
  LARGEST_VALUE = 190, // pixels
  LARGEST_ARGUMENT = 90;
const {signatures, constants} = JSON.parse($("language").textContent);

export function startProgram(puzzle, pins) {
  let original = "", // the text before the reader's changes
    explained = null, // the server's answer about the text
    step = 0,
    waiting = 0,
    asking = null;
  const text = $("text");
  const changed = () => text.value.trim() !== original.trim();

  // Show a program. A program that a search found does not replace a text that the reader has changed.
  function open(program, {by}) {
    if (by === "search" && (changed() || program === original || document.activeElement === $("steps"))) return;
    original = program;
    step = by === "reader" ? 1 : Number.MAX_SAFE_INTEGER;
    if (explained && text.value === program) return go(step);
    text.value = program;
    ask(0);
  }

  function ask(delay) {
    number();
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      asking?.abort();
      const program = text.value,
        {signal} = (asking = new AbortController());
      if (!program.trim()) return answer(null, "");
      try {
        answer(await post("/api/explain", {task: puzzle.task, program}, {signal}));
      } catch (error) {
        if (error.name !== "AbortError") answer(null, error.message);
      }
    }, delay);
  }

  function answer(data, message = "") {
    explained = data && data.program ? data : null;
    const error = data?.error;
    text.setAttribute("aria-invalid", Boolean(error));
    if (error) mark([error.line]);
    else mark(explained ? explained.program.failed : []);
    const verdict = $("verdict");
    verdict.className = error || message ? "bad" : "";
    if (explained) {
      const {right} = explained.program,
        n = puzzle.task.train.length,
        solved = right.slice(0, n).filter(solves => solves === 1).length;
      verdict.className = solved === n ? "good" : "partly";
      verdict.textContent = `${solved === n ? "✓" : "◔"} solves ${solved} of ${plural(n, "demonstration")}`;
    } else verdict.textContent = error ? `✗ ${error.message}` : message;
    showSteps();
    buttons();
  }

  function buttons() {
    const program = explained ? text.value.trim() : "";
    $("pin").disabled = !program;
    $("pin").setAttribute("aria-pressed", pins().isPinned(program));
    $("pin").textContent = pins().isPinned(program) ? "Pinned" : "Pin";
    $("revert").disabled = !changed();
  }

  // --- The text ---

  function number() {
    const n = text.value.split("\n").length;
    text.rows = Math.max(4, Math.min(24, n + 1));
    while ($("gutter").children.length > n) $("gutter").lastChild.remove();
    while ($("gutter").children.length < n) $("gutter").append(html("li"));
    $("gutter").scrollTop = text.scrollTop;
  }
  function mark(lines) {
    [...$("gutter").children].forEach((item, k) => item.classList.toggle("wrong", lines.includes(k + 1)));
  }
  text.addEventListener("input", () => ask(WAIT));
  text.addEventListener("scroll", () => ($("gutter").scrollTop = text.scrollTop));
  $("revert").addEventListener("click", () => {
    text.value = original;
    ask(0);
  });
  $("pin").addEventListener("click", async () => {
    await pins().togglePin(text.value.trim());
    buttons();
  });
  puzzle.addEventListener("change", () => text.value.trim() && ask(WAIT));

  // --- The steps ---

  function words(n) {
    const line = explained.program.lines[n],
      name = /= (\w+)\(/.exec(line)?.[1];
    return DOCS[name] || "call the function";
  }

  function showSteps() {
    const lines = explained ? explained.program.lines : [];
    $("steps").replaceChildren(
      ...(explained ? [null, ...lines] : []).map((line, n) =>
        html(
          "li",
          {role: "option", id: `step-${n}`, "data-step": n},
          html("code", {}, line ?? "I"),
          html("span", {class: "quiet"}, line === null ? "the input" : words(n - 1)),
        ),
      ),
    );
    go(step, {quiet: true});
  }

  function go(n, {quiet = false} = {}) {
    const last = explained ? explained.program.lines.length : 0;
    const chosen = Math.max(0, Math.min(n, last));
    if (!quiet || n !== Number.MAX_SAFE_INTEGER) step = chosen;
    for (const item of $("steps").children) item.setAttribute("aria-selected", Number(item.dataset.step) === chosen);
    const item = $(`step-${chosen}`);
    if (item) {
      $("steps").setAttribute("aria-activedescendant", item.id);
      $("steps").scrollTop = item.offsetTop - $("steps").clientHeight / 2;
    } else $("steps").removeAttribute("aria-activedescendant");
    $("values").replaceChildren(...(explained ? columns(chosen) : []));
  }

  function columns(n) {
    const {program, pairs, tests, views} = explained;
    const names = [...pairs.map((_, k) => `train[${k}]`), ...tests.map((_, k) => `test[${k}]`)],
      inputs = [...pairs, ...tests];
    const drawn = (index, most, cell = CELL) => drawing(() => picture(views, index, cell, most));
    return names.map((name, k) => {
      const values = program.trace[k],
        error = program.errors[k] && program.failed[k] === n && html("p", {class: "bad"}, `✗ ${program.errors[k]}`);
      const at = m => (m === 0 ? inputs[k][0] : values[m - 1]);
      const isLast = n === program.lines.length;
      const parts = [];
      if (n > 0) parts.push(taken(n, m => at(m), index => drawn(index, LARGEST_ARGUMENT, 9)));
      if (at(n) === undefined) parts.push(error || html("span", {class: "quiet"}, "not reached"));
      else if (isLast && !program.errors[k]) parts.push(...result(views, at(n), inputs[k][1]));
      else parts.push(drawn(at(n), LARGEST_VALUE), error);
      const kind = n > 0 && program.types[n - 1] && k === 0 ? program.types[n - 1] : "";
      return html("div", {class: "value-of"}, html("h4", {}, name, kind && html("span", {class: "quiet"}, kind)), parts);
    });
  }

  // The variables that a line takes, with their values.
  function taken(n, at, drawn) {
    const {lines} = explained.program,
      names = ["I", ...lines.map(line => line.split(" = ")[0])];
    const used = [...new Set(lines[n - 1].match(/\w+/g).slice(1))].map(name => [name, names.slice(0, n).lastIndexOf(name)]);
    const variables = used.filter(([, m]) => m >= 0 && at(m) !== undefined);
    return html(
      "div",
      {class: "taken"},
      variables.map(([name, m]) => html("div", {}, html("code", {}, name), drawn(at(m)))),
      html("span", {class: "arrow", "aria-hidden": "true"}, "↓"),
    );
  }

  function result(views, index, wanted) {
    const rows = cells(views[index].cells),
      truth = wanted === undefined ? null : cells(views[wanted].cells);
    const figure = (grid_, caption, wrong) =>
      drawing(() => html("figure", {}, grid(grid_, fitting(grid_, CELL, LARGEST_VALUE), {label: caption, wrong}), html("figcaption", {}, `${caption} ${size(grid_)}`)));
    if (!truth) return [figure(rows, "answer")];
    const right = sameGrid(rows, truth);
    return [
      figure(rows, "output", differing(rows, truth)),
      html("p", {class: right ? "good" : "bad"}, right ? "✓ right" : "✗ wrong"),
      right ? null : figure(truth, "wanted"),
    ].filter(Boolean);
  }

  $("steps").addEventListener("click", event => {
    const item = event.target.closest("li");
    if (item) go(Number(item.dataset.step));
  });
  $("steps").addEventListener("keydown", event => {
    const last = explained ? explained.program.lines.length : 0,
      now = Number($("steps").querySelector("[aria-selected=true]")?.dataset.step ?? 0);
    const next = {ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1, Home: 0, End: last}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    go(next);
  });

  // --- The language ---

  $("primitives").append(
    ...Object.keys(DOCS).flatMap(name => [
      html("dt", {}, html("code", {}, name), html("small", {}, signatures[name])),
      html("dd", {}, DOCS[name]),
    ]),
  );
  $("find").addEventListener("input", () => {
    const wanted = $("find").value.trim().toLowerCase();
    for (const term of $("primitives").querySelectorAll("dt")) {
      const hidden = !(term.textContent + term.nextSibling.textContent).toLowerCase().includes(wanted);
      term.hidden = term.nextSibling.hidden = hidden;
    }
  });
  text.title = `Constants: ${Object.keys(constants).join(" ")}`;
  number();
  return {open};
}

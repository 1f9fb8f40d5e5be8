// A search: its progress, the best programs so far beside what is wanted, pins, and the answer.

import {sameGrid} from "./puzzle.js";
import {events, post} from "./server.js";

const $ = id => document.getElementById(id);
const DRAW_MILLISECONDS = 300, // between two drawings of the programs
  SHOWN = 5, // programs besides the pinned ones
  MAX_SENT = 20, // programs that a search continues with
  CELL = 12,
  MAX_GRID = 110; // pixels of a grid beside a program
const ARC = task => ({train: task.train, test: task.test});
const same = (a, b) => JSON.stringify(ARC(a)) === JSON.stringify(ARC(b));
const PHASES = {enumeration: "enumerating", evolution: "evolving", policy: "asking the policy"};
const ENDS = {settled: "done", time: "time is up", stopped: "stopped", error: "ended by an error"};

export function startSearch(puzzle, {problem, say, open}) {
  let found = none(),
    pinned = [], // {program, solved, outputs}
    running = null; // an AbortController while a search goes on
  const shown = new Map(); // the cards of programs

  function none() {
    return {task: null, programs: [], attempts: [], tried: 0, seconds: 0, phase: "", ended: ""};
  }

  // --- Searching ---

  async function solve(goesOn) {
    const task = puzzle.task,
      seconds = Number($("seconds").value),
      before = goesOn ? found : none();
    const programs = [...pinned, ...before.programs].map(({program, votes = 0}) => ({program, votes}));
    const controller = (running = new AbortController());
    found = {...before, task, ended: ""};
    problem("");
    update();
    try {
      const request = {task, seconds, tried: before.tried, programs: programs.slice(0, MAX_SENT)};
      let drawn = 0, // when programs were drawn
        due = false; // whether there are newer ones
      for await (const event of events("/api/search", request, controller.signal)) {
        found = {...found, ...event};
        if (event.message) problem(event.message);
        due ||= event.programs !== undefined;
        const now = due && performance.now() - drawn > DRAW_MILLISECONDS;
        if (now) {
          [drawn, due] = [performance.now(), false];
          if (found.programs.length) open(found.programs[0].program, {by: "search"});
        }
        update(seconds, now);
      }
      if (due && found.programs.length) open(found.programs[0].program, {by: "search"});
    } catch (error) {
      if (error.name !== "AbortError") problem(error.message);
      found.ended = error.name === "AbortError" ? "stopped" : "error";
    }
    if (running === controller) running = null;
    update(seconds, true);
    say($("status").textContent);
  }

  $("bar").addEventListener("submit", event => {
    event.preventDefault();
    if (running) return;
    solve(canGoOn());
    if (!isSeen($("attempts"))) $("answer").scrollIntoView();
  });
  $("stop").addEventListener("click", () => {
    running?.abort();
    $("solve").focus();
  });
  $("anew").addEventListener("click", () => solve(false));
  const canGoOn = () => !running && found.ended !== "" && found.task && same(found.task, puzzle.task);
  const isSeen = element => {
    const box = element.getBoundingClientRect();
    return box.top < innerHeight * 0.7 && box.bottom > 0;
  };

  // --- Showing ---

  function update(seconds = 0, programsToo = true) {
    const n = found.task ? found.task.train.length : 0,
      best = found.programs[0];
    $("solve").hidden = running !== null;
    $("stop").hidden = running === null;
    $("anew").hidden = !canGoOn();
    $("solve").textContent = canGoOn() ? "Go on" : "Solve";
    $("progress").value = running ? Math.min(1, found.seconds / (seconds || 1)) : found.ended ? 1 : 0;
    const parts = [
      running ? PHASES[found.phase] || "starting" : ENDS[found.ended],
      found.seconds ? `${found.seconds.toFixed(1)} s` : "",
      found.tried ? `${found.tried.toLocaleString("en")} programs tried` : "",
      best ? `best solves ${best.solved} of ${plural(n, "demonstration")}` : found.ended ? "no program yet" : "",
    ];
    $("status").textContent = found.task ? parts.filter(Boolean).join(" · ") : "";
    $("stale").hidden = !found.task || same(found.task, puzzle.task);
    $("guess").hidden = !exported().length || exported()[0].solved === n;
    if (!programsToo) return;
    showCandidates();
    showAttempts();
    for (const button of document.querySelectorAll("#exports [data-to]"))
      button.disabled = button.dataset.to !== "task" && !exported().length;
  }

  const isPinned = program => pinned.some(one => one.program === program);
  const exported = () => [...pinned, ...found.programs.filter(one => !isPinned(one.program))];

  function showCandidates() {
    const listed = [...pinned, ...found.programs.filter(one => !isPinned(one.program)).slice(0, SHOWN)];
    const wanted = new Set(listed.map(one => one.program));
    for (const [program, card] of shown)
      if (!wanted.has(program)) {
        card.element.remove();
        shown.delete(program);
      }
    if (!listed.length) return;
    const cards = listed.map(one => {
      if (!shown.has(one.program)) shown.set(one.program, makeCard(one.program));
      const card = shown.get(one.program);
      card.refresh(one);
      return card.element;
    });
    $("candidates").querySelector(":scope > p")?.remove();
    cards.forEach((element, k) => {
      if ($("candidates").children[k] !== element) $("candidates").insertBefore(element, $("candidates").children[k] || null);
    });
  }

  function makeCard(program) {
    const facts = html("p", {class: "facts"}),
      pictures = html("div", {class: "outputs"});
    const pinning = html("button", {type: "button"}, "Pin"),
      opening = html("button", {type: "button"}, "Look inside");
    pinning.addEventListener("click", () => togglePin(program));
    opening.addEventListener("click", () => {
      open(program, {by: "reader"});
      $("program").scrollIntoView();
      $("steps").focus({preventScroll: true});
    });
    const lines = program.split("\n"),
      text = html("pre", {tabindex: 0}, program);
    const element = html(
      "article",
      {class: "program candidate", "aria-label": `Program of ${plural(lines.length, "line")}`},
      html("div", {class: "head"}, facts, html("div", {class: "small tools"}, pinning, opening)),
      html("div", {class: "beside"}, text, pictures),
    );
    let drawn = null;
    function refresh(one) {
      const task = one.task || found.task || puzzle.task,
        solves = `solves ${one.solved} of ${plural(task.train.length, "demonstration")}`;
      facts.replaceChildren(
        html("span", {class: one.solved === task.train.length ? "good" : null}, one.solved === task.train.length ? "✓ " : "", solves),
        ...(one.votes ? [html("span", {}, plural(one.votes, "vote").replace(/^\d+/, n => Number(n).toLocaleString("en")))] : []),
        ...(one.probability ? [html("span", {}, `right with a probability of ${Math.min(Math.max(Math.round(100 * one.probability), 1), 99)}%`)] : []),
        html("span", {}, plural(lines.length, "line")),
      );
      pinning.setAttribute("aria-pressed", isPinned(program));
      pinning.textContent = isPinned(program) ? "Pinned" : "Pin";
      element.classList.toggle("pinned", isPinned(program));
      const key = JSON.stringify([one.outputs, ARC(task)]);
      if (key === drawn) return;
      drawn = key;
      pictures.replaceChildren(
        ...task.train.map((pair, k) => compared(`train[${k}]`, one.outputs[k], pair.output)),
        ...task.test.map((pair, k) => compared(`test[${k}]`, one.outputs[task.train.length + k], undefined)),
      );
    }
    return {element, refresh};
  }

  // A program's output, beside what is wanted unless it is that.
  function compared(label, text, wanted) {
    const output = text && cells(text),
      right = output && wanted && sameGrid(output, wanted);
    const drawn = (rows, caption, wrong = []) =>
      drawing(() =>
        html("figure", {}, grid(rows, fitting(rows, CELL, MAX_GRID), {label: `${label} ${caption}`, wrong}), html("figcaption", {}, caption)),
      );
    const wrong = output && wanted ? differing(output, wanted) : [];
    const verdict =
      wanted === undefined ? "" : right ? "✓ right" : !output ? "✗ no grid" : wrong.length ? `✗ ${plural(wrong.length, "cell")} wrong` : "✗ wrong size";
    return html(
      "div",
      {class: "compared"},
      html("p", {class: "label"}, label, verdict && html("span", {class: right ? "good" : "bad"}, verdict)),
      html(
        "div",
        {class: "grids"},
        output ? drawn(output, wanted === undefined ? "answer" : right ? "output" : "output so far", wrong) : html("span", {class: "unknown"}, "—"),
        wanted && !right && drawn(wanted, "wanted"),
      ),
    );
  }

  // The answers: two different outputs for each test, those of pinned programs first.
  function showAttempts() {
    const task = found.task || puzzle.task,
      n = task.train.length;
    if (!exported().length) return;
    $("attempts").replaceChildren(
      ...task.test.map((pair, k) => {
        const outputs = [...pinned.map(one => one.outputs[n + k]), ...(found.attempts[k] || [])].filter(Boolean),
          attempts = [...new Set(outputs)].slice(0, 2).map(cells);
        const figure = (rows, caption, wrong) =>
          drawing(() => html("figure", {}, grid(rows, fitting(rows, 18, 200), {label: `test[${k}] ${caption}`, wrong}), html("figcaption", {}, `${caption} ${size(rows)}`)));
        const mark = rows =>
          pair.output && html("span", {class: sameGrid(rows, pair.output) ? "good" : "bad"}, sameGrid(rows, pair.output) ? "✓ right" : "✗ wrong");
        return html(
          "div",
          {class: "pair"},
          html("h3", {}, `test[${k}]`),
          html(
            "div",
            {class: "grids"},
            figure(pair.input, "input"),
            html("span", {class: "arrow", "aria-hidden": "true"}, "→"),
            attempts.map((rows, a) =>
              html("div", {}, figure(rows, `attempt ${a + 1}`, pair.output ? differing(rows, pair.output) : []), mark(rows)),
            ),
            pair.output && !attempts.some(rows => sameGrid(rows, pair.output)) && figure(pair.output, "known output"),
          ),
        );
      }),
    );
  }

  // --- Pins ---

  // What a program does on the puzzle as it is, from an answer of the server.
  function record(program, task, explained) {
    const {views, program: sheet} = explained;
    return {
      program,
      task,
      solved: sheet.right.slice(0, task.train.length).filter(one => one === 1).length,
      outputs: sheet.errors.map((error, k) => (error ? null : views[sheet.trace[k].at(-1)].cells)),
    };
  }

  async function togglePin(program) {
    if (isPinned(program)) pinned = pinned.filter(one => one.program !== program);
    else {
      const task = puzzle.task;
      try {
        const explained = await post("/api/explain", {task, program});
        if (!explained.error && !isPinned(program)) pinned.push(record(program, task, explained));
      } catch (error) {
        problem(error.message);
      }
    }
    say(isPinned(program) ? "pinned: it stays, comes first in the answer, and joins a search that goes on" : "not pinned");
    update();
    return isPinned(program);
  }

  // Pinned programs follow the puzzle.
  let waiting = 0;
  puzzle.addEventListener("change", () => {
    update(0, false);
    clearTimeout(waiting);
    if (pinned.length)
      waiting = setTimeout(async () => {
        const task = puzzle.task;
        const answers = await Promise.allSettled(pinned.map(({program}) => post("/api/explain", {task, program})));
        if (task !== puzzle.task) return;
        pinned = pinned.map((one, k) => (answers[k].value?.program ? record(one.program, task, answers[k].value) : one));
        update();
      }, 300);
  });

  // --- Saving ---

  async function save(to) {
    const task = puzzle.task;
    if (to === "task") return download(`${task.id}.json`, "application/json", JSON.stringify(ARC(task)) + "\n");
    const programs = exported().slice(0, MAX_SENT).map(({program, votes = 0}) => ({program, votes}));
    const file = await post("/api/export", {task, programs, to});
    download(file.name, file.type, file.text);
  }
  function download(name, type, text) {
    const href = URL.createObjectURL(new Blob([text], {type}));
    html("a", {href, download: name}).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
    say(`saved as ${name}`);
  }
  $("exports").addEventListener("click", event => {
    const button = event.target.closest("[data-to]");
    if (button) save(button.dataset.to).catch(error => problem(error.message));
  });

  return {togglePin, isPinned};
}

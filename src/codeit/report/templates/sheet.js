"use strict";
// A task's sheet: demonstrations, tests, answers, and programs with their traces (see sheet.py).

const DOCS = JSON.parse(document.getElementById("docs").textContent);

function sheet(data, {level = 2, opened = false} = {}) {
  const views = data.views,
    rows = index => cells(views[index].cells);
  const all = [...data.pairs, ...data.tests].flat().map(rows);
  const side = Math.max(...all.map(grid => Math.max(grid.length, grid[0].length)));
  const most = innerWidth < 640 ? 138 : 210; // pixels
  const large = Math.max(4, Math.min(20, Math.floor(most / side))),
    small = Math.max(4, Math.min(14, Math.floor(132 / side)));
  const train = k => `train[${k}]`,
    test = k => `test[${k}]`;
  const heading = (text, deeper = 0) => html(`h${level + deeper}`, {}, text);

  const shown = (index, label, expected) =>
    drawing(() => {
      const drawn = rows(index),
        wrong = expected === undefined ? [] : differing(drawn, rows(expected));
      return html(
        "figure",
        {},
        grid(drawn, large, {label, wrong}),
        html("figcaption", {}, `${label} ${size(drawn)}`),
      );
    });
  const arrow = () => html("span", {class: "arrow", "aria-hidden": "true"}, "→");
  const pair = (caption, parts) =>
    html(
      "div",
      {class: "pair"},
      caption && html("h" + (level + 1), {}, caption),
      html("div", {class: "grids"}, parts),
    );
  const mark = right =>
    right === null ? null : html("span", {class: right ? "good" : "bad"}, right ? "✓ right" : "✗ wrong");

  function code(line) {
    return html(
      "code",
      {},
      line
        .split(/([A-Za-z_][A-Za-z_0-9]*)/)
        .map(token =>
          DOCS[token] ? html("span", {class: "primitive", title: `${token}: ${DOCS[token]}`}, token) : token,
        ),
    );
  }

  function trace(program) {
    const captions = [...data.pairs.map((_, k) => train(k)), ...data.tests.map((_, k) => test(k))];
    const names = captions.slice(0, program.trace.length);
    const inputs = [...data.pairs, ...data.tests].slice(0, names.length),
      outputs = data.pairs.map(pair => pair[1]);
    const cell = (k, ...content) => html("td", {"data-pair": names[k]}, ...content);
    const drawn = index => drawing(() => picture(views, index, small, 168));
    const head = html(
      "tr",
      {},
      html("th", {scope: "col"}, "Line"),
      names.map(name => html("th", {scope: "col"}, name)),
    );
    const input = html(
      "tr",
      {},
      html("th", {scope: "row"}, code("I"), html("small", {}, "input")),
      inputs.map((pair, k) => cell(k, drawn(pair[0]))),
    );
    const same = n =>
      names.length > 1 &&
      typeof views[program.trace[0][n]] === "string" &&
      program.trace.every(values => values[n] === program.trace[0][n]);
    const steps = program.lines.map((line, n) =>
      html(
        "tr",
        {},
        html("th", {scope: "row"}, code(line)),
        same(n)
          ? html("td", {colspan: names.length, "data-pair": "all pairs"}, drawn(program.trace[0][n]))
          : names.map((_, k) => {
              const values = program.trace[k];
              const error =
                program.errors[k] &&
                n === Math.min(values.length, program.lines.length - 1) &&
                html("p", {class: "bad"}, "✗ error: " + program.errors[k].replace(/^line \d+: /, ""));
              const last = n === program.lines.length - 1;
              if (n < values.length)
                return cell(k, drawn(values[n]), error || (last && mark(program.right[k])));
              return cell(k, error || html("span", {class: "quiet"}, "—"));
            }),
      ),
    );
    const expected =
      program.right.some(right => right === 0) &&
      html(
        "tr",
        {},
        html("th", {scope: "row"}, html("small", {}, "expected output")),
        names.map((_, k) => cell(k, outputs[k] === undefined ? "?" : drawn(outputs[k]))),
      );
    return html(
      "div",
      {class: "scroll", tabindex: 0, role: "region", "aria-label": "Trace"},
      html("table", {class: "trace"}, html("thead", {}, head), html("tbody", {}, input, steps, expected)),
    );
  }

  // A link that saves a text and, with the element that shows it, a button that copies it. Where the browser
  // refuses to copy, the button selects the text.
  function copies(text, file, shownIn) {
    const copy = shownIn && html("button", {type: "button"}, "Copy");
    const copied = () => (copy.textContent = "Copied"),
      select = () => getSelection().selectAllChildren(shownIn);
    if (copy)
      copy.addEventListener("click", () =>
        navigator.clipboard ? navigator.clipboard.writeText(text).then(copied, select) : select(),
      );
    const href = "data:text/plain;charset=utf-8," + encodeURIComponent(text); // gone with the link
    return html("p", {class: "copies"}, copy, html("a", {href, download: file}, `Save as ${file}`));
  }

  // The answers as ARC Prize wants them; the second attempt repeats the first if there is one only.
  const submission = () => ({
    [data.id]: data.attempts.map(([first, second = first]) => ({attempt_1: rows(first), attempt_2: rows(second)})),
  });

  function programOf(program, number) {
    const right = program.right.slice(0, data.pairs.length),
      solved = program.solved ?? right.filter(one => one === 1).length;
    const facts = [
      `${plural(program.lines.length, "line")}`,
      `solves ${solved} of ${plural(right.length, "demonstration")}`,
      ...(program.notes || []),
    ];
    const details = html("details", {open: opened}, html("summary", {}, "Line by line"));
    const build = () => {
      if (details.open && details.children.length === 1) details.append(trace(program));
    };
    details.addEventListener("toggle", build);
    build();
    const answers = (program.answers || []).map((index, k) =>
      html(
        "div",
        {class: "grids"},
        index === null
          ? html("span", {class: "bad"}, "no grid")
          : shown(index, "predicted", data.tests[k][1]),
        data.tests[k][1] !== undefined && shown(data.tests[k][1], "expected"),
        mark(program.answers_right[k]),
      ),
    );
    const text = html(
      "pre",
      {},
      program.lines.map((line, n) => [n ? "\n" : "", code(line)]),
    );
    return html(
      "article",
      {class: "program"},
      data.programs.length > 1 ? heading(`Program ${number + 1}`, 1) : null,
      html(
        "p",
        {class: "facts"},
        facts.map(fact => html("span", {}, fact)),
        program.verdict === undefined ? null : mark(program.verdict),
      ),
      text,
      copies(program.lines.join("\n") + "\n", `${data.id}-program-${number + 1}.txt`, text),
      answers.length
        ? html(
            "div",
            {class: "answers"},
            html("h" + (level + 2), {}, "Test outputs"),
            answers,
          )
        : null,
      details,
    );
  }

  const sections = [
    html(
      "section",
      {},
      heading("Demonstrations"),
      html(
        "div",
        {class: "pairs"},
        data.pairs.map(([input, output], k) =>
          pair(train(k), [shown(input, "input"), arrow(), shown(output, "output")]),
        ),
      ),
    ),
  ];
  const answered = data.attempts && data.attempts.length;
  if (answered || data.tests.length)
    sections.push(
      html(
        "section",
        {},
        heading(answered ? "Answers" : data.tests.length > 1 ? "Tests" : "Test"),
        html(
          "div",
          {class: "pairs"},
          data.tests.map(([input, output], k) => {
            const attempts = answered ? data.attempts[k] : [];
            const parts = attempts.length
              ? [
                  ...attempts.flatMap((index, n) => [
                    shown(index, attempts.length > 1 ? `attempt ${n + 1}` : "answer", output),
                    output === undefined ? null : mark(index === output), // equal grids have one index
                  ]),
                  output === undefined ? null : shown(output, "expected"),
                ]
              : output !== undefined
                ? shown(output, "output")
                : html("span", {class: "unknown"}, answered || data.attempts ? "no answer" : "?");
            return pair(test(k), [shown(input, "input"), arrow(), parts]);
          }),
        ),
        answered &&
          data.attempts.every(attempts => attempts.length) &&
          copies(JSON.stringify(submission()), `${data.id}-submission.json`),
      ),
    );
  if (data.programs)
    sections.push(
      html(
        "section",
        {},
        heading(data.programs.length === 1 ? "Program" : "Programs"),
        data.programs.length ? data.programs.map(programOf) : html("p", {class: "quiet"}, "None."),
      ),
    );
  return html("div", {class: "sheet"}, sections);
}

"use strict";
// The gallery of a report: cards, drawn when they scroll into view; filters; and a task's sheet when it is opened.

(function gallery() {
  const read = id => JSON.parse(document.getElementById(id).textContent);
  const element = id => document.getElementById(id);
  const cards = read("cards"),
    words = read("words"),
    status = Object.fromEntries(words.statuses.map(([key, text]) => [key, text]));
  const marks = {solved: "✓", demonstrations: "◐", some: "◔", none: "○"};
  let packed = null,
    visible = cards,
    opened = null;

  const seen = new IntersectionObserver(
    entries => {
      for (const {target, isIntersecting} of entries)
        if (isIntersecting) {
          seen.unobserve(target);
          target.firstChild.replaceChildren(...thumbnails(cards[target.dataset.number]));
        }
    },
    {rootMargin: "400px"},
  );

  function thumbnails(card) {
    const [input, output] = card.pair.map(cells);
    const side = Math.max(input.length, input[0].length, output.length, output[0].length);
    const small = rows => grid(rows, Math.min(12, 68 / side), {thumbnail: true});
    return [small(input), html("span", {class: "arrow"}, "→"), small(output)];
  }

  const items = cards.map((card, number) => {
    const facts = card.lines ? plural(card.lines, "line") : "";
    const button = html(
      "button",
      {
        type: "button",
        "data-number": number,
        "aria-label": `${card.id}, ${status[card.status]}${facts && ", " + facts}`,
      },
      html("span", {class: "thumbs"}),
      html(
        "span",
        {class: "id"},
        html("code", {}, card.id),
        html("span", {class: "mark " + card.status, title: status[card.status]}, marks[card.status]),
      ),
      html("small", {}, facts || "\u00a0"),
    );
    button.addEventListener("click", () => {
      location.hash = "task=" + card.id;
    });
    seen.observe(button);
    return html("li", {}, button);
  });
  element("gallery").append(...items);

  // Filters and order.
  const primitives = [...new Set(cards.flatMap(card => card.primitives))].sort();
  element("names").append(...primitives.map(name => html("option", {value: name})));
  const value = id => (element(id) ? element(id).value.trim().toLowerCase() : "");
  // The cards' numbers, by lines if an order is chosen. Tasks without a program come last.
  function sorted(order) {
    const numbers = cards.map((_, k) => k),
      sign = order === "longest" ? -1 : 1,
      key = k => (cards[k].lines ? sign * cards[k].lines : Number.MAX_SAFE_INTEGER);
    return order ? numbers.sort((a, b) => key(a) - key(b)) : numbers;
  }
  function filter() {
    const id = value("search"),
      wanted = value("status"),
      primitive = value("primitive"),
      by = value("by");
    const known = primitives.includes(primitive);
    const fits = card =>
      card.id.toLowerCase().includes(id) &&
      (!wanted || card.status === wanted) &&
      (!primitive || card.primitives.some(name => (known ? name === primitive : name.includes(primitive)))) &&
      (by === "" || card.by.includes(Number(by)));
    const numbers = sorted(value("order"));
    if (numbers.some((k, place) => element("gallery").children[place] !== items[k]))
      element("gallery").append(...numbers.map(k => items[k]));
    for (const k of numbers) items[k].hidden = !fits(cards[k]);
    visible = numbers.filter(k => !items[k].hidden).map(k => cards[k]);
    element("count").textContent = `${visible.length} of ${plural(cards.length, "task")}`;
    element("nothing").hidden = visible.length > 0;
  }
  for (const type of ["input", "change"]) element("filters").addEventListener(type, filter);
  element("filters").addEventListener("submit", event => event.preventDefault());
  filter();

  if (element("used"))
    element("used").addEventListener("click", event => {
      const button = event.target.closest("button");
      if (!button) return;
      element("primitive").value = button.dataset.primitive;
      element("status").value = "solved";
      filter();
      element("tasks").scrollIntoView();
      element("primitive").focus({preventScroll: true});
    });
  if (element("more"))
    element("more").addEventListener("click", event => {
      for (const item of element("used").children) item.hidden = false;
      event.target.remove();
    });

  // The dialog that shows one task.
  const dialog = element("task");
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }
  async function show() {
    const id = /^#task=(.+)$/.exec(location.hash),
      number = id ? cards.findIndex(card => card.id === decodeURIComponent(id[1])) : -1;
    opened = number;
    if (number < 0) {
      if (dialog.open) dialog.close();
      return;
    }
    packed ??= read("packed");
    const card = cards[number],
      by = card.by.map(k => words.names[k]).join(", ");
    element("task-title").textContent = card.id;
    element("task-status").textContent =
      `${marks[card.status]} ${status[card.status]}${words.names.length > 1 && by ? " by " + by : ""}`;
    element("task-status").className = card.status;
    let drawn;
    try {
      drawn = sheet(await unpack(packed[number]), {level: 3});
    } catch (error) {
      drawn = html(
        "p",
        {class: "bad"},
        `This browser cannot unpack the task (${error.message}). Browsers of 2023 or later can.`,
      );
    }
    if (opened !== number) return; // another task was opened in the meantime
    element("task-sheet").replaceChildren(drawn);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  function step(by) {
    const place = visible.indexOf(cards[opened]),
      next = visible[place + by];
    if (next && place >= 0) location.replace("#task=" + next.id);
  }
  element("previous").addEventListener("click", () => step(-1));
  element("next").addEventListener("click", () => step(1));
  element("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", event => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", event => {
    if (event.target.closest(".scroll, input")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    if (opened < 0) return;
    const card = items[opened].firstChild;
    opened = -1;
    history.pushState(null, "", location.pathname + location.search);
    card.focus();
  });
  addEventListener("hashchange", show);
  if (location.hash.startsWith("#task=")) show();
})();

// Other puzzles: known tasks with a gallery, files, and text that is pasted.

import {get, post} from "./server.js";

const $ = id => document.getElementById(id);

export function startLoading(puzzle, problem, say) {
  const gallery = $("gallery-dialog");
  let cards = [],
    choose = () => {};

  const seen = new IntersectionObserver(
    entries => {
      for (const {target, isIntersecting} of entries)
        if (isIntersecting) {
          seen.unobserve(target);
          target.firstChild.replaceChildren(...thumbnails(cards[target.dataset.number].pair));
        }
    },
    {root: gallery, rootMargin: "300px"},
  );

  function thumbnails(pair) {
    const [input, output] = pair.map(cells),
      side = Math.max(input.length, input[0].length, output.length, output[0].length);
    const small = rows => grid(rows, Math.min(12, 68 / side), {thumbnail: true});
    return [small(input), html("span", {class: "arrow"}, "→"), small(output)];
  }

  // Show cards, {id, pair}, in the gallery. `onChoose` is called with the one that is chosen.
  function show(shown, onChoose) {
    cards = shown;
    choose = onChoose;
    seen.disconnect();
    $("gallery").replaceChildren(
      ...cards.map((card, number) => {
        const button = html("button", {type: "button", "data-number": number}, html("span", {class: "thumbs"}), html("code", {}, card.id));
        button.addEventListener("click", () => choose(card));
        seen.observe(button);
        return html("li", {}, button);
      }),
    );
    filter();
  }

  function filter() {
    const wanted = $("find-task").value.trim().toLowerCase();
    let n = 0;
    [...$("gallery").children].forEach((item, k) => {
      item.hidden = !cards[k].id.toLowerCase().includes(wanted);
      n += !item.hidden;
    });
    $("count").textContent = `${n} of ${plural(cards.length, "task")}`;
  }
  $("find-task").addEventListener("input", filter);

  function take(task) {
    gallery.close();
    puzzle.load(task);
    problem("");
    say(`${task.id}: ${plural(task.train.length, "demonstration")}, ${plural(task.test.length, "test")}`);
  }

  async function showSet() {
    const set = $("set").value;
    $("count").textContent = "loading…";
    $("gallery").replaceChildren();
    try {
      const answer = await get(`/api/gallery?set=${encodeURIComponent(set)}`);
      if ($("set").value !== set) return;
      show(answer.cards, async card => {
        const place = `set=${encodeURIComponent(set)}&id=${encodeURIComponent(card.id)}`;
        await attempt(async () => take(await get(`/api/task?${place}`)));
      });
    } catch (error) {
      $("count").textContent = error.message;
    }
  }

  $("choose").addEventListener("click", () => {
    $("set").closest("label").hidden = false;
    $("gallery-title").textContent = "Choose a task";
    gallery.showModal();
    $("find-task").focus();
    showSet();
  });
  $("set").addEventListener("change", showSet);

  async function attempt(work) {
    try {
      await work();
    } catch (error) {
      gallery.close();
      problem(error.message);
    }
  }

  // Read ARC JSON. If it has several tasks, the reader chooses one in the gallery.
  const read = (content, name) =>
    attempt(async () => {
      const {tasks} = await post(`/api/upload?name=${encodeURIComponent(name)}`, content);
      if (tasks.length === 1) return take(tasks[0]);
      const text = rows => rows.map(row => row.join("")).join("/");
      $("set").closest("label").hidden = true;
      $("gallery-title").textContent = `Tasks of ${name}`;
      gallery.showModal();
      show(
        tasks.map(task => ({id: task.id, pair: [task.train[0].input, task.train[0].output].map(text), task})),
        card => take(card.task),
      );
    });

  $("open").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    $("file").value = "";
    if (file) await read(file, file.name);
  });
  addEventListener("dragover", event => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
  addEventListener("drop", event => {
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    read(file, file.name);
  });
  $("paste").addEventListener("click", () => $("paste-dialog").showModal());
  $("read").addEventListener("click", () => {
    $("paste-dialog").close();
    read($("pasted").value, "pasted.json");
  });
  addEventListener("paste", event => {
    if (event.target.closest("input, textarea, dialog")) return;
    const text = event.clipboardData.getData("text/plain");
    if (text.trim().startsWith("{")) read(text, "pasted.json");
  });
  $("new").addEventListener("click", () => puzzle.clear());
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", event => {
      if (event.target === dialog) dialog.close();
    });
  }
}

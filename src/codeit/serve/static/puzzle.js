// The puzzle that is drawn: a task, {id, train: [{input, output}], test: [{input, output?}]}, with undo.
// Tasks and grids are never changed in place, so that an earlier state costs nothing to keep.

const KEY = "codeit.puzzle",
  MAX_STATES = 500,
  SIDE = 3;

export const MAX_ROWS = 30;
export const blank = (height = SIDE, width = SIDE, colour = 0) =>
  Array.from({length: height}, () => Array(width).fill(colour));
export const sameGrid = (a, b) =>
  a === b || (a && b && a.length === b.length && a.every((row, i) => row.length === b[i].length && row.every((c, j) => c === b[i][j])));

const fresh = () => ({
  id: "my-puzzle",
  train: [1, 2].map(() => ({input: blank(), output: blank()})),
  test: [{input: blank()}],
});

export class Puzzle extends EventTarget {
  #states = [];
  #undone = [];
  #stroke = false; // whether the last state is of the present stroke

  constructor() {
    super();
    this.#states = [remembered() || fresh()];
    this.#remember();
  }

  get task() {
    return this.#states.at(-1);
  }

  // Make `task` the present state. The states of one stroke are undone together.
  change(task, {stroke = false} = {}) {
    if (task === this.task) return;
    if (stroke && this.#stroke) this.#states.pop();
    this.#states.push(task);
    if (this.#states.length > MAX_STATES) this.#states.shift();
    this.#undone = [];
    this.#stroke = stroke;
    this.#changed();
  }

  endStroke() {
    this.#stroke = false;
  }

  load(task) {
    this.endStroke();
    this.change(task);
  }

  clear() {
    this.load(fresh());
  }

  get canUndo() {
    return this.#states.length > 1;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  undo() {
    if (!this.canUndo) return;
    this.#undone.push(this.#states.pop());
    this.#stroke = false;
    this.#changed();
  }

  redo() {
    if (!this.canRedo) return;
    this.#states.push(this.#undone.pop());
    this.#stroke = false;
    this.#changed();
  }

  // Change one grid of the task: part "train" or "test", its number, "input" or "output".
  changeGrid({part, number, side}, grid, options) {
    const pairs = this.task[part].with(number, {...this.task[part][number], [side]: grid});
    this.change({...this.task, [part]: pairs}, options);
  }

  addPair(part) {
    const last = this.task[part].at(-1),
      like = grid => grid && blank(grid.length, grid[0].length);
    const pair = part === "train" ? {input: like(last.input), output: like(last.output)} : {input: like(last.input)};
    this.change({...this.task, [part]: [...this.task[part], pair]});
  }

  removePair(part, number) {
    if (this.task[part].length > 1) this.change({...this.task, [part]: this.task[part].toSpliced(number, 1)});
  }

  #changed() {
    this.#remember();
    this.dispatchEvent(new Event("change"));
  }

  #remember() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.task)); // each tab has its own puzzle, which a reload keeps
    } catch {
      // storage is full or not allowed
    }
  }
}

function remembered() {
  try {
    const task = JSON.parse(sessionStorage.getItem(KEY));
    return task?.train?.length && task.test?.length ? task : null;
  } catch {
    return null;
  }
}

export function resized(grid, height, width) {
  return Array.from({length: height}, (_, i) => Array.from({length: width}, (_, j) => grid[i]?.[j] ?? 0));
}

export function painted(grid, places, colour) {
  const wanted = places.filter(([i, j]) => grid[i]?.[j] !== undefined && grid[i][j] !== colour);
  if (!wanted.length) return grid;
  const rows = grid.map(row => [...row]);
  for (const [i, j] of wanted) rows[i][j] = colour;
  return rows;
}

// Return the grid with the region of one colour around a place in a new colour.
export function filled(grid, [i, j], colour) {
  const old = grid[i][j],
    todo = [[i, j]],
    seen = new Set(),
    places = [];
  while (todo.length) {
    const [y, x] = todo.pop();
    if (grid[y]?.[x] !== old || seen.has(y * MAX_ROWS + x)) continue;
    seen.add(y * MAX_ROWS + x);
    places.push([y, x]);
    todo.push([y + 1, x], [y - 1, x], [y, x + 1], [y, x - 1]);
  }
  return painted(grid, places, colour);
}

// The cells on a straight line, so that a quick stroke leaves no gaps.
export function line([i, j], [y, x]) {
  const steps = Math.max(Math.abs(y - i), Math.abs(x - j));
  return Array.from({length: steps + 1}, (_, k) => [
    Math.round(i + ((y - i) * k) / (steps || 1)),
    Math.round(j + ((x - j) * k) / (steps || 1)),
  ]);
}

// Start the parts of the page.

import {startEditor} from "./editor.js";
import {startLoading} from "./load.js";
import {startProgram} from "./program.js";
import {Puzzle} from "./puzzle.js";
import {startSearch} from "./search.js";

// Announce a text to users of screen readers.
function say(text) {
  document.getElementById("say").textContent = text;
}

// Show an error message, or remove it if the text is empty.
function problem(text) {
  const element = document.getElementById("problem");
  element.textContent = text;
  element.hidden = !text;
  if (text) element.scrollIntoView({block: "nearest"});
}

const puzzle = new Puzzle();
startEditor(puzzle, say);
startLoading(puzzle, problem, say);
const program = startProgram(puzzle, () => search);
const search = startSearch(puzzle, {problem, say, open: program.open});

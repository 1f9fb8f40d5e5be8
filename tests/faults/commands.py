"""The commands that write files, each small enough to be called hundreds of times."""

from __future__ import annotations

import ast
import json
import multiprocessing.forkserver
import multiprocessing.resource_tracker
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import codeit.data.experts
import codeit.parallel
from codeit.data.tasks import load_tasks, task_json
from codeit.language import Program

EXPERTS = ("3c9b0459", "67a3c6ac", "68b16354", "74dd1130", "a416b8f3", "b1948b0a")
"""Training tasks of ARC-AGI-1 whose experts are one line long."""
TO_SOLVE = {
    "left": "O = vmirror(I)",
    "turned": "x1 = dmirror(I)\nO = hmirror(x1)",
    "twice": "x1 = vmirror(I)\nO = hconcat(x1, x1)",
}
SIZES = """\
device = "cpu"
d_model = 16
d_ff = 16
heads = 2
layers_encoder = 1
layers_decoder = 1
max_program_tokens = 24
"""
TRAINED = """
[data]
train = "{train}"
test = "{test}"
[run]
iterations = 2
threads = 1
[mutation]
initial = 12
per_iteration = 4
[policy]
init = "random"
encoding = "runs"
{sizes}[sampling]
samples_per_task = 4
tasks_per_commit = 2
[training]
batch_size = 4
[replay]
expert_draws = 6
policy_draws = 4
capacity = 24
[evolution]
programs = 40
programs_per_iteration = 20
"""
PRETRAINED = """
[data]
train = "{train}"
test = "{test}"
[corpus]
proposals_per_round = 40
max_depth = 1
[policy]
init = "random"
encoding = "patches"
{sizes}[pretraining]
steps = 3
rounds_per_window = 1
batch_tokens = 16384
micro_batch_tokens = 2048
threads = 1
workers = 1
hold_out_every = 3
checkpoint_minutes = 1e-6
"""


class Command(NamedTuple):
    """A command line, with {out} for the watched directory and {inputs} for what it reads."""

    line: str
    needs: tuple[str, ...] = ()
    """Modules to import ahead: importing torch takes longer than most of the calls."""
    code: int = 0
    old: tuple[str, ...] = ()
    """Files that are there before the first call; the command replaces them."""
    first: str = ""
    """A command that is called before, without a fault."""
    trials: int = 12
    """Trials of each fault: all points, if they are fewer, else one of each kind and some others."""
    prepare: Callable[[Path], None] | None = None
    """Called with the directory of inputs, to write more of them."""

    def arguments(self, out: Path, inputs: Path) -> list[str]:
        return self.line.format(out=out, inputs=inputs).split()


def _write_policy(inputs: Path) -> None:
    from codeit.config import RunSettings
    from codeit.policy.model import Policy

    config = RunSettings.load(inputs / "run.toml").policy
    Policy.create(config, 0).save(inputs / "policy")


def _prepare_pretraining(inputs: Path) -> None:
    """Make the cached inputs, and let the held-out loss be that of few examples."""
    from codeit.policy import pretraining

    pretraining.HELD_OUT_EXAMPLES = 4
    codeit.data.experts.load_inputs(codeit.data.experts.load_experts(), workers=1)


def _write_search(inputs: Path) -> None:
    """Write the directory of a search, for a report."""
    from codeit.data.tasks import load_tasks
    from codeit.evaluation.candidate import Candidate
    from codeit.storage.search_log import Part, SearchLog

    tasks = str(inputs / "test")
    with SearchLog(inputs / "found", {"kind": "search", "tasks": tasks}) as log:
        log.commit(0, Part(10, 1.0, 1.0), [Candidate("left", Program.parse("O = vmirror(I)"), 2, order=3)])
        log.publish(load_tasks(tasks), [10])


LEARN = (
    "torch",
    "transformers",
    "codeit.loop",
    "codeit.policy.model",
    "tensorboard.summary.writer.record_writer",
)
SEARCHED = "--tasks {inputs}/test --train {inputs}/train --out {out}/search"
COMMANDS = {
    "mutate": Command("mutate --count 40 --threads 1 --tasks {inputs}/train --out {out}/mutants.jsonl"),
    "mutate, more": Command(
        "mutate --count 40 --threads 1 --tasks {inputs}/train --out {out}/mutants.jsonl",
        first="mutate --count 20 --threads 1 --tasks {inputs}/train --out {out}/mutants.jsonl",
    ),
    "baseline": Command("baseline --count 30 --threads 1 " + SEARCHED),
    "search": Command("search --programs 60 --workers 1 " + SEARCHED),
    "search, more": Command(
        "search --programs 90 --workers 1 " + SEARCHED, first="search --programs 60 --workers 1 " + SEARCHED
    ),
    "solve": Command(
        "solve {inputs}/test --task left --programs 60 --policy none --populations 1 "
        "--out {out}/answers.json --html {out}/answer.html",
        old=("answers.json", "answer.html"),
    ),
    "explain": Command(
        "explain {inputs}/program.txt {inputs}/test/left.json --html {out}/page.html", old=("page.html",)
    ),
    "export": Command("export {inputs}/program.txt --out {out}/solution.py", old=("solution.py",)),
    "report": Command(
        "report {inputs}/found --threads 1 --out {out}/report.html",
        old=("report.html",),
        prepare=_write_search,
    ),
    "submit": Command(
        "submit {inputs}/test --out {out}/submission.json --seconds 30 --policy none --workers 1"
    ),
    "experts": Command("experts --threads 1 --out {out}/experts.jsonl", old=("experts.jsonl",)),
    "evaluate-policy": Command(
        "evaluate-policy {inputs}/policy --samples 3 --threads 1 --device cpu --tasks {inputs}/test "
        "--out {out}/search",
        LEARN,
        prepare=_write_policy,
    ),
    "run": Command("run {inputs}/run.toml --out {out}/run", LEARN, trials=24),
    "pretrain": Command(
        "pretrain {inputs}/pretrain.toml --out {out}/training",
        (*LEARN, "codeit.policy.pretraining"),
        trials=24,
        prepare=_prepare_pretraining,
    ),
}


def write_inputs(directory: Path) -> None:
    """Write what the commands read: tasks, configurations, a program."""
    experts = {task.id: task for task in load_tasks("arc-agi-1/training") if task.id in EXPERTS}
    for name in ("train", "test"):
        (directory / name).mkdir()
    for task in experts.values():
        (directory / "train" / f"{task.id}.json").write_text(json.dumps(task_json(task)))
    grids = [pair.input for pair in experts["67a3c6ac"].train]
    for name, text in TO_SOLVE.items():
        program = Program.parse(text)
        pairs = [{"input": grid.tolist(), "output": program(grid).tolist()} for grid in grids]
        task = {"train": pairs[:2], "test": pairs[2:]}
        (directory / "test" / f"{name}.json").write_text(json.dumps(task))
    (directory / "program.txt").write_text("O = vmirror(I)\n")
    for name, text in (("run", TRAINED), ("pretrain", PRETRAINED)):
        text = text.format(train=directory / "train", test=directory / "test", sizes=SIZES)
        (directory / f"{name}.toml").write_text(text.lstrip())


def use_few_experts() -> None:
    """Let the expert programs be those of EXPERTS: to simplify all takes minutes."""
    source = codeit.data.experts._source()
    wanted = {f"verify_{task_id}" for task_id in EXPERTS}
    kept = [node for node in ast.parse(source).body if getattr(node, "name", "") in wanted]
    text = "\n\n".join(map(ast.unparse, kept)) + "\n"
    codeit.data.experts._source = lambda: text


def start_worker_server() -> None:
    """Let worker processes be forked from a server that has imported codeit: it is faster."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["faults.worker"])
    server = multiprocessing.forkserver._forkserver
    server.ensure_running()
    server.ensure_running = lambda: None  # in a child it would wait for the server, which is no child of it
    multiprocessing.resource_tracker.ensure_running()
    codeit.parallel._SPAWN = forkserver

"""The loop on tiny tasks with a tiny policy: what it records, how it resumes, and its ablations."""

import csv
import json
import multiprocessing
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import codeit.loop
import codeit.policy.model
from codeit.config import CONFIGS, RunSettings
from codeit.storage.database import StoreError
from codeit.storage.files import RunError
from codeit.storage.run_directory import RunDirectory
from codeit.language import Budget, Grid, Program
from codeit.storage.replay_buffer import METRICS, SCHEMA_VERSION, Store
from codeit.evaluation.scoring import read_solutions, verify
from codeit.data.tasks import load_tasks

# Children are forked from a server that has imported all this once and holds no threads.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["codeit.loop", "torch.utils.tensorboard"])


EXPERTS = {
    "mirror": "O = vmirror(I)",
    "turn": "x1 = rot90(I)\nO = hmirror(x1)",
    "recolour": "x1 = leastcolor(I)\nO = replace(I, x1, FIVE)",
}
TO_SOLVE = {"flip": "O = hmirror(I)", "recolour": EXPERTS["recolour"], "twice": "O = hconcat(I, I)"}
WEIGHTS = "model.safetensors"


class Silent:
    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        pass

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        pass


def write_tasks(folder: Path, solutions: dict[str, str], seed: int) -> Path:
    """Tasks of random grids, each solved by its program: three demonstrations and a test."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for name, text in solutions.items():
        program, pairs = Program.parse(text), []
        for _ in range(4):
            height, width = rng.integers(2, 5, size=2)
            rows = rng.choice([0, 0, 0, 1, 2], size=(height, width)).tolist()
            pairs.append({"input": rows, "output": program(Grid(rows)).tolist()})
        (folder / f"{name}.json").write_text(json.dumps({"train": pairs[:3], "test": pairs[3:]}))
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("tasks")
    path = root / "tiny.toml"
    path.write_text(
        f"""
        [run]
        iterations = 2
        threads = 1
        [data]
        train = "{write_tasks(root / "train", EXPERTS, 1)}"
        test = "{write_tasks(root / "test", TO_SOLVE, 2)}"
        [evolution]
        mutants = 12
        [policy]
        init = "random"
        encoding = "runs"
        device = "cpu"
        d_model = 16
        d_ff = 16
        heads = 2
        layers_encoder = 1
        layers_decoder = 1
        dropout = 0.2
        max_program_tokens = 24
        [sampling]
        samples_per_task = 6
        tasks_per_commit = 1
        [learning]
        batch_size = 4
        learning_rate = 0.01
        [replay]
        expert_draws = 12
        policy_draws = 8
        capacity = 24
        """
    )
    return RunSettings.load(path)


def change(config: RunSettings, **values: object) -> Config:
    """The config with `section__key` values changed."""
    sections = dict(config)
    for key, value in values.items():
        section, name = key.split("__")
        sections[section] = sections[section].model_copy(update={name: value})
    return RunSettings(**sections)


def run(folder: Path, config: RunSettings | None = None) -> None:
    """Begin or resume a run in this process."""
    experts = {name: Program.parse(text) for name, text in EXPERTS.items()}
    original, codeit.loop.load_experts = codeit.loop.load_experts, lambda **_: experts
    try:
        with RunDirectory(folder, config) as opened:
            codeit.loop.Loop(opened, Silent()).run()
    finally:
        codeit.loop.load_experts = original


def run_until_killed(folder: Path, config: RunSettings | None, commits: int | None) -> None:
    """Begin or resume a run in a child that kills itself in its n-th transaction, just before the commit."""
    set_done, left = Store.set_done, commits

    def counting(store: Store, iteration: int, phase: str, part: int, seconds: float) -> None:
        nonlocal left
        set_done(store, iteration, phase, part, seconds)
        if left is not None:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    Store.set_done = counting  # type: ignore[method-assign]
    run(folder, config)


def child(folder: Path, config: RunSettings | None, commits: int | None = None) -> multiprocessing.Process:
    process = processes.Process(target=run_until_killed, args=(folder, config, commits))
    process.start()
    return process


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the run's record but seconds and the place of its tasks on disk."""
    database = sqlite3.connect(folder / "run.sqlite")
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for table in tables:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "seconds"]
        where = "WHERE name NOT LIKE 'seconds%'" if table == "metric" else ""
        found[table] = sorted(database.execute(f"SELECT {', '.join(columns)} FROM {table} {where}"), key=repr)
    database.close()
    return found


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in table(folder)]


def events(folder: Path) -> dict[str, list[int]]:
    """The steps of each of TensorBoard's scalars."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {tag: [event.step for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


@pytest.fixture(scope="module")
def whole(config: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = child(folder, config)
    process.join()
    assert process.exitcode == 0
    return folder


def test_a_run_records_every_metric(whole: Path) -> None:
    first, *others = table(whole)
    assert [row["iteration"] for row in (first, *others)] == ["0", "1", "2"]
    assert list(first) == ["iteration", *METRICS]
    for row in others:
        assert {name for name, value in row.items() if not value} == {
            "seconds_breed", "seconds_try", "seconds_create", "seconds_evolve"
        }  # fmt: skip
        assert float(row["samples"]) == 18
        assert float(row["share_parse"]) == 1  # sampling is held to the grammar
        assert 0 < float(row["loss"]) < 10
    sizes = [sum(float(value) for name, value in row.items() if name.startswith("buffer_")) for row in others]
    assert max(sizes) <= 24
    assert float(first["buffer_expert"]) == 3
    assert float(first["buffer_mutation"]) == 12


def test_an_expert_tried_on_the_tasks_solves_the_one_that_is_its_own(whole: Path) -> None:
    first = table(whole)[0]
    assert float(first["cumulative_top3"]) >= 1
    solutions = [json.loads(line) for line in (whole / "solutions.jsonl").read_text().splitlines()]
    assert solutions[0] == {
        "task": "recolour",
        "program": EXPERTS["recolour"],
        "demonstrations_solved": 3,
        "iteration": 0,
        "source": "expert",
    }


def test_the_solutions_written_verify_to_the_score_recorded(whole: Path, config: RunSettings) -> None:
    last = table(whole)[-1]
    score = verify(read_solutions(whole / "solutions.jsonl"), load_tasks(config.data.test), leaked=())
    assert score.invalid == 0
    assert (score.solved_top3, score.solved_top2) == (
        float(last["cumulative_top3"]),
        float(last["cumulative_top2"]),
    )
    assert score.solved_demonstrations == float(last["cumulative_all_demonstrations"])


def test_experiences_carry_where_they_come_from(whole: Path) -> None:
    database = sqlite3.connect(whole / "run.sqlite")
    sources = set(
        database.execute("SELECT DISTINCT e.source, t.split FROM experience e JOIN task t ON t.id = task_id")
    )
    assert {("expert", "train"), ("mutation", "train")} <= sources <= {
        ("expert", "train"), ("mutation", "train"), ("policy", "test")
    }  # fmt: skip
    (drawn,) = database.execute("SELECT sum(times_drawn) FROM experience WHERE source = 'expert'").fetchone()
    assert drawn > 0
    database.close()


def test_the_last_two_checkpoints_are_kept_and_none_is_partial(whole: Path) -> None:
    assert sorted(entry.name for entry in (whole / "checkpoints").iterdir()) == ["0001", "0002"]
    assert not list(whole.rglob("*.partial"))


def test_tensorboard_has_each_metric_once_an_iteration(whole: Path) -> None:
    found = events(whole)
    assert found["cumulative/cumulative_top3"] == [0, 1, 2]
    assert found["learning/loss"] == [1, 2]


@pytest.mark.parametrize("trial", range(3))
def test_a_run_killed_before_commits_ends_with_the_same_rows(
    trial: int, whole: Path, config: RunSettings, tmp_path: Path
) -> None:
    folder, rng, killed = tmp_path / "run", random.Random(trial), 0
    while True:
        process = child(folder, config if killed == 0 else None, rng.randint(1, 5))
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    assert killed >= 3
    assert_same(folder, whole)


def test_a_run_killed_at_any_time_ends_with_the_same_rows(
    whole: Path, config: RunSettings, tmp_path: Path
) -> None:
    folder, rng, killed = tmp_path / "run", random.Random(0), 0
    process = child(folder, config)
    while killed < 6:
        process.join(rng.uniform(0.05, 0.6))
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        killed += 1
        process = child(folder, None if (folder / "config.toml").exists() else config)
    process.join()
    assert process.exitcode == 0
    assert_same(folder, whole)


def assert_same(folder: Path, whole: Path) -> None:
    expected, found = rows(whole), rows(folder)
    for name in expected:
        assert found[name] == expected[name], name
    assert without_seconds(folder) == without_seconds(whole)
    assert (folder / "solutions.jsonl").read_text() == (whole / "solutions.jsonl").read_text()
    assert events(folder) == events(whole)
    weights = [path.joinpath("checkpoints", "0002", WEIGHTS).read_bytes() for path in (folder, whole)]
    assert weights[0] == weights[1]


def test_a_run_that_is_over_stays_as_it_is(whole: Path) -> None:
    before = rows(whole)
    run(whole)
    assert rows(whole) == before


def test_one_process_at_a_time(config: RunSettings, tmp_path: Path) -> None:
    with (
        RunDirectory(tmp_path / "run", config),
        pytest.raises(RunError, match="another process runs in this folder"),
    ):
        RunDirectory(tmp_path / "run")
    RunDirectory(tmp_path / "run").close()


def test_a_changed_config_is_refused_by_name(config: RunSettings, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunDirectory(folder, config).close()
    RunDirectory(folder, config).close()
    with pytest.raises(RunError, match=r"run.seed: expected 0, found 7; a run keeps its configuration"):
        RunDirectory(folder, change(config, run__seed=7))
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("capacity = 24", "capacity = 25"))
    with pytest.raises(RunError, match=r"replay.capacity: expected 24, found 25"):
        RunDirectory(folder)


def later_version(folder: Path) -> None:
    with sqlite3.connect(folder / "run.sqlite") as database:
        database.execute("PRAGMA user_version = 99")


def test_a_run_of_another_version_is_refused(config: RunSettings, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    RunDirectory(folder, config).close()
    later_version(folder)
    with pytest.raises(StoreError, match=f"expected schema version {SCHEMA_VERSION}, found 99"):
        RunDirectory(folder)


def test_a_folder_that_is_no_run_is_refused(config: RunSettings, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run's folder, found no config.toml"):
        RunDirectory(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").touch()
    with pytest.raises(RunError, match=r"expected a new folder or a run's, found a.txt"):
        RunDirectory(tmp_path / "letters", config)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="expected a folder that can be written"):
        RunDirectory(tmp_path / "file", config)


def ablated(folder: Path, config: RunSettings, query: str) -> list[tuple[object, ...]]:
    run(folder, config)
    database = sqlite3.connect(folder / "run.sqlite")
    found = database.execute(query).fetchall()
    database.close()
    return found


ONE = {"run__iterations": 1, "evolution__try_on_tasks": False, "replay__capacity": 1000}


def test_a1_samples_stay_out_and_mutants_keep_coming(config: RunSettings, tmp_path: Path) -> None:
    settings = change(config, **ONE, hindsight__keep_samples=False, evolution__mutants_per_iteration=5)
    query = "SELECT source, iteration, count(*) FROM experience GROUP BY 1, 2 ORDER BY 1, 2"
    found = ablated(tmp_path / "run", settings, query)
    assert found[:2] == [("expert", 0, 3), ("mutation", 0, 12)]
    assert found[2][:2] == ("mutation", 1)
    assert 0 < found[2][2] <= 5  # a mutant made before does not count twice
    assert len(found) == 3


EVOLVED = {
    **{"evolution__programs": 40, "evolution__programs_per_iteration": 60, "evolution__kept": 4},
    "scoring__ranking": "votes",
}


def test_evolution_s_programs_enter_the_buffer_and_its_answers_the_scores(
    config: RunSettings, tmp_path: Path
) -> None:
    settings = change(config, **ONE, **EVOLVED)
    query = """
        SELECT t.name, e.iteration, count(*), min(priority), max(priority) FROM experience e
        JOIN task t ON t.id = task_id WHERE source = 'search' AND split = 'test' GROUP BY 1, 2 ORDER BY 2, 1
    """
    found = ablated(tmp_path / "run", settings, query)
    assert [row[:2] for row in found[:3]] == [(task, 0) for task in sorted(TO_SOLVE)]
    assert all(1 < row[2] <= 4 for row in found[:3])
    assert found[1][4] == 1  # an expert solves `recolour` as it is
    metrics = table(tmp_path / "run")
    bred = [float(row["buffer_search"]) for row in metrics]
    assert bred[0] == sum(row[2] for row in found[:3]) < bred[1]
    assert float(metrics[0]["cumulative_top3"]) >= 1
    rows = [json.loads(line) for line in (tmp_path / "run" / "solutions.jsonl").read_text().splitlines()]
    voted = [row for row in rows if row["source"] == "search"]
    assert voted and all(row["demonstrations_solved"] == 3 and row["votes"] >= 1 for row in voted)
    score = verify(read_solutions(tmp_path / "run" / "solutions.jsonl"), load_tasks(config.data.test), leaked=())
    assert (score.solved_top3, score.solved_top2) == (
        float(metrics[1]["cumulative_top3"]),
        float(metrics[1]["cumulative_top2"]),
    )


def test_a_run_with_evolution_killed_before_commits_ends_with_the_same_rows(
    config: RunSettings, tmp_path: Path
) -> None:
    settings = change(config, **ONE, **EVOLVED)
    run(tmp_path / "whole", settings)
    for commits in (1, 5, 3, 4, 5, None):
        process = child(tmp_path / "killed", settings, commits)
        process.join()
        assert process.exitcode == (-signal.SIGKILL if commits else 0)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


TEXTS = [
    "O = hmirror(I)",
    "O = rot90(I)",
    "O = first(I)",
    "O = no program",
    "O = hmirror(I)",
    "O = vmirror(I)",
]


def write_always(texts: list[str]) -> Callable[..., Iterator[tuple[int, list[str]]]]:
    """A policy that writes the same texts for every task."""
    return lambda policy, tasks, n, **_: ((place, texts[:n]) for place in reversed(range(len(tasks))))


def test_samples_are_run_relabelled_and_counted(
    config: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.loop, "sample", write_always(TEXTS))
    settings = change(config, **ONE, evolution__mutants=0)
    query = """
        SELECT name, text, priority FROM experience JOIN task t ON t.id = task_id
        JOIN program p ON p.id = program_id WHERE source = 'policy' ORDER BY name, text
    """
    found = ablated(tmp_path / "run", settings, query)
    grids = ["O = hmirror(I)", "O = rot90(I)", "O = vmirror(I)"]
    assert [row[:2] for row in found] == [(task, text) for task in sorted(TO_SOLVE) for text in grids]
    priorities = {row[:2]: row[2] for row in found}
    assert priorities["flip", "O = hmirror(I)"] == 1
    last = table(tmp_path / "run")[-1]
    assert float(last["samples"]) == 18
    assert float(last["share_parse"]) == pytest.approx(5 / 6)
    assert float(last["share_run"]) == pytest.approx(4 / 6)
    # New are hmirror, rot90 and first, once; vmirror is an expert's.
    assert float(last["share_new"]) == pytest.approx(3 / 18)
    assert (last["policy_top3"], last["policy_all_demonstrations"], last["cumulative_top3"]) == (
        "1",
        "1",
        "1",
    )
    assert float(last["policy_demonstrations"]) == 3 + sum(
        max(priorities[task, text] for text in grids) * 3 for task in TO_SOLVE if task != "flip"
    )


def test_a2_only_programs_that_solve_all_demonstrations_enter(
    config: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.loop, "sample", write_always(TEXTS))
    settings = change(config, **ONE, hindsight__relabel=False)
    query = "SELECT name, priority FROM experience JOIN task t ON t.id = task_id WHERE source = 'policy'"
    assert ablated(tmp_path / "run", settings, query) == [("flip", 1.0)]


def test_a2_holds_for_what_evolution_finds_too(config: RunSettings, tmp_path: Path) -> None:
    settings = change(config, **ONE, **EVOLVED, hindsight__relabel=False)
    query = "SELECT DISTINCT priority FROM experience WHERE source = 'search'"
    assert ablated(tmp_path / "run", settings, query) == [(1.0,)]


def test_a6_without_mutants_the_experts_are_alone(config: RunSettings, tmp_path: Path) -> None:
    settings = change(config, **ONE, evolution__mutants=0)
    query = "SELECT source, count(*) FROM experience WHERE source != 'policy' GROUP BY 1"
    assert ablated(tmp_path / "run", settings, query) == [("expert", 3)]


@pytest.mark.parametrize("name", ["paper", *(f"ablations/a{n}" for n in range(1, 7))])
def test_the_paper_s_own_settings_run_with_a_small_stand_in_for_its_model(
    name: str, config: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CodeT5+'s path: a folder of a T5 and its tokenizer, here tiny and of random weights."""
    from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2, "num_layers": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=384, decoder_start_token_id=0, **sizes)).save_pretrained(
        tmp_path / "t5"
    )
    ByT5Tokenizer().save_pretrained(tmp_path / "t5")
    monkeypatch.setattr(codeit.policy.model, "CODET5P", str(tmp_path / "t5"))
    smaller = {
        **{
            "run.iterations": 1,
            "run.threads": 1,
            "policy.init": "random" if name == "ablations/a4" else "codet5p-220m",
            "policy.device": "cpu",
        },
        **{"data.train": config.data.train, "data.test": config.data.test},
        **{
            "evolution.mutants": 12 * (name[-1] != "6"),
            "evolution.mutants_per_iteration": 5 * (name[-1] == "1"),
        },
        **{"sampling.samples_per_task": 6, "policy.max_program_tokens": 64},
    }
    settings = RunSettings.load(CONFIGS / f"{name}.toml", smaller)
    found = ablated(tmp_path / "run", settings, "SELECT count(*), count(program_id) FROM sample")
    assert found == [(18, 0)]  # random bytes are no programs, and say so
    assert 0 < float(table(tmp_path / "run")[-1]["loss"]) < 10


def test_seeds_are_those_of_their_place() -> None:
    derive = codeit.loop.derive
    places = [derive(0, "sample", i, task) for i in range(20) for task in ("a", "b")]
    assert len({*places, derive(1, "sample", 0, "a"), derive(0, "learn", 0, "a")}) == 42
    assert derive(0, "sample", 3, "00576224") == derive(0, "sample", 3, "00576224") < 2**63


def test_the_default_budget_is_the_engine_s() -> None:
    budget, engine = RunSettings().budget, Budget()
    assert (budget.steps, budget.cells) == (engine.steps, engine.cells)

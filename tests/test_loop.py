"""The loop on tiny tasks with a tiny policy: what it records, how it resumes, and its ablations."""

import csv
import json
import multiprocessing
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import codeit.loop
import codeit.policy.model
from codeit.config import OperatorWeights, RunSettings, SamplingConfig, SolveSettings
from codeit.data.tasks import load_tasks
from codeit.evaluation.scoring import read_solutions, verify
from codeit.language import Budget, Grid, Program
from codeit.loop import RunObserver
from codeit.parallel import Cluster
from codeit.seeds import derive
from codeit.solver import SearchJob, SearchState
from codeit.storage.metrics import METRICS
from codeit.storage.run_database import RunDatabase
from codeit.storage.run_directory import RunDirectory

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

Rows = list[tuple[object, ...]]


class SilentObserver:
    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        pass

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        pass


def write_tasks(directory: Path, solutions: dict[str, str], seed: int) -> Path:
    """Write tasks of random grids, each solved by its program: three demonstrations and a test."""
    directory.mkdir()
    rng = np.random.default_rng(seed)
    for name, text in solutions.items():
        program, pairs = Program.parse(text), []
        for _ in range(4):
            height, width = rng.integers(2, 5, size=2)
            rows = rng.choice([0, 0, 0, 1, 2], size=(height, width)).tolist()
            pairs.append({"input": rows, "output": program(Grid(rows)).tolist()})
        (directory / f"{name}.json").write_text(json.dumps({"train": pairs[:3], "test": pairs[3:]}))
    return directory


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
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
        [mutation]
        initial = 12
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
        [training]
        batch_size = 4
        learning_rate = 0.01
        warmup_steps = 7  # of 5 in each iteration
        [replay]
        expert_draws = 12
        policy_draws = 8
        capacity = 24
        """
    )
    return RunSettings.load(path)


def change(settings: RunSettings, **values: object) -> RunSettings:
    """Return the settings with `section__key` values changed."""
    sections = dict(settings)
    for key, value in values.items():
        section, name = key.split("__")
        sections[section] = sections[section].model_copy(update={name: value})
    return RunSettings(**sections)


def run(
    path: Path,
    settings: RunSettings | None = None,
    observer: RunObserver | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Start or resume a run in this process."""
    experts = {name: Program.parse(text) for name, text in EXPERTS.items()}
    original, codeit.loop.load_experts = codeit.loop.load_experts, lambda **_: experts
    try:
        with RunDirectory(path, settings) as directory:
            codeit.loop.Loop(directory, observer or SilentObserver(), cluster=cluster).run()
    finally:
        codeit.loop.load_experts = original


def run_until_killed(path: Path, settings: RunSettings | None, commits: int | None) -> None:
    """Start or resume a run in a process that kills itself just before its n-th commit."""
    set_done, left = RunDatabase.set_done, commits

    def counting(database: RunDatabase, iteration: int, phase: str, part: int, seconds: float) -> None:
        nonlocal left
        set_done(database, iteration, phase, part, seconds)
        if left is not None:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    RunDatabase.set_done = counting  # type: ignore[method-assign]
    run(path, settings)


def start_child(
    path: Path, settings: RunSettings | None, commits: int | None = None
) -> multiprocessing.Process:
    process = processes.Process(target=run_until_killed, args=(path, settings, commits))
    process.start()
    return process


def all_rows(path: Path) -> dict[str, Rows]:
    """Return everything in a run's database except seconds."""
    database = sqlite3.connect(path / "run.sqlite")
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for table in tables:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "seconds"]
        where = "WHERE name NOT LIKE 'seconds%'" if table == "metric" else ""
        found[table] = sorted(database.execute(f"SELECT {', '.join(columns)} FROM {table} {where}"), key=repr)
    database.close()
    return found


def query(path: Path, text: str) -> Rows:
    """Query the database of a run."""
    database = sqlite3.connect(path / "run.sqlite")
    found = database.execute(text).fetchall()
    database.close()
    return found


def metrics_table(path: Path) -> list[dict[str, str]]:
    with open(path / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def metrics_without_seconds(path: Path) -> list[dict[str, str]]:
    rows = metrics_table(path)
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def events(path: Path) -> dict[str, list[int]]:
    """Return the steps of each scalar in the TensorBoard events."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(path / "tensorboard"))
    accumulator.Reload()
    return {tag: [event.step for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


@pytest.fixture(scope="module")
def uninterrupted(settings: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nothing interrupted."""
    path = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = start_child(path, settings)
    process.join()
    assert process.exitcode == 0
    return path


def test_a_run_records_every_metric(uninterrupted: Path) -> None:
    first, *others = metrics_table(uninterrupted)
    assert [row["iteration"] for row in (first, *others)] == ["0", "1", "2"]
    assert list(first) == ["iteration", *METRICS]
    for row in others:
        assert {name for name, value in row.items() if not value} == {
            "seconds_create",
            "seconds_mutate",
            "seconds_evaluate_mutants",
            "seconds_search",
        }
        assert float(row["samples"]) == 18
        assert float(row["share_parse"]) == 1  # the grammar constrains sampling
        assert 0 < float(row["loss"]) < 10
    sizes = [sum(float(value) for name, value in row.items() if name.startswith("buffer_")) for row in others]
    assert max(sizes) <= 24
    assert float(first["buffer_expert"]) == 3
    assert float(first["buffer_mutation"]) == 12


def test_an_expert_solves_the_test_task_that_is_its_own(uninterrupted: Path) -> None:
    first = metrics_table(uninterrupted)[0]
    assert float(first["cumulative_top3"]) >= 1
    lines = (uninterrupted / "solutions.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "task": "recolour",
        "program": EXPERTS["recolour"],
        "demonstrations_solved": 3,
        "iteration": 0,
        "source": "expert",
    }


def test_published_solutions_verify_to_the_recorded_score(uninterrupted: Path, settings: RunSettings) -> None:
    last = metrics_table(uninterrupted)[-1]
    solutions = read_solutions(uninterrupted / "solutions.jsonl")
    score = verify(solutions, load_tasks(settings.data.test), leaked=())
    assert score.invalid == 0
    assert (score.solved_top3, score.solved_top2) == (
        float(last["cumulative_top3"]),
        float(last["cumulative_top2"]),
    )
    assert score.solved_demonstrations == float(last["cumulative_all_demonstrations"])


def test_experiences_record_their_source_and_split(uninterrupted: Path) -> None:
    text = "SELECT DISTINCT e.source, t.split FROM experience e JOIN task t ON t.id = task_id"
    sources = set(query(uninterrupted, text))
    of_train = {("expert", "train"), ("mutation", "train")}
    assert of_train <= sources <= of_train | {("policy", "test")}
    ((drawn,),) = query(uninterrupted, "SELECT sum(times_drawn) FROM experience WHERE source = 'expert'")
    assert isinstance(drawn, int)
    assert drawn > 0


def test_the_last_two_checkpoints_are_kept_and_none_is_partial(uninterrupted: Path) -> None:
    checkpoints = sorted(entry.name for entry in (uninterrupted / "checkpoints").iterdir())
    assert checkpoints == ["0001", "0002"]
    assert not list(uninterrupted.rglob("*.partial"))


def test_tensorboard_has_each_metric_once_per_iteration(uninterrupted: Path) -> None:
    found = events(uninterrupted)
    assert found["cumulative/cumulative_top3"] == [0, 1, 2]
    assert found["training/loss"] == [1, 2]


@pytest.mark.parametrize("trial", range(3))
def test_a_run_killed_before_commits_ends_with_the_rows_of_an_uninterrupted_run(
    trial: int, uninterrupted: Path, settings: RunSettings, tmp_path: Path
) -> None:
    path, rng, killed = tmp_path / "run", random.Random(trial), 0
    while True:
        process = start_child(path, settings if killed == 0 else None, rng.randint(1, 5))
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    assert killed >= 3
    assert_same_run(path, uninterrupted)


def test_a_run_killed_at_any_time_ends_with_the_rows_of_an_uninterrupted_run(
    uninterrupted: Path, settings: RunSettings, tmp_path: Path
) -> None:
    path, rng, killed = tmp_path / "run", random.Random(0), 0
    process = start_child(path, settings)
    while killed < 6:
        process.join(rng.uniform(0.05, 0.6))
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        killed += 1
        process = start_child(path, None if (path / "config.toml").exists() else settings)
    process.join()
    assert process.exitcode == 0
    assert_same_run(path, uninterrupted)


def assert_same_run(path: Path, uninterrupted: Path) -> None:
    expected, found = all_rows(uninterrupted), all_rows(path)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name
    assert metrics_without_seconds(path) == metrics_without_seconds(uninterrupted)
    assert (path / "solutions.jsonl").read_text() == (uninterrupted / "solutions.jsonl").read_text()
    assert events(path) == events(uninterrupted)
    weights = [one.joinpath("checkpoints", "0002", WEIGHTS).read_bytes() for one in (path, uninterrupted)]
    assert weights[0] == weights[1]


def test_a_finished_run_does_not_change_when_run_again(uninterrupted: Path) -> None:
    before = all_rows(uninterrupted)
    run(uninterrupted)
    assert all_rows(uninterrupted) == before


def run_and_query(path: Path, settings: RunSettings, text: str) -> Rows:
    run(path, settings)
    return query(path, text)


ONE_ITERATION = {"run__iterations": 1, "mutation__run_baseline": False, "replay__capacity": 1000}


def test_ablation_a1_keeps_samples_out_and_adds_mutants(settings: RunSettings, tmp_path: Path) -> None:
    ablated = change(settings, **ONE_ITERATION, hindsight__keep_samples=False, mutation__per_iteration=5)
    text = "SELECT source, iteration, count(*) FROM experience GROUP BY 1, 2 ORDER BY 1, 2"
    found = run_and_query(tmp_path / "run", ablated, text)
    assert found[:2] == [("expert", 0, 3), ("mutation", 0, 12)]
    assert found[2][:2] == ("mutation", 1)
    assert 0 < found[2][2] <= 5  # type: ignore[operator]  # a mutant made before does not count twice
    assert len(found) == 3


WITH_EVOLUTION = {
    **{"evolution__programs": 40, "evolution__programs_per_iteration": 60, "evolution__elites": 4},
    "scoring__ranking": "votes",
}


def test_evolution_adds_its_best_programs_to_the_buffer_and_its_answers_to_the_candidates(
    settings: RunSettings, tmp_path: Path
) -> None:
    path, evolved = tmp_path / "run", change(settings, **ONE_ITERATION, **WITH_EVOLUTION)
    text = """
        SELECT t.name, e.iteration, count(*), min(priority), max(priority) FROM experience e
        JOIN task t ON t.id = task_id WHERE source = 'search' AND split = 'test'
        GROUP BY 1, 2 ORDER BY 2, 1
    """
    found: list[tuple] = run_and_query(path, evolved, text)  # type: ignore[type-arg]
    assert [row[:2] for row in found[:3]] == [(task, 0) for task in sorted(TO_SOLVE)]
    assert all(1 < row[2] <= 4 for row in found[:3])
    assert found[1][4] == 1  # an expert solves `recolour` as it is
    metrics = metrics_table(path)
    sizes = [float(row["buffer_search"]) for row in metrics]
    assert sizes[0] == sum(row[2] for row in found[:3]) < sizes[1]
    assert float(metrics[0]["cumulative_top3"]) >= 1
    rows = [json.loads(line) for line in (path / "solutions.jsonl").read_text().splitlines()]
    voted = [row for row in rows if row["source"] == "search"]
    assert voted
    assert all(row["demonstrations_solved"] == 3 and row["votes"] >= 1 for row in voted)
    score = verify(read_solutions(path / "solutions.jsonl"), load_tasks(settings.data.test), leaked=())
    assert (score.solved_top3, score.solved_top2) == (
        float(metrics[1]["cumulative_top3"]),
        float(metrics[1]["cumulative_top2"]),
    )


def test_a_killed_run_with_evolution_ends_with_the_rows_of_an_uninterrupted_run(
    settings: RunSettings, tmp_path: Path
) -> None:
    evolved = change(settings, **ONE_ITERATION, **WITH_EVOLUTION)
    run(tmp_path / "uninterrupted", evolved)
    for commits in (1, 5, 3, 4, 5, None):
        process = start_child(tmp_path / "killed", evolved, commits)
        process.join()
        assert process.exitcode == (-signal.SIGKILL if commits else 0)
    assert all_rows(tmp_path / "killed") == all_rows(tmp_path / "uninterrupted")


ONLY_EVOLUTION = {
    **{"run__iterations": 0, "mutation__initial": 0, "mutation__run_baseline": False},
    **{"replay__capacity": 1000, "evolution__programs": 300, "evolution__offspring": 64},
}
EVOLVED_PROGRAMS = """
    SELECT t.name, p.text, p.length FROM experience e JOIN task t ON t.id = e.task_id
    JOIN program p ON p.id = e.program_id WHERE e.source = 'search' ORDER BY e.id
"""


@pytest.fixture(scope="module")
def evolved_by_default(settings: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Task, program and lines of what evolution finds with the settings of ONLY_EVOLUTION."""
    path = tmp_path_factory.mktemp("evolution") / "run"
    return run_and_query(path, change(settings, **ONLY_EVOLUTION), EVOLVED_PROGRAMS)


def of_each_task(found: Rows) -> dict[object, Rows]:
    return {task: [row for row in found if row[0] == task] for task in sorted(TO_SOLVE)}


@pytest.mark.parametrize(
    "changed",
    [
        {"population": 3},
        {"offspring": 8},
        {"max_lines": 2},
        {"selection_pressure": 9.0},
        {"starter_mates": 1.0},
        {"max_equal_fitness": 1},
        {"max_steps": 8},
        {"weights": OperatorWeights(splice=0.0)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_evolution_in_a_run_obeys_its_settings(
    changed: dict[str, object], evolved_by_default: Rows, settings: RunSettings, tmp_path: Path
) -> None:
    values = {f"evolution__{name}": value for name, value in changed.items()}
    evolved = change(settings, **{**ONLY_EVOLUTION, **values})
    found = run_and_query(tmp_path / "run", evolved, EVOLVED_PROGRAMS)
    assert found != evolved_by_default
    if "population" in changed:
        assert all(1 < len(rows) <= 3 for rows in of_each_task(found).values())
        assert all(len(rows) > 3 for rows in of_each_task(evolved_by_default).values())
    if "max_lines" in changed:
        experts = set(EXPERTS.values())
        lines = {length for _, program, length in found if program not in experts}
        assert lines
        assert max(lines) <= 2  # type: ignore[type-var, operator]
        assert any(length > 2 for _, _, length in evolved_by_default)  # type: ignore[operator]
    if "max_steps" in changed:
        assert len(found) < len(evolved_by_default)


Search = tuple[Sequence[Program], SolveSettings, SearchJob]


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Search]:
    """The searches that loops of this process begin, in order."""
    begun: list[Search] = []
    original = codeit.loop.search_task
    monkeypatch.setattr(codeit.loop, "search_task", lambda *given: (begun.append(given), original(*given))[1])
    return begun


def test_evolution_in_a_run_gets_all_its_settings(
    settings: RunSettings, tmp_path: Path, searches: list[Search]
) -> None:
    changed = change(settings, **ONLY_EVOLUTION, evolution__population=17)
    run(tmp_path / "run", changed)
    assert [(job.task.id, job.programs) for *_, job in searches] == [(task, 300) for task in sorted(TO_SOLVE)]
    assert all(used.evolution == changed.evolution for _, used, _ in searches)
    assert [job.seed for *_, job in searches] == [derive(0, "search", 0, task) for task in sorted(TO_SOLVE)]


def test_evolution_with_several_processes_finds_the_same(
    settings: RunSettings, evolved_by_default: Rows, tmp_path: Path
) -> None:
    parallel = change(settings, **ONLY_EVOLUTION, run__threads=2)
    assert run_and_query(tmp_path / "run", parallel, EVOLVED_PROGRAMS) == evolved_by_default


def test_an_enumeration_solves_tasks_and_searches_leave_them_alone_from_then_on(
    settings: RunSettings, tmp_path: Path, searches: list[Search]
) -> None:
    enumerated = change(settings, **ONE_ITERATION, enumeration__expressions=2000, evolution__elites=4)
    enumerated = change(enumerated, evolution__programs_per_iteration=30)
    text = """
        SELECT t.name, e.iteration, max(priority) FROM experience e
        JOIN task t ON t.id = task_id WHERE source = 'search' GROUP BY 1, 2 ORDER BY 2, 1
    """
    found = run_and_query(tmp_path / "run", enumerated, text)
    assert [row[:2] for row in found[:3]] == [(task, 0) for task in sorted(TO_SOLVE)]
    jobs = [job for *_, job in searches]
    first, later = jobs[:3], jobs[3:]
    assert all(job.enumerates and job.programs == 0 for job in first)
    sure = {row[0] for row in found[:3] if row[2] == 1}  # each of these tasks has a program of a few bits
    assert sure
    assert [job.task.id for job in later] == [task for task in sorted(TO_SOLVE) if task not in sure]
    assert all(not job.enumerates and job.programs == 30 for job in later)
    rows = [json.loads(line) for line in (tmp_path / "run/solutions.jsonl").read_text().splitlines()]
    assert sure <= {row["task"] for row in rows if row["source"] == "search" and row["iteration"] == 0}


TEXTS = [
    "O = hmirror(I)",
    "O = rot90(I)",
    "O = first(I)",
    "O = no program",
    "O = hmirror(I)",
    "O = vmirror(I)",
]


def always_sample(texts: list[str]) -> Callable[..., Iterator[tuple[int, list[str]]]]:
    """Return a sampler that gives the same texts for every task."""

    def sample(
        policy: object,
        tasks: Sequence[object],
        sampling: SamplingConfig,
        *,
        seeds: Sequence[int],
        threads: int,
    ) -> Iterator[tuple[int, list[str]]]:
        assert len(seeds) == len(tasks)
        return ((place, texts[: sampling.samples_per_task]) for place in reversed(range(len(tasks))))

    return sample


def test_samples_are_run_relabelled_and_counted(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.loop, "sample", always_sample(TEXTS))
    text = """
        SELECT name, text, priority FROM experience JOIN task t ON t.id = task_id
        JOIN program p ON p.id = program_id WHERE source = 'policy' ORDER BY name, text
    """
    without_mutants = change(settings, **ONE_ITERATION, mutation__initial=0)
    found: list[tuple] = run_and_query(tmp_path / "run", without_mutants, text)  # type: ignore[type-arg]
    grids = ["O = hmirror(I)", "O = rot90(I)", "O = vmirror(I)"]
    assert [row[:2] for row in found] == [(task, one) for task in sorted(TO_SOLVE) for one in grids]
    priorities = {row[:2]: row[2] for row in found}
    assert priorities["flip", "O = hmirror(I)"] == 1
    last = metrics_table(tmp_path / "run")[-1]
    assert float(last["samples"]) == 18
    assert float(last["share_parse"]) == pytest.approx(5 / 6)
    assert float(last["share_run"]) == pytest.approx(4 / 6)
    # hmirror, rot90 and first are new, once each; vmirror is an expert.
    assert float(last["share_new"]) == pytest.approx(3 / 18)
    assert (last["policy_top3"], last["policy_all_demonstrations"], last["cumulative_top3"]) == (
        "1",
        "1",
        "1",
    )
    assert float(last["policy_demonstrations"]) == 3 + sum(
        max(priorities[task, one] for one in grids) * 3 for task in TO_SOLVE if task != "flip"
    )


def test_every_experience_drawn_is_trained_on(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One program fits into `policy.max_program_tokens`, the other has a token too many."""
    start = "x1 = hmirror(I)\n" + "".join(f"x{k} = rot90(x{k - 1})\n" for k in range(2, 11))
    short, long = f"{start}O = rot90(x10)", f"{start}O = hconcat(x10, I)"
    monkeypatch.setattr(codeit.loop, "sample", always_sample([short, long]))
    text = """
        SELECT p.text, sum(e.times_drawn), max(e.encodable), count(*) FROM experience e
        JOIN program p ON p.id = program_id WHERE source = 'policy' GROUP BY 1 ORDER BY 1
    """
    limited = change(settings, run__iterations=2, replay__capacity=1000)
    limited = change(limited, policy__max_program_tokens=23)
    found = run_and_query(tmp_path / "run", limited, text)
    assert found == sorted([(short, 3, 1, 3), (long, 0, 0, 3)])
    last = metrics_table(tmp_path / "run")[-1]
    assert float(last["examples"]) == 12 + 3  # all of the experts' draws, three of the policy's


def test_each_sample_that_solves_a_demonstration_is_a_vote(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two programs that solve `flip` is sampled twice in each of two iterations."""
    texts = ["O = hmirror(I)", "x1 = rot180(I)\nO = vmirror(x1)", "O = hmirror(I)", "O = rot90(I)"]
    monkeypatch.setattr(codeit.loop, "sample", always_sample(texts))
    text = """
        SELECT p.text, c.iteration, c.votes FROM candidate c JOIN program p ON p.id = program_id
        JOIN task t ON t.id = task_id WHERE t.name = 'flip' AND demonstrations_solved = 3 ORDER BY c.id
    """
    voted = change(settings, mutation__initial=0, scoring__ranking="votes")
    found = run_and_query(tmp_path / "run", voted, text)
    assert found == [(texts[0], 1, 4), (texts[1], 1, 2)]


def test_samples_are_recorded_one_row_each_with_their_outcome(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.loop, "sample", always_sample(TEXTS))
    text = """
        SELECT ordinal, text, parses, outcome, demonstrations_solved FROM sample JOIN task t ON t.id = task_id
        LEFT JOIN program p ON p.id = program_id WHERE name = 'flip' ORDER BY ordinal
    """
    found = run_and_query(tmp_path / "run", change(settings, **ONE_ITERATION), text)
    texts = [None if one == "O = no program" else one for one in TEXTS]
    assert [row[:3] for row in found] == [(k, one, int(one is not None)) for k, one in enumerate(texts)]
    assert [row[3] for row in found][:2] == ["grid", "grid"]
    assert found[2][3] not in ("grid", "parse error")  # `first` gives no grid
    assert found[3][3:] == ("parse error", 0)
    assert found[0] == (0, "O = hmirror(I)", 1, "grid", 3)


@pytest.mark.parametrize("trivial", [False, True])
def test_trivial_samples_and_evolved_programs_stay_out_of_the_buffer_unless_wanted(
    trivial: bool, settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, constant = "x1 = rot90(I)\nO = rot270(x1)", "O = canvas(FIVE, TWO_BY_TWO)"
    monkeypatch.setattr(codeit.loop, "sample", always_sample([identity, constant, "O = hmirror(I)"]))
    found = [Program.parse(text) for text in (constant, "O = rot90(I)")]
    monkeypatch.setattr(codeit.loop, "search_task", lambda *_: SearchState(1, [], found, False))
    wanted = change(settings, **ONE_ITERATION, hindsight__trivial=trivial, mutation__initial=0)
    wanted = change(wanted, evolution__programs=1, evolution__programs_per_iteration=1)
    text = """
        SELECT DISTINCT source, text FROM experience JOIN program p ON p.id = program_id
        WHERE source IN ('policy', 'search')
    """
    kept = {("policy", "O = hmirror(I)"), ("search", "O = rot90(I)")}
    trivial_ones = {("policy", identity), ("search", constant)}
    assert set(run_and_query(tmp_path / "run", wanted, text)) == kept | (trivial_ones if trivial else set())


def test_ablation_a2_keeps_only_solving_programs(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.loop, "sample", always_sample(TEXTS))
    ablated = change(settings, **ONE_ITERATION, hindsight__relabel=False)
    text = "SELECT name, priority FROM experience JOIN task t ON t.id = task_id WHERE source = 'policy'"
    assert run_and_query(tmp_path / "run", ablated, text) == [("flip", 1.0)]


def test_ablation_a2_keeps_only_solving_programs_of_evolution(settings: RunSettings, tmp_path: Path) -> None:
    ablated = change(settings, **ONE_ITERATION, **WITH_EVOLUTION, hindsight__relabel=False)
    text = "SELECT DISTINCT priority FROM experience WHERE source = 'search'"
    assert run_and_query(tmp_path / "run", ablated, text) == [(1.0,)]


def test_a_run_without_samples_is_search_alone(settings: RunSettings, tmp_path: Path) -> None:
    alone = change(settings, **ONE_ITERATION, **WITH_EVOLUTION, sampling__samples_per_task=0)
    text = "SELECT name FROM phase WHERE iteration = 1 ORDER BY name"
    assert run_and_query(tmp_path / "run", alone, text) == [("record",), *[("search",)] * len(TO_SOLVE)]
    last = metrics_table(tmp_path / "run")[-1]
    assert not last["policy_top3"] and not last["loss"] and float(last["buffer_search"]) > 0


def test_ablation_a6_starts_from_the_experts_only(settings: RunSettings, tmp_path: Path) -> None:
    ablated = change(settings, **ONE_ITERATION, mutation__initial=0)
    text = "SELECT source, count(*) FROM experience WHERE source != 'policy' GROUP BY 1"
    assert run_and_query(tmp_path / "run", ablated, text) == [("expert", 3)]


@pytest.mark.parametrize("name", ["paper", *(f"ablations/a{n}" for n in range(1, 7))])
def test_the_paper_s_configurations_run_with_a_small_model(
    name: str, settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CodeT5+ is a directory of a T5 model and its tokenizer, here tiny and with random weights."""
    from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2, "num_layers": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=384, decoder_start_token_id=0, **sizes)).save_pretrained(
        tmp_path / "t5"
    )
    ByT5Tokenizer().save_pretrained(tmp_path / "t5")
    monkeypatch.setattr(codeit.policy.model, "CODET5P", str(tmp_path / "t5"))
    smaller = {
        "run.iterations": 1,
        "run.threads": 1,
        "policy.init": "random" if name == "ablations/a4" else "codet5p-220m",
        "policy.device": "cpu",
        "policy.max_program_tokens": 64,
        "data.train": settings.data.train,
        "data.test": settings.data.test,
        "mutation.initial": 0 if name == "ablations/a6" else 12,
        "mutation.per_iteration": 5 if name == "ablations/a1" else 0,
        "sampling.samples_per_task": 6,
    }
    text = "SELECT count(*), count(program_id) FROM sample"
    found = run_and_query(tmp_path / "run", RunSettings.load(name, smaller), text)
    assert found == [(18, 0)]  # random bytes are not programs, which is recorded
    assert 0 < float(metrics_table(tmp_path / "run")[-1]["loss"]) < 10


def test_every_place_in_a_run_has_its_own_seed() -> None:
    places = [derive(0, "sample", i, task) for i in range(20) for task in ("a", "b")]
    assert len({*places, derive(1, "sample", 0, "a"), derive(0, "learn", 0, "a")}) == 42
    assert derive(0, "sample", 3, "00576224") == derive(0, "sample", 3, "00576224") < 2**63


def test_seeds_are_those_of_published_runs() -> None:
    assert derive(0, "sample", 3, "00576224") == 4264222467586177045
    assert derive(7, "breed", 0) == 9110167614278679523


def test_the_default_budget_is_the_engine_s() -> None:
    budget, engine = RunSettings().budget, Budget()
    assert (budget.max_steps, budget.max_cells) == (engine.steps, engine.cells)

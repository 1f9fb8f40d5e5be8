"""Work on a real Ray cluster of two nodes on this machine. One is killed, another joins late."""

from __future__ import annotations

import itertools
import math
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from killable import square
from puzzles import SMALL_TASKS as TASKS
from puzzles import STARTERS, search_small
from test_killed_workers import make_work
from test_loop import SilentObserver, all_rows, change, run, settings  # noqa: F401  # a fixture

import codeit.cluster
import codeit.experiments.mutation_baseline
import codeit.search.mutation
from codeit.cluster import ClusterError, RayCluster, connect
from codeit.config import PolicyConfig, RunSettings, SamplingConfig
from codeit.data.experts import published
from codeit.data.tasks import load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.experiments.mutation_baseline import run_baseline
from codeit.experiments.submission import Submission, log_settings
from codeit.language import Budget
from codeit.parallel import REPEATS, WorkerError, map_ordered, map_unordered
from codeit.policy.model import Policy
from codeit.policy.sampling import sample, sample_by_replicas
from codeit.search.mutation import Mutator
from codeit.storage.search_log import SearchLog, SearchLogReader

ray = pytest.importorskip("ray")


class Nodes:
    """Two nodes of one CPU each, and the connection to them."""

    node: ClassVar = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}

    def __init__(self) -> None:
        from ray._private.authentication.authentication_token_setup import enable_token_auth_by_default
        from ray.cluster_utils import Cluster

        enable_token_auth_by_default()
        self.cluster = Cluster(initialize_head=True, head_node_args=self.node)
        self.second = self.cluster.add_node(**self.node)

    def replace_second(self) -> None:
        """Kill the second node, and let another join."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self.cluster.add_node(wait=False, **self.node)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find `killable`
        nodes = Nodes()
        yield nodes
        nodes.cluster.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes: Nodes) -> Iterator[RayCluster]:
    with connect(nodes.cluster.address) as connected:
        yield connected


def test_maps_do_each_job_once_and_raise_what_a_job_raises(cluster: RayCluster) -> None:
    assert sorted(map_unordered(partial(pow, 2), range(20), cluster)) == [(n, 2**n) for n in range(20)]
    endless = map_ordered(partial(pow, 2), itertools.count(), cluster)
    assert list(itertools.islice(endless, 20)) == [2**n for n in range(20)]
    endless.close()
    assert list(map_ordered(int, [], cluster)) == []
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_ordered(int, ["1", "one", "2"], cluster))


def test_job_whose_worker_dies_is_done_again_and_given_up_in_the_end(
    cluster: RayCluster, tmp_path: Path
) -> None:
    jobs = make_work(tmp_path, range(6), {2: REPEATS})
    assert list(map_ordered(square, jobs, cluster)) == [n * n for n in range(6)]
    (tmp_path / "lost").mkdir()
    jobs = make_work(tmp_path / "lost", range(4), {2: 99})
    with pytest.raises(WorkerError, match="died 4 times on the job of 2;"):
        list(map_unordered(square, jobs, cluster, lambda n: f"the job of {n}"))


def test_pool_ends_at_its_deadline_and_works_a_bounded_number_of_jobs_ahead(cluster: RayCluster) -> None:
    taken = 0

    def jobs() -> Iterator[float]:
        nonlocal taken
        while True:
            taken += 1
            yield 0.0

    with cluster.pool(time.sleep) as pool:
        results = pool.map_ordered(jobs())
        for _ in range(5):
            next(results)
        assert taken <= 5 + 8 * cluster.cpus
    with cluster.pool(time.sleep) as pool:
        started = time.monotonic()
        done = [index for index, _ in pool.map_unordered([0.0, 60.0, 0.0], deadline=started + 3)]
        assert 1 not in done and time.monotonic() - started >= 3


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a search finds in this process."""
    return search_small(tmp_path_factory.mktemp("alone"), 1)


def test_search_with_a_node_killed_finds_what_one_process_finds(
    nodes: Nodes, cluster: RayCluster, tmp_path: Path, expected: bytes
) -> None:
    def kill(done: int, total: int) -> None:
        if done == 1:
            nodes.replace_second()

    assert search_small(tmp_path, cluster, kill) == expected


def test_baseline_with_a_node_killed_finds_what_one_process_finds(
    nodes: Nodes, cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.experiments.mutation_baseline, "MUTANTS_PER_PART", 500)
    monkeypatch.setattr(codeit.search.mutation, "PROPOSALS_PER_ROUND", 1024)
    training = {task.id: task for task in load_tasks("arc-agi-1/training")[:20]}
    experts = {name: program for name, program in published().programs.items() if name in training}
    tasks, done_before = list(training.values()), 0

    def ignore(done: int, total: int) -> None:
        pass

    def kill(done: int, total: int) -> None:
        nonlocal done_before
        if done_before < 600 <= done:
            nodes.replace_second()
        done_before = done

    def found(
        directory: Path, on: RayCluster | None, progress: Callable[[int, int], None]
    ) -> tuple[list[Candidate], list[tuple[int, bytes]]]:
        with SearchLog(directory, {}) as log:
            mutator = Mutator(experts, training, 0)
            run_baseline(log, experts, mutator, tasks, 1000, budget=Budget(), cluster=on, progress=progress)
            parts = list(log.parts().values())
            assert all(part.core_seconds > 0 for part in parts)
            return log.candidates(), [(part.programs, part.state) for part in parts]

    together = found(tmp_path / "together", cluster, kill)
    assert done_before == 1000
    assert together == found(tmp_path / "alone", None, ignore)
    assert len({one.order for one in together[0]}) > 5


def test_submission_of_a_number_of_programs_is_the_same_with_a_node_killed(
    nodes: Nodes, cluster: RayCluster, tmp_path: Path
) -> None:
    tasks = TASKS[1:]

    def answers(name: str, workforce: int | RayCluster, progress: Callable[[Submission], None]) -> object:
        with SearchLog(tmp_path / name, log_settings(tasks, 0, "none", 3000)) as log:
            answered = Submission(log, tmp_path / f"{name}.json", tasks)
            answered.run(STARTERS, math.inf, 0, programs=3000, workforce=workforce, progress=progress)
            parts = [(number, part.programs, part.state) for number, part in log.parts().items()]
            return (tmp_path / f"{name}.json").read_bytes(), parts, log.candidates()

    def kill(submission: Submission) -> None:
        if len(submission.log.parts()) == 1:
            nodes.replace_second()

    expected = answers("alone", 2, lambda submission: None)
    assert answers("together", cluster, kill) == expected
    assert answers("together", cluster, kill) == expected  # nothing is left


def test_submission_within_a_time_ends_once_all_tasks_are_settled(
    cluster: RayCluster, tmp_path: Path
) -> None:
    easy = TASKS[:1]
    with SearchLog(tmp_path / "search", log_settings(easy, 0, "none")) as log:
        answered = Submission(log, tmp_path / "out.json", easy)
        answered.run(STARTERS, 600, 0, workforce=cluster)
        assert answered.states[0].settled


def test_replicas_of_a_policy_sample_what_it_samples_itself(cluster: RayCluster) -> None:
    sizes = {"d_model": 32, "d_ff": 48, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="runs", device="cpu", max_program_tokens=12, **sizes)
    policy = Policy.create(config, seed=3)
    sampling = SamplingConfig(samples_per_task=4, batch_rows=12)  # three tasks in a batch
    tasks = [task.train for task in load_tasks("arc-agi-1/evaluation")[:12]]
    chunks = [(tasks[:8], range(8)), (tasks[8:], range(8, 12))]
    expected = [dict(sample(policy, some, sampling, seeds=seeds)) for some, seeds in chunks]
    assert list(sample_by_replicas(cluster, policy, chunks, sampling)) == expected
    assert [sorted(of_chunk) for of_chunk in expected] == [list(range(8)), list(range(4))]


def test_run_with_a_node_killed_ends_with_the_rows_of_a_run_without_ray(
    nodes: Nodes,
    cluster: RayCluster,
    settings: RunSettings,  # noqa: F811
    tmp_path: Path,
) -> None:
    class Killer(SilentObserver):
        def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
            if (iteration, phase, done) in ((1, "search", 1), (2, "sample", 1)):
                nodes.replace_second()

    settings = change(settings, evolution__programs=600, evolution__programs_per_iteration=600)
    run(tmp_path / "alone", settings)
    run(tmp_path / "together", settings, Killer(), cluster)
    assert all_rows(tmp_path / "together") == all_rows(tmp_path / "alone")
    name = "solutions.jsonl"
    assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


LOCAL = """
import os
import secrets
import socket
from pathlib import Path
from codeit.cluster import connect
from codeit.parallel import map_ordered

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def is_ours(pid):
    while pid > 1 and pid != os.getpid():
        pid = parent(pid)
    return pid > 1

with connect("local", 2) as cluster:
    print(list(map_ordered(abs, range(-4, 0), cluster)), cluster.cpus)
    sockets = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if is_ours(int(link.parts[2])):
                sockets.add(os.readlink(link))
        except OSError:
            pass
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").open()]
    print({line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_local_cluster_listens_on_the_loopback_interface_and_writes_no_token(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", LOCAL],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}  # IPv4, and IPv4 in IPv6
    results, addresses = done.stdout.splitlines()
    assert results == "[4, 3, 2, 1] 2"
    assert set(eval(addresses)) <= loopback and addresses != "set()"
    assert not list(tmp_path.rglob("*token*"))


INTERRUPTED = """
import os
import signal
import sys
from pathlib import Path
import psutil
import codeit.cluster
from puzzles import search_small

def end(done, total):
    if done != 1:
        return
    if sys.argv[2] == "cluster":
        for process in psutil.Process().children(recursive=True):
            process.kill()
    elif sys.argv[2] == "Ctrl-C":
        os.killpg(0, signal.SIGINT)  # as a terminal does: to all processes
    else:
        signal.raise_signal(signal.SIGTERM)

codeit.cluster._PATIENCE_SECONDS = 1
signal.signal(signal.SIGTERM, signal.default_int_handler)  # as `codeit` does
try:
    with codeit.cluster.connect("local", 2) as cluster:
        search_small(Path(sys.argv[1]), cluster, end)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("what", "code"), [("cluster", None), ("Ctrl-C", 130), ("kill", 130)])
def test_search_whose_cluster_dies_or_that_is_stopped_goes_on_without_ray(
    what: str, code: int | None, tmp_path: Path, expected: bytes
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), what],
        env=environment | {"PYTHONPATH": str(Path(__file__).parent), "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
    )
    assert ended.returncode == code if code else ended.returncode, ended.stderr
    assert not code or ended.stderr == ""
    with SearchLogReader(tmp_path) as log:
        assert 1 <= len(log.parts()) < len(TASKS)
    assert search_small(tmp_path, 1) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("nowhere", "expected auto, local or HOST:PORT, found 'nowhere'"),
        ("ray://host:10001", "expected auto, local or HOST:PORT"),
        ("127.0.0.1:99999", "expected auto, local or HOST:PORT"),
        ("127.0.0.1:1", "127.0.0.1:1: expected a Ray cluster, found nothing that answers"),
    ],
)
def test_unusable_address_is_an_error(address: str, expected: str) -> None:
    with pytest.raises(ClusterError, match=expected), connect(address):
        pass


def test_node_without_a_package_is_an_error() -> None:
    function = np.frombuffer(b"cnowhere\nfind\n.", np.uint8)  # a pickle of nowhere.find
    succeeded, error = codeit.cluster._compute(codeit.cluster._VERSION, "", function, None)
    assert not succeeded and isinstance(error, ClusterError)
    assert "expected the packages that codeit uses here, found: No module named 'nowhere'" in str(error)


def test_address_of_another_server_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            with server.accept()[0] as client:
                client.sendall(b"HTTP/1.0 505 HTTP Version Not Supported\r\n\r\n")

        threading.Thread(target=answer).start()
        with (
            pytest.raises(ClusterError, match="expected a Ray cluster, found a server of another kind"),
            connect(f"127.0.0.1:{port}"),
        ):
            pass


def run_codeit(*arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run `codeit` in another process, after some statements."""
    code = f"import sys; {before}\nfrom codeit.__main__ import main\nmain()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("sys.modules['ray'] = None", "ray, which is not installed: pip install 'codeit[ray]'"),
        (
            "import ray._private.utils as u; u.compute_version_info = lambda: ('2.60.0', '3.99.0')",
            "expected a Ray cluster that this machine is a node of, found: Version mismatch",
        ),
        (
            "import ray._private.utils as u; u.compute_version_info = lambda: ('9.9.9', '3.11.2')",
            "expected a Ray cluster that this machine is a node of, found: Version mismatch",
        ),
        (
            "import codeit.cluster as c; c._VERSION = '99'",
            "expected codeit 99, as here, found ",
        ),
    ],
)
def test_other_versions_are_a_user_error_in_one_line(
    nodes: Nodes, tmp_path: Path, before: str, expected: str
) -> None:
    ended = run_codeit(
        *("search", "--out", str(tmp_path / "out"), "--tasks", "arc-agi-1/training"),
        *("--programs", "10", "--cluster", nodes.cluster.address),
        before=before,
    )
    assert ended.returncode == 2 and "Traceback" not in ended.stderr, ended.stderr
    assert expected in ended.stderr.splitlines()[-1]

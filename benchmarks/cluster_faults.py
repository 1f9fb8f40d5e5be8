"""Kills nodes of a Ray cluster at random during a search, and checks that the rows stay the same.

    python benchmarks/cluster_faults.py [--trials 10] [--tasks 8] [--programs 2000] [--seed 0]

Each trial searches the first tasks of arc-agi-1/evaluation on two nodes of one CPU, kills the second
after a random time, lets another join, and compares solutions.jsonl and the table of candidates with
those of one process. A trial takes ten to thirty seconds.
"""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from cyclopts import run
from ray._private.authentication.authentication_token_setup import enable_token_auth_by_default
from ray.cluster_utils import Cluster

from codeit.cluster import connect
from codeit.data.experts import load_experts
from codeit.data.tasks import load_tasks
from codeit.experiments.search_run import run_search
from codeit.parallel import Workforce
from codeit.storage.search_log import SearchLog

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}


def main(*, trials: int = 10, tasks: int = 8, programs: int = 2000, seed: int = 0) -> None:
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    enable_token_auth_by_default()
    rng, to_solve = random.Random(seed), load_tasks("arc-agi-1/evaluation")[:tasks]
    starters = list(load_experts().values())

    def search(directory: Path, workforce: Workforce) -> tuple[bytes, list[tuple[object, ...]]]:
        with SearchLog(directory, {"kind": "trial"}) as log:
            run_search(log, starters, to_solve, programs, seed, workforce=workforce)
            log.publish(to_solve, [programs])
        with sqlite3.connect(directory / "search.sqlite") as database:
            rows = database.execute("SELECT * FROM candidate ORDER BY task, program, votes").fetchall()
        return (directory / "solutions.jsonl").read_bytes(), rows

    with TemporaryDirectory() as name:
        expected, equal = search(Path(name, "alone"), 1), 0
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        second = cluster.add_node(**NODE)
        with connect(cluster.address) as connected:
            for trial in range(trials):
                killer = threading.Timer(
                    rng.uniform(0.5, 5), cluster.remove_node, [second], {"allow_graceful": False}
                )
                killer.start()
                found = search(Path(name, str(trial)), connected)
                in_time = not killer.is_alive()
                killer.join()
                second = cluster.add_node(**NODE)
                equal += found == expected
                print(f"trial {trial + 1}: killed {'during' if in_time else 'after'} the search,", end=" ")
                print(
                    f"{len(found[1])} rows,", "the same" if found == expected else "NOT the same", flush=True
                )
        cluster.shutdown()
    print(f"{equal} of {trials} trials gave the rows of one process")


if __name__ == "__main__":
    run(main)

"""A local Ray cluster of two nodes: the same bytes, scaling, and a node killed in the middle."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.engine.ray_cluster import RayCluster
from auditor.engine.units import Task, Unit, UnitResult
from tests.engine.makers import FakeMaker, open_shipped_maker, unit

ray = pytest.importorskip("ray", reason="the extra auditor[ray] is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.connect()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def executor(cluster: Any, tmp_path: Path) -> Iterator[RayCluster]:
    made = opened(tmp_path, workers=2)
    yield made
    made.close()


def opened(folder: Path, *, workers: int) -> RayCluster:
    return RayCluster(open_shipped_maker, str(folder), locate=lambda key: folder / key, device="cpu", workers=workers)


def results(executor: RayCluster, units: list[Unit]) -> dict[str, UnitResult]:
    return {result.key: result for result in executor.map(Task(one) for one in units)}


def expected(units: list[Unit]) -> dict[str, bytes]:
    alone = FakeMaker()
    return {one.key: alone.make(Task(one)).output for one in units}


def test_two_nodes_give_the_bytes_of_one_process(cluster: Any, executor: RayCluster) -> None:
    cluster.add_node(num_cpus=1)
    units = [unit(i) for i in range(12)]
    assert {key: result.output for key, result in results(executor, units).items()} == expected(units)


def test_failures_and_reasons_cross_the_cluster(executor: RayCluster) -> None:
    units = [unit(0, does="fails"), unit(1, does="bug"), unit(2)]
    found = [results(executor, units)[one.key] for one in units]
    assert found[0].reason == "there was no signal"
    assert found[1].reason.startswith("stopped by an unexpected KeyError at makers.py")
    assert not found[2].failed


def test_outputs_travel_to_the_units_that_read_them(executor: RayCluster, tmp_path: Path) -> None:
    first = unit(0)
    (tmp_path / first.key).write_bytes(expected([first])[first.key])
    after = unit(1, does="reads", inputs={"model": (first.key,)})
    found = results(executor, [after])[after.key]
    assert found.output == expected([first])[first.key]


def test_a_unit_that_kills_its_worker_each_time_has_failed(executor: RayCluster) -> None:
    units = [unit(0, does="dies"), unit(1)]
    found = results(executor, units)
    assert "was lost 3 times" in found[units[0].key].reason
    assert not found[units[1].key].failed


def test_a_node_killed_in_the_middle_costs_time_only(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1)
    executor = opened(tmp_path, workers=2)
    units = [unit(i, does="slow") for i in range(40)]
    found: dict[str, bytes] = {}
    try:
        for result in executor.map(Task(one) for one in units):
            found[result.key] = result.output
            if len(found) == 10:
                threading.Thread(target=cluster.remove_node, args=(node, False)).start()
    finally:
        executor.close()
    assert found == expected(units)


def test_two_workers_share_the_work(executor: RayCluster, cluster: Any) -> None:
    """Sleeping units: the wall time shows how many ran at once, whatever else the machine does."""
    cluster.add_node(num_cpus=1)
    results(executor, [unit(i, does="naps") for i in range(4)])
    start = time.monotonic()
    results(executor, [unit(i, does="naps") for i in range(20)])
    assert time.monotonic() - start < 0.75 * 20 * 0.3

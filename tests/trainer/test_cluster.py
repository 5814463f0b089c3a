"""TF_CONFIG as Kubeflow and Vertex AI set it, and as people mistype it."""

import json
import socket
from typing import Any

import pytest

from data.errors import ConfigError
from trainer.distributed.cluster import VARIABLE, Cluster, check_alone
from trainer.distributed.supervisor import environments

CHIEF, WORKERS = ["host-0:2222"], ["host-1:2222", "host-2:2222"]


def told(
    cluster: Any, role: Any, index: Any, strategy: str = "multi_worker", **more: Any
) -> Cluster:
    task = {"type": role, "index": index}
    text = json.dumps({"cluster": cluster, "task": task, **more})
    return Cluster.of({VARIABLE: text}, strategy)


def test_as_kubeflow_sets_it() -> None:
    cluster = {"worker": WORKERS, "chief": CHIEF}
    chief = told(cluster, "chief", 0, environment="cloud")
    assert (chief.leads, chief.address, chief.number) == (True, "host-0:2222", 3)
    worker = told(cluster, "worker", 1, environment="cloud")
    assert (worker.leads, worker.address) == (False, "host-2:2222")
    assert json.loads(worker.text())["task"] == {"type": "worker", "index": 1}


def test_as_vertex_sets_it() -> None:
    cluster = {"chief": CHIEF, "worker": WORKERS, "evaluator": ["host-9:2222"]}
    found = told(cluster, "worker", "0", job='{"python_module": ""}')
    assert not found.leads
    assert found.number == 3  # An evaluator takes no steps.


def test_without_a_chief_the_first_worker_leads() -> None:
    assert told({"worker": WORKERS}, "worker", 0).leads
    assert not told({"worker": WORKERS}, "worker", 1).leads


def test_a_master_is_a_chief() -> None:
    assert told({"master": CHIEF, "worker": WORKERS}, "master", 0).leads


@pytest.mark.parametrize(
    ("cluster", "role", "index", "field"),
    [
        (None, "chief", 0, "TF_CONFIG cluster: found None"),
        ({}, "chief", 0, "TF_CONFIG cluster: found"),
        ({"chief": "host-0:2222"}, "chief", 0, "TF_CONFIG cluster.chief: found 'host"),
        ({"chief": ["host-0"]}, "chief", 0, r"cluster.chief\[0\]: found 'host-0'"),
        ({"chief": ["a:1", "b:1"]}, "chief", 0, "cluster.chief.*expected one address"),
        ({"worker": ["a:1", "b:0"]}, "worker", 0, r"cluster.worker\[1\]: found 'b:0'"),
        ({"worker": WORKERS}, "chief", 0, "task.type: found 'chief', .* worker"),
        ({"worker": WORKERS}, "ps", 0, "task.type: found 'ps'"),
        ({"worker": WORKERS, "ps": CHIEF}, "ps", 0, "names parameter servers.*multi"),
        ({"worker": WORKERS, "ps": CHIEF}, "worker", 0, 'strategy = "parameter_serv'),
        ({"worker": WORKERS, "ps": ["a"]}, "worker", 0, r"cluster.ps\[0\]: found 'a'"),
        ({"worker": WORKERS}, "worker", 2, "task.index: found 2, .* from 0 to 1"),
        ({"worker": WORKERS}, "worker", None, "task.index: found None"),
    ],
)
def test_mistakes_name_the_field(
    cluster: Any, role: str, index: Any, field: str
) -> None:
    with pytest.raises(ConfigError, match=field):
        told(cluster, role, index)


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {"chief": ["a:1"]}}'])
def test_what_is_no_table(text: str) -> None:
    with pytest.raises(ConfigError, match=r"TF_CONFIG.*expected"):
        Cluster.of({VARIABLE: text}, "multi_worker")


@pytest.mark.parametrize(
    ("strategy", "words"),
    [("multi_worker", "--workers 2"), ("parameter_server", "--workers 3 --servers 1")],
)
def test_nothing_set_says_who_would(strategy: str, words: str) -> None:
    said = rf"{strategy}.*TF_CONFIG is not set.*trainer supervise {words} -- train"
    with pytest.raises(ConfigError, match=said):
        Cluster.of({}, strategy)


@pytest.mark.parametrize(
    "cluster",
    [
        {"ps": ["s:1"], "worker": WORKERS, "chief": CHIEF},
        {"ps": ["s:1"], "worker": [*CHIEF, *WORKERS]},
    ],
)
def test_with_servers_the_one_that_leads_takes_no_steps(cluster: Any) -> None:
    def task(role: str, index: int) -> tuple[bool, tuple[str, int]]:
        found = told(cluster, role, index, "parameter_server")
        assert found.roles() == {"chief": CHIEF, "worker": WORKERS, "ps": ["s:1"]}
        assert found.leader == CHIEF[0]
        return found.leads, found.task()

    first = next(iter({"chief", "worker"} & cluster.keys() - {"worker"}), "worker")
    assert task(first, 0) == (True, ("chief", 0))
    assert task("worker", len(cluster["worker"]) - 1) == (False, ("worker", 1))
    assert task("ps", 0) == (False, ("ps", 0))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"chief": CHIEF, "worker": WORKERS}, 'names no "ps", found chief, worker'),
        ({"chief": CHIEF, "ps": ["s:1"]}, 'found no "worker" beside the one that'),
    ],
)
def test_parameter_servers_want_servers_and_workers(cluster: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        told(cluster, "chief", 0, "parameter_server")


def test_several_that_would_each_do_the_whole_job() -> None:
    found = told({"chief": CHIEF, "worker": WORKERS}, "worker", 0)
    with pytest.raises(ConfigError, match=r"names 3 workers.*multi_worker"):
        check_alone({VARIABLE: found.text()})
    cluster = {"chief": CHIEF, "worker": WORKERS, "ps": ["s:1"]}
    found = told(cluster, "ps", 0, "parameter_server")
    with pytest.raises(ConfigError, match=r"4 workers and parameter servers.*_server"):
        check_alone({VARIABLE: found.text()})
    check_alone({VARIABLE: told({"chief": CHIEF}, "chief", 0).text()})
    check_alone({VARIABLE: "of something else"})
    check_alone({})


def test_a_port_taken_is_told() -> None:
    with socket.create_server(("", 0)) as held:
        port = held.getsockname()[1]
        found = told({"chief": [f"127.0.0.1:{port}"]}, "chief", 0)
        with pytest.raises(ConfigError, match=rf"port {port} .*cannot be had"):
            found.check_port()
    found.check_port()


def test_the_supervisor_names_each_worker_alike() -> None:
    found = [Cluster.of(e, "multi_worker") for e in environments(3)]
    assert [c.leads for c in found] == [True, False, False]
    assert len({c.address for c in found}) == 3
    assert all(c.addresses == found[0].addresses for c in found)


def test_the_supervisor_names_servers_last() -> None:
    found = [Cluster.of(e, "parameter_server") for e in environments(2, 2)]
    tasks = [("chief", 0), ("worker", 0), ("ps", 0), ("ps", 1)]
    assert [c.task() for c in found] == tasks

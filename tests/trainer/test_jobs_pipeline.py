"""The compiled pipeline is one that Kubeflow takes, and does the job when run."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.errors import ConfigError
from tests.trainer.local_pipeline import local_runner
from tests.trainer.pipeline_steps import run_all
from trainer.jobs import extra
from trainer.jobs.config import PipelineConfig, ResourcesConfig
from trainer.jobs.pipeline import compile_pipeline, make_pipeline
from trainer.retrain.steps import STEPS

kfp = pytest.importorskip("kfp", reason="the `pipelines` extra is not installed")

CONFIG = PipelineConfig(
    retries=3,
    retry_wait_s=30,
    steps={"train": ResourcesConfig(cpus=4, memory="16Gi", gpus=1)},
)
# The same names, outputs and conditions as the job's; other programs do the work.
SMALL = [
    dataclasses.replace(s, command=("tests.trainer.pipeline_steps", *s.command[2:]))
    for s in STEPS
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    overrides = ["train.seed=1"]
    compile_pipeline(
        CONFIG, str(place), toml="a.toml", out="gs://b/o", overrides=overrides
    )
    return place


@pytest.fixture(scope="module")
def spec(compiled: Path) -> dict[str, Any]:
    return yaml.safe_load(compiled.read_text())


def executor(spec: dict[str, Any], step: str) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def task(spec: dict[str, Any], step: str) -> dict[str, Any]:
    """Return a step's task, in whichever of the nested conditions it is."""
    dags = [one["dag"] for one in spec["components"].values() if "dag" in one]
    found = [
        dag["tasks"][step]
        for dag in [spec["root"]["dag"], *dags]
        if step in dag["tasks"]
    ]
    assert len(found) == 1
    return found[0]


def test_kfp_loads_what_was_compiled_and_so_does_its_message(compiled: Path) -> None:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    loaded = kfp.components.load_component_from_file(str(compiled))
    message = pipeline_spec_pb2.PipelineSpec()
    json_format.ParseDict(yaml.safe_load(compiled.read_text()), message)

    assert loaded.name == "tandem-retrain"
    assert message.schema_version == "2.1.0"
    assert {
        name.removeprefix("exec-") for name in message.deployment_spec["executors"]
    } == {step.name for step in STEPS}


def test_every_step_has_its_resources_retries_and_overrides(
    spec: dict[str, Any],
) -> None:
    assert executor(spec, "train")["resources"] == {
        "cpuLimit": 4.0,
        "cpuRequest": 4.0,
        "memoryLimit": 17.179869184,
        "memoryRequest": 17.179869184,
        "resourceCpuLimit": "4",
        "resourceCpuRequest": "4",
        "resourceMemoryLimit": "16Gi",
        "resourceMemoryRequest": "16Gi",
        "accelerator": {
            "count": "1",
            "resourceCount": "1",
            "resourceType": "nvidia.com/gpu",
            "type": "nvidia.com/gpu",
        },
    }
    for step in STEPS:
        assert executor(spec, step.name)["image"] == CONFIG.image
        assert executor(spec, step.name)["args"][-2:] == ["--set", "train.seed=1"]
        assert task(spec, step.name)["retryPolicy"]["maxRetryCount"] == 3
    assert "accelerator" not in executor(spec, "gate")["resources"]


def test_what_reads_or_changes_the_world_is_never_cached(spec: dict[str, Any]) -> None:
    cached = {
        step.name: task(spec, step.name)["cachingOptions"].get("enableCache", False)
        for step in STEPS
    }

    assert [name for name, kept in cached.items() if not kept] == ["ingest", "publish"]


def test_a_console_is_told_the_kinds_of_what_steps_make(spec: dict[str, Any]) -> None:
    kinds = {
        name: artifact["artifactType"]["schemaTitle"]
        for component in spec["components"].values()
        for name, artifact in component.get("outputDefinitions", {})
        .get("artifacts", {})
        .items()
    }

    assert kinds["dataset"] == kinds["data"] == "system.Dataset"
    assert kinds["model"] == kinds["servables"] == "system.Model"
    assert kinds["metrics"] == kinds["decision"] == "system.Metrics"
    assert kinds["report"] == "system.HTML"


def test_without_kfp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(extra.importlib, "import_module", missing)

    with pytest.raises(ConfigError, match=r"kfp is not installed .*\.\[pipelines\]"):
        make_pipeline(CONFIG, toml="a.toml", out="o")


@pytest.fixture
def locally(tmp_path: Path) -> Iterator[Callable[[str], tuple[Path, list[str], str]]]:
    """Return what runs the pipeline on rows, and tells its folder, steps and output."""
    toml, new = tmp_path / "a.toml", tmp_path / "new.csv"
    toml.write_text("")

    def run(rows: str) -> tuple[Path, list[str], str]:
        new.write_text(rows)
        out = tmp_path / "piped"
        pipeline = make_pipeline(CONFIG, toml=str(toml), out=str(out), steps=SMALL)
        pipeline(new=[str(new)])
        ran = (tmp_path / "ran").read_text().split()
        return out, ran, str(toml)

    with local_runner(tmp_path / "kfp"):
        yield run


@pytest.mark.xdist_group("job")
@pytest.mark.filterwarnings("ignore:You may be attemping:RuntimeWarning")
def test_run_for_real_it_publishes_what_the_steps_alone_publish(
    locally: Callable[[str], tuple[Path, list[str], str]], tmp_path: Path
) -> None:
    out, ran, toml = locally("u1,a\nu2,b\nu3,b\n")
    alone = tmp_path / "alone"
    run_all(str(alone), [str(tmp_path / "new.csv")], toml)

    def published(folder: Path) -> dict[str, str]:
        places = [one for one in sorted(folder.rglob("*")) if one.is_file()]
        return {str(one.relative_to(folder)): one.read_text() for one in places}

    assert ran == [step.name for step in STEPS]
    assert published(out) == published(alone)
    assert (out / "models/recommender/1/model").read_text() == "b"
    told = [
        json.loads(one.read_text())
        for one in sorted((tmp_path / "kfp").rglob("executor_output.json"))
    ]
    artifacts = {
        name: one["artifacts"][0]
        for file in told
        for name, one in file["artifacts"].items()
    }
    assert artifacts["metrics"]["metadata"]["ndcg_at_10"] == 0.25
    assert artifacts["model"]["uri"].endswith("/train")
    assert Path(artifacts["report"]["uri"]).read_text() == "<h1>Report</h1>"


@pytest.mark.xdist_group("job")
@pytest.mark.filterwarnings("ignore:You may be attemping:RuntimeWarning")
@pytest.mark.parametrize(
    ("rows", "last"),
    [("u1,a\nu2,\n", "gate"), ("", "ingest")],
    ids=["refused", "nothing new"],
)
def test_a_refusal_ends_the_run_well_and_publishes_nothing(
    locally: Callable[[str], tuple[Path, list[str], str]], rows: str, last: str
) -> None:
    out, ran, _ = locally(rows)

    names = [step.name for step in STEPS]
    assert ran == names[: names.index(last) + 1]  # Once each: nothing was retried.
    assert not (out / "models").exists()

"""What is sent to Vertex and to Kubernetes, and what a mistake is answered with."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from data.errors import ConfigError
from trainer.__main__ import main
from trainer.jobs import check
from trainer.jobs.config import PipelineConfig, ResourcesConfig
from trainer.jobs.kubernetes import cron_job, tf_job

ROOT = Path(__file__).parents[2]
TOML = "trainer/configs/ml-100k.toml"
IMAGE = "pipeline.image=europe-west4-docker.pkg.dev/p/tandem/trainer:1"
CLOUD = ("--project=my-project", "--region=europe-west4", "--bucket=gs://my-bucket/t")


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def ask(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def vertex(*words: str) -> Any:
    result = ask("submit", "vertex", TOML, "--dry-run", *CLOUD, "--set", IMAGE, *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_custom_job_has_a_pool_for_each_role() -> None:
    request = vertex(
        *("--kind=custom", "--set", "pipeline.workers=3"),
        *("--set", "pipeline.parameter_servers=2"),
        *("--set", "train.strategy=parameter_server"),
        *("--set", "pipeline.resources.gpus=1"),
        *("--set", "pipeline.resources.accelerator=NVIDIA_TESLA_T4"),
    )

    place = "projects/my-project/locations/europe-west4/customJobs"
    assert request["url"].endswith(f"europe-west4-aiplatform.googleapis.com/v1/{place}")
    spec = request["body"]["jobSpec"]
    pools = spec["workerPoolSpecs"]
    assert [pool["replicaCount"] for pool in pools] == ["1", "2", "2"]
    accelerators = [pool["machineSpec"].get("acceleratorType") for pool in pools]
    assert accelerators == ["NVIDIA_TESLA_T4", "NVIDIA_TESLA_T4", None]
    assert spec["scheduling"]["restartJobOnWorkerRestart"] is True
    assert pools[0]["containerSpec"]["args"] == [
        *("trainer", "train", TOML, "--out", "gs://my-bucket/t/ml-100k"),
        *("--set", "train.strategy=parameter_server"),
    ]


def test_a_pipeline_job_carries_the_pipeline_and_its_parameters() -> None:
    pytest.importorskip("kfp", reason="the `pipelines` extra is not installed")
    body = vertex("--new", "gs://my-bucket/new.csv")["body"]

    assert body["pipelineSpec"]["schemaVersion"] == "2.1.0"
    assert body["runtimeConfig"]["gcsOutputDirectory"] == "gs://my-bucket/t/pipelines"
    assert body["runtimeConfig"]["parameterValues"] == {
        "new": ["gs://my-bucket/new.csv"],
        "out": "gs://my-bucket/t/ml-100k",
        "server": "",
    }

    plan = vertex("--kind=schedule", "--new", "gs://my-bucket/new.csv")
    assert plan["url"].endswith("/schedules")
    assert plan["body"]["cron"] == "TZ=Etc/UTC 0 3 * * *"
    assert plan["body"]["maxConcurrentRunCount"] == "1"
    assert plan["body"]["createPipelineJobRequest"]["pipelineJob"] == body


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--region=europe",), "--region 'europe': expected such as europe-west4"),
        (("--bucket=my-bucket",), "--bucket 'my-bucket': expected such as gs://"),
        (("--set", "pipeline.image=trainer:1"), "expected a registry in front"),
        (("--set", "pipeline.image=r/trainer:latest"), "a tag other than latest"),
        (("--set", "pipeline.resources.gpus=1"), 'such as "NVIDIA_TESLA_T4"'),
        (("--kind=pipeline",), "--new: missing"),
        (
            (
                *("--kind=custom", "--set=pipeline.workers=1"),
                "--set=pipeline.parameter_servers=1",
                "--set=train.strategy=parameter_server",
            ),
            "parameter_servers without workers",
        ),
        (
            ("--kind=custom", "--set=pipeline.parameter_servers=1"),
            'parameter_servers is 1 with [train] strategy = "none"',
        ),
        (
            ("--kind=custom", "--set=train.strategy=parameter_server"),
            'parameter_servers is 0 with [train] strategy = "parameter_server"',
        ),
        (
            ("--kind=custom",),
            'workers is 2 with [train] strategy = "none"',
        ),
        (
            ("--kind=custom", "--set=train.strategy=mirrored"),
            'workers is 2 with [train] strategy = "mirrored"',
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    words: tuple[str, ...], said: str
) -> None:
    result = ask("submit", "vertex", TOML, *CLOUD, "--set", IMAGE, *words)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_sending_without_the_client_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("trainer.jobs.extra.importlib.import_module", missing)
    result = ask(
        *("submit", "vertex", TOML, *CLOUD, "--set", IMAGE, "--kind=custom"),
        *("--set", "train.strategy=multi_worker"),
    )

    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "google-cloud-aiplatform is not installed" in said
    assert "'.[pipelines]'" in said


def test_a_cron_job_tries_nothing_again_that_would_end_the_same() -> None:
    result = ask(
        *("submit", "kubernetes", TOML, "--dry-run", "--new", "/tandem/new.csv"),
        *("--set", "pipeline.volume=tandem", "--server", "tandem-serving:8500"),
    )

    assert result.exit_code == 0, result.output
    job = yaml.safe_load(result.stdout)
    assert list(check.schema_problems([job])) == []
    spec = job["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    evicted, final = spec["podFailurePolicy"]["rules"]
    assert evicted["action"] == "Ignore"
    assert evicted["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert final["action"] == "FailJob"
    assert final["onExitCodes"]["values"] == [2, 3, 4]
    assert final["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert pod["restartPolicy"] == "Never"  # A podFailurePolicy wants it.
    assert pod["containers"][0]["args"] == [
        *("trainer", "retrain", TOML, "--out", "/tandem/ml-100k"),
        *("--new", "/tandem/new.csv", "--server", "tandem-serving:8500"),
    ]


def test_a_manifest_wants_a_folder_that_outlives_its_pod() -> None:
    result = ask("submit", "kubernetes", TOML, "--dry-run", "--new", "gs://b/new.csv")

    assert result.exit_code == 2
    assert "--out: missing" in result.output


@pytest.mark.parametrize("servers", [0, 2])
def test_a_tf_job_is_one_that_the_training_operator_takes(servers: int) -> None:
    gpu = ResourcesConfig(gpus=1, memory="16Gi")
    config = PipelineConfig(workers=4, parameter_servers=servers, resources=gpu)
    job = tf_job(config, ["trainer", "train", "a.toml"])

    assert list(check.tf_job_problems(job)) == []
    assert list(check.schema_problems(check.pods_of(job))) == []
    roles = job["spec"]["tfReplicaSpecs"]
    counts = {role: one["replicas"] for role, one in roles.items()}
    expected = {"Chief": 1, "Worker": 3} | ({"PS": servers} if servers else {})
    assert counts == expected
    for role, one in roles.items():
        limits = one["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits.get("nvidia.com/gpu") == (None if role == "PS" else "1")


def test_the_light_schema_refuses_what_the_operator_would() -> None:
    job = tf_job(PipelineConfig(), ["trainer", "train", "a.toml"])
    job["spec"]["tfReplicaSpecs"]["Chief"]["replicas"] = 2
    job["spec"]["tfReplicaSpecs"]["Boss"] = job["spec"]["tfReplicaSpecs"]["Worker"]
    container = job["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]["containers"]
    container[0]["name"] = "trainer"
    job["spec"]["runPolicy"]["retries"] = 1

    said = "\n".join(check.tf_job_problems(job))

    for expected in (
        "expected 1 replica",
        "unknown role Boss",
        "named tensorflow",
        "runPolicy: unknown retries",
    ):
        assert expected in said


def test_the_schemas_refuse_a_cron_job_with_an_unknown_field() -> None:
    job = cron_job(PipelineConfig(), ["trainer", "retrain", "a.toml"])
    job["spec"]["jobTemplate"]["spec"]["podFailurePolicies"] = {}

    assert "podFailurePolicies" in "\n".join(check.schema_problems([job]))


def test_the_image_and_the_manifests_pass() -> None:
    result = CliRunner().invoke(check.main, [])

    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("USER 10001:10001", "USER root", "expected a number above 0"),
        ("COPY data/ /app/data/", "COPY . /app/", "COPY .: expected only"),
        (" --require-hashes", "", "without --require-hashes"),
        (" AS gpu", " AS cuda", "no target gpu"),
    ],
)
def test_a_broken_image_is_found(old: str, new: str, said: str) -> None:
    text = (ROOT / "trainer/jobs/images/Dockerfile").read_text()
    assert old in text

    assert said in "\n".join(check.image_problems(text.replace(old, new)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "Tandem"}, "a letter first"),
        ({"schedule": "daily"}, "five fields of cron"),
        ({"retries": -1}, "expected 0 or more"),
        ({"workers": 0}, "expected above 0"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PipelineConfig(**values)


def test_memory_is_in_binary_units() -> None:
    with pytest.raises(ConfigError, match="with Mi or Gi"):
        ResourcesConfig(memory="8G")

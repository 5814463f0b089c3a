"""The real job, once: trained, exported twice, reloaded elsewhere, served."""

from collections.abc import Iterator

import pytest

from serving.client import GrpcClient, RestClient
from tests.integration.calls import add_calls
from tests.integration.support import (
    EVALUATED,
    Calls,
    EvaluatedJob,
    Job,
    ask_elsewhere,
    process,
    run_trainer,
    snapshot,
    write_experiment,
)
from tests.serving.support import Address, free_ports


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Train, report, refit and export, by the command that a person types."""
    from trainer.export.publish import versions

    planted = write_experiment(tmp_path_factory.mktemp("experiment"))
    out = tmp_path_factory.mktemp("job") / "out"
    assert run_trainer("train", planted.toml, "--out", out) == 0
    (version,) = versions(str(out / "models"), "recommender")
    return Job(planted, out, version)


@pytest.fixture(scope="session")
def evaluated(job: Job) -> EvaluatedJob:
    """Export the fit that was evaluated: what is served is what was measured."""
    from trainer.config import read_experiment
    from trainer.experiment import Experiment, train

    before = snapshot(job.out / "runs")
    config = read_experiment(job.planted.toml, [EVALUATED])
    experiment = Experiment(config=config, path=job.planted.toml, out=str(job.out))
    train(experiment)
    version = experiment.exported_version()
    assert version is not None
    return EvaluatedJob(
        job.planted,
        job.out,
        version,
        experiment,
        runs_before=before,
        runs_after=snapshot(job.out / "runs"),
    )


@pytest.fixture(scope="session")
def calls(
    job: Job, evaluated: EvaluatedJob, tmp_path_factory: pytest.TempPathFactory
) -> Calls:
    """Return the answers of the SavedModels, given without a package of ours."""
    calls = Calls()
    add_calls(calls, evaluated)
    models = {
        name: evaluated.models / name / str(evaluated.version)
        for name in ("recommender", "retrieval", "ranking")
    }
    models["refitted"] = job.models / "recommender" / str(job.version)
    ask_elsewhere(calls, models, tmp_path_factory.mktemp("elsewhere"))
    return calls


@pytest.fixture(scope="session")
def server(evaluated: EvaluatedJob) -> Iterator[Address]:
    """Serve all servables by the command that a person types."""
    grpc_port, rest_port = free_ports(2)
    flags = (
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_config_file={evaluated.models / 'models.scann.config'}",
    )
    with process("serving", "modelserver", *flags) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        for name in ("ranking", "recommender", "retrieval"):
            assert f"{name} {evaluated.version}" in line
        yield Address(f"127.0.0.1:{grpc_port}", rest_port)


@pytest.fixture(scope="session")
def grpc_client(server: Address) -> Iterator[GrpcClient]:
    with GrpcClient(server.grpc) as client:
        yield client


@pytest.fixture(scope="session")
def rest_client(server: Address) -> Iterator[RestClient]:
    with RestClient(server.rest) as client:
        yield client

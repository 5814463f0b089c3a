"""What the checks of the deployment stand on: rendering, patterns, Dockerfiles."""

import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.deploy.checks.dockerfile import final, stages
from serving.deploy.checks.ignore import ignored
from serving.deploy.checks.known import SERIES
from serving.deploy.checks.kustomize import KustomizeError, render
from serving.deploy.checks.outcome import Verdict, run_program
from serving.deploy.checks.promql import name_problems
from serving.deploy.checks.server_config import metrics_path, served_models
from serving.model_list import ModelListError, model_config_text
from serving.modelserver.metrics import families
from serving.modelserver.metrics.store import Family

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "serving/deploy"


def write(folder: Path, name: str, *documents: dict[str, object]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents))


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A base of one Deployment and a ConfigMap, and an overlay that changes both."""
    container = {"name": "a", "image": "tool:1", "env": [{"name": "X", "value": "1"}]}
    side = {"name": "b", "image": "other:1"}
    write(
        tmp_path,
        "base/deployment.yaml",
        {
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"containers": [container, side], "args": ["x", "y"], "old": 1},
        },
    )
    (tmp_path / "base/a.config").write_text("text\n")
    write(
        tmp_path,
        "base/kustomization.yaml",
        {
            "namespace": "here",
            "resources": ["deployment.yaml"],
            "configMapGenerator": [{"name": "c", "files": ["a.config"]}],
        },
    )
    write(
        tmp_path,
        "overlay/patch.yaml",
        {
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {
                "containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}],
                "args": ["z"],
                "old": None,
            },
        },
    )
    write(
        tmp_path,
        "overlay/kustomization.yaml",
        {
            "resources": ["../base"],
            "patches": [{"path": "patch.yaml"}],
            "images": [{"name": "tool", "newName": "host/tool", "newTag": "2"}],
        },
    )
    return tmp_path / "overlay"


def test_an_overlay_merges_by_name_and_replaces_the_rest(overlay: Path) -> None:
    deployment, config = render(overlay)

    assert deployment["spec"] == {
        "containers": [
            {
                "name": "a",
                "image": "host/tool:2",
                "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            },
            {"name": "b", "image": "other:1"},
        ],
        "args": ["z"],
    }
    assert deployment["metadata"] == {"name": "d", "namespace": "here"}
    assert config["data"] == {"a.config": "text\n"}
    assert config["metadata"] == {"name": "c", "namespace": "here"}


def test_a_patch_of_nothing_is_an_error(overlay: Path) -> None:
    write(overlay, "patch.yaml", {"kind": "Service", "metadata": {"name": "d"}})

    with pytest.raises(KustomizeError, match="there is no Service/d to patch"):
        render(overlay)


def test_what_the_renderer_does_not_know_is_an_error(overlay: Path) -> None:
    write(overlay, "kustomization.yaml", {"resources": [], "namePrefix": "a-"})

    with pytest.raises(KustomizeError, match=r"unknown to this renderer: .*namePrefix"):
        render(overlay)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("a", True),
        ("kept/x/y", False),
        ("kept/x.pyc", True),
        ("kept/deep/__pycache__/x", True),
        ("models/a/runs/x", True),
        ("models/a/out/x/y", False),
    ],
)
def test_the_last_pattern_that_fits_decides(path: str, hidden: bool) -> None:
    text = "# all\n*\n!kept\n!models/*/out\n**/*.pyc\n**/__pycache__\n"

    assert ignored(text, path) is hidden


def test_a_stage_has_what_it_stands_on() -> None:
    text = (
        "ARG BASE=tool:1\n# a comment \\\nFROM ${BASE} AS first\nUSER 5:5\n"
        'COPY a \\\n     b /c/\nFROM first AS second\nCMD ["--x=1", "y"]\n'
    )

    whole = final(stages(text))

    assert whole.base == "tool:1"
    assert whole.last("USER") == "5:5"
    assert whole.words("CMD") == ["--x=1", "y"]
    assert whole.copied() == [(["a", "b"], "/c/")]


def test_metric_names_of_every_form_are_read() -> None:
    expression = (
        "sum(rate(:tensorflow:serving:none[5m])) / :tensorflow:serving:bad + up"
    )

    assert [problem.split(": ")[0] for problem in name_problems([expression])] == [
        ":tensorflow:serving:bad",
        ":tensorflow:serving:none",
    ]
    assert name_problems(["vector(1)"]) == ["vector(1): reads no metric"]


def test_the_local_server_records_what_the_dashboards_may_read() -> None:
    found = [one for one in vars(families).values() if isinstance(one, Family)]
    names = {one.name for one in found if one.name.startswith(":tensorflow:serving:")}

    known = {series.removesuffix("_bucket") for series in SERIES}
    assert names
    assert names <= known
    assert {name for name in known if name.startswith(":")} == names | {
        name + part
        for name in names
        for part in ("_sum", "_count")
        if name + "_bucket" in SERIES
    }


def test_a_program_that_is_missing_is_not_run() -> None:
    missing = run_program("p", "no-such-tool", [], install="get it", passed="fine")

    assert missing.verdict is Verdict.NOT_RUN
    assert missing.detail == "no-such-tool is not installed: get it"


@pytest.mark.parametrize("scann", [False, True])
def test_the_shipped_model_list_is_what_the_command_prints(
    tmp_path: Path, scann: bool
) -> None:
    for name, ops in (
        ("ranking", "[]"),
        ("recommender", "[]"),
        ("retrieval", '["Scann>ScannSearchBatched"]'),
    ):
        version = tmp_path / name / "20260101000000"
        version.mkdir(parents=True)
        (version / "manifest.json").write_text(f'{{"ops_beyond_stock": {ops}}}')

    path = DEPLOY / "config" / ("models.scann.config" if scann else "models.config")

    assert path.read_text() == model_config_text(tmp_path, "/models", scann=scann)
    assert len(served_models(path)) == (3 if scann else 2)


def test_a_model_list_holds_to_labels(tmp_path: Path) -> None:
    """The newest version may be the one that was rolled back."""
    for number in (1, 2, 3):
        version = tmp_path / "ranking" / str(number)
        version.mkdir(parents=True)
        (version / "manifest.json").write_text('{"ops_beyond_stock": []}')
    labels = tmp_path / "labels.json"
    labels.write_text('{"stable": 1, "canary": 2}')
    text = model_config_text(tmp_path, "/models", scann=False)
    found = text_format.Parse(text, ModelServerConfig())
    (config,) = found.model_config_list.config
    assert list(config.model_version_policy.specific.versions) == [1, 2]
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}
    labels.write_text('["stable"]')
    with pytest.raises(ModelListError, match="expected versions by label"):
        model_config_text(tmp_path, "/models", scann=False)


def test_the_metrics_page_is_where_the_file_says() -> None:
    path = DEPLOY / "config/monitoring.config"

    assert metrics_path(path) == "/monitoring/prometheus/metrics"


def test_the_edits_of_bazel_files_link_the_op(tmp_path: Path) -> None:
    """The `sed` commands of Dockerfile.scann, on lines as both projects have them."""
    text = (DEPLOY / "images/Dockerfile.scann").read_text().replace("\\\n", " ")
    eigen, register = re.findall(r"sed -i (?:-E )?'[^']*'", text)
    server, library = tmp_path / "BUILD", tmp_path / "BUILD.bazel"
    server.write_text(
        'OPS = [\n    "@org_tensorflow_text//tensorflow_text:ops_lib",\n]\n'
    )
    library.write_text('deps = ["@eigen", "@eigen//:eigen", "@eigen_other"]\n')

    for command, path in ((register, server), (eigen, library)):
        subprocess.run(f"{command} {path}", shell=True, check=True)

    names: dict[str, list[str]] = {}
    exec(server.read_text() + library.read_text(), names)
    scann = "@com_google_scann//scann/scann_ops/cc:"
    assert names["OPS"] == [
        "@org_tensorflow_text//tensorflow_text:ops_lib",
        f"{scann}scann_ops",
        f"{scann}scann_ops_kernels",
    ]
    assert names["deps"] == ["@eigen_archive//:eigen3"] * 2 + ["@eigen_other"]


class _Status(BaseHTTPRequestHandler):
    state = "AVAILABLE"

    def do_GET(self) -> None:
        found = self.path == "/v1/models/recommender"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(f'{{"state": "{self.state}"}}'.encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def status_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Status)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.modelserver"])
def test_the_health_check_follows_the_model(
    name: str, status_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = final(stages((DEPLOY / "images" / name).read_text())).words("HEALTHCHECK")
    assert words[0] in ("bash", "python")

    def ask(port: int) -> int:
        command = [word.replace("8501", str(port)) for word in words]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert ask(status_port) == 0
    monkeypatch.setattr(_Status, "state", "END")
    assert ask(status_port) != 0
    assert ask(1) != 0

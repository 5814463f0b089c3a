"""However many workers share a batch over parameter servers: the same model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.replicas,
    pytest.mark.xdist_group("replicas"),
]
ROOT = Path(__file__).parents[2]
CASES = ("in_batch", "ranking")  # `tests/integration/test_workers.py` has another.


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Fit each case alone, and by two workers with two servers."""
    folder = tmp_path_factory.mktemp("servers")
    done = subprocess.run(
        [sys.executable, "-m", "tests.trainer.server_curves", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    result: dict[str, dict[str, Any]] = json.loads((folder / "found.json").read_text())
    return result


@pytest.mark.parametrize("case", CASES)
def test_workers_with_servers_have_the_curve_of_one_process(
    found: dict[str, dict[str, Any]], case: str
) -> None:
    one, several = found[f"{case}/none"], found[f"{case}/servers"]
    assert one["losses"][-1] < one["losses"][0]
    np.testing.assert_allclose(several["losses"], one["losses"], rtol=2e-6)
    vectors = [np.array(facts["vectors"]) for facts in (one, several)]
    assert np.abs(vectors[0]).max() > 0.05
    np.testing.assert_allclose(vectors[1], vectors[0], atol=2e-4)


def test_what_is_handed_on_lies_in_one_piece_in_this_process(
    found: dict[str, dict[str, Any]],
) -> None:
    for facts in found.values():
        assert facts["plain"]

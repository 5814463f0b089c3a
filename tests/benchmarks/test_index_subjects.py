"""What the benchmark of indexes asks of its peers."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.index import __main__ as door
from benchmarks.index.subjects import least


def test_a_knob_is_turned_until_recall_is_enough() -> None:
    turned: list[int] = []

    def ask(queries: np.ndarray) -> np.ndarray:
        return queries

    found = least((1, 2, 4, 8), turned.append, ask, lambda _: turned[-1] >= 4)
    assert (found, turned) == (4, [1, 2, 4])
    assert least((1, 2), turned.append, ask, lambda _: False) == 2


def test_an_absent_peer_is_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    result = CliRunner().invoke(door.main, ["--items", "600", "--only", "hnswlib"])
    assert result.exit_code == 2
    assert "hnswlib is not installed" in result.output + capfd.readouterr().err

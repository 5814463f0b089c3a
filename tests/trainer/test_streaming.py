"""Batches streamed from shards are those of events in memory, in another order."""

from typing import Any

import numpy as np
import pytest

from data import streaming
from data.events import TRAIN, Stretch
from data.pipelines import sequence_batches
from data.planted import write_planted
from data.prepare import prepare, shards
from data.prepared import Prepared
from data.schema import data_config
from data.settings import read_toml
from data.streaming import StreamedBatches, streamed_batches

LENGTH, SIZE = 10, 8


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Return planted data in several shards, written by several processes."""
    folder = tmp_path_factory.mktemp("planted")
    toml = write_planted(folder / "raw", seed=3).toml
    config = data_config(read_toml(toml), toml)
    whole = prepare(config, toml, str(folder / "whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_EVENTS", len(whole.events) // 4)
        parted = prepare(config, toml, str(folder / "parted"))
    assert len(parted.shards()) >= 4
    assert parted.fingerprint == whole.fingerprint
    for name in ("user", "item", "time", "label", "part", "before", "start"):
        np.testing.assert_array_equal(
            getattr(parted.events, name), getattr(whole.events, name)
        )
    for name, codes in whole.events.context.items():
        np.testing.assert_array_equal(parted.events.context[name], codes)
    assert parted.features == whole.features
    return parted


def _stream(prepared: Prepared, stretch: Stretch) -> StreamedBatches:
    return streamed_batches(
        prepared.shards(), stretch, max_length=LENGTH, batch_size=SIZE, seed=5
    )


def _rows(dataset: Any) -> list[tuple[Any, ...]]:
    """Return each example as something that can be compared, however padded."""
    rows = []
    for batch in dataset.as_numpy_iterator():
        for row in range(len(batch["user"])):
            length = np.count_nonzero(batch["history"][row])
            columns = [np.atleast_1d(batch[name][row]) for name in sorted(batch)]
            rows.append(tuple(column[:length].tobytes() for column in columns))
    return rows


@pytest.mark.parametrize("pool_events", [1, 1 << 30])
@pytest.mark.parametrize("end_share", [None, 0.5])
def test_an_epoch_has_the_windows_of_memory(
    prepared: Prepared,
    monkeypatch: pytest.MonkeyPatch,
    pool_events: int,
    end_share: float | None,
) -> None:
    monkeypatch.setattr(streaming, "POOL_EVENTS", pool_events)
    log = prepared.events
    end = None if end_share is None else int(np.quantile(log.time, end_share))
    stretch = Stretch(part=TRAIN, end=end)
    streamed = _stream(prepared, stretch)
    assert len(streamed.pools) == (1 if pool_events > 1 else len(prepared.shards()))
    held = sequence_batches(stretch.of(log), max_length=LENGTH, batch_size=SIZE, seed=5)
    found = _rows(streamed.epoch(0))
    assert sorted(found) == sorted(_rows(held.epoch(0)))
    assert streamed.num_batches == sum(1 for _ in streamed.epoch(0))


def test_likes_alone_are_streamed(prepared: Prepared) -> None:
    stretch = Stretch(part=TRAIN, likes_alone=True)
    log = prepared.events.replace(likes_alone=True).through(TRAIN).read
    held = sequence_batches(log, max_length=LENGTH, batch_size=SIZE, seed=5)
    found = _rows(_stream(prepared, stretch).epoch(0))
    assert sorted(found) == sorted(_rows(held.epoch(0)))


def test_an_epoch_is_the_same_every_time_and_no_other_is(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "POOL_EVENTS", len(prepared.events) // 2)
    stretch = prepared.training()
    first = _rows(_stream(prepared, stretch).epoch(1))
    assert _rows(_stream(prepared, stretch).epoch(1)) == first
    other = _rows(_stream(prepared, stretch).epoch(2))
    assert other != first
    assert sorted(other) == sorted(first)


def test_an_epoch_goes_on_where_it_was_left(prepared: Prepared) -> None:
    streamed = _stream(prepared, prepared.training())
    whole = list(streamed.epoch(0).as_numpy_iterator())
    rest = list(streamed.epoch(0).skip(3).as_numpy_iterator())
    for one, other in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(one["history"], other["history"])


def test_a_sample_builds_a_model(prepared: Prepared) -> None:
    sample = _stream(prepared, Stretch()).sample()
    assert sample["history"].shape == (1, LENGTH)

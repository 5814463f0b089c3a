"""The experiment's TOML: every key known, every value in its range."""

from pathlib import Path

import pytest

from data.errors import ConfigError
from data.planted import Planted
from trainer.config import (
    BASELINES,
    EvaluationConfig,
    ExperimentConfig,
    ExportConfig,
    RankingConfig,
    RetrievalConfig,
    TextConfig,
    TrainConfig,
    read_experiment,
)

ROOT = Path(__file__).parents[2]


def test_defaults_stand_in_for_what_is_not_set(planted: Planted) -> None:
    config = read_experiment(planted.toml)
    assert config == ExperimentConfig(data=config.data)


def test_overrides_are_typed_by_their_field(planted: Planted) -> None:
    overrides = ["ranking.mlp=[8, 4]", "retrieval.dropout=0", "export.k=3"]
    config = read_experiment(planted.toml, overrides)
    assert config.ranking.mlp == (8, 4)
    assert config.retrieval.dropout == 0.0
    assert isinstance(config.retrieval.dropout, float)
    assert config.export.k == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rankings.dim=3", "unknown key 'rankings'. .*ranking"),
        ("retrieval.dropuot=0.3", "unknown key 'dropuot'. .*dropout"),
        ("ranking.order_by='likes'", "unknown value 'likes'. .*like"),
        ("export.retrieval_index='scan'", "unknown value 'scan'. .*scann"),
        ("retrieval.dim='wide'", "dim: expected a whole number, got 'wide'"),
        ("retrieval.dim=8.5", r"dim: expected a whole number, got 8\.5"),
        ("text.preset=3", "preset: expected a string, got 3"),
        ("export.user_state=1", "user_state: expected true or false, got 1"),
        ("ranking.mlp=3", "mlp: expected a list, got 3"),
        ("evaluation.baselines=ease", "expected true or false, or a list, got 'ease'"),
        ("evaluation.baselines=['ease', 3]", "expected a string, got 3"),
        ("evaluation.ks=[]", r"ks is \(\), expected whole numbers from 1 up"),
        ("evaluation.ks=[0]", r"ks is \(0,\), expected whole numbers from 1 up"),
    ],
)
def test_mistakes_name_the_place_and_the_nearest(
    planted: Planted, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_experiment(planted.toml, [override])
    assert str(planted.toml) in str(caught.value)


ABOVE_ZERO = {
    TextConfig: ("max_tokens", "learning_rate"),
    RetrievalConfig: (
        *("dim", "history_length", "blocks", "heads", "temperature"),
        *("batch_size", "learning_rate", "epochs", "patience"),
    ),
    RankingConfig: (
        *("dim", "cross_layers", "cross_rank", "candidates", "window"),
        *("batch_size", "learning_rate", "epochs", "patience"),
    ),
    TrainConfig: ("clip_norm", "validation_events"),
    ExportConfig: ("k", "max_k", "max_history", "max_exclude", "max_seen"),
}
SHARES = {
    RetrievalConfig: ("dropout", "item_id_dropout", "user_id_dropout"),
    RankingConfig: ("dropout", "item_id_dropout", "user_id_dropout", "window"),
}


@pytest.mark.parametrize(
    ("table", "field"), [(t, f) for t, fields in ABOVE_ZERO.items() for f in fields]
)
def test_zero_is_refused(table: type, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is 0, expected above 0"):
        table(**{field: 0})


@pytest.mark.parametrize(
    ("table", "field"), [(t, f) for t, fields in SHARES.items() for f in fields]
)
def test_a_share_of_one_is_refused(table: type, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is 1, expected from 0"):
        table(**{field: 1})


@pytest.mark.parametrize(
    ("table", "fields", "message"),
    [
        (RetrievalConfig, {"dim": 30, "heads": 4}, "dim 30 is no multiple of heads 4"),
        (ExportConfig, {"k": 11, "max_k": 10}, "k is 11, above max_k 10"),
        (TextConfig, {"trainable_layers": -1}, "trainable_layers is below 0"),
        (
            RankingConfig,
            {"index_negatives": 1, "random_negatives": 2},
            "index_negatives is 1 and random_negatives 2",
        ),
        (RankingConfig, {"index_negatives": 0, "random_negatives": 0}, "at least half"),
        (RankingConfig, {"rating_weight": -0.1}, "rating_weight"),
        (RankingConfig, {"random_negatives": -1}, "random_negatives is -1, expected 0"),
        (RankingConfig, {"mlp": (8, 0)}, r"mlp is \[8, 0\], expected the widths"),
        (TrainConfig, {"seed": -1}, "seed is -1, expected .* from 0 to 4294967294"),
        (TrainConfig, {"seed": 2**32 - 1}, "seed is 4294967295, expected"),
        (EvaluationConfig, {"ks": (5, 0)}, "whole numbers from 1"),
        (
            EvaluationConfig,
            {"baselines": ("popularity", "eese")},
            "unknown baseline 'eese'. Did you mean 'ease'",
        ),
    ],
)
def test_rules_between_fields(
    table: type, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        table(**fields)


def test_a_mean_has_no_heads() -> None:
    assert RetrievalConfig(block="mean", dim=63, heads=2).dim == 63


def test_baselines_are_all_none_or_the_named(planted: Planted) -> None:
    def names(value: str) -> tuple[str, ...]:
        overrides = [f"evaluation.baselines={value}"]
        return read_experiment(planted.toml, overrides).evaluation.baseline_names

    assert names("true") == BASELINES
    assert names("false") == names("[]") == ()
    assert names('["ials", "popularity"]') == ("ials", "popularity")


def test_a_preset_beside_the_toml_is_found_from_anywhere(
    planted: Planted, tmp_path: Path
) -> None:
    (tmp_path / "weights").mkdir()
    toml = tmp_path / "own.toml"
    toml.write_text(planted.toml.read_text() + '[text]\npreset = "weights"\n')
    found = read_experiment(toml).text.preset
    assert found == str((tmp_path / "weights").resolve())


@pytest.mark.parametrize(
    "toml", sorted((ROOT / "trainer/configs").glob("*.toml")), ids=lambda p: p.stem
)
def test_shipped_configs_are_valid(toml: Path) -> None:
    catalog = read_experiment(toml).data.catalog
    assert catalog is not None
    assert toml.stem.startswith(catalog)

"""Names of text weights: the catalog's, a local folder, or keras-nlp's own."""

from pathlib import Path
from typing import Any

from data.catalog import CATALOG
from data.errors import ConfigError
from data.fetch import fetch


def load_preset(preset: str) -> tuple[Any, Any]:
    """Load tokenizer and backbone.

    In: `preset`: a name of the catalog, a local folder, a keras-nlp preset or a hub
    address. Raises: ConfigError when it cannot be had; DataError when the catalog's
    sources fail.
    """
    import keras_nlp

    place = str(fetch(preset)) if preset in CATALOG else preset
    try:
        backbone = keras_nlp.models.Backbone.from_preset(place)
        tokenizer = keras_nlp.models.Tokenizer.from_preset(place)
    except Exception as err:  # Each kind of preset fails in a way of its own.
        reason = str(err).strip().splitlines()[0] if str(err).strip() else repr(err)
        raise ConfigError(
            f"[text] preset = '{preset}' cannot be had: {reason} Expected "
            "all-minilm-l6-v2, a keras-nlp preset or hub address that this machine "
            "can reach, or a local folder with config.json, model.safetensors and "
            'vocab.txt. Set [text] preset, or preset = "" to do without text.'
        ) from err
    return tokenizer, backbone


def preset_files(preset: str) -> str:
    """Return what tells one set of weights from another, for fingerprints."""
    folder = Path(preset)
    if not preset or preset in CATALOG or not folder.is_dir():
        return preset
    parts = sorted(p for p in folder.rglob("*") if p.is_file())
    return str([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in parts])

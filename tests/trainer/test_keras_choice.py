"""Which Keras: chosen here, and told where it was chosen before."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND")
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_keras_3_in_the_process_is_told() -> None:
    code = (
        "import tensorflow as tf; tf.keras.layers\n"
        "from data.errors import ConfigError\n"
        "try:\n import trainer\n"
        "except ConfigError as err: print(err)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert "tf.keras is Keras 3 in this process" in done.stdout
    assert "Set TF_USE_LEGACY_KERAS=1 before the first import" in done.stdout


def test_importing_trainer_first_chooses() -> None:
    code = (
        "import trainer, sys; print('tensorflow' in sys.modules)\n"
        "import tensorflow as tf; print(tf.keras.layers.Layer.__module__)\n"
    )
    done = run(code, TF_USE_LEGACY_KERAS="0")
    assert done.returncode == 0, done.stderr
    loaded, module = done.stdout.splitlines()
    assert loaded == "False"
    assert module.startswith("tf_keras")

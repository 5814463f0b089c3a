"""Dependencies point one way: trainer on data, serving on neither of them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "data": {"trainer", "serving", "tests"},
    "trainer": {"serving", "tests"},
    "serving": {"data", "trainer", "tests"},
}
# What a part of the trainer may know of, those above it left out.
TRAINER = ("inputs", "models", "evaluation", "fitting", "stages")
SOURCES = [
    (package, path)
    for package in FORBIDDEN
    for path in sorted((ROOT / package).rglob("*.py"))
]


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


@pytest.mark.parametrize(
    ("package", "path"),
    SOURCES,
    ids=[str(path.relative_to(ROOT)) for _, path in SOURCES],
)
def test_imports_point_one_way(package: str, path: Path) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in _imported(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("part", TRAINER)
def test_the_trainer_s_parts_stand_on_each_other(part: str) -> None:
    above = TRAINER[TRAINER.index(part) + 1 :]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (ROOT / "trainer" / part).rglob("*.py")
        for line, name in _imported(path)
        if name.startswith(tuple(f"trainer.{other}" for other in above))
    ]
    assert wrong == []


def test_preparing_starts_without_tensorflow() -> None:
    modules = "data.prepare, data.describe, data.planted, data.__main__"
    code = f"import sys, {modules}; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("False\n", "")

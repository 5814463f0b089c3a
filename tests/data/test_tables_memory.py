"""A file may be longer than memory: only some blocks of it are held at a time."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NUM_ROWS, TEXT = 80_000, "x" * 180
# In a process of its own, whose memory nothing else has used before. Not by
# getrusage, which starts with the peak of the process that started it.
MEASURE = """
import pathlib, re, sys
from data.schema import Column, Table
from data.tables import json_lines, parquet, read_batches, separated, source

source.BLOCK_BYTES = source.READ_BYTES = separated.HEADER_BYTES = 1 << 15
json_lines.PARSED_BYTES = parquet.BATCH_BYTES = 1 << 15
columns = {"user": Column(role="user_id"), "item": Column(role="item_id")}
for name in sys.argv[1:]:
    table = Table(path=name, columns=columns, separator="::" if "dat" in name else ",")
    num_rows = sum(block.num_rows for block in read_batches("users", table, "."))
    status = pathlib.Path("/proc/self/status").read_text()
    print(num_rows, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) << 10)
"""


def _rows(num_rows: int) -> Any:
    return ((f"{i}{TEXT}", f"{TEXT}{i}") for i in range(num_rows))


def _write_csv(path: Path, num_rows: int) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("user", "item"), *_rows(num_rows)])


def _write_long(path: Path, num_rows: int) -> None:
    lines = ("::".join(row) + "\n" for row in [("user", "item"), *_rows(num_rows)])
    with path.open("w") as file:
        file.writelines(lines)


def _write_json(path: Path, num_rows: int) -> None:
    with path.open("w") as file:
        for user, item in _rows(num_rows):
            file.write(json.dumps({"user": user, "item": item}) + "\n")


def _write_parquet(path: Path, num_rows: int) -> None:
    users, items = zip(*_rows(num_rows), strict=True)
    table = pa.table({"user": users, "item": items})
    # One row group and nothing packed: the whole file is what must not be held.
    pq.write_table(
        table, path, row_group_size=num_rows, compression="none", use_dictionary=False
    )


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", _write_csv),
        ("t.dat", _write_long),
        ("t.jsonl", _write_json),
        ("t.parquet", _write_parquet),
    ],
)
def test_memory_is_that_of_some_blocks(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, write: Any
) -> None:
    write(tmp_path / f"short.{name}", 100)
    write(tmp_path / name, NUM_ROWS)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, f"short.{name}", name],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(request.config.rootpath),
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = (line.split() for line in measured.stdout.splitlines())
    assert (int(short[0]), int(long[0])) == (100, NUM_ROWS)
    size = (tmp_path / name).stat().st_size
    assert size > 29_000_000
    assert int(long[1]) - int(short[1]) < size / 2

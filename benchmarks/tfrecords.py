"""TFRecord files of `tf.train.Example` records, written and read as is usual."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

SHARDS = 8
SHUFFLE_BUFFER = 10_000
READ_BATCH = 8_192

Columns = Mapping[str, np.ndarray]
Batch = dict[str, tf.Tensor]


def write_examples(folder: Path, columns: Columns, shards: int = SHARDS) -> None:
    """Write one record a row; a column (n,) or (n, w) becomes a feature."""
    folder.mkdir()
    num_rows = len(next(iter(columns.values())))
    places = np.array_split(np.arange(num_rows), shards)
    for number, rows in enumerate(places):
        path = folder / f"{number:05d}-of-{shards:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in _records({n: v[rows] for n, v in columns.items()}):
                writer.write(record)


def _records(columns: Columns) -> Iterator[bytes]:
    lists = [np.reshape(v, (len(v), -1)).tolist() for v in columns.values()]
    kinds = [np.issubdtype(v.dtype, np.floating) for v in columns.values()]

    def record(*row: list[float]) -> bytes:
        features = {
            name: tf.train.Feature(float_list=tf.train.FloatList(value=values))
            if is_float
            else tf.train.Feature(int64_list=tf.train.Int64List(value=values))
            for name, is_float, values in zip(columns, kinds, row, strict=True)
        }
        example = tf.train.Example(features=tf.train.Features(feature=features))
        return bytes(example.SerializeToString())

    return map(record, *lists)


def feature_specs(columns: Columns) -> dict[str, tf.io.FixedLenFeature]:
    """Return what reads back the columns: all of fixed length, the fastest parse."""
    return {
        name: tf.io.FixedLenFeature(
            values.shape[1:],
            tf.float32 if np.issubdtype(values.dtype, np.floating) else tf.int64,
        )
        for name, values in columns.items()
    }


def stream(
    folder: Path,
    columns: Columns,
    batch_size: int,
    *,
    cached: bool = False,
    finish: Callable[[Batch], Batch] = lambda batch: batch,
) -> tf.data.Dataset:
    """Read shuffled batches: every iteration is another epoch.

    In: `columns`: any rows of those that were written, for shapes and types;
    `cached`: keep the serialised records in memory from the first epoch on; `finish`:
    what is done with a parsed batch.
    """
    specs = feature_specs(columns)

    def parse(serialised: tf.Tensor) -> Batch:
        parsed = tf.io.parse_example(serialised, specs)
        return finish({n: tf.cast(parsed[n], v.dtype) for n, v in columns.items()})

    names = tf.data.Dataset.list_files(str(folder / "*"), shuffle=True)
    records = names.interleave(
        tf.data.TFRecordDataset,
        cycle_length=4,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    records = records.cache() if cached else records
    batches = records.shuffle(SHUFFLE_BUFFER).batch(batch_size)
    return batches.map(parse, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def read_columns(folder: Path, columns: Columns) -> dict[str, np.ndarray]:
    """Read all records into arrays, in the order in which they were written."""
    specs = feature_specs(columns)
    records = tf.data.TFRecordDataset(sorted(str(p) for p in folder.iterdir()))
    batches = records.batch(READ_BATCH).map(
        lambda serialised: tf.io.parse_example(serialised, specs), tf.data.AUTOTUNE
    )
    parts = list(batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator())
    return {
        name: np.concatenate([part[name] for part in parts]).astype(values.dtype)
        for name, values in columns.items()
    }

"""A planted experiment as small as the job takes: what is killed often, and tested."""

from pathlib import Path

from benchmarks.retrain.slices import Sliced, slice_by_time
from data.planted import write_planted

FIRST = 0.7  # So many of the events are known before the slices come.
TABLES = """
[text]
preset = ""

[retrieval]
dim = 8
history_length = 8
blocks = 1
heads = 1
batch_size = 64
epochs = 2

[ranking]
dim = 4
cross_layers = 1
cross_rank = 4
mlp = [8]
requests_per_user = 4
candidates = 20
epochs = 1

[train]
seed = 42

[evaluation]
ks = [5, 10]
baselines = ["popularity"]

[export]
k = 5
max_k = 20
max_history = 8
max_exclude = 8
retrieval_index = "brute_force"
recommender_index = "brute_force"

# What learns for a second is not good: these ask whether the job works.
[gate]
margin = -0.95
reference_margin = -0.95
min_users = 5
floor_baseline = ""
coverage_loss = 0.99
cold_recall_loss = 0.99
latency_ratio = 50.0
"""


def tiny(folder: Path, slices: int = 2) -> Sliced:
    """Write the experiment, its events parted by time: a first part and slices."""
    planted = write_planted(folder / "whole", extra_toml=TABLES)
    return slice_by_time(planted.toml, folder / "parted", FIRST, slices)

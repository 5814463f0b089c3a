"""What `evaluate` leaves for the gate: three files, read without TensorFlow."""

from typing import Any

from data import files

EVALUATION, TIMES, GRAPH = "evaluation.json", "times.json", "graph.json"


def read_figures(folder: str) -> dict[str, Any]:
    """Read what the gate decides on, as `measuring.evaluate_candidate` left it."""
    figures, graph, times = (
        dict(files.read_json(files.join(folder, name)))
        for name in (EVALUATION, GRAPH, TIMES)
    )
    figures["guards"] = {**figures["guards"], **graph["guards"], "latency_ms": times}
    return {**figures, **{k: v for k, v in graph.items() if k != "guards"}}

"""New versions under load: what requests notice of their loading and taking over."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.cost import CLIENTS, WARM_S
from benchmarks.serving.exports import Models, copied, publish
from benchmarks.serving.generator import start_load
from benchmarks.serving.outcome import Outcome, percentiles, summary
from benchmarks.serving.plan import Plan
from benchmarks.serving.server import BATCHING, Server, serving
from benchmarks.serving.stolen import watched
from data.console import say, step
from serving.client import GrpcClient, ServingError

HALF = 0.5
AROUND_S = 5.0
CAPACITY_S = 8.0
CONNECTIONS = 64
TAKEN_OVER_WITHIN_S = 180.0
WANTED = 1.5
_LOOK_EVERY_S = 0.2


def measure_swaps(
    models: Path | None, *, seconds: float, swaps: int, seed: int
) -> tuple[dict[str, Any], Outcome]:
    """Publish versions of all servables while the recommender is asked.

    Out: the figures, whose times are seconds from the load's start; all requests.
    """
    with copied(models) as copy, step("Server"), serving(copy, batching=BATCHING) as on:
        ahead = range(1, swaps + 1)
        prepared = [[copy.prepare(name, n) for name in copy.names] for n in ahead]
        capacity = capacity_of(on, copy, seed)
        plan = Plan(
            clients=CONNECTIONS, seconds=seconds, rate=HALF * capacity, seed=seed
        )
        began = time.monotonic()
        generator = start_load("grpc", on.grpc, copy.ids(), plan)
        found = []
        with watched() as stolen:
            for number, folders in enumerate(prepared):
                # None at the very beginning; room for the last one's load at the end.
                due = began + (number + 0.25) / swaps * seconds
                time.sleep(max(due - time.monotonic(), 0))
                found.append(_swap(on, folders))
                say(f"Swap {number + 1} of {swaps}: {found[-1]['took_s']:.1f} s")
            outcome = generator.outcome()
        worst_at, worst_s = stolen.worst()
    for swap in found:
        swap["published"] -= outcome.started
        swap["taken_over"] = {
            name: at - outcome.started for name, at in swap["taken_over"].items()
        }
    figures = {
        "capacity_per_s": capacity,
        "rate": HALF * capacity,
        "seconds": seconds,
        "servables": list(copy.names),
        "swaps": found,
        "stolen": {
            "share": stolen.share,
            "worst_at": worst_at - outcome.started,
            "worst_s": worst_s,
        },
        **compared(outcome, found),
    }
    return figures, outcome


def capacity_of(server: Server, models: Models, seed: int) -> float:
    """Return the requests a second of a closed loop, the second one of two."""
    for seconds in (WARM_S, CAPACITY_S):
        plan = Plan(clients=CLIENTS, seconds=seconds, seed=seed)
        outcome = start_load("grpc", server.grpc, models.ids(), plan).outcome()
    return float(summary(outcome)["per_s"])


def _swap(server: Server, folders: Sequence[Path]) -> dict[str, Any]:
    """Publish one version of each servable and wait until all have taken over."""
    begin = time.monotonic()
    wanted = {folder.parent.name: publish(folder) for folder in folders}
    taken_over: dict[str, float] = {}
    with GrpcClient(str(server.grpc), timeout_s=5.0) as client:
        while len(taken_over) < len(wanted):
            if time.monotonic() > begin + TAKEN_OVER_WITHIN_S:
                break
            time.sleep(_LOOK_EVERY_S)
            name = next(name for name in wanted if name not in taken_over)
            if _available(client, name, wanted[name]):
                taken_over[name] = time.monotonic()
    return {
        "published": begin,
        "taken_over": taken_over,
        "took_s": time.monotonic() - begin,
        "complete": len(taken_over) == len(wanted),
    }


def _available(client: GrpcClient, name: str, version: int) -> bool:
    try:
        states = {entry.version: entry.state for entry in client.status(name)}
    except ServingError:
        return False
    return states.get(version) == "AVAILABLE"


def compared(outcome: Outcome, swaps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare requests around the swaps, pooled, with those far from any.

    In: `swaps`: `published`, and `taken_over` by servable, seconds as `outcome.due`.
    Out: latencies of `steady` requests; those `around` a take-over of any servable,
        half of AROUND_S before it and half after; those `while_loading`, from a
        publication to the last take-over and half of AROUND_S more; `too_late`: how
        many take-overs came when the load had ended, and so met no requests.
    """
    due, half = outcome.due, AROUND_S / 2
    around = np.zeros(len(due), bool)
    loading = np.zeros(len(due), bool)
    for swap in swaps:
        times = list(swap["taken_over"].values())
        for at in times:
            around |= (due >= at - half) & (due < at + half)
        last = max(times) + half if swap["complete"] else np.inf
        loading |= (due >= swap["published"]) & (due < last)
    steady = ~(around | loading)
    groups = {"steady": steady, "around": around, "while_loading": loading}
    late = sum(at > due[-1] for swap in swaps for at in swap["taken_over"].values())
    found: dict[str, Any] = {"all": summary(outcome), "too_late": int(late)}
    for name, mask in groups.items():
        times = outcome.latency_ms[mask & outcome.ok]
        found[name] = {"requests": int(mask.sum()), "latency_ms": percentiles(times)}
    base = found["steady"]["latency_ms"].get("p99")
    for name in ("around", "while_loading"):
        value = found[name]["latency_ms"].get("p99")
        ratio = value / base if value is not None and base else None
        found[name]["p99_ratio"] = ratio
    return found

"""Which machines work together, as TF_CONFIG tells it.

Kubeflow's TFJob and Vertex AI set it for every replica of a job; the supervisor sets
it for processes of one machine. Needs no TensorFlow.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.errors import ConfigError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"chief": ["host-0:2222"], "worker": ["host-1:2222"]}, '
    '"task": {"type": "chief", "index": 0}}'
)
ROLES = ("chief", "worker")


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers by role, and which of them this process is."""

    addresses: dict[str, list[str]]
    role: str
    index: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Cluster":
        """Read TF_CONFIG. Raises: ConfigError, naming the field that is wrong."""
        text = environment.get(VARIABLE, "")
        if not text:
            raise ConfigError(
                f'[train] strategy is "multi_worker", and {VARIABLE} is not set, so '
                "this process knows no others. Kubeflow and Vertex AI set it; here, "
                "run: python -m trainer supervise --workers 2 -- train TOML."
            )
        try:
            told = json.loads(text)
        except ValueError as err:
            raise _wrong("", text[:80], f"JSON such as {EXAMPLE}") from err
        table = _table(told, "")
        addresses = _addresses(_table(table.get("cluster"), "cluster"))
        task = _table(table.get("task"), "task")
        role = {"master": "chief"}.get(str(task.get("type")), task.get("type"))
        if role not in ROLES or role not in addresses:
            found = f"one of {', '.join(addresses)}"
            raise _wrong("task.type", role, f"{found}; no other takes part in training")
        return cls(addresses, role, _index(task.get("index"), len(addresses[role])))

    @property
    def leads(self) -> bool:
        """Tell whether this process decides and writes: the chief, or worker 0."""
        return self.index == 0 and self.role == next(iter(self.addresses))

    @property
    def address(self) -> str:
        """Return where this process listens."""
        return self.addresses[self.role][self.index]

    @property
    def number(self) -> int:
        """Return how many processes there are."""
        return sum(len(found) for found in self.addresses.values())

    def text(self) -> str:
        """Return it as TF_CONFIG."""
        task = {"type": self.role, "index": self.index}
        return json.dumps({"cluster": self.addresses, "task": task})

    def check_port(self) -> None:
        """Raise ConfigError when something listens already where this process would."""
        port = int(self.address.rpartition(":")[2])
        try:
            socket.create_server(("", port)).close()
        except OSError as err:
            raise ConfigError(
                f"{VARIABLE}: port {port} of {self.address}, this process's own, "
                f"cannot be had: {err.strerror}. End what listens there, or name "
                "another port."
            ) from err


def check_alone(environment: Mapping[str, str]) -> None:
    """Raise ConfigError where each of several processes would do the whole job."""
    try:
        found = Cluster.of(environment)
    except ConfigError:  # Not set, or of something else.
        return
    if found.number > 1:
        raise ConfigError(
            f"{VARIABLE} names {found.number} workers, and [train] strategy is for "
            "this one alone, so that each would do the whole job in one folder. Take "
            'strategy = "multi_worker", or start one worker.'
        )


def _addresses(cluster: dict[str, Any]) -> dict[str, list[str]]:
    """Return those of the chief and the workers, the chief first."""
    named = {
        {"master": "chief"}.get(role, role): found for role, found in cluster.items()
    }
    for role, found in named.items():
        if not isinstance(found, list) or not found:
            raise _wrong(f"cluster.{role}", found, 'a list such as ["host-0:2222"]')
        for place, address in enumerate(found):
            host, _, port = str(address).rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65_536:
                where = f"cluster.{role}[{place}]"
                raise _wrong(where, address, "HOST:PORT such as host-0:2222")
    if len(named.get("chief", [])) > 1:
        raise _wrong("cluster.chief", named["chief"], "one address")
    taking_part = {role: named[role] for role in ROLES if role in named}
    if not taking_part:
        raise _wrong("cluster", list(named), "a chief or workers among its roles")
    return taking_part


def _index(found: Any, number: int) -> int:
    if isinstance(found, bool) or not str(found).isdigit() or int(found) >= number:
        raise _wrong("task.index", found, f"a number from 0 to {number - 1}")
    return int(found)


def _table(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _wrong(where, found, f"a table; the whole is such as {EXAMPLE}")
    return found


def _wrong(where: str, found: Any, expected: str) -> ConfigError:
    place = f"{VARIABLE} {where}".strip()
    return ConfigError(f"{place}: found {found!r}, expected {expected}.")

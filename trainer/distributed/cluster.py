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
_HERE = {
    "multi_worker": "--workers 2",
    "parameter_server": "--workers 3 --servers 1",
}
ROLES = ("chief", "worker")
SERVERS = "ps"


@dataclass(frozen=True)
class Cluster:
    """The addresses of all processes by role, and which of them this one is.

    `addresses`: of the chief, the workers and, where there are any, the parameter
    servers, in that order.
    """

    addresses: dict[str, list[str]]
    role: str
    index: int

    @classmethod
    def of(cls, environment: Mapping[str, str], strategy: str) -> "Cluster":
        """Read TF_CONFIG, as a strategy of several processes wants it.

        Raises: ConfigError, naming the field that is wrong.
        """
        found = cls._read(environment, strategy)
        found._check(strategy)
        return found

    @classmethod
    def _read(cls, environment: Mapping[str, str], strategy: str) -> "Cluster":
        text = environment.get(VARIABLE, "")
        if not text:
            raise ConfigError(
                f'[train] strategy is "{strategy}", and {VARIABLE} is not set, so '
                "this process knows no others. Kubeflow and Vertex AI set it; here, "
                f"run: python -m trainer supervise {_HERE.get(strategy, '')} -- train "
                "TOML."
            )
        try:
            told = json.loads(text)
        except ValueError as err:
            raise _wrong("", text[:80], f"JSON such as {EXAMPLE}") from err
        table = _table(told, "")
        addresses = _addresses(_table(table.get("cluster"), "cluster"))
        task = _table(table.get("task"), "task")
        role = {"master": "chief"}.get(str(task.get("type")), task.get("type"))
        if role not in addresses:
            found = f"one of {', '.join(addresses)}"
            raise _wrong("task.type", role, f"{found}; no other takes part in training")
        return cls(addresses, role, _index(task.get("index"), len(addresses[role])))

    def _check(self, strategy: str) -> None:
        """Raise ConfigError unless a strategy has those that it wants."""
        if strategy != "parameter_server":
            if SERVERS in self.addresses:
                raise ConfigError(
                    f'{VARIABLE} cluster names parameter servers, "{SERVERS}", and '
                    f'[train] strategy is "{strategy}". Take strategy = '
                    '"parameter_server", or start none of them.'
                )
            return
        if SERVERS not in self.addresses:
            raise ConfigError(
                f'[train] strategy is "parameter_server", and {VARIABLE} cluster names '
                f'no "{SERVERS}", found {", ".join(self.addresses)}. Start parameter '
                'servers, or take strategy = "multi_worker".'
            )
        if not self.roles()["worker"]:
            raise ConfigError(
                f'{VARIABLE} cluster: found no "worker" beside the one that leads, '
                "which takes no steps. Expected one or more."
            )

    @property
    def leads(self) -> bool:
        """Tell whether this process decides and writes: the chief, or worker 0."""
        return self.index == 0 and self.role == next(iter(self.addresses))

    @property
    def address(self) -> str:
        """Return where this process listens."""
        return self.addresses[self.role][self.index]

    @property
    def leader(self) -> str:
        """Return where the process that leads listens."""
        return next(iter(self.addresses.values()))[0]

    def roles(self) -> dict[str, list[str]]:
        """Return all addresses with a chief: the one that leads is no worker then."""
        leader, *rest = [a for role in ROLES for a in self.addresses.get(role, [])]
        servers = self.addresses.get(SERVERS, [])
        return {"chief": [leader], "worker": rest, SERVERS: servers}

    def task(self) -> tuple[str, int]:
        """Return the role and the number that this process has in `roles`."""
        if self.leads:
            return "chief", 0
        role = self.role
        return role, self.roles()[role].index(self.address)

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


def check_alone(environment: Mapping[str, str], *, can_share: bool = True) -> None:
    """Raise ConfigError where each of several processes would do the whole job.

    In: `can_share`: whether there is a strategy by which they would do it together.
    """
    try:
        found = Cluster._read(environment, "")
    except ConfigError:  # Not set, or of something else.
        return
    if found.number > 1:
        who, strategy = "workers", "multi_worker"
        if SERVERS in found.addresses:
            who, strategy = "workers and parameter servers", "parameter_server"
        alone = "[train] strategy is for this one alone"
        advice = f'Take strategy = "{strategy}", or start one worker'
        if not can_share:
            alone, advice = "this command is done by one alone", "Start one worker"
        raise ConfigError(
            f"{VARIABLE} names {found.number} {who}, and {alone}, so that each would "
            f"do the whole job in one folder. {advice}."
        )


def _addresses(cluster: dict[str, Any]) -> dict[str, list[str]]:
    """Return those of the chief, the workers and the parameter servers, so ordered."""
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
    known = (*ROLES, SERVERS)
    taking_part = {role: named[role] for role in known if role in named}
    if not set(ROLES) & set(taking_part):
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

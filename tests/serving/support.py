"""Addresses, free ports and raw HTTP for the tests of the server."""

import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Address:
    """Where a test server listens."""

    grpc: str
    rest_port: int

    @property
    def rest(self) -> str:
        return f"127.0.0.1:{self.rest_port}"


@dataclass(frozen=True)
class Answer:
    """One HTTP response as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def ask(
    port: int,
    method: str,
    target: str | bytes,
    body: bytes = b"",
    **headers: str,
) -> Answer:
    """Send one request with the target exactly as given, and read the answer."""
    raw = target.encode() if isinstance(target, str) else target
    lines = [method.encode() + b" " + raw + b" HTTP/1.1", b"Host: x"]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if "Transfer-Encoding" not in given:
        given.setdefault("Content-Length", str(len(body)))
    lines += [f"{name}: {value}".encode() for name, value in given.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        with sock.makefile("rb") as stream:
            return read_answer(stream, has_body=method != "HEAD")


def read_answer(stream: Any, *, has_body: bool = True) -> Answer:
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    size = int(headers.get("content-length", "0")) if has_body else 0
    return Answer(status, headers, stream.read(size))

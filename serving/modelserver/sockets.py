"""Listening sockets, and what to say where one cannot be had."""

import errno
import socket

from serving.modelserver.errors import StartupError

_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def listener(flag: str, port: int) -> socket.socket:
    """Return a TCP socket bound to a port of every address, IPv6 and IPv4.

    Raises: StartupError: the port is taken or may not be used.
    """
    try:
        return _dual_stack(port)
    except OSError as err:
        raise StartupError(
            f"--{flag}={port} cannot be bound: {err.strerror}. Another process may "
            f"hold the port: stop that one, or choose another --{flag}."
        ) from err


def _dual_stack(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        except OSError as err:
            # Some machines have IPv6 compiled in but switched off.
            if err.errno not in _NO_IPV6:
                raise
    return socket.create_server(("0.0.0.0", port))

"""What a query can fail with."""


class ServingError(Exception):
    """A server refused a query, or could not be asked.

    `code` is gRPC's name for the kind of failure, such as INVALID_ARGUMENT or
    UNAVAILABLE, whichever way the server was asked; `message` is the server's own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def nothing_listens(target: str) -> ServingError:
    """Return the error of a server that is not there."""
    return ServingError(
        "UNAVAILABLE",
        f"nothing listens at {target}. `make serve` starts a server.",
    )

"""Downloads over https to a file, with the checksum taken while streaming."""

import hashlib
import re
import ssl
from pathlib import Path

import httpx2

from data.console import progress
from data.errors import DataError

CONNECT_S, READ_S = 5.0, 60.0


def redact(text: str) -> str:
    """Return a text without the user names and passwords of addresses in it."""
    return re.sub(r"(?<=://)[^/@\s'\"]+@", "", text)


def client(
    verify: ssl.SSLContext | bool = True, proxy: str | None = None
) -> httpx2.Client:
    """Make a client that gives up soon where no host answers."""
    return httpx2.Client(
        verify=verify,
        proxy=proxy,
        follow_redirects=True,
        timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
    )


def download(
    http: httpx2.Client, url: str, target: Path, size: int, algorithm: str = "sha256"
) -> str:
    """Write what an address gives to a file.

    In: `size`: the expected bytes; 0 takes as many as the server announces.
    Out: the sum of what came, as `algorithm:hex`.
    Raises: no answer, an answer that is no file, other bytes than expected ->
    DataError that says so; the disk is full -> OSError.
    """
    digest = hashlib.new(algorithm)
    came = 0
    as_it_is = {"Accept-Encoding": "identity"}  # Some servers unpack .gz on the way.
    try:
        with http.stream("GET", url, headers=as_it_is) as answer:
            answer.raise_for_status()
            size = size or int(answer.headers.get("content-length", 0))
            title = f"Fetching {target.name} (MB)"
            with open(target, "wb") as file, progress(title, size / 1e6) as advance:
                for block in answer.iter_raw():
                    came += len(block)
                    if 0 < size < came:
                        break
                    digest.update(block)
                    file.write(block)
                    advance(len(block) / 1e6)
    except httpx2.HTTPStatusError as err:
        raise DataError(f"the server answered {err.response.status_code}") from err
    except (httpx2.HTTPError, httpx2.InvalidURL) as err:
        raise DataError(f"{type(err).__name__}: {redact(str(err))}") from err
    if 0 < size < came:
        raise DataError(f"{target.name}: expected {size:,} bytes, found more")
    return f"{algorithm}:{digest.hexdigest()}"

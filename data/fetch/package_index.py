"""Source distributions from the listings of the configured package indexes.

`pip download` would run a source distribution's build, so its address is taken from
the listing of its project: PEP 503 (HTML), PEP 691 (JSON), or a folder of files.
"""

import html.parser
import json
import os
import re
import ssl
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

import httpx2

from data.errors import DataError
from data.fetch.download import client, download, redact
from data.fetch.pip_client import Settings, settings
from data.fetch.sources import Archive, Sdist

_JSON = "application/vnd.pypi.simple.v1+json"
_ACCEPT = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


def fetch_sdist(archive: Archive, source: Sdist, folder: Path) -> Path:
    """Download a source distribution, or find it in a local index; never build it.

    Out: a path in `folder`, or of the file in the local index.
    Raises: no index lists it or gives it -> DataError with each one's answer.
    """
    configured = settings()
    reasons: list[str] = []
    for page in _pages(configured, source.project):
        try:
            address = _links(page, configured).get(archive.file)
            if address is None:
                reasons.append(f"{redact(page)} does not list it")
            elif path := _local(address):
                if path.is_file():
                    return path
                reasons.append(f"{redact(page)} lists it, but {path} is not there")
            else:
                return _download(address, page, archive, configured, folder)
        except DataError as err:
            reasons.append(f"{redact(page)}: {err}")
    where = "; ".join(reasons) or "pip is configured for no index"
    raise DataError(f"{archive.file} was not found: {where}")


def _pages(configured: Settings, project: str) -> list[str]:
    """Return the addresses of the project's listings, then those of loose files."""
    name = re.sub(r"[-_.]+", "-", project).lower()  # PEP 503
    indexes = [f"{index.rstrip('/')}/{name}/" for index in configured.indexes]
    return [*indexes, *configured.find_links]


def _local(address: str) -> Path | None:
    """Return the path that an address means on this machine, if it means one."""
    if address.startswith("file:"):
        return Path(url2pathname(urlsplit(address).path))
    return None if "://" in address else Path(address).expanduser()


def _links(page: str, configured: Settings) -> dict[str, str]:
    """Return the address of each file on a listing, by the file's name."""
    folder = _local(page)
    if folder is None:
        return _remote_links(page, configured)
    index = folder / "index.html" if folder.is_dir() else folder
    if index.is_file():
        return _parse_html(index.read_text("utf-8", "replace"), index.as_uri())
    if folder.is_dir():
        return {name: str(folder / name) for name in os.listdir(folder)}
    raise DataError("no such folder")


def _remote_links(page: str, configured: Settings) -> dict[str, str]:
    try:
        with _client(configured, page) as http:
            answer = http.get(page, headers={"Accept": _ACCEPT})
            answer.raise_for_status()
    except httpx2.HTTPStatusError as err:
        raise DataError(f"the server answered {err.response.status_code}") from err
    except (httpx2.HTTPError, httpx2.InvalidURL) as err:
        raise DataError(f"{type(err).__name__}: {redact(str(err))}") from err
    base = str(answer.url)
    if not answer.headers.get("content-type", "").startswith(_JSON):
        return _parse_html(answer.text, base)
    try:
        files = json.loads(answer.text)["files"]
        return {file["filename"]: urljoin(base, file["url"]) for file in files}
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"its JSON is no listing ({err!r})") from err


class _Anchors(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if link and tag == "a":
            self.links.append(link)
        elif link and tag == "base":
            self.base = link


def _parse_html(text: str, page: str) -> dict[str, str]:
    parser = _Anchors()
    parser.feed(text)
    base = urljoin(page, parser.base)
    addresses = [urldefrag(urljoin(base, link)).url for link in parser.links]
    return {unquote(urlsplit(a).path.rsplit("/", 1)[-1]): a for a in addresses}


def _download(
    address: str, page: str, archive: Archive, configured: Settings, folder: Path
) -> Path:
    target = folder / archive.file
    with _client(configured, address) as http:
        url = _with_login(address, page)
        download(http, url, target, archive.size)
    return target


def _with_login(address: str, page: str) -> str:
    """Send the listing's login with a file of the same host, and with no other."""
    listing, file = httpx2.URL(page), httpx2.URL(address)
    same = (listing.scheme, listing.host, listing.port) == (
        file.scheme,
        file.host,
        file.port,
    )
    if not same or not listing.userinfo or file.userinfo:
        return address
    login = {"username": listing.username, "password": listing.password}
    return str(file.copy_with(**login))


def _client(configured: Settings, address: str) -> httpx2.Client:
    host = urlsplit(address).hostname or ""
    trusted = {name.partition(":")[0] for name in configured.trusted_hosts}
    if host in trusted:
        return client(verify=False, proxy=configured.proxy)
    try:
        context = ssl.create_default_context(cafile=configured.cert or None)
        if configured.client_cert:
            context.load_cert_chain(configured.client_cert)
    except OSError as err:
        raise DataError(f"pip's setting `cert` cannot be used: {err}") from err
    own = configured.cert or configured.client_cert
    return client(verify=context if own else True, proxy=configured.proxy)

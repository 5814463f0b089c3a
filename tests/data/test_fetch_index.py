"""Archives on package indexes: folders and servers on this machine, real pip."""

import base64
import dataclasses
import functools
import http.server
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import DataError
from data.fetch import package_index, pip_client
from data.fetch.archives import open_archive
from data.fetch.download import redact
from data.fetch.package_index import fetch_sdist
from data.fetch.pip_client import Settings, fetch_wheel, settings
from data.fetch.sources import Archive, Sdist, Wheel

SDIST = Sdist(project="Toy.Box", version="1.0")
FILE = "toy_box-1.0.tar.gz"
WHEEL = "toy_box-1.0-py3-none-any.whl"
UNUSED = "http://127.0.0.1:9/simple"
LOGIN = "Basic " + base64.b64encode(b"ann:s3cret").decode()


def sdist_bytes(marker: Path) -> bytes:
    """Make a source distribution whose build would leave a file at `marker`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, text in {
            "toy_box-1.0/setup.py": f"open({str(marker)!r}, 'w')",
            "toy_box-1.0/toy.dat": "1::2",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            file.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("toy_box-1.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../outside"
        file.addfile(link)
    return buffer.getvalue()


def write_wheel(folder: Path) -> None:
    info = "toy_box-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as file:
        file.writestr("toy_box/toy.dat", "1::2")
        head = "Metadata-Version: 2.1\nName: toy-box\nVersion: 1.0\n"
        file.writestr(f"{info}/METADATA", f"{head}Requires-Dist: torch\n")
        head = "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\n"
        file.writestr(f"{info}/WHEEL", f"{head}Tag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@dataclasses.dataclass
class Index:
    """A package index on this machine; `asked` is what was asked of it."""

    folder: Path
    url: str
    marker: Path
    asked: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)
    login: str | None = None

    def list_as_html(self, *files: str) -> None:
        (self.folder / "simple/toy-box").mkdir(parents=True, exist_ok=True)
        links = "".join(f'<a href="../../files/{f}#x=1">{f}</a>' for f in files)
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        (self.folder / "simple/toy-box/index.html").write_text(page)

    def list_as_json(self, *files: str) -> None:
        (self.folder / "json/toy-box").mkdir(parents=True, exist_ok=True)
        listed = [{"filename": f, "url": f"../../files/{f}"} for f in files]
        page = json.dumps({"files": listed})
        (self.folder / "json/toy-box/index.html").write_text(page)


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, index: Index) -> None:
        self.index = index
        super().__init__(*arguments, directory=str(index.folder))  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        login = self.headers.get("Authorization")
        self.index.asked.append((self.path, login))
        if self.index.login and login != self.index.login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="toy"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        if "json" in Path(path).parts:
            return "application/vnd.pypi.simple.v1+json"
        return super().guess_type(path)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    (folder / "files").mkdir(parents=True)
    index = Index(folder, "", tmp_path / "built")
    (folder / "files" / FILE).write_bytes(sdist_bytes(index.marker))
    write_wheel(folder / "files")
    index.list_as_html(FILE, WHEEL)
    handler = functools.partial(Handler, index=index)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        index.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield index
        server.shutdown()


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def box(index: Index) -> Archive:
    size = (index.folder / "files" / FILE).stat().st_size
    return Archive(
        file=FILE, size=size, sha256="0" * 64, source=SDIST, reader=lambda *_: None
    )


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> "Configure":
    return Configure(monkeypatch)


class Configure:
    """Stands in for pip's configuration, which takes pip a second to say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, *indexes: str, find_links: tuple[str, ...] = ()) -> None:
        chosen = Settings(indexes=indexes, find_links=find_links)
        self.monkeypatch.setattr(package_index, "settings", lambda: chosen)


def test_a_wheel_comes_without_what_it_depends_on(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
    out = tmp_path / "out"
    out.mkdir()
    path = fetch_wheel(Wheel(project="toy-box", version="1.0"), WHEEL, out)
    assert path == out / WHEEL
    with open_archive(path) as members, members.open("toy_box/toy.dat") as file:
        assert file.read() == b"1::2"


def test_pip_never_gets_a_source_distribution_to_build(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
    index.list_as_html(FILE)
    with pytest.raises(DataError, match="pip download failed: Could not find"):
        fetch_wheel(Wheel(project="toy-box", version="1.0"), WHEEL, tmp_path)
    assert not index.marker.exists()


def test_an_index_that_does_not_answer_is_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", UNUSED)
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(DataError, match=r"No matching distribution.*refused"):
        fetch_wheel(Wheel(project="toy-box", version="1.0"), WHEEL, tmp_path)


def test_pips_full_disk_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "pip"
    script.write_text(
        "#!/bin/sh\necho '[Errno 28] No space left on device' >&2\nexit 1"
    )
    script.chmod(0o755)
    monkeypatch.setattr(pip_client, "_pip", lambda: [str(script)])
    with pytest.raises(OSError, match="No space left"):
        fetch_wheel(Wheel(project="toy-box", version="1.0"), WHEEL, tmp_path)


def test_without_pip_a_person_learns_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DataError, match="ensurepip"):
        pip_client._pip()


def test_settings_are_pips_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = http://one/simple\nextra-index-url = http://two\n"
        "  http://three\ncert = /some/cert.pem\n[download]\nproxy = http://proxy:1\n"
        "[install]\nindex-url = http://never\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels http://links/")
    assert settings() == Settings(
        indexes=("http://one/simple", "http://two", "http://three"),
        find_links=("/wheels", "http://links/"),
        cert="/some/cert.pem",
        proxy="http://proxy:1",
    )
    monkeypatch.setenv("PIP_INDEX_URL", "http://environment/simple")
    assert settings().indexes[0] == "http://environment/simple"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert settings().indexes == ()


def test_pip_names_its_default_index() -> None:
    (only,) = settings().indexes
    assert only.startswith("https://")
    assert only.rstrip("/").endswith("/simple")


@pytest.mark.parametrize("form", ["simple", "json"])
def test_a_source_distribution_from_a_listing(
    index: Index, box: Archive, tmp_path: Path, configure: Configure, form: str
) -> None:
    index.list_as_json(FILE, WHEEL)
    configure(UNUSED, f"{index.url}/{form}/")
    path = fetch_sdist(box, SDIST, tmp_path)
    assert path == tmp_path / FILE
    assert path.read_bytes() == (index.folder / "files" / FILE).read_bytes()
    assert [asked for asked, _ in index.asked] == [
        f"/{form}/toy-box/",
        f"/files/{FILE}",
    ]
    assert not index.marker.exists()


def test_a_json_listing_that_is_none(index: Index) -> None:
    index.list_as_json()
    (index.folder / "json/toy-box/index.html").write_text('{"meta": {}}')
    with pytest.raises(DataError, match="its JSON is no listing"):
        package_index._links(f"{index.url}/json/toy-box/", Settings())


def test_local_indexes(
    index: Index, box: Archive, tmp_path: Path, configure: Configure
) -> None:
    expected = index.folder / "files" / FILE
    configure((index.folder / "simple").as_uri())
    assert fetch_sdist(box, SDIST, tmp_path) == expected
    configure("file:///nowhere/simple", find_links=(str(index.folder / "files"),))
    assert fetch_sdist(box, SDIST, tmp_path) == expected
    page = str(index.folder / "simple/toy-box/index.html")
    configure(find_links=(page,))
    assert fetch_sdist(box, SDIST, tmp_path) == expected


def test_where_nothing_lists_it_each_index_says_why(
    index: Index, box: Archive, tmp_path: Path, configure: Configure
) -> None:
    index.list_as_html(WHEEL)
    empty = f"{index.url}/empty"
    local = "file:///nowhere/simple"
    configure(f"{index.url}/simple", empty, UNUSED, local)
    with pytest.raises(DataError) as caught:
        fetch_sdist(box, SDIST, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{FILE} was not found: ")
    assert f"{index.url}/simple/toy-box/ does not list it" in message
    assert f"{empty}/toy-box/: the server answered 404" in message
    assert f"{UNUSED}/toy-box/: ConnectError" in message
    assert f"{local}/toy-box/: no such folder" in message
    configure()
    with pytest.raises(DataError, match="pip is configured for no index"):
        fetch_sdist(box, SDIST, tmp_path)


def test_a_local_listing_of_a_file_that_is_gone(
    index: Index, box: Archive, tmp_path: Path, configure: Configure
) -> None:
    (index.folder / "files" / FILE).unlink()
    configure((index.folder / "simple").as_uri())
    with pytest.raises(DataError, match=f"{FILE} is not there"):
        fetch_sdist(box, SDIST, tmp_path)


def test_a_login_is_used_and_never_shown(
    index: Index, box: Archive, tmp_path: Path, configure: Configure
) -> None:
    index.login = LOGIN
    address = index.url.replace("://", "://ann:s3cret@")
    configure(f"{address}/simple")
    assert fetch_sdist(box, SDIST, tmp_path).exists()
    assert [login for _, login in index.asked] == [LOGIN, LOGIN]
    index.login = "Basic other"
    with pytest.raises(DataError, match="answered 401") as caught:
        fetch_sdist(box, SDIST, tmp_path)
    assert "s3cret" not in str(caught.value)


def test_pips_own_message_shows_no_login(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.login = "Basic other"
    address = index.url.replace("://", "://ann:s3cret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
    with pytest.raises(DataError, match="pip download failed") as caught:
        fetch_wheel(Wheel(project="toy-box", version="1.0"), WHEEL, tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "goes_along"),
    [
        ("https://index.test/files/x.tar.gz", True),
        ("https://files.test/x.tar.gz", False),
        ("http://index.test/files/x.tar.gz", False),
        ("https://index.test:8443/x.tar.gz", False),
    ],
)
def test_a_login_goes_to_no_other_host(address: str, goes_along: bool) -> None:
    page = "https://ann:s%2Fcret@index.test/simple/toy-box/"
    url = package_index._with_login(address, page)
    assert ("ann" in url) == goes_along
    if goes_along:
        assert redact(url) == address


def test_a_link_in_a_tar_is_not_followed(index: Index) -> None:
    path = index.folder / "files" / FILE
    with open_archive(path) as members:
        with members.open("toy_box-1.0/toy.dat") as file:
            assert file.read() == b"1::2"
        for name in ("toy_box-1.0/link", "../outside", "toy_box-1.0"):
            with pytest.raises(DataError, match="expected the member"):
                members.open(name)


def test_a_certificate_that_is_not_there_is_named() -> None:
    chosen = Settings(cert="/nowhere/cert.pem")
    with pytest.raises(DataError, match="pip's setting `cert` cannot be used"):
        package_index._client(chosen, "https://index.test/simple/")
    trusting = dataclasses.replace(chosen, trusted_hosts=("index.test:443",))
    package_index._client(trusting, "https://index.test/simple/").close()

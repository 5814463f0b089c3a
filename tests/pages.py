"""What every page of ours must hold to."""

import re
from html.parser import HTMLParser


class Tags(HTMLParser):
    """Collects tags, attributes and ids, and checks that tags close in order."""

    VOID = ("meta", "link", "img", "br", "path", "use", "rect", "circle")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def check_alone(page: str) -> None:
    """Check that a page asks nothing of the network and runs nothing."""
    tags = parse(page)
    assert not {"script", "link", "img", "iframe"} & set(tags.names)
    assert "http" not in page
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", page))
    links = [v for n, v in tags.attributes if n in ("href", "src", "xlink:href")]
    assert links
    assert all(link.startswith("#") for link in links)


def check_tags(page: str) -> None:
    """Check that tags close in order and that ids are unique and there."""
    tags = parse(page)
    assert tags.open == []
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([^)]*)\)", page)
    used += [v[1:] for n, v in tags.attributes if n == "href"]
    assert set(used) <= set(ids)

"""HTTP/1.1 as uvicorn reads it, with the two things that ASGI keeps from us.

ASGI has no request target: path and query arrive apart and the fragment is lost, while
TensorFlow Serving matches the whole. And what cannot be parsed is answered before any
application runs: here with the HTML pages that TensorFlow Serving's library sends.
"""

import sys
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TARGET_KEY = "tandem.target"


def html_page(status: HTTPStatus) -> bytes:
    """Return the page for a request that no handler sees."""
    title = f"{status.value} {status.phrase}"
    return (
        f"<HTML><HEAD>\n<TITLE>{title}</TITLE>\n</HEAD><BODY>\n"
        f"<H1>{status.phrase}</H1>\n</BODY></HTML>\n"
    ).encode()


class TargetProtocol(HttpToolsProtocol):
    """uvicorn's protocol; the scope holds the target as sent, under `TARGET_KEY`."""

    def on_headers_complete(self) -> None:
        """Keep the target; uvicorn calls this when a request's headers are read."""
        cast(dict[str, object], self.scope)[TARGET_KEY] = self.url
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; uvicorn calls this while it handles the error."""
        unknown = isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError)
        status = HTTPStatus.NOT_IMPLEMENTED if unknown else HTTPStatus.BAD_REQUEST
        page = html_page(status)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/html\r\n"
            f"Content-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + page)
        self.transport.close()

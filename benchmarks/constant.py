"""Owns the ceilings of HTTP: Campana's own web server, answering the same bytes whatever is asked.

Must not know Campana's services. `python -m benchmarks.constant answer` answers an AddCampaignContact at once;
`python -m benchmarks.constant stream PARTS` streams so many parts of a list from memory. Says its port.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn
import uvloop

from campana.api.exchange import PART_BYTES
from campana.api.server import server_config

ANSWER = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<AddCampaignContactResponse xmlns="http://tempuri.org/"><AddCampaignContactResult>0</AddCampaignContactResult>'
    b"</AddCampaignContactResponse></s:Body></s:Envelope>"
)
PART = b"x" * PART_BYTES
_XML = (b"content-type", b"text/xml; charset=utf-8")


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the request and answer."""
    await receive()
    headers = [_XML, (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


class Stream:
    """Streams parts of as many bytes as Campana's lists have."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the request and stream."""
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [_XML]})
        for _ in range(self._parts):
            await send({"type": "http.response.body", "body": PART, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until ended."""
    app = answer if sys.argv[1] == "answer" else Stream(int(sys.argv[2]))
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listening.getsockname()[1], flush=True)
    uvloop.run(uvicorn.Server(server_config(app)).serve([listening]))


if __name__ == "__main__":
    main()

"""HTTP answers with a limit on their time as a whole, and on their size.

The limit that `requests` keeps is one between two bytes: a server that sends a byte now and then
would hold up an agent for ever.
"""

from __future__ import annotations

import time
from typing import Any, Final

import requests

from protocol.program.strict_json import require_shallow

MAX_ANSWER_BYTES: Final = 256 << 20
_PIECE: Final = 1 << 16


class BoundedSession(requests.Session):
    """A session whose answers are read within a time and a size.

    Args:
        timeout_s: from the answer's first byte to its last.
        max_bytes: of an answer, unpacked.
    """

    def __init__(self, timeout_s: float, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """The answer, read. requests.ReadTimeout, requests.ConnectionError."""
        response = super().send(request, **{**kwargs, "stream": True})
        deadline = time.monotonic() + self._timeout_s
        content = bytearray()
        try:
            # Not `read`: it waits until the whole piece has come.
            while piece := response.raw.read1(_PIECE, decode_content=True):
                content += piece
                if len(content) > self._max_bytes:
                    raise requests.ConnectionError(f"an answer of over {self._max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout(f"no whole answer in {self._timeout_s:g} s")
        except BaseException:
            response.close()
            raise
        try:
            require_shallow(bytes(content))
        except ValueError as error:
            raise requests.ConnectionError(f"an answer with {error}") from error
        response._content = bytes(content)
        response._content_consumed = True
        return response

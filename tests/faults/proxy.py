"""An HTTP server between an agent and its node: passes on, lies, stalls or is not there."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

Rewrite = Callable[[str, list[Any], Any], Any]
"""(method, params, result) -> the result that the client sees."""


class Down(Exception):
    """The connection ends without an answer."""


class Proxy:
    """A JSON-RPC endpoint in front of another. Use in a ``with``.

    Attributes:
        rewrite: changes results.
        refuse: method -> the error object to answer in place of asking.
        raw: answers every request with (status, body), whatever was asked.
        down: ends every connection without an answer.
        seen: how often each method was asked for.
    """

    def __init__(self, upstream: str = "") -> None:
        self._upstream = upstream
        self._session = requests.Session()
        self._lock = threading.Lock()
        self.heal()
        self.seen: Counter[str] = Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    status, answer = proxy._answer(body)
                except Down:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def heal(self) -> None:
        """Pass everything on again."""
        self.rewrite: Rewrite | None = None
        self.refuse: dict[str, dict[str, Any]] = {}
        self.raw: tuple[int, bytes] | None = None
        self.down = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        for question in asked if isinstance(asked, list) else [asked]:
            self.seen[question["method"]] += 1
        if self.down:
            raise Down
        if self.raw is not None:
            return self.raw
        if isinstance(asked, list):
            told: Any = [self._one(question) for question in asked]
        else:
            told = self._one(asked)
        return 200, json.dumps(told).encode()

    def _one(self, question: dict[str, Any]) -> dict[str, Any]:
        method = question["method"]
        if method in self.refuse:
            return {"jsonrpc": "2.0", "id": question["id"], "error": self.refuse[method]}
        with self._lock:
            answer = self._session.post(self._upstream, json=question, timeout=30).json()
        if self.rewrite is not None and "result" in answer:
            answer["result"] = self.rewrite(method, question["params"], answer["result"])
        return answer

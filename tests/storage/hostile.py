"""HTTP servers that misbehave, each in one function that gets the socket after the head."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

Behaviour = Callable[[socket.socket, str], None]


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """The URL of a server that answers each connection's first request with ``behaviour``."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            # The other side hangs up whenever it has had enough: that is what is tested.
            with contextlib.suppress(OSError):
                while b"\r\n\r\n" not in head:
                    piece = self.request.recv(4096)
                    if not piece:
                        return
                    head += piece
                behaviour(self.request, head.split()[1].decode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def answer(status: str, headers: str = "", body: bytes = b"") -> Behaviour:
    """Answers one thing and hangs up."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body)

    return behave


def whole(body: bytes) -> Behaviour:
    """Answers properly."""
    return answer("200 OK", f"Content-Length: {len(body)}\r\nConnection: close\r\n", body)


def endless(connection: socket.socket, _: str) -> None:
    """Never stops sending, and never says how much there is."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def endless_chunks(connection: socket.socket, _: str) -> None:
    """The same, in chunks."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")


def dripping(connection: socket.socket, _: str) -> None:
    """Sends a byte now and then: no single read ever waits long."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def dripping_head(connection: socket.socket, _: str) -> None:
    """The same, without ever finishing the head."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def silent(connection: socket.socket, _: str) -> None:
    """Takes the request and says nothing."""
    connection.recv(1)


def resetting(connection: socket.socket, _: str) -> None:
    """Breaks the connection in the middle of the body."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def huge_header(connection: socket.socket, _: str) -> None:
    """A head without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for n in count():
        connection.sendall(f"X-{n}: ".encode() + b"x" * 4000 + b"\r\n")


def always_busy(connection: socket.socket, _: str) -> None:
    """Says for ever that it has no time."""
    connection.sendall(
        b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )


def bomb(nbytes: int) -> Behaviour:
    """A little data that unpacks to ``nbytes``."""
    packed = gzip.compress(bytes(nbytes))
    headers = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\nConnection: close\r\n"
    return answer("200 OK", headers, packed)

"""The solver's own server: objects and nothing else, for every reader, and held up by none."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocol.merkle import root_of_leaves, tensor_root
from protocol.storage import ContentMissing, ContentStore, Limits, StoreUnusable
from protocol.storage.folder import INCOMING
from protocol.storage.objects import object_path
from protocol.storage.server import ContentServer, ServerLimits

DATA = bytes(range(250)) * 4
NAME = hashlib.sha256(DATA).digest()
PATH = "/" + object_path("blob", NAME)
BIG = bytes(64 << 20)
"""More than the system's buffers hold for a reader that does not read."""


@pytest.fixture
def folder(tmp_path) -> Path:
    ContentStore(tmp_path / "store").put(DATA)
    return tmp_path / "store"


@pytest.fixture
def server(folder) -> Iterator[ContentServer]:
    with ContentServer(folder) as server:
        yield server


def ask(server, path: str, method: str = "GET", **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def send(server, path: str) -> socket.socket:
    connection = connect(server)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side hung up without a word."""
    try:
        return connection.recv(10) == b""
    except ConnectionError:
        return True


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when it holds; a test in which it never does runs into its timeout."""
    while not holds():
        time.sleep(0.01)


@contextlib.contextmanager
def unread(server, count: int = 1) -> Iterator[None]:
    """Readers of a big object that do not read."""
    path = "/" + object_path("tensor", ContentStore(server.folder).put_tensor(BIG))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(send(server, path))
        wait_until(lambda: server.counters.active >= count)
        yield


def test_every_kind_of_object_is_read_through_the_server(server, folder) -> None:
    own, other = ContentStore(folder), ContentStore(server.url)
    leaves = [b"a", b"", b"ccc" * 100]
    own.put_leaves(leaves)
    own.put_tensor(DATA)
    assert other.get(NAME) == DATA
    assert other.get_leaves(root_of_leaves(leaves)) == leaves
    assert other.get_tensor(tensor_root(DATA), len(DATA)) == DATA
    assert other.get(own.put(b"")) == b""
    with pytest.raises(ContentMissing):
        other.get(bytes(32))
    wait_until(lambda: server.counters.active == 0)
    counters = server.counters
    assert (counters.requests, counters.served, counters.missing) == (5, 4, 1)
    assert counters.bytes_sent == 2 * len(DATA) + len(b"".join(leaves)) + 4 * 4
    assert counters.refused == 0


def test_object_written_later_is_served(server, folder) -> None:
    name = ContentStore(folder).put(b"later")
    assert ContentStore(server.url).get(name) == b"later"


@pytest.mark.parametrize(
    ("span", "expected"),
    [("0-9", DATA[:10]), ("990-", DATA[990:]), ("-5", DATA[-5:]), ("990-99999", DATA[990:])],
)
def test_range_is_served(server, span, expected) -> None:
    status, body, headers = ask(server, PATH, Range=f"bytes={span}")
    assert (status, body) == (206, expected)
    assert headers["Content-Range"].endswith(f"/{len(DATA)}")


@pytest.mark.parametrize("span", ["1000-", "5-2", "x-y"])
def test_range_that_is_none_is_refused(server, span) -> None:
    assert ask(server, PATH, Range=f"bytes={span}")[0] == 416


def test_head_tells_the_size_alone(server) -> None:
    status, body, headers = ask(server, PATH, "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(DATA)))
    assert headers["Accept-Ranges"] == "bytes"
    assert "immutable" in headers["Cache-Control"]
    assert server.counters.bytes_sent == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_other_method_is_refused(server, folder, method) -> None:
    status, _, headers = ask(server, PATH, method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert ContentStore(folder).get(NAME) == DATA


def test_body_of_a_request_is_not_read(server) -> None:
    with connect(server) as connection:
        connection.sendall(
            b"PUT " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 405")


HEX = NAME.hex()


@pytest.mark.parametrize(
    "path",
    [
        "/", "/blob", f"/blob/{HEX}", "/../outside", "/blob/../../outside", "/%2e%2e/outside",
        "/..%2foutside", "//etc/passwd", f"/{INCOMING}/{HEX}.0011223344556677.part",
        f"/{INCOMING}/prune.lock", f"{PATH}.part", f"{PATH}/", f"/{PATH}", f"{PATH}?x=1",
        f"{PATH}%00", PATH.replace("blob", "Blob"), PATH.replace("/blob", "/./blob"), PATH.upper(),
        PATH.replace("/", "%2f"), PATH.replace("/", "\\"), "/blob/00/" + "0" * 63 + "%30",
        f"http://127.0.0.1{PATH}x",
    ],
)  # fmt: skip
def test_other_path_is_not_served(server, folder, tmp_path, path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (folder / INCOMING / f"{HEX}.0011223344556677.part").write_bytes(b"half")
    blob = folder / object_path("blob", NAME)
    Path(f"{blob}.part").write_bytes(b"half")
    with send(server, path) as connection:
        answer = connection.recv(10_000)
    assert answer.split()[1] in (b"404", b"400")
    assert b"secret" not in answer
    assert b"half" not in answer


def test_folder_in_the_place_of_an_object_is_not_served(server, folder) -> None:
    (folder / object_path("blob", bytes(32))).mkdir(parents=True)
    assert ask(server, "/" + object_path("blob", bytes(32)))[0] in (403, 404)


def test_object_beyond_the_limit_is_not_served(folder) -> None:
    with ContentServer(folder, limits=ServerLimits(object_bytes=999)) as server:
        assert ask(server, PATH)[0] == 413
    assert server.counters.refused_request == 1


def test_more_requests_than_there_is_room_for_are_told_to_come_back(folder) -> None:
    with ContentServer(folder, limits=ServerLimits(concurrent=2, retry_s=7)) as server:
        with unread(server, 2):
            status, _, headers = ask(server, PATH)
            assert (status, headers["Retry-After"]) == (503, "7")
            assert ask(server, "/healthz")[0] == 200
        wait_until(lambda: server.counters.active == 0)
        assert ask(server, PATH)[0] == 200
    assert server.counters.refused_busy == 1


def test_one_client_does_not_take_all_the_room(folder) -> None:
    with ContentServer(folder, limits=ServerLimits(per_client=2)) as server, unread(server, 2):
        status, _, headers = ask(server, PATH)
        assert (status, headers["Retry-After"]) == (429, "1")
        other = http.client.HTTPConnection(
            "127.0.0.1", server.port, source_address=("127.0.0.2", 0), timeout=60
        )
        other.request("GET", PATH)
        assert other.getresponse().read() == DATA
        other.close()
    assert server.counters.refused_client == 1


def test_connections_beyond_the_limit_are_closed(folder) -> None:
    limits = ServerLimits(connections=3, connections_per_client=2)
    with ContentServer(folder, limits=limits) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(server))
        with connect(server) as third:
            assert is_closed(third)
        assert server.counters.refused_connection == 1


def test_reader_waits_for_a_server_that_is_busy(folder) -> None:
    with ContentServer(folder, limits=ServerLimits(concurrent=1, retry_s=0)) as server:
        found = []
        with unread(server):
            reader = threading.Thread(
                target=lambda: found.append(ContentStore(server.url).get(NAME))
            )
            reader.start()
            wait_until(lambda: server.counters.refused_busy > 0)
            assert not found
        reader.join()
    assert found == [DATA]


def test_reader_that_is_too_slow_is_cut_off(folder) -> None:
    limits = ServerLimits(write_s=0.2, least_bytes_per_s=1 << 40)
    with ContentServer(folder, limits=limits) as server:
        with unread(server):
            wait_until(lambda: server.counters.cut_slow == 1)
        wait_until(lambda: server.counters.active == 0)
        assert ask(server, PATH)[0] == 200


@pytest.mark.parametrize("head", [b"", b"GET /", b"GET / HTTP/1.1\r\nX: "])
def test_connection_without_a_whole_request_is_closed(folder, head) -> None:
    """Also if it sends something now and then."""
    with (
        ContentServer(folder, limits=ServerLimits(header_s=0.3)) as server,
        connect(server) as connection,
    ):
        connection.settimeout(0.05)
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            while True:
                if head:
                    connection.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    if connection.recv(10_000) == b"":
                        break


def test_huge_head_is_refused_and_fills_no_log(server, caplog) -> None:
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
        assert connection.recv(100).split()[1] == b"400"
    assert ask(server, PATH)[0] == 200
    assert not caplog.records


def test_client_that_goes_away_makes_room(folder) -> None:
    with ContentServer(folder, limits=ServerLimits(concurrent=1)) as server:
        with unread(server):
            pass
        wait_until(lambda: server.counters.active == 0)
        assert ask(server, PATH)[0] == 200
    assert server.counters.cut_slow == 0


def test_health_says_whether_the_folder_is_there(server, folder) -> None:
    assert ask(server, "/healthz")[:2] == (200, b"ok\n")
    folder.rename(folder.with_name("away"))
    assert ask(server, "/healthz")[0] == 503
    assert ask(server, PATH)[0] == 404


def test_server_starts_again_at_the_same_port(folder) -> None:
    server = ContentServer(folder)
    assert not server.running
    server.start()
    server.start()
    url = server.url
    with unread(server):
        server.stop()
    server.stop()
    assert not server.running
    with pytest.raises(ContentMissing):
        ContentStore(url, Limits(fetch_s=5)).get(NAME)
    server.start()
    assert server.url == url
    assert ContentStore(url).get(NAME) == DATA
    server.stop()


def test_port_that_is_taken_is_named(server, folder) -> None:
    second = ContentServer(folder, port=server.port)
    with pytest.raises(StoreUnusable, match=f"{server.port}.*choose another address or port"):
        second.start()
    assert not second.running
    second.stop()


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("192.0.2.1", 0)]
)
def test_address_that_cannot_be_had_is_named(folder, host, port) -> None:
    with pytest.raises(StoreUnusable, match=f"cannot serve the store at http://{host}:{port}"):
        ContentServer(folder, host, port).start()


def test_store_that_is_no_folder_is_not_served(folder) -> None:
    with pytest.raises(StoreUnusable, match="only a folder"):
        ContentServer("memory://x")
    with ContentServer(f"file://{folder}") as server:
        assert ask(server, PATH)[0] == 200


def test_many_readers_at_once_get_what_they_ask_for(server, folder) -> None:
    store = ContentStore(folder)
    datas = [os.urandom(20_000) for _ in range(8)]
    names = [store.put(data) for data in datas]
    found = []

    def read() -> None:
        reader = ContentStore(server.url)
        found.extend(reader.get(name) for name in names)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(datas * 8)

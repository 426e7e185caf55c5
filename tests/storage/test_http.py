"""Reading from a server that may do anything: it costs little, and nothing wrong is believed."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from protocol.merkle import tensor_root
from protocol.storage import (
    ContentMissing,
    ContentStore,
    ContentUnreachable,
    ContentWrong,
    Limits,
    StoreUnusable,
    http,
)
from protocol.storage.http import Fetcher, HttpLocation
from tests.storage import hostile
from tests.storage.hostile import answer, serving, whole

DATA = bytes(range(100))
NAME = hashlib.sha256(DATA).digest()
IMPATIENT = Limits(fetch_s=0.4, connect_s=0.4, least_bytes_per_s=1 << 20)


def test_proper_answer_is_read_from_the_path_of_the_object() -> None:
    asked = []

    def behave(connection, path):
        asked.append(path)
        whole(DATA)(connection, path)

    with serving(behave) as url:
        assert ContentStore(f"{url}/below/").get(NAME) == DATA
    assert asked == [f"/below/blob/{NAME.hex()[:2]}/{NAME.hex()}"]


@pytest.mark.parametrize("behaviour", [hostile.endless, hostile.endless_chunks])
def test_endless_body_is_read_no_further_than_was_asked_for(behaviour) -> None:
    hung_up = threading.Event()

    def behave(connection, path):
        try:
            behaviour(connection, path)
        finally:
            hung_up.set()

    with serving(behave) as url, pytest.raises(ContentWrong, match="larger than the 5000 bytes"):
        ContentStore(url).get(NAME, 5000)
    assert hung_up.wait(60)


def test_length_beyond_what_was_asked_for_is_refused_before_the_body() -> None:
    def behave(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        connection.recv(1)  # no body ever comes

    with serving(behave) as url, pytest.raises(ContentWrong, match="larger than the 1000 bytes"):
        ContentStore(url).get(NAME, 1000)


def test_object_beyond_the_reader_s_own_limit_is_no_lie() -> None:
    with serving(whole(DATA)) as url, pytest.raises(ContentMissing, match="more than the 99 bytes"):
        ContentStore(url, Limits(object_bytes=99)).get(NAME)


@pytest.mark.parametrize(
    "behaviour",
    [hostile.dripping, hostile.dripping_head, hostile.silent, hostile.always_busy],
)
def test_server_that_takes_for_ever_is_given_up(behaviour) -> None:
    with serving(behaviour) as url, pytest.raises(ContentUnreachable, match="given up") as caught:
        ContentStore(url, IMPATIENT).get(NAME)
    assert caught.value.timed_out


def test_large_object_that_keeps_coming_is_given_the_time_it_needs() -> None:
    """Twenty pieces take longer than ``fetch_s`` alone, and each prolongs it."""
    tensor = bytes(20 * 1000)

    def behave(connection, _):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(tensor)}\r\n\r\n".encode())
        for at in range(0, len(tensor), 1000):
            connection.sendall(tensor[at : at + 1000])
            threading.Event().wait(0.05)

    slow = Limits(fetch_s=0.5, least_bytes_per_s=1000)
    with serving(behave) as url:
        assert ContentStore(url, slow).get_tensor(tensor_root(tensor), len(tensor)) == tensor


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (hostile.resetting, "Payload|Connection|reset"),
        (hostile.huge_header, "header|Header|line|Expected|bytes"),
        (answer("500 Oops", "Content-Length: 0\r\n"), "answered 500"),
        (answer("301 Moved", "Location: http://127.0.0.1:9/\r\nContent-Length: 0\r\n"), "redirect"),
        (answer("302 Found", "Location: file:///etc/passwd\r\nContent-Length: 0\r\n"), "redirect"),
        (answer("206 Partial", "Content-Length: 3\r\n", b"abc"), "answered 206"),
        (answer("200 OK", "Content-Length: 100\r\n", DATA[:50]), "Payload"),
        (answer("200 OK", "Content-Length: -5\r\n", DATA), "Content-Length"),
        (answer("200 OK", "Transfer-Encoding: chunked\r\n", b"zz\r\nno chunk"), "Payload|chunk"),
        (lambda connection, _: connection.sendall(b"\0\1\2 no HTTP\r\n\r\n"), "http|HTTP"),
        (lambda connection, _: connection.close(), "disconnect"),
        (hostile.bomb(1 << 24), "'gzip', asked for were plain bytes"),
    ],
    ids=[
        "reset", "huge header", "500", "redirect", "redirect to a file", "part", "short body",
        "negative length", "bad chunk", "garbage", "hangs up", "gzip bomb",
    ],
)  # fmt: skip
def test_server_that_does_not_answer_properly_is_unreachable(behaviour, message) -> None:
    with serving(behaviour) as url, pytest.raises(ContentUnreachable, match=message) as caught:
        ContentStore(url, Limits(fetch_s=20.0)).get(NAME)
    assert url in str(caught.value)
    assert not caught.value.timed_out


def test_redirect_is_not_followed_even_to_the_right_object() -> None:
    asked = []

    def honest(connection, path):
        asked.append(path)
        whole(DATA)(connection, path)

    with serving(honest) as there:
        headers = f"Location: {there}/blob/{NAME.hex()[:2]}/{NAME.hex()}\r\nContent-Length: 0\r\n"
        with serving(answer("307 Moved", headers)) as url, pytest.raises(ContentUnreachable):
            ContentStore(url).get(NAME)
    assert not asked


@pytest.mark.parametrize("body", [DATA[:-1] + b"!", DATA + b"!", DATA[:-1], b""])
def test_wrong_bytes_are_refused_for_every_kind(body) -> None:
    with serving(whole(body)) as url:
        store = ContentStore(url)
        with pytest.raises(ContentWrong):
            store.get(NAME)
        with pytest.raises(ContentWrong):
            store.get_leaves(NAME)
        with pytest.raises(ContentWrong):
            store.get_tensor(tensor_root(DATA), len(DATA))


def test_unpacked_length_never_counts_even_if_the_server_hides_the_coding() -> None:
    """The bytes are hashed as they came: nothing unpacks them."""
    packed = hostile.gzip.compress(DATA)
    with serving(whole(packed)) as url:
        assert ContentStore(url).get(hashlib.sha256(packed).digest()) == packed


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_object_that_is_not_there_is_missing_and_not_unreachable(status) -> None:
    with (
        serving(answer(status, "Content-Length: 0\r\n")) as url,
        pytest.raises(ContentMissing, match=NAME.hex()) as caught,
    ):
        ContentStore(url).get(NAME)
    assert not isinstance(caught.value, ContentUnreachable)


def test_busy_server_is_asked_again() -> None:
    answers = [answer("503 Busy", "Retry-After: 0\r\nContent-Length: 0\r\n"), whole(DATA)]
    with serving(lambda connection, path: answers.pop(0)(connection, path)) as url:
        assert ContentStore(url).get(NAME) == DATA
    assert not answers


@pytest.mark.parametrize("stated", ["99999999", "-1", "soon", "1" * 400])
def test_busy_server_does_not_choose_how_long_the_reader_sleeps(stated, monkeypatch) -> None:
    monkeypatch.setattr(http, "LONGEST_RETRY_S", 0.1)
    busy = answer("503 Busy", f"Retry-After: {stated}\r\nContent-Length: 0\r\n")
    answers = [busy, whole(DATA)]
    with serving(lambda connection, path: answers.pop(0)(connection, path)) as url:
        assert ContentStore(url, Limits(fetch_s=20.0)).get(NAME) == DATA


def test_server_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ContentUnreachable, match="Cannot connect"):
            ContentStore(url).get(NAME)


def test_http_store_is_not_written_to() -> None:
    with pytest.raises(StoreUnusable, match="only read; name a folder"):
        ContentStore("http://127.0.0.1:9").put(b"x")


def test_hostile_host_leaves_room_for_others() -> None:
    """A host that hangs holds at most half of the fetches."""
    limits = Limits(concurrent=2)
    release = threading.Event()
    with serving(lambda *_: release.wait()) as slow, serving(whole(DATA)) as fast:
        fetcher = Fetcher(limits, allow_private=True)
        hanging = ContentStore.at(HttpLocation(slow, fetcher))
        good = ContentStore.at(HttpLocation(fast, fetcher))
        outcome = []

        def hang():
            with pytest.raises(ContentUnreachable):
                hanging.get(NAME)
            outcome.append("hung")

        threads = [threading.Thread(target=hang) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert good.get(NAME) == DATA
        assert not outcome
        release.set()
        for thread in threads:
            thread.join()
        assert outcome == ["hung"] * 3

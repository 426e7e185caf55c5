"""What a reader remembers of others' stores."""

from __future__ import annotations

import hashlib

import pytest

from protocol.storage import (
    AddressRefused,
    ContentMissing,
    ContentStore,
    ContentUnreachable,
    ContentWrong,
    Limits,
)
from protocol.storage.objects import wanted_blob
from protocol.storage.sources import (
    LEAST_PATIENCE,
    LONGEST_BACKOFF_S,
    MOST_SOURCES,
    Source,
    SourcePool,
)

DATA = b"data"
WANTED = wanted_blob(hashlib.sha256(DATA).digest(), 100)


class Place:
    """A place that does as it is told, and notes how patient it was asked."""

    label = "place"

    def __init__(self) -> None:
        self.answer: bytes | Exception = DATA
        self.patience: list[float] = []

    def open(self) -> None: ...

    def read(self, _, patience=1.0):
        self.patience.append(patience)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def write(self, *_): ...


class Clock:
    now_s = 1000.0


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def source(place) -> Source:
    return Source(ContentStore.at(place), lambda: Clock.now_s)


def fail(source, place, error) -> None:
    place.answer = error
    with pytest.raises((ContentMissing, ContentWrong)):
        source.fetch(WANTED)


def test_source_that_fails_backs_off_longer_each_time_up_to_a_limit(
    source, place, monkeypatch
) -> None:
    pauses = []
    for _ in range(20):
        fail(source, place, ContentUnreachable("down"))
        start = Clock.now_s
        while source.backing_off:
            monkeypatch.setattr(Clock, "now_s", Clock.now_s + 1)
        pauses.append(Clock.now_s - start)
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-1] == LONGEST_BACKOFF_S


def test_source_that_fails_is_asked_with_less_patience_until_it_answers(source, place) -> None:
    for _ in range(7):
        fail(source, place, ContentUnreachable("down"))
    assert place.patience == [1, 1 / 2, 1 / 4, 1 / 8] + [LEAST_PATIENCE] * 3
    place.answer = DATA
    for _ in range(8):
        assert source.fetch(WANTED) == (DATA, DATA)
        assert not source.backing_off
    assert source.patience == 1


def test_source_without_the_object_is_in_good_standing(source, place) -> None:
    fail(source, place, ContentMissing("not there"))
    assert not source.backing_off
    assert source.patience == 1


def test_lie_counts_more_than_a_failure(source, place, monkeypatch) -> None:
    place.answer = b"lie"
    with pytest.raises(ContentWrong):
        source.fetch(WANTED)
    monkeypatch.setattr(Clock, "now_s", Clock.now_s + 39)
    assert source.backing_off
    monkeypatch.setattr(Clock, "now_s", Clock.now_s + 1)
    assert not source.backing_off


def test_pool_gives_one_source_per_address() -> None:
    pool = SourcePool(Limits(allow_private=True))
    assert pool.announced("http://127.0.0.1:9") is pool.announced("http://127.0.0.1:9")
    assert pool.announced("http://127.0.0.1:9") is not pool.announced("http://127.0.0.1:8")
    assert pool.chosen("http://127.0.0.1:9") is pool.chosen("http://127.0.0.1:9")


def test_pool_opens_for_strangers_nothing_but_http(tmp_path) -> None:
    pool = SourcePool(Limits(allow_private=True))
    for url in (str(tmp_path), f"file://{tmp_path}", "memory://x", "s3://bucket"):
        with pytest.raises(AddressRefused):
            pool.announced(url)
    with pytest.raises(AddressRefused):
        SourcePool(Limits()).announced("http://127.0.0.1:9")


def test_pool_forgets_the_oldest_of_very_many_addresses() -> None:
    pool = SourcePool(Limits(allow_private=True))
    first = pool.announced("http://127.0.0.1:9/first")
    for n in range(MOST_SOURCES - 1):
        pool.announced(f"http://127.0.0.1:9/{n}")
    assert pool.announced("http://127.0.0.1:9/first") is first
    pool.announced("http://127.0.0.1:9/one-more")
    pool.announced("http://127.0.0.1:9/and-another")
    assert pool.announced("http://127.0.0.1:9/first") is first
    assert len(pool._announced) == MOST_SOURCES

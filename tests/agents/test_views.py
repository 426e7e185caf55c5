"""Kept answers: asked for once, again after what touches them, and many in one message."""

from __future__ import annotations

import pytest
from web3.exceptions import Web3RPCError
from web3.providers.base import JSONBaseProvider

from protocol.agents.watch.views import VIEWS_PER_REQUEST, View, Views


class Answer:
    """A call of a contract that tells what it was asked."""

    def __init__(self, chain: Node, name: str, arguments: tuple) -> None:
        self.chain, self.name, self.arguments = chain, name, arguments

    def call(self, block_identifier=None) -> tuple:
        return (self.name, *self.arguments, block_identifier)


class Node:
    """A chain whose contract has every function; it counts what it is asked."""

    address = "0xc"

    def __init__(self, provider: object) -> None:
        self.provider, self.w3 = provider, self
        self.single: list[tuple] = []
        self.batches: list[list[tuple]] = []
        self.refuses: type[Exception] | None = None

    @property
    def functions(self) -> Node:
        return self

    def __getitem__(self, name: str):
        return lambda *arguments: Answer(self, name, arguments)

    def call(self, answer: Answer, *, block: int) -> tuple:
        self.single.append(answer.call(block))
        return self.single[-1]

    def batch_requests(self) -> Node:
        self.batches.append([])
        return self

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def add(self, asked: tuple) -> None:
        self.batches[-1].append(asked)

    def execute(self) -> list[tuple]:
        if self.refuses is not None:
            raise self.refuses("no")
        return self.batches[-1]


@pytest.fixture
def node() -> Node:
    return Node(JSONBaseProvider())


def view(node: Node, number: int, subject: bytes | None = b"s") -> View:
    return View(node, "of", (number,), subject)  # type: ignore[arg-type]


def test_views_ask_once_until_their_subject_is_touched(node: Node) -> None:
    views = Views(node)
    assert views.ask(view(node, 1)) == views.ask(view(node, 1)) == ("of", 1, 0)
    views.touch([b"other"])
    views.move(5)
    views.ask(view(node, 1))
    assert len(node.single) == 1
    views.touch([b"s"])
    assert views.ask(view(node, 1)) == ("of", 1, 5)
    assert len(node.single) == 2


def test_views_without_a_subject_hold_for_one_block(node: Node) -> None:
    views = Views(node)
    views.ask(view(node, 1, None))
    views.ask(view(node, 1, None))
    assert len(node.single) == 1
    views.move(1)
    assert views.ask(view(node, 1, None)) == ("of", 1, 1)


def test_views_are_prefetched_in_pages_and_only_if_missing(node: Node) -> None:
    views = Views(node)
    views.ask(view(node, 0))
    wanted = [view(node, number) for number in range(VIEWS_PER_REQUEST + 3)]
    views.prefetch(wanted)
    assert [len(batch) for batch in node.batches] == [VIEWS_PER_REQUEST, 2]
    assert [views.ask(each)[1] for each in wanted] == list(range(VIEWS_PER_REQUEST + 3))
    assert len(node.single) == 1
    assert len(views) == len(wanted)
    views.prefetch(wanted)
    assert len(node.batches) == 2
    views.clear()
    assert len(views) == 0


def test_views_that_the_node_refuses_together_are_asked_for_alone(node: Node) -> None:
    node.refuses = Web3RPCError
    views = Views(node)
    views.prefetch([view(node, 1), view(node, 2)])
    assert len(views) == 0
    assert views.ask(view(node, 2)) == ("of", 2, 0)


def test_views_of_a_node_that_is_gone_say_so(node: Node) -> None:
    node.refuses = ConnectionError
    with pytest.raises(ConnectionError):
        Views(node).prefetch([view(node, 1), view(node, 2)])


def test_views_of_a_client_without_batches_are_not_prefetched() -> None:
    node = Node(object())
    views = Views(node)
    views.prefetch([view(node, 1), view(node, 2)])
    assert not node.batches
    assert not node.single

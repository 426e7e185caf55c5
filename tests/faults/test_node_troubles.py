"""Agents whose node goes through one trouble after the other: nothing is sent, and all goes on.

One task is played from beginning to end; at each block another trouble comes and passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from web3.exceptions import Web3RPCError

from protocol.chain.endpoints import RpcUnreachable
from protocol.chain.heads import HeadNotTrusted
from tests.faults.colony import TERMS, Colony, honest_end
from tests.faults.lodgers import Lodger, folder_of, move_in
from tests.faults.nodes import running_node
from tests.faults.proxy import Proxy
from tests.training.regression import regression_task

LIMIT_S = 10**7
"""The chain's time leaps ahead of this machine's clock in these tests, by less than this."""

Trouble = Callable[[Proxy, Proxy], None]


def lie_about(**fields: Callable[[Any], Any]) -> Callable[[str, list[Any], Any], Any]:
    """Blocks with other values."""

    def rewrite(method: str, _params: list[Any], result: Any) -> Any:
        if method != "eth_getBlockByNumber" or result is None:
            return result
        return {**result, **{name: change(result[name]) for name, change in fields.items()}}

    return rewrite


def later(seconds: int) -> Callable[[str], str]:
    return lambda time: hex(int(time, 16) + seconds)


def both(change: Callable[[Proxy], None]) -> Trouble:
    """The same at both endpoints."""

    def trouble(first: Proxy, second: Proxy) -> None:
        change(first)
        change(second)

    return trouble


def answer(status: int, body: bytes) -> Trouble:
    return both(lambda proxy: setattr(proxy, "raw", (status, body)))


def lie(rewrite: Callable[[str, list[Any], Any], Any]) -> Trouble:
    return both(lambda proxy: setattr(proxy, "rewrite", rewrite))


def refuse(message: str) -> Trouble:
    error = {"code": -32005, "message": message}
    return both(
        lambda proxy: setattr(proxy, "refuse", {"eth_getLogs": error, "eth_getBalance": error})
    )


def contradict(_first: Proxy, second: Proxy) -> None:
    second.rewrite = lie_about(hash=lambda _: "0x" + "ba" * 32)


TROUBLES: dict[str, tuple[Trouble, type[Exception]]] = {
    "down": (both(lambda proxy: setattr(proxy, "down", True)), RpcUnreachable),
    "error 500": (answer(500, b"oops"), RpcUnreachable),
    "an HTML page": (answer(200, b"<html>maintenance</html>"), RpcUnreachable),
    "garbage": (answer(200, b'{"jsonrpc":"2.0","id":1,"result":[7,{}]}'), RpcUnreachable),
    "too many requests": (answer(429, b""), RpcUnreachable),
    "an error for each request of events": (refuse("limit exceeded"), Web3RPCError),
    "a stale head": (lie(lie_about(timestamp=later(-2 * LIMIT_S))), HeadNotTrusted),
    "a head of the future": (lie(lie_about(timestamp=later(2 * LIMIT_S))), HeadNotTrusted),
    "another branch at the second endpoint": (contradict, HeadNotTrusted),
    "no blocks": (
        lie(lambda m, _p, result: None if m == "eth_getBlockByNumber" else result),
        HeadNotTrusted,
    ),
}


class Weather:
    """Brings the troubles, one after each of the colony's blocks, and looks what agents do."""

    def __init__(self, colony: Colony, lodgers: list[Lodger], proxies: tuple[Proxy, Proxy]) -> None:
        self._colony, self._lodgers, self._proxies = colony, lodgers, proxies
        self._coming = list(TROUBLES.items())
        self.passed: list[str] = []
        self._blocks = 0

    def __call__(self) -> None:
        self._blocks += 1
        if not self._coming or self._blocks % 2:
            return
        name, (trouble, error) = self._coming.pop(0)
        trouble(*self._proxies)
        self._colony.node.mine()  # there would be something new to look at
        before = [(lodger.watcher.rounds, self._nonce(lodger)) for lodger in self._lodgers]
        for lodger in self._lodgers:
            for _ in range(3):
                lodger.revive()
            assert isinstance(lodger.watcher.failures[-1], error), (name, lodger.watcher.failures)
        # Not ready, and nothing was sent.
        assert [(i.watcher.rounds, self._nonce(i)) for i in self._lodgers] == before, name
        for proxy in self._proxies:
            proxy.heal()
        for lodger in self._lodgers:
            lodger.revive()
            assert not lodger.daemon._pause_s, (name, lodger.watcher.failures[-1])
        self.passed.append(name)

    def _nonce(self, lodger: Lodger) -> Any:
        return self._colony.node.ask("eth_getTransactionCount", lodger.outbox.account, "pending")


@pytest.mark.parametrize("kind", ["anvil", pytest.param("hardhat", marks=pytest.mark.slow)])
def test_agents_send_nothing_during_any_trouble_and_come_to_the_same_end(
    kind: str, tmp_path
) -> None:
    task = regression_task(steps=11, interval=4, width=40)
    with (
        running_node(kind, tmp_path) as node,
        Proxy(node.url) as first,
        Proxy(node.url) as second,
        Colony(folder_of(tmp_path), node, "troubles") as colony,
    ):
        urls = (first.url, second.url)
        task_id = colony.requester.post(task, TERMS)
        limits = {"max_age_s": LIMIT_S, "max_ahead_s": LIMIT_S}
        lodgers = [move_in(colony, who, urls=urls, **limits) for who in ("solver", "verifier")]
        weather = Weather(colony, lodgers, (first, second))
        colony.after_block = weather
        end = colony.play_out(task_id)
    assert weather.passed == list(TROUBLES)
    assert end == honest_end(task, tmp_path / "run")

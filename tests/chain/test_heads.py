"""Heads that are stale, early, far back or contradicted are not believed; the reason is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from protocol.chain.endpoints import Endpoints, RpcUnreachable
from protocol.chain.heads import DEPTH, MAX_BACK, HeadGuard, HeadNotTrusted
from tests.faults.nodes import NodeControl
from tests.faults.proxy import Proxy


@pytest.fixture
def proxies(node: NodeControl) -> Iterator[tuple[Proxy, Proxy]]:
    node.mine(DEPTH + 4)
    with Proxy(node.url) as first, Proxy(node.url) as second:
        yield first, second


def guard(*proxies: Proxy, clock: Callable[[], float] | None = None, **limits: int) -> HeadGuard:
    """At the endpoints; by default the clock shows the time of the head."""
    endpoints = Endpoints([proxy.url for proxy in proxies])
    return HeadGuard(endpoints, clock=clock or Now(proxies[0]), **limits)


class Now:
    """A clock that shows the time of an endpoint's true head, or some seconds later."""

    def __init__(self, proxy: Proxy, later_s: float = 0.0) -> None:
        from protocol.chain.node import request

        block = request(proxy._upstream, "eth_getBlockByNumber", "latest", False)
        self.now = int(block["timestamp"], 16) + later_s

    def __call__(self) -> float:
        return self.now


def changing(**fields: Any) -> Callable[[str, list[Any], Any], Any]:
    """Blocks with other values than the true ones; a function is given the true value."""

    def rewrite(method: str, _params: list[Any], result: Any) -> Any:
        if method != "eth_getBlockByNumber" or result is None:
            return result
        told = {k: v(result[k]) if callable(v) else v for k, v in fields.items()}
        return {**result, **told}

    return rewrite


def less(blocks: int) -> Callable[[str], str]:
    return lambda number: hex(max(int(number, 16) - blocks, 0))


def test_fresh_head_is_believed_with_its_values(proxies, node: NodeControl) -> None:
    head = guard(proxies[0]).check()
    block = node.ask("eth_getBlockByNumber", "latest", False)
    assert (head.number, head.block_hash) == (node.head(), block["hash"])
    assert head.time_s == int(block["timestamp"], 16)


@pytest.mark.parametrize(("age", "believed"), [(180, True), (181, False)])
def test_stale_head_is_not_believed_beyond_its_age(proxies, age: int, believed: bool) -> None:
    watch = guard(proxies[0], clock=Now(proxies[0], later_s=age), max_age_s=180)
    if believed:
        watch.check()
        return
    with pytest.raises(HeadNotTrusted, match="181 s old, at most 180 s") as error:
        watch.check()
    assert all((error.value.what, error.value.why, error.value.todo, error.value.read))


@pytest.mark.parametrize(("ahead", "believed"), [(60, True), (61, False)])
def test_head_from_the_future_is_not_believed(proxies, ahead: int, believed: bool) -> None:
    """Either the endpoint lies or this machine's clock is wrong: the message names both."""
    watch = guard(proxies[0], clock=Now(proxies[0], later_s=-ahead), max_ahead_s=60)
    if believed:
        watch.check()
        return
    with pytest.raises(HeadNotTrusted, match=r"61 s in the future.*clock \(NTP\)"):
        watch.check()


def test_limits_of_nothing_believe_any_time(proxies) -> None:
    for later_s in (-(10**6), 10**6):
        clock = Now(proxies[0], later_s=later_s)
        guard(proxies[0], clock=clock, max_age_s=0, max_ahead_s=0).check()


def test_endpoint_that_went_stale_is_left_for_the_other(proxies) -> None:
    first, second = proxies
    watch = guard(first, second, max_age_s=60)
    first.rewrite = changing(timestamp=lambda time: hex(int(time, 16) - 1_000))
    with pytest.raises(HeadNotTrusted, match="1000 s old"):
        watch.check()
    watch.check()  # the other's head is fresh
    watch.check()


def test_head_far_below_an_earlier_one_is_not_believed(proxies, node: NodeControl) -> None:
    first, _ = proxies
    node.mine(MAX_BACK)
    watch = guard(first)
    highest = watch.check().number
    first.rewrite = changing(number=less(MAX_BACK))
    assert watch.check().number == highest - MAX_BACK  # as far as a reorganisation may go
    first.rewrite = changing(number=less(MAX_BACK + 1))
    with pytest.raises(HeadNotTrusted, match=f"is {highest - MAX_BACK - 1}, {highest} was seen"):
        watch.check()
    first.heal()
    watch.check()


def test_head_that_regresses_a_little_is_a_reorganisation(proxies) -> None:
    watch = guard(proxies[0])
    number = watch.check().number
    proxies[0].rewrite = changing(number=less(3))
    assert watch.check().number == number - 3


def test_second_endpoint_on_another_branch_is_a_contradiction_with_both_hashes(proxies) -> None:
    first, second = proxies
    watch = guard(first, second)
    watch.check()
    lie = "0x" + "ba" * 32
    second.rewrite = changing(hash=lie)
    with pytest.raises(HeadNotTrusted, match="tell different chains") as error:
        watch.check()
    assert lie in error.value.why
    assert first.url in error.value.why
    assert second.url in error.value.why
    second.heal()
    watch.check()


def test_endpoints_that_differ_only_near_the_head_are_believed(proxies, node: NodeControl) -> None:
    first, second = proxies

    def fork(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and int(result["number"], 16) > node.head() - DEPTH:
            return {**result, "hash": "0x" + "ba" * 32}
        return result

    second.rewrite = fork
    guard(first, second).check()


def test_second_endpoint_that_lags_or_is_down_contradicts_nobody(proxies) -> None:
    first, second = proxies
    watch = guard(first, second)
    second.raw = (502, b"<html>")
    watch.check()
    second.heal()
    second.down = True
    watch.check()


def test_second_endpoint_of_another_chain_is_found_at_once(node: NodeControl, tmp_path) -> None:
    from tests.faults.nodes import running_node

    with running_node("anvil", tmp_path) as other, Proxy(node.url) as proxy:
        other.mine(20)
        node.mine(20)
        watch = HeadGuard(
            Endpoints([proxy.url, other.url]), max_age_s=0, max_ahead_s=0, clock=Now(proxy)
        )
        with pytest.raises(HeadNotTrusted, match="tell different chains"):
            watch.check()


def test_nobody_there_is_no_matter_of_trust(proxies) -> None:
    first, second = proxies
    first.down = second.down = True
    with pytest.raises(RpcUnreachable):
        HeadGuard(Endpoints([first.url, second.url])).check()


def test_endpoint_without_a_latest_block_is_told(proxies) -> None:
    proxies[0].rewrite = lambda _method, _params, _result: None
    with pytest.raises(HeadNotTrusted, match="no latest block"):
        HeadGuard(Endpoints([proxies[0].url])).check()

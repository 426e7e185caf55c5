"""The reader on nodes of two kinds: blocks taken back, shallow and deep, and nodes that lag."""

from __future__ import annotations

import pytest
from web3.exceptions import Web3Exception

from protocol.agents.watch.trail import REMEMBERED_BLOCKS
from protocol.chain.node import request
from protocol.training import Task
from scripts.load.crowd import Crowd

NODES = pytest.mark.parametrize("crowd", ["anvil", "hardhat"], indirect=True)


@NODES
@pytest.mark.parametrize("depth", [1, 5, REMEMBERED_BLOCKS - 2, REMEMBERED_BLOCKS + 20])
def test_reader_goes_back_as_far_as_it_remembers_and_else_reads_all_again(
    crowd: Crowd, task: Task, depth: int, caplog
) -> None:
    request(crowd.node.url, "hardhat_mine", hex(REMEMBERED_BLOCKS))  # anvil has it too
    reader = crowd.people["verifier"].reader()
    (kept,) = crowd.post(task, 1)
    assert list(reader.book.tasks) == [kept]
    fork = request(crowd.node.url, "evm_snapshot")
    (lost,) = crowd.post(task, 1)
    for _ in range(depth - 1):
        crowd.mine()
        reader.refresh()
    assert list(reader.book.tasks) == [kept, lost]

    request(crowd.node.url, "evm_revert", fork)
    crowd.mine(7)
    before = crowd.people["verifier"].endpoints.calls
    assert list(reader.book.tasks) == [kept]
    calls = crowd.people["verifier"].endpoints.calls - before
    again = "reading all events again" in caplog.text
    assert again is (depth > REMEMBERED_BLOCKS)
    # A look at each block that it remembers, and the events from there.
    assert calls <= min(depth, REMEMBERED_BLOCKS + 3) + 8
    assert reader.book == crowd.people["verifier"].reader(keeps_ended=True).book


@NODES
def test_reader_of_a_node_without_the_latest_block_gets_an_error_and_no_silence(
    crowd: Crowd, task: Task
) -> None:
    """One endpoint names a head, another that lags is asked for its events."""
    person = crowd.people["verifier"]
    reader = person.reader()
    reader.refresh()
    (posted,) = crowd.post(task, 1)
    (provider,) = person.endpoints.providers
    make, lagging = provider.make_request, [True]

    def ask(method, params):
        if method == "eth_getLogs" and lagging:
            params = [{**params[0], "blockHash": "0x" + "11" * 32}]
        return make(method, params)

    provider.make_request = ask
    with pytest.raises((Web3Exception, ConnectionError)):
        reader.refresh()
    assert not reader._book.tasks
    lagging.clear()
    assert list(reader.book.tasks) == [posted]

"""Endpoints that fail, stall or answer garbage: the next is asked; if all do, it is told why."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from protocol.chain.answers import FORMS, require_answer
from protocol.chain.bounded import BoundedSession
from protocol.chain.endpoints import Endpoints, RpcUnreachable
from protocol.chain.rpc import RpcChain
from tests.faults.nodes import NodeControl
from tests.faults.proxy import Proxy

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
HASH = "0x" + "ab" * 32
BLOCK = {"number": "0x1", "timestamp": "0x2", "hash": HASH, "parentHash": HASH}


def block_number(endpoints: Endpoints) -> int:
    return int(RpcChain(endpoints).w3.eth.block_number)


def test_no_endpoint_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON-RPC endpoint"):
        Endpoints([])


def test_endpoint_that_is_not_there_is_left_for_the_next(node: NodeControl, caplog) -> None:
    endpoints = Endpoints([NOWHERE, node.url])
    assert block_number(endpoints) == node.head()
    asked = endpoints.requests
    assert block_number(endpoints) == node.head()
    assert endpoints.requests == asked + 1  # it goes on with the one that answered
    assert f"using {node.url} now: {NOWHERE}: " in caplog.text


def test_nobody_there_is_told_with_each_endpoint_and_its_reason() -> None:
    with pytest.raises(RpcUnreachable, match=f"{NOWHERE}: .*refused") as error:
        block_number(Endpoints([NOWHERE, NOWHERE]))
    assert isinstance(error.value, ConnectionError)
    assert error.value.why.count("refused") == 2
    assert all((error.value.what, error.value.todo, error.value.read))


def test_keys_in_urls_are_not_told() -> None:
    secret = "abcdefghijklmnopqrstuvwxyz0123456789"
    endpoints = Endpoints([f"http://user:pass@127.0.0.1:9/v2/{secret}?key={secret}"])
    with pytest.raises(RpcUnreachable) as error:
        block_number(endpoints)
    for told in (str(error.value), str(endpoints)):
        assert secret not in told
        assert "pass" not in told
        assert "127.0.0.1:9" in told


GARBAGE = {
    "an error page": (502, b"<html><h1>Bad Gateway</h1></html>"),
    "a page that claims success": (200, b"<html>all is well</html>"),
    "an internal error": (500, b""),
    "nothing": (200, b""),
    "too many requests": (429, b'{"error": "slow down"}'),
    "half an answer": (200, b'{"jsonrpc": "2.0", "id": 1, "resu'),
    "null": (200, b"null"),
    "a list": (200, b"[]"),
    "a number": (200, b"17"),
    "neither result nor error": (200, b'{"jsonrpc": "2.0", "id": 1}'),
    "a text for a block": (200, b'{"jsonrpc": "2.0", "id": 1, "result": "down for repairs"}'),
    "a block without a hash": (200, b'{"jsonrpc":"2.0","id":1,"result":{"number":"0x1"}}'),
    "an error that is a text": (200, b'{"jsonrpc": "2.0", "id": 1, "error": "oops"}'),
    "no text at all": (200, b"\xff\xfe\x00"),
    "nothing but brackets": (200, b"[" * 1_000_000),
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_endpoint_that_answers_garbage_is_one_that_does_not_answer(
    raw: tuple[int, bytes], node: NodeControl
) -> None:
    with Proxy(node.url) as proxy:
        proxy.raw = raw
        alone = RpcChain(Endpoints([proxy.url]))
        with pytest.raises(RpcUnreachable):
            alone.w3.eth.get_block("latest")
        backed = RpcChain(Endpoints([proxy.url, node.url]))
        assert backed.w3.eth.get_block("latest")["number"] == node.head()


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_batch_that_is_answered_with_garbage_is_asked_of_the_next(
    raw: tuple[int, bytes], node: NodeControl
) -> None:
    with Proxy(node.url) as proxy:
        proxy.raw = raw
        chain = RpcChain(Endpoints([proxy.url, node.url]))
        with chain.w3.batch_requests() as batch:
            batch.add(chain.w3.eth.get_block(0))
            batch.add(chain.w3.eth.get_block("latest"))
            first, last = batch.execute()
        assert (first["number"], last["number"]) == (0, node.head())


def test_batch_with_an_answer_missing_is_no_answer(node: NodeControl) -> None:
    with Proxy(node.url) as proxy:
        answer = proxy._answer
        proxy._answer = lambda body: (200, json.dumps(json.loads(answer(body)[1])[:1]).encode())
        chain = RpcChain(Endpoints([proxy.url]))
        with chain.w3.batch_requests() as batch:
            batch.add(chain.w3.eth.get_block(0))
            batch.add(chain.w3.eth.get_block("latest"))
            with pytest.raises(RpcUnreachable, match="no list of 2 answers"):
                batch.execute()


def test_error_of_the_chain_is_an_answer_and_not_asked_again(node: NodeControl) -> None:
    with Proxy(node.url) as proxy:
        proxy.refuse = {"eth_call": {"code": 3, "message": "execution reverted", "data": "0x"}}
        endpoints = Endpoints([proxy.url, NOWHERE])
        response = endpoints.make_request("eth_call", [{}, "latest"])
        assert response["error"]["message"] == "execution reverted"
        assert endpoints.requests == 1


def test_endpoint_left_for_a_reason_is_not_the_next_to_be_asked(node: NodeControl, caplog) -> None:
    with Proxy(node.url) as first, Proxy(node.url) as second:
        endpoints = Endpoints([first.url, second.url])
        endpoints.leave("it lags")
        block_number(endpoints)
        assert (first.seen.total(), second.seen.total()) == (0, 1)
        assert f"using {second.url} now: {first.url}: it lags" in caplog.text
        Endpoints([first.url]).leave("there is no other")
        assert caplog.text.count("using") == 1


# ---------------------------------------------------------------- forms of answers

RIGHT = {
    "eth_call": ["0x", "0x00"],
    "eth_getCode": ["0x", "0x6000"],
    "eth_chainId": ["0x1"],
    "eth_getBlockByNumber": [None, BLOCK, {**BLOCK, "baseFeePerGas": "0x7", "more": []}],
    "eth_getTransactionReceipt": [None],
    "eth_getLogs": [[], [{"address": "0x" + "1f" * 20, "data": "0x", "topics": [HASH]}]],
    "eth_sendRawTransaction": [HASH],
    "evm_snapshot": ["anything", 7, None],
}
WRONG = {
    "eth_call": [None, "", "0x0", "0xzz", 7, ["0x"]],
    "eth_chainId": [None, "0x", "1", 1, "0x1g"],
    "eth_getBlockByNumber": [
        *("", [], {}),
        *({**BLOCK, **wrong} for wrong in ({"hash": "0x12"}, {"timestamp": 5}, {"number": None})),
        {**BLOCK, "baseFeePerGas": None},
    ],
    "eth_getTransactionReceipt": [{}, "0x", {"status": "0x1"}],
    "eth_getLogs": [None, {}, [{}], [{"address": "0x", "data": "0x", "topics": []}]],
    "eth_sendRawTransaction": ["0x", "0x1234", None],
}


@pytest.mark.parametrize(("method", "result"), [(m, r) for m, rs in RIGHT.items() for r in rs])
def test_result_of_the_right_form_is_an_answer(method: str, result: object) -> None:
    require_answer(method, {"jsonrpc": "2.0", "id": 1, "result": result})
    require_answer(method, {"result": result, "error": None})  # some gateways send both


@pytest.mark.parametrize(("method", "result"), [(m, r) for m, rs in WRONG.items() for r in rs])
def test_result_of_a_wrong_form_is_none(method: str, result: object) -> None:
    assert method in FORMS
    with pytest.raises(ValueError, match=f"{method} cannot have the result"):
        require_answer(method, {"jsonrpc": "2.0", "id": 1, "result": result})


# ---------------------------------------------------------------- slow and endless answers


def trickling(body: bytes, pause_s: float) -> tuple[str, threading.Event]:
    """A server that sends its answer byte by byte, until it is told to stop."""
    stop = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection, server:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for byte in body:
                if stop.wait(pause_s):
                    return
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}", stop


def test_answer_that_trickles_in_is_given_up_in_time_as_a_whole(node: NodeControl) -> None:
    """Each byte comes in time; the whole never would."""
    url, stop = trickling(b" " * 100_000, 0.02)
    try:
        assert block_number(Endpoints([url, node.url], timeout_s=0.3)) == node.head()
    finally:
        stop.set()


def test_answer_without_end_is_given_up_at_its_limit() -> None:
    import requests

    url, stop = trickling(b" " * 100_000, 0.0)
    try:
        with pytest.raises(requests.ConnectionError, match="over 1000 bytes"):
            BoundedSession(10.0, max_bytes=1_000).post(url, data=b"{}", timeout=10.0)
    finally:
        stop.set()

"""Metrics, liveness, and readiness, which means progress."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from protocol.agents.process.telemetry import Telemetry
from protocol.chain.heads import Head
from protocol.chain.outbox import Outcome
from protocol.chain.txlog import Intent, Mined, Status
from protocol.training.trainer import Progress


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry(clock: Clock) -> Iterator[Telemetry]:
    made = Telemetry("solver", "0xabc", progress_limit_s=60, head_age_limit_s=30, clock=clock)
    yield made
    made.stop()


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"pinpoint_{name}", labels)


def outcome(label: str, *, succeeded: bool | None, gas: int = 100) -> Outcome:
    intent = Intent(1, "0x1", b"", 0, label, False, 0, gas, Status.MINED)
    if succeeded is None:
        return Outcome(intent, None)
    return Outcome(intent, Mined(1, b"", 5, b"", succeeded, gas, 3))


def test_agent_is_ready_only_while_it_makes_progress_on_a_fresh_chain(telemetry, clock) -> None:
    assert telemetry.ready() == (False, "no round completed since the start 0 s ago")
    telemetry.looked(Head(7, "0x", int(clock.now) - 5))
    telemetry.progress()
    assert telemetry.ready() == (True, "ready")
    clock.now += 25
    assert telemetry.ready()[0], "30 s are the limit"
    clock.now += 1
    assert telemetry.ready() == (
        False,
        "the latest block seen is 31 s old, at most 30 s count as fresh",
    )
    telemetry.looked(Head(8, "0x", int(clock.now)))
    assert telemetry.ready()[0]


def test_agent_whose_rounds_fail_is_not_ready_and_says_why(telemetry, clock) -> None:
    telemetry.looked(Head(7, "0x", int(clock.now)))
    telemetry.progress()
    clock.now += 61
    telemetry.looked(Head(8, "0x", int(clock.now)))
    telemetry.failed(ConnectionError("node is down"))
    ready, reason = telemetry.ready()
    assert not ready
    assert reason.startswith("no progress for 61 s, at most 60 s pass")
    assert reason.endswith("last error: ConnectionError: node is down")
    assert value(telemetry, "errors_total", kind="ConnectionError") == 1
    telemetry.progress()
    assert telemetry.ready() == (True, "ready")


def test_steps_of_training_are_progress(telemetry, clock) -> None:
    telemetry.looked(Head(7, "0x", int(clock.now)))
    telemetry.progress()
    for step in range(1, 5):
        clock.now += 20
        telemetry.looked(Head(7 + step, "0x", int(clock.now)))
        checkpoint = step // 4 if step % 4 == 0 else None
        telemetry.stepped(Progress(step, 4, None, 0.5, checkpoint))
    assert telemetry.ready()[0]
    assert value(telemetry, "steps_trained_total") == 4
    assert value(telemetry, "checkpoints_total") == 1
    assert value(telemetry, "step_seconds_sum") == 2.0


def test_any_head_is_fresh_where_the_limit_is_zero(clock) -> None:
    telemetry = Telemetry("verifier", head_age_limit_s=0, clock=clock)
    telemetry.progress()
    assert telemetry.ready()[0], "a chain that mines only transactions has no fresh block"


def test_transactions_are_counted_by_function_and_outcome_with_their_gas(telemetry) -> None:
    telemetry.became(outcome("report", succeeded=True, gas=100))
    telemetry.became(outcome("report", succeeded=False, gas=50))
    telemetry.became(outcome("submit", succeeded=None))
    for function, end in (("report", "succeeded"), ("report", "reverted"), ("submit", "replaced")):
        assert value(telemetry, "transactions_total", function=function, outcome=end) == 1
    assert value(telemetry, "gas_used_total") == 150
    assert value(telemetry, "gas_cost_wei_total") == 450


def test_gauges_show_load_money_and_the_tightest_clock(telemetry, clock) -> None:
    assert value(telemetry, "clock_left_seconds") == math.inf
    telemetry.live(tasks=3, claims=2, disputes=1)
    telemetry.owns(native_wei=10**18, credit_wei=5)
    telemetry.must_act_by(int(clock.now) + 40)
    clock.now += 10
    assert value(telemetry, "tasks_live") == 3
    assert value(telemetry, "claims_live") == 2
    assert value(telemetry, "disputes_live") == 1
    assert value(telemetry, "balance_native_wei") == 10**18
    assert value(telemetry, "credit_wei") == 5
    assert value(telemetry, "clock_left_seconds") == 30
    telemetry.must_act_by(None)
    assert value(telemetry, "clock_left_seconds") == math.inf


def test_clock_counts_in_chain_time_where_that_runs_ahead(telemetry, clock) -> None:
    telemetry.must_act_by(int(clock.now) + 100)
    telemetry.looked(Head(7, "0x", int(clock.now) + 30))
    clock.now += 5
    assert value(telemetry, "clock_left_seconds") == 65
    telemetry.looked(Head(8, "0x", int(clock.now) - 12))
    assert value(telemetry, "clock_left_seconds") == 95, "a block lags behind time by nature"


def test_two_agents_in_one_process_do_not_share_metrics(telemetry) -> None:
    other = Telemetry("verifier")
    telemetry.live(tasks=3, claims=0, disputes=0)
    assert value(other, "tasks_live") == 0


def test_endpoint_answers_health_readiness_and_metrics(telemetry, clock) -> None:
    url = telemetry.serve()
    assert url.startswith("http://127.0.0.1:")
    assert requests.get(f"{url}/healthz", timeout=5).text == "alive\n"
    unready = requests.get(f"{url}/readyz", timeout=5)
    assert (unready.status_code, "no round completed" in unready.text) == (503, True)
    telemetry.looked(Head(7, "0x", int(clock.now)))
    telemetry.progress()
    assert requests.get(f"{url}/readyz", timeout=5).status_code == 200
    metrics = requests.get(f"{url}/metrics", timeout=5)
    samples = {
        sample.name: sample
        for family in text_string_to_metric_families(metrics.text)
        for sample in family.samples
    }
    assert samples["pinpoint_head_block"].value == 7
    assert samples["pinpoint_ready"].value == 1
    assert samples["pinpoint_agent_info"].labels["role"] == "solver"
    assert requests.get(f"{url}/else", timeout=5).status_code == 404
    assert requests.post(f"{url}/metrics", timeout=5).status_code == 405


def test_silent_client_does_not_keep_others_from_an_answer(telemetry) -> None:
    url = telemetry.serve()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as silent:
        silent.sendall(b"GET /metrics HTT")
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200


def test_stop_frees_the_port_and_serving_twice_is_refused(telemetry) -> None:
    url = telemetry.serve()
    with pytest.raises(RuntimeError, match="served already"):
        telemetry.serve()
    telemetry.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=5)
    port = int(url.rsplit(":", 1)[1])
    assert telemetry.serve(port=port) == url
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        Telemetry("verifier").serve(port=port)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        b"GET /metrics?name[]=%00%ff HTTP/1.1\r\nAccept: \xff\r\n\r\n",
    ],
)
def test_malformed_requests_do_not_end_the_endpoint(telemetry, request_bytes) -> None:
    url = telemetry.serve()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200

"""How an agent is: Prometheus metrics, and whether it lives and gets on.

`/metrics` is for Prometheus; `/healthz` answers as long as the process does; `/readyz` answers 200
only while the agent makes progress: a round of its loop or a step of training was completed a short
while ago, and the latest block that it saw is fresh. Else it answers 503 with the reason.

`Telemetry` hears how the loop of `protocol.agents.process.daemon` goes (it is its `Watcher`).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import ThreadingWSGIServer, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from protocol.chain.heads import Head
    from protocol.chain.outbox import Outcome
    from protocol.training.trainer import Progress

__all__ = ["Telemetry"]

log = logging.getLogger(__name__)

PROGRESS_LIMIT_S = 120.0
HEAD_AGE_LIMIT_S = 180.0
REQUEST_SECONDS = 10
"""A client that is slower than this is cut off."""

STEP_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Telemetry:
    """Metrics and readiness of one agent, with a registry of its own.

    Args:
        role: ``solver``, ``verifier`` or ``requester``.
        account: Its address.
        progress_limit_s: Without progress for longer, it is not ready.
        head_age_limit_s: With an older block, it is not ready; 0: any age.
        clock: Seconds since 1970; for tests.
    """

    def __init__(
        self,
        role: str,
        account: str = "",
        *,
        progress_limit_s: float = PROGRESS_LIMIT_S,
        head_age_limit_s: float = HEAD_AGE_LIMIT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._progress_limit_s = progress_limit_s
        self._head_age_limit_s = head_age_limit_s
        self._clock = clock
        self._started = clock()
        self._progressed_at: float | None = None
        self._head_time_s: int | None = None
        self._looked_at = self._started
        self._deadline_s: int | None = None
        self._delivery_s: int | None = None
        self._last_error: str | None = None
        self._server: ThreadingWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self.registry = CollectorRegistry()
        self._add_metrics(role, account)

    def _add_metrics(self, role: str, account: str) -> None:
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        info = Info("pinpoint_agent", "Who this is", registry=registry)
        info.info({"role": role, "account": account, "version": version("pinpoint-protocol")})

        def gauge(name: str, text: str, ask: Callable[[], float] | None = None) -> Gauge:
            made = Gauge(f"pinpoint_{name}", text, registry=registry)
            if ask is not None:
                made.set_function(ask)
            return made

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"pinpoint_{name}", text, labels, registry=registry)

        self._head = gauge("head_block", "Number of the latest block seen")
        gauge("head_age_seconds", "Age of the latest block seen; NaN: none yet", self._head_age)
        self._tasks = gauge("tasks_live", "Tasks that are not over")
        self._claims = gauge("claims_live", "Claims that are not settled")
        self._disputes = gauge("disputes_live", "Disputes that are not decided")
        self._native = gauge("balance_native_wei", "The chain's own currency, which pays for gas")
        self._credit = gauge("credit_wei", "Vault credit, which bonds are taken from")
        gauge(
            "clock_left_seconds",
            "Time left on the tightest own clock of a dispute; +Inf: none",
            lambda: self._left(self._deadline_s),
        )
        gauge(
            "delivery_left_seconds",
            "Time left to open a bid or to submit a run; +Inf: nothing is owed",
            lambda: self._left(self._delivery_s),
        )
        gauge("last_progress_timestamp_seconds", "When a round or a step ended", self._progressed)
        gauge("ready", "1 if it makes progress on a fresh chain", lambda: float(self.ready()[0]))
        self._transactions = counter(
            "transactions", "Transactions that came to their end", "function", "outcome"
        )
        self._gas = counter("gas_used", "Gas used by its transactions")
        self._cost = counter("gas_cost_wei", "What that gas has cost")
        self._errors = counter("errors", "Rounds that failed", "kind")
        self._lines = counter("log_lines", "Log lines of warnings and worse", "level")
        for level in ("warning", "error", "critical"):  # there from the start, so that rises show
            self._lines.labels(level)
        self._steps = counter("steps_trained", "Steps of training done, checking included")
        self._checkpoints = counter("checkpoints", "Checkpoints written")
        self._step_seconds = Histogram(
            "pinpoint_step_seconds", "Seconds of a step", registry=registry, buckets=STEP_BUCKETS_S
        )

    def count_logs(self, logger: logging.Logger) -> None:
        """Count what a logger and those below it warn of, from now on.

        What fails for one task, claim or dispute alone ends no round, and shows here.
        """
        logger.addHandler(_Counting(lambda level: self._lines.labels(level).inc()))

    def looked(self, head: Head) -> None:
        """Note the latest block."""
        self._head.set(head.number)
        self._head_time_s = head.time_s
        self._looked_at = self._clock()

    def became(self, outcome: Outcome) -> None:
        """Count a transaction that was mined, or lost its nonce to another one."""
        mined = outcome.mined
        if mined is None:
            end = "replaced"
        else:
            end = "succeeded" if mined.succeeded else "reverted"
            self._gas.inc(mined.gas_used)
            self._cost.inc(mined.gas_used * mined.gas_price)
        self._transactions.labels(outcome.intent.label or "unnamed", end).inc()

    def failed(self, error: BaseException) -> None:
        """Count a round that failed."""
        self._last_error = f"{type(error).__name__}: {error}"
        self._errors.labels(type(error).__name__).inc()

    def progress(self) -> None:
        """Note that a round of the loop was completed."""
        self._progressed_at = self._clock()
        self._last_error = None

    def stepped(self, step: Progress) -> None:
        """Count a step of a task, which is progress too: rounds that train are long."""
        loss = "" if step.loss is None else f", loss {step.loss}"
        log.debug("trained step %d of %d%s", step.step, step.steps, loss)
        self._steps.inc()
        self._step_seconds.observe(step.seconds)
        if step.checkpoint is not None:
            self._checkpoints.inc()
        self._progressed_at = self._clock()

    def live(self, *, tasks: int, claims: int, disputes: int) -> None:
        """Note how much there is to watch."""
        self._tasks.set(tasks)
        self._claims.set(claims)
        self._disputes.set(disputes)

    def owns(self, *, native_wei: int, credit_wei: int) -> None:
        """Note what the account has."""
        self._native.set(native_wei)
        self._credit.set(credit_wei)

    def must_act_by(self, deadline_s: int | None) -> None:
        """Note the tightest own clock, in seconds since 1970; None: no clock runs."""
        self._deadline_s = deadline_s

    def must_deliver_by(self, deadline_s: int | None) -> None:
        """Note until when a bid must be opened or a run submitted; None: nothing is owed."""
        self._delivery_s = deadline_s

    def ready(self) -> tuple[bool, str]:
        """Return whether the agent gets on, and why not."""
        limit = self._progress_limit_s
        if self._progressed_at is None:
            return False, self._because(
                f"no round completed since the start {self._clock() - self._started:.0f} s ago"
            )
        idle = self._clock() - self._progressed_at
        if idle > limit:
            return False, self._because(f"no progress for {idle:.0f} s, at most {limit:.0f} s pass")
        age, most = self._head_age(), self._head_age_limit_s
        if most and not age <= most:  # NaN is not fresh either
            return False, self._because(
                f"the latest block seen is {age:.0f} s old, at most {most:.0f} s count as fresh"
            )
        return True, "ready"

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Answer HTTP requests in a thread, and return the URL; port 0 takes a free one.

        Raises:
            OSError: The port is taken, or the host is none of this machine's.
            RuntimeError: It serves already.
        """
        if self._server is not None:
            raise RuntimeError(f"telemetry is served already at {self._url()}; call stop() before")
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

        class Server(ThreadingWSGIServer):
            address_family = family

            def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
                """Log a client that went away; it is no news."""
                log.debug("request of %s failed", client_address, exc_info=True)

        self._server = make_server(str(address[0]), port, self._answer, Server, _Handler)
        if not ip_address(str(address[0])).is_loopback:
            log.warning("telemetry is readable by everybody who reaches %s", self._url())
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="telemetry", daemon=True
        )
        self._thread.start()
        return self._url()

    def stop(self) -> None:
        """Stop answering. Without a server nothing happens."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    def _url(self) -> str:
        assert self._server is not None
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}"

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            return _plain(start_response, "405 Method Not Allowed", "only GET is answered")
        if path == "/metrics":
            answered: Iterable[bytes] = make_wsgi_app(self.registry)(environ, start_response)
            return answered
        if path == "/healthz":
            return _plain(start_response, "200 OK", "alive")
        if path == "/readyz":
            ready, reason = self.ready()
            return _plain(start_response, "200 OK" if ready else "503 Service Unavailable", reason)
        return _plain(start_response, "404 Not Found", "there are /metrics, /healthz and /readyz")

    def _because(self, reason: str) -> str:
        return reason if self._last_error is None else f"{reason}; last error: {self._last_error}"

    def _head_age(self) -> float:
        return float("nan") if self._head_time_s is None else self._clock() - self._head_time_s

    def _left(self, deadline_s: int | None) -> float:
        if deadline_s is None:
            return float("inf")
        # Deadlines are in the chain's time, which may run ahead of this machine's: then it counts.
        ahead = 0.0 if self._head_time_s is None else self._head_time_s - self._looked_at
        return deadline_s - self._clock() - max(ahead, 0.0)

    def _progressed(self) -> float:
        return self._progressed_at or 0.0


class _Counting(logging.Handler):
    """Counts lines instead of writing them."""

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self._count(record.levelname.lower())


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log requests as details: probes come every few seconds."""
        log.debug(format, *args)


def _plain(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{text}\n".encode()]

"""The named points that agents are killed at: where in the code, and in which scenario.

A point is before or after a call of a function, or in the middle of one: before a call that it
makes on its way. `mortal` wraps the function and ends its process there with SIGKILL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Where = Callable[[tuple[Any, ...]], bool]

HONEST, LYING = "honest", "lying"
BOTH: Final = (HONEST, LYING)


@dataclass(frozen=True)
class Point:
    """A place to die at.

    Attributes:
        name: for people: what is about to happen, or has happened.
        role: whose process.
        target: ``module:Class.method`` or ``module:function``.
        after: after the call; else before it.
        where: of which calls, by their positional arguments.
        torn: cut the file that is about to be put in place in half: what a power cut leaves.
        scenarios: in which it is reached for sure.
    """

    name: str
    role: str
    target: str
    after: bool = False
    where: Where | None = None
    torn: bool = False
    scenarios: tuple[str, ...] = BOTH


SEND: Final = "protocol.agents.sender:QueuedSender._send"
LOG: Final = "protocol.chain.txlog:TransactionLog"
OUTBOX: Final = "protocol.chain.outbox:Outbox"
JOURNAL: Final = "protocol.agents.journal:Journal"
PUBLISHER: Final = "protocol.agents.served:Publisher"
TRAINER: Final = "protocol.training.trainer:Trainer"
FOLDER: Final = "protocol.training.checkpoints:CheckpointFolder"


def calls(function: str) -> Where:
    """Transactions of one function of the contracts."""
    return lambda arguments: arguments[3] == function


def about(topic: str) -> Where:
    """Notes of a topic."""
    return lambda arguments: arguments[1] == topic


def on_path(first: bytes) -> Where:
    """Roots on paths that begin so."""
    return lambda arguments: arguments[2].startswith(first)


def is_checkpoint(arguments: tuple[Any, ...]) -> bool:
    """A checkpoint's file on its way to its place."""
    return "step-" in str(arguments[1])


def is_logged(arguments: tuple[Any, ...]) -> bool:
    """A checkpoint's entry in the log, not that of the initial state."""
    return bool(arguments[1] > 0)


def becomes(status: str) -> Where:
    """Intents that reach a status."""
    return lambda arguments: arguments[2].value == status


def is_part(arguments: tuple[Any, ...]) -> bool:
    """An object's file on its way to its place in a store."""
    return str(arguments[0]).endswith(".part")


def around(
    name: str,
    role: str,
    target: str,
    where: Where | None = None,
    scenarios: tuple[str, ...] = BOTH,
) -> list[Point]:
    """Before and after a call."""
    return [
        Point(f"{role}: before {name}", role, target, False, where, scenarios=scenarios),
        Point(f"{role}: after {name}", role, target, True, where, scenarios=scenarios),
    ]


def sends(role: str, *functions: str, scenarios: tuple[str, ...] = BOTH) -> list[Point]:
    """Before a transaction is simulated, and after it was sent."""
    return [
        point
        for function in functions
        for point in around(f"sending {function}", role, SEND, calls(function), scenarios)
    ]


def of_transactions(role: str) -> list[Point]:
    """The steps of any transaction, which agents go through for their first one."""
    return [
        *around("the intent is written", role, f"{LOG}.intend"),
        Point(f"{role}: signed, not committed to disk", role, f"{LOG}.attempt", after=True),
        *around("the signed transaction is sent", role, f"{OUTBOX}._broadcast"),
        Point(f"{role}: before the receipt is written", role, f"{LOG}.mined"),
        Point(f"{role}: between receipt and status", role, f"{LOG}.mark", where=becomes("mined")),
        Point(f"{role}: after the receipt is written", role, f"{LOG}.mined", after=True),
        *around("the receipt is final", role, f"{LOG}.mark", becomes("final")),
    ]


POINTS: Final = (
    # ------------------------------------------------------------ the solver
    *around(
        "the home is bound to its chain", "solver", "protocol.agents.runtime:Runtime._identify"
    ),
    *around("the first look at the chain", "solver", "protocol.agents.reader:Reader.refresh"),
    *around("the task is kept", "solver", "protocol.training.task:Task.save"),
    *around("the bid's secret is written", "solver", f"{JOURNAL}.remember", about("bid")),
    *of_transactions("solver"),
    *sends("solver", "commitBid", "revealBid", "assign"),
    *around("a step", "solver", f"{TRAINER}._step"),
    Point("solver: checkpoint cut in half", "solver", "os:replace", where=is_checkpoint, torn=True),
    *around("a checkpoint is in its place", "solver", "os:replace", is_checkpoint),
    Point(
        "solver: between checkpoint and log entry",
        "solver",
        "protocol.merkle.log:CheckpointLog.record",
        where=is_logged,
    ),
    Point("solver: after a checkpoint", "solver", f"{FOLDER}.write", after=True),
    *sends("solver", "report"),
    *around("the log's root is bound", "solver", f"{JOURNAL}.bind_root", on_path(b"log")),
    *around("the log is served", "solver", f"{PUBLISHER}.publish_log"),
    Point(
        "solver: between leaves and tensors of the log",
        "solver",
        f"{PUBLISHER}.publish_state",
    ),
    *around("a served file is in its place", "solver", "pathlib:Path.replace", is_part),
    *sends("solver", "submit"),
    *sends("solver", "postSegment", "postTrace", "postFold", scenarios=(LYING,)),
    *around("a segment is served", "solver", f"{PUBLISHER}.publish_segment", scenarios=(LYING,)),
    *around("a trace is served", "solver", f"{PUBLISHER}.publish_trace", scenarios=(LYING,)),
    *around("a fold is served", "solver", f"{PUBLISHER}.publish_fold", scenarios=(LYING,)),
    # ------------------------------------------------------------ the verifier
    *around("the first look at the chain", "verifier", "protocol.agents.reader:Reader.refresh"),
    *of_transactions("verifier"),
    *around("a slice of its check", "verifier", "protocol.agents.verifier:Verifier._check_on"),
    *around("its verdict is written", "verifier", f"{JOURNAL}.remember", about("verdict")),
    *sends("verifier", "attest", "collectFee", scenarios=(HONEST,)),
    *around(
        "an opening's salt is written",
        "verifier",
        f"{JOURNAL}.remember",
        about("opening"),
        scenarios=(LYING,),
    ),
    *sends("verifier", "commitOpen", "open", "pointStep", scenarios=(LYING,)),
    *sends("verifier", "pointElement", "pointTerm", scenarios=(LYING,)),
    # ------------------------------------------------------------ the requester's command
    *around("a file is published", "requester", "pathlib:Path.replace", is_part),
    *around("the task is published", "requester", "protocol.agents.bundle:publish_task"),
    *around("the intent is written", "requester", f"{LOG}.intend"),
    *around("the signed transaction is sent", "requester", f"{OUTBOX}._broadcast"),
    Point("requester: after the receipt is written", "requester", f"{LOG}.mined", after=True),
    # ------------------------------------------------------------ whoever deploys
    Point("deployer: before the plan is written", "deployer", "pathlib:Path.replace"),
    Point("deployer: after the plan is written", "deployer", "pathlib:Path.replace", after=True),
    *(
        point
        for name in ("DevToken", "Judge", "Vault", "Registry", "Market", "Claims", "Dispute")
        for point in around(
            f"{name} is deployed",
            "deployer",
            "protocol.chain.rpc:RpcChain.deploy",
            lambda arguments, name=name: arguments[1] == name,  # type: ignore[misc]
        )
    ),
    *around("the signed transaction is sent", "deployer", f"{OUTBOX}._broadcast"),
    Point(
        "deployer: before the deployments file",
        "deployer",
        "protocol.chain.deployfile:DeployFile.save",
    ),
)


def points_of(role: str, scenario: str = HONEST) -> list[Point]:
    """The points of a role in a scenario."""
    return [point for point in POINTS if point.role == role and scenario in point.scenarios]

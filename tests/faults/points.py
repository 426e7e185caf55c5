"""The named points that agents are killed at: where in the code, and in which scenario.

A point is before or after a call of a function, or in the middle of one: before a call that it
makes on its way. `mortal` wraps the function and ends its process there with SIGKILL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Where = Callable[[tuple[Any, ...]], bool]

WORK: Final = "work"
"""An honest task: what the agents do besides sending."""

SENDING: Final = "sending"
"""An honest task: the steps that every transaction goes through."""

DISPUTE: Final = "dispute"
"""A task whose solver lies: what the dispute adds."""

COMMANDS: Final = "commands"
"""Commands that end: a requester posts, somebody deploys."""


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
        scene: in which it is reached.
    """

    name: str
    role: str
    target: str
    after: bool = False
    where: Where | None = None
    torn: bool = False
    scene: str = WORK


SEND: Final = "protocol.agents.sender:QueuedSender._send"
LOG: Final = "protocol.chain.txlog:TransactionLog"
OUTBOX: Final = "protocol.chain.outbox:Outbox"
JOURNAL: Final = "protocol.agents.journal:Journal"
WATCH = "protocol.agents.watch"
PROCESS = "protocol.agents.process"
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


def is_plan(arguments: tuple[Any, ...]) -> bool:
    """The plan of a deployment on its way to its place."""
    return str(arguments[0]).endswith(".begun")


def is_judge(arguments: tuple[Any, ...]) -> bool:
    """The transaction that deploys the judge."""
    return bool(arguments[1].label == "deploy Judge")


def around(
    name: str,
    role: str,
    target: str,
    where: Where | None = None,
    scene: str = WORK,
) -> list[Point]:
    """Before and after a call."""
    return [
        Point(f"{role}: before {name}", role, target, False, where, scene=scene),
        Point(f"{role}: after {name}", role, target, True, where, scene=scene),
    ]


def sends(role: str, *functions: str, scene: str = WORK) -> list[Point]:
    """Before a transaction is simulated, and after it was sent."""
    return [
        point
        for function in functions
        for point in around(f"sending {function}", role, SEND, calls(function), scene)
    ]


def of_transactions(role: str) -> list[Point]:
    """The steps of any transaction, which agents go through for their first one."""

    def point(
        name: str, function: str, where: Where | None = None, *, after: bool = False
    ) -> Point:
        return Point(f"{role}: {name}", role, function, after, where, scene=SENDING)

    return [
        *around("the intent is written", role, f"{LOG}.intend", scene=SENDING),
        point("signed, not committed to disk", f"{LOG}.attempt", after=True),
        *around("the signed transaction is sent", role, f"{OUTBOX}._broadcast", scene=SENDING),
        point("before the receipt is written", f"{LOG}.mined"),
        point("between receipt and status", f"{LOG}.mark", becomes("mined")),
        point("after the receipt is written", f"{LOG}.mined", after=True),
        *around("the receipt is final", role, f"{LOG}.mark", becomes("final"), SENDING),
    ]


def deploys(*names: str) -> list[Point]:
    """Before and after a contract is deployed."""
    target = "protocol.chain.rpc:RpcChain.deploy"
    return [
        point
        for name in names
        for point in around(
            f"the {name} is deployed",
            "deployer",
            target,
            lambda arguments, name=name: arguments[1] == name,
            COMMANDS,
        )
    ]


POINTS: Final = (
    # ------------------------------------------------------------ the solver
    *around(
        "the home is bound to its chain",
        "solver",
        f"{PROCESS}.runtime:Runtime._identify",
    ),
    *around("the first look at the chain", "solver", f"{WATCH}.reader:Reader.refresh"),
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
    Point("solver: before sending report", "solver", SEND, where=calls("report")),
    Point("solver: after sending report", "solver", SEND, True, calls("report"), scene=SENDING),
    *around("the log's root is bound", "solver", f"{JOURNAL}.bind_root", on_path(b"log")),
    *around("the log is served", "solver", f"{PUBLISHER}.publish_log"),
    Point(
        "solver: between leaves and tensors of the log",
        "solver",
        f"{PUBLISHER}.publish_state",
    ),
    *around("a served file is in its place", "solver", "pathlib:Path.replace", is_part),
    *sends("solver", "submit"),
    *sends("solver", "postSegment", "postTrace", "postFold", scene=DISPUTE),
    *around("a segment is served", "solver", f"{PUBLISHER}.publish_segment", scene=DISPUTE),
    *around("a trace is served", "solver", f"{PUBLISHER}.publish_trace", scene=DISPUTE),
    *around("a fold is served", "solver", f"{PUBLISHER}.publish_fold", scene=DISPUTE),
    # ------------------------------------------------------------ the verifier
    *around("the first look at the chain", "verifier", f"{WATCH}.reader:Reader.refresh"),
    *of_transactions("verifier"),
    Point(
        "verifier: before a slice of its check",
        "verifier",
        "protocol.agents.verifier:Verifier._check_on",
    ),
    Point(
        "verifier: after a slice of its check",
        "verifier",
        "protocol.agents.verifier:Verifier._check_on",
        after=True,
        scene=SENDING,
    ),
    *around("its verdict is written", "verifier", f"{JOURNAL}.remember", about("verdict")),
    *sends("verifier", "attest", "collectFee"),
    *around(
        "an opening's salt is written",
        "verifier",
        f"{JOURNAL}.remember",
        about("opening"),
        scene=DISPUTE,
    ),
    *sends("verifier", "commitOpen", "open", "pointStep", scene=DISPUTE),
    *sends("verifier", "pointElement", "pointTerm", scene=DISPUTE),
    # ------------------------------------------------------------ commands that end
    *around("a file is published", "requester", "pathlib:Path.replace", is_part, COMMANDS),
    *around("publishing", "requester", "protocol.agents.bundle:publish_task", scene=COMMANDS),
    *around("the intent is written", "requester", f"{LOG}.intend", scene=COMMANDS),
    *around("the signed transaction is sent", "requester", f"{OUTBOX}._broadcast", scene=COMMANDS),
    *around(
        "the plan is written",
        "deployer",
        "protocol.training.tensors:write_bytes",
        is_plan,
        COMMANDS,
    ),
    *deploys("DevToken", "Vault", "Registry", "Market", "Claims", "Dispute"),
    *around("the Judge is sent", "deployer", f"{OUTBOX}._broadcast", is_judge, COMMANDS),
    Point(
        "deployer: before the deployments file",
        "deployer",
        "protocol.chain.deployfile:DeployFile.save",
        scene=COMMANDS,
    ),
)


def points_of(role: str, scene: str) -> list[Point]:
    """The points of a role in a scene."""
    return [point for point in POINTS if (point.role, point.scene) == (role, scene)]

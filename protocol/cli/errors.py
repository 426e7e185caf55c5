"""Errors as people see them: what happened, why, what to do, where to read; and the exit codes.

A command raises `UserError` itself, or lets an exception of the protocol through: `explain` finds
the words for it in one table, by the names of the exception's classes, so that this module loads
nothing heavy. An exception of a lower layer that has the attributes `what`, `why`, `todo` and
`read` speaks for itself; the table then only gives its exit code. With ``--json`` the same goes to
stderr as one JSON object.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import typer
from typer.exceptions import TyperException

__all__ = ["Code", "Reporting", "UserError", "explain", "explains", "render", "report", "reporting"]

ERRORS_PAGE = "docs/operate/errors.md"
CHAIN_PAGE = f"{ERRORS_PAGE}#chain"
STORE_PAGE = f"{ERRORS_PAGE}#store"
INPUT_PAGE = f"{ERRORS_PAGE}#input"
UNEXPECTED_PAGE = f"{ERRORS_PAGE}#unexpected"


class Code(IntEnum):
    """Exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    """Something did not end as it must."""
    USAGE = 2
    """Wrong usage or wrong input."""
    CHAIN = 3
    """The chain or the deployment cannot be used: unreachable, wrong chain id, wrong code."""
    STORE = 4
    """The content store cannot be used."""
    KEYS = 5
    """The keys cannot be used."""
    DIFFER = 6
    """A comparison finished, and the bits differ."""
    INTERRUPTED = 130


class UserError(Exception):
    """An error in four parts, with the exit code that the command ends with.

    Attributes:
        what: What happened, in lower case and without a full stop.
        why: Why, with both values: the one found and the one expected.
        todo: What to do now.
        read: Where to read about it.
        code: The exit code.
        kind: The name of the exception behind it.
    """

    def __init__(
        self,
        what: str,
        why: str,
        todo: str,
        read: str = ERRORS_PAGE,
        code: Code = Code.FAILED,
        *,
        kind: str = "UserError",
    ) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.todo = todo
        self.read = read
        self.code = code
        self.kind = kind

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints on stderr."""
        parts = {"what": self.what, "why": self.why, "todo": self.todo, "read": self.read}
        return {"error": {**parts, "code": int(self.code), "kind": self.kind}}


@dataclass
class Reporting:
    """How errors of this process are shown; set by the options ``--json`` and ``--debug``."""

    as_json: bool = False
    debug: bool = False


reporting = Reporting()

Explanation = Callable[[Any], UserError]
_TABLE: dict[str, Explanation] = {}
"""Full name of an exception class -> its words. The class nearest in the hierarchy counts."""


def explains(*names: str) -> Callable[[Explanation], Explanation]:
    """Register the words for exception classes, given by their full names (``module.Class``)."""

    def register(explanation: Explanation) -> Explanation:
        _TABLE.update(dict.fromkeys(names, explanation))
        return explanation

    return register


def explain(error: BaseException) -> UserError:
    """Return the four parts of any exception."""
    if isinstance(error, UserError):
        return error
    found = next((_TABLE[n] for n in _class_names(error) if n in _TABLE), _unexpected)
    words = found(error)
    words.kind = type(error).__name__
    if all(isinstance(getattr(error, part, None), str) for part in ("what", "why", "todo", "read")):
        spoken: Any = error
        return UserError(
            spoken.what, spoken.why, spoken.todo, spoken.read, words.code, kind=words.kind
        )
    return words


def render(error: UserError) -> str:
    """Return the lines that people read."""
    parts = (("why", error.why), ("do", error.todo), ("read", error.read))
    lines = [f"error: {error.what}"]
    for name, text in parts:
        lines.append(f"  {name + ':':5} " + "\n        ".join(text.splitlines()))
    return "\n".join(lines) + "\n"


def report(error: BaseException) -> Code:
    """Tell an exception on stderr and return the exit code. Exits of commands tell nothing."""
    if isinstance(error, typer.Exit):
        return Code(error.exit_code)
    if isinstance(error, BrokenPipeError):
        # The reader of stdout has seen enough (`pinpoint task list | head`): nothing to report.
        return Code.OK
    words = explain(error)
    if reporting.debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    text = json.dumps(words.to_json()) + "\n" if reporting.as_json else render(words)
    sys.stderr.write(text)
    return words.code


def _class_names(error: BaseException) -> list[str]:
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__]


@explains("web3.exceptions.Web3ValidationError", "web3.exceptions.MismatchedABI")
def _unexpected(error: BaseException) -> UserError:
    return UserError(
        f"unexpected {type(error).__name__}",
        str(error) or "it carries no message",
        "run the same with --debug and report the traceback, with what `pinpoint --version` prints",
        UNEXPECTED_PAGE,
    )


@explains("builtins.KeyboardInterrupt", "typer.exceptions.Abort")
def _interrupted(_error: BaseException) -> UserError:
    return UserError(
        "interrupted",
        "Ctrl-C or the end of the input came before the command had ended",
        "run it again; agents go on where they stopped",
        code=Code.INTERRUPTED,
    )


@explains("typer.exceptions.TyperException")
def _usage(error: TyperException) -> UserError:
    """Words for wrong flags, values and commands; they name where a wrong value came from."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pinpoint"
    what = error.format_message().strip().rstrip(".")
    return UserError(
        what[:1].lower() + what[1:],
        _origin_of_value(error, context),
        f"see `{command} --help`",
        INPUT_PAGE,
        Code.USAGE,
    )


def _origin_of_value(error: TyperException, context: Any) -> str:
    parameter = getattr(error, "param", None)
    if context is None:
        return "the command line has a form that no command takes"
    if parameter is None or not context.get_parameter_source(parameter.name):
        return str(context.get_usage()).strip()
    source = context.get_parameter_source(parameter.name).name
    if source == "ENVIRONMENT":
        value = os.environ.get(parameter.envvar)
        return f"the value {value!r} comes from the environment variable {parameter.envvar}"
    if source == "DEFAULT_MAP":
        value, file = context.lookup_default(parameter.name), context.meta.get("pinpoint.config")
        return f"the value {value!r} comes from the settings file {file}"
    if source == "COMMANDLINE":
        return "the value comes from the command line"
    return str(context.get_usage()).strip()


@explains("builtins.OSError")
def _files(error: OSError) -> UserError:
    named = f"{error.filename}: " if error.filename else ""
    reason = f"{named}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        todo = "free space on that disk, then run it again: nothing that was committed is lost"
        return UserError("the disk is full", reason, todo, f"{ERRORS_PAGE}#disk")
    if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
        return UserError(
            "cannot listen for requests",
            reason,
            "name another HOST:PORT; port 0 takes a free one. Does the same agent run already?",
            INPUT_PAGE,
            Code.USAGE,
        )
    if error.filename is None:
        return UserError(
            "the operating system refused a request",
            reason,
            "look at the reason; run it with --debug to see where",
            UNEXPECTED_PAGE,
        )
    return UserError(
        "a file or folder cannot be used",
        reason,
        "check that it exists, and who may read and write it",
        INPUT_PAGE,
        Code.USAGE,
    )


@explains("sqlite3.Error")
def _database(error: Exception) -> UserError:
    return UserError(
        "the journal cannot be used",
        str(error),
        "see that no other agent runs in the same --home, and that its disk has space",
        f"{ERRORS_PAGE}#journal",
    )


@explains("protocol.kernels.isa.MachineSettingError")
def _machine_setting(error: Exception) -> UserError:
    # The error's own four parts count.
    return UserError("the kernels cannot run", str(error), "", INPUT_PAGE, Code.USAGE)


@explains("protocol.merkle._hash.ImplementationError")
def _implementation(error: Exception) -> UserError:
    todo = "unset PINPOINT_SHA256, or set it to one that this machine has"
    return UserError("nothing can be hashed", str(error), todo, INPUT_PAGE, Code.USAGE)


_REVERTS = {
    "InsufficientCredit": "deposit into the vault: `pinpoint wallet deposit AMOUNT`",
    "ERC20InsufficientBalance": "get more of the deployment's token, or use a smaller amount",
    "StalePosition": "another move came first: run it again",
    "NoDetection": "ask for verifiers (--verifiers), or wait until some have staked",
    "OutOfGas": "run it again; if it repeats, report it with --debug",
}


@explains("protocol.chain.reverts.Reverted")
def _reverted(error: Any) -> UserError:
    if error.name == "TermOutOfBounds" and len(error.arguments) == 4:
        return _term_out_of_bounds(*error.arguments)
    return UserError(
        "the contracts refused the call",
        str(error),
        _REVERTS.get(error.name, "the error's values say what was found and what was asked for"),
        f"{ERRORS_PAGE}#reverted",
    )


def _term_out_of_bounds(field: int, least: int, most: int, found: int) -> UserError:
    """The term by its name in an offer, instead of its number in the contracts' struct."""
    from dataclasses import fields

    from protocol.chain.market import Terms

    names = [each.name.replace("_", "-") for each in fields(Terms)]
    name = names[field] if field < len(names) else f"term {field}"
    return UserError(
        f"the market refuses the {name}",
        f"it is {found:,}, this deployment takes {least:,} to {most:,} (amounts in token wei)",
        f"correct it in the task's offer.toml, or give --{name}",
        "docs/operate/requester.md",
        Code.USAGE,
    )


@explains(
    "protocol.chain.errors.ChainError",
    "protocol.chain.deployment.DeploymentError",
    "protocol.chain.artifact.ArtifactError",
)
def _deployment(error: Exception) -> UserError:
    return UserError(
        "the deployment cannot be used",
        str(error),
        "check --rpc and --deployment: both must be of the same chain",
        CHAIN_PAGE,
        Code.CHAIN,
    )


@explains(
    "web3.exceptions.Web3Exception",
    "requests.exceptions.RequestException",
    "builtins.ConnectionError",  # a node out of sync
)
def _node(error: Exception) -> UserError:
    return UserError(
        "the chain's node cannot be used",
        str(error) or type(error).__name__,
        "check that a node answers at --rpc; `pinpoint devnet up` starts one on this machine",
        CHAIN_PAGE,
        Code.CHAIN,
    )


@explains(
    "protocol.chain.outbox.InsufficientFunds",
    "protocol.chain.outbox.NotMined",
    "protocol.chain.outbox.NonceTaken",
)
def _transaction(error: Exception) -> UserError:
    return UserError(
        "the transaction did not happen",
        str(error),
        "look at the account with `pinpoint wallet balance`, and run it again",
        CHAIN_PAGE,
    )


@explains(
    "protocol.storage.errors.ContentMissing",
    "protocol.storage.errors.ContentWrong",
    "protocol.storage.errors.AddressRefused",
    "protocol.storage.errors.StoreUnusable",
    "aiohttp.client_exceptions.ClientError",
)
def _store(error: Exception) -> UserError:
    return UserError(
        "the content store cannot be used",
        str(error) or type(error).__name__,
        "check --store and --read-store; add a store that has the content",
        STORE_PAGE,
        Code.STORE,
    )


@explains("protocol.chain.keys.KeysError")
def _keys(error: Exception) -> UserError:
    return UserError(
        "the key cannot be used",
        str(error),
        "check --keystore and --password-file",
        "docs/operate/keys.md",
        Code.KEYS,
    )


@explains(
    "protocol.agents.bundle.TaskRefused",
    "protocol.training.task.TaskError",
    "protocol.training.tensors.TensorError",
    "protocol.capture.errors.CaptureError",
    "protocol.program.validate.InvalidProgram",
    "protocol.program.manifest.ManifestError",
    "protocol.program.canonical.MalformedBytes",
    "protocol.chain.stake.NoDetectionError",
)
def _task(error: Exception) -> UserError:
    return UserError(
        "the task cannot be used",
        str(error),
        "change the task's files or terms as the reason says",
        "docs/CAPTURE.md",
        Code.USAGE,
    )


@explains("protocol.agents.requester.NotFinal")
def _not_final(error: Exception) -> UserError:
    return UserError(
        "the task has no result",
        str(error),
        "look with `pinpoint task show ID` how it stands; fetch again when it is FINALISED",
        "docs/operate/requester.md#4-how-it-ends",
    )


@explains("protocol.agents.journal.SecondRootError")
def _second_root(error: Exception) -> UserError:
    return UserError(
        "refused to stand for a second root",
        str(error),
        "do not delete the journal: it keeps you from being convicted. Find which of the two runs "
        "is wrong; the machine may be faulty",
        f"{ERRORS_PAGE}#second-root",
    )


@explains("protocol.training.checkpoints.CheckpointError")
def _checkpoint(error: Exception) -> UserError:
    return UserError(
        "a checkpoint cannot be used",
        str(error),
        "remove that checkpoint: the run resumes from the one before it",
        f"{ERRORS_PAGE}#checkpoints",
    )


@explains(
    "protocol.kernels.cuda.errors.CudaUnavailable", "protocol.kernels.cuda.ptx_check.UnsafeKernel"
)
def _cuda(error: Exception) -> UserError:
    return UserError(
        "the GPU cannot be used", str(error), "use --device cpu", "docs/CUDA.md", Code.USAGE
    )


@explains("protocol.agents.checking.UnsureError")
def _unsure(error: Exception) -> UserError:
    return UserError(
        "two executions on this machine disagree",
        str(error),
        "nobody was accused; test this machine's memory and processor",
        f"{ERRORS_PAGE}#unsure",
    )

"""Flags that come in groups: what every command that acts for an account takes.

A command takes a group as one value::

    @app.command("run")
    @takes(AgentFlags, home=DEFAULT_HOME / "solver")
    def run(flags: AgentFlags, price: PriceOption = None) -> None: ...

and typer sees each field of it as a flag of the command.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from protocol.cli.errors import Code, UserError
from protocol.cli.settings import (
    DEFAULT_CONFIRMATIONS,
    DEFAULT_DEPLOYMENT,
    DEFAULT_HOME,
    DEFAULT_KEYSTORE,
    DEFAULT_MAX_FEE_GWEI,
    DEFAULT_POLL_SECONDS,
    DEFAULT_RPC,
    ConfirmationsOption,
    DeploymentOption,
    HomeOption,
    KeystoreOption,
    LogFormat,
    LogFormatOption,
    LogLevel,
    LogLevelOption,
    MaxFeeOption,
    MetricsOption,
    PasswordFileOption,
    PollSecondsOption,
    ReadStoreOption,
    RpcOption,
    StoreOption,
    parse_address,
)

if TYPE_CHECKING:
    from protocol.agents.process.runtime import Operator

GWEI = 10**9

ServeOption = Annotated[
    str | None,
    typer.Option(
        "--serve",
        help="Serve the own store over HTTP here; port 0 takes a free one.",
        metavar="HOST:PORT",
    ),
]
AnnounceOption = Annotated[
    str | None,
    typer.Option(
        "--announce",
        help="Announce on chain that the own store is reached here; with --serve alone: where it "
        "listens.",
        metavar="URL",
    ),
]
UrgentFeeOption = Annotated[
    float | None,
    typer.Option(
        "--max-urgent-fee-gwei",
        help="The most per gas where a clock runs; five times --max-fee-gwei if missing.",
        min=0,
    ),
]
HeadAgeOption = Annotated[
    int | None,
    typer.Option(
        "--max-head-age",
        help="Seconds: act on no chain whose latest block is older; 0: any age.",
        min=0,
    ),
]
KeepDaysOption = Annotated[
    float,
    typer.Option(
        "--keep-days",
        help="Days for which the files of tasks that have ended stay: results are fetched later.",
        min=0,
    ),
]
DEFAULT_KEEP_DAYS = 7.0
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="Threads to compute with; all if missing.", min=1)
]


class DeviceChoice(StrEnum):
    """What computes."""

    CPU = "cpu"
    CUDA = "cuda"


DeviceOption = Annotated[
    DeviceChoice,
    typer.Option("--device", help="Compute on this: the CPU, or an NVIDIA GPU. Same bits."),
]


@dataclass(frozen=True, kw_only=True)
class AccountFlags:
    """Which account acts, and where."""

    rpc: RpcOption = field(default_factory=lambda: list(DEFAULT_RPC))
    deployment: DeploymentOption = DEFAULT_DEPLOYMENT
    home: HomeOption = DEFAULT_HOME
    keystore: KeystoreOption = DEFAULT_KEYSTORE
    password_file: PasswordFileOption = None

    def operator(self, **others: Any) -> Operator:
        """What an operator decides. UserError if two flags contradict each other."""
        from protocol.agents.process.runtime import Operator

        return Operator(
            rpc=tuple(self.rpc),
            deployment=self.deployment,
            home=self.home,
            keystore=self.keystore,
            password_file=self.password_file,
            **others,
        )


@dataclass(frozen=True, kw_only=True)
class FetchFlags(AccountFlags):
    """The same, and where files are read."""

    store: StoreOption = None
    read_store: ReadStoreOption = None

    def operator(self, **others: Any) -> Operator:
        """As in `AccountFlags`."""
        stores = {"store": self.store, "read_stores": tuple(self.read_store or ())}
        return super().operator(**stores, **others)


@dataclass(frozen=True, kw_only=True)
class SendFlags(AccountFlags):
    """The same, and what transactions may cost."""

    max_fee_gwei: MaxFeeOption = DEFAULT_MAX_FEE_GWEI
    confirmations: ConfirmationsOption = DEFAULT_CONFIRMATIONS

    def operator(self, **others: Any) -> Operator:
        """As in `AccountFlags`."""
        others.setdefault("fees", _fees(self.max_fee_gwei, None))
        return super().operator(confirmations=self.confirmations, **others)


@dataclass(frozen=True, kw_only=True)
class AgentFlags(SendFlags, FetchFlags):
    """Everything that an agent needs to run unattended."""

    serve: ServeOption = None
    announce: AnnounceOption = None
    metrics: MetricsOption = None
    max_urgent_fee_gwei: UrgentFeeOption = None
    max_head_age: HeadAgeOption = None
    poll_seconds: PollSecondsOption = DEFAULT_POLL_SECONDS
    keep_days: KeepDaysOption = DEFAULT_KEEP_DAYS
    log_format: LogFormatOption = LogFormat.TEXT
    log_level: LogLevelOption = LogLevel.INFO

    def operator(self, **others: Any) -> Operator:
        """As in `AccountFlags`."""
        return super().operator(
            serve=None if self.serve is None else parse_address(self.serve),
            fees=_fees(self.max_fee_gwei, self.max_urgent_fee_gwei),
            max_head_age_s=self.max_head_age,
            **others,
        )


def takes(
    group: type[AccountFlags], **defaults: object
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of a group, as its argument ``flags``.

    Args:
        group: the flags.
        defaults: of fields whose default is another for this command.
    """
    hints = get_type_hints(group, include_extras=True)
    flags = [
        inspect.Parameter(
            name=each.name,
            kind=inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(each.name, _default(each)),
            annotation=hints[each.name],
        )
        for each in fields(group)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            own = {flag.name: values.pop(flag.name) for flag in flags}
            command(flags=group(**own), **values)

        signature = inspect.signature(command, eval_str=True)
        kept = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for each in signature.parameters.values()
            if each.name != "flags"
        ]
        # Arguments and the command's own flags first, as --help shows them.
        run.__signature__ = signature.replace(parameters=[*kept, *flags])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*kept, *flags)}
        return run

    return decorate


def _default(each: Any) -> Any:
    return each.default if each.default is not MISSING else each.default_factory()


def _fees(max_fee_gwei: float, urgent_gwei: float | None) -> Any:
    from protocol.chain.fees import FeePolicy

    urgent = 5 * max_fee_gwei if urgent_gwei is None else urgent_gwei
    try:
        return FeePolicy(round(max_fee_gwei * GWEI), round(urgent * GWEI))
    except ValueError as error:
        raise UserError(
            "the fee caps contradict each other",
            str(error),
            "change --max-fee-gwei or --max-urgent-fee-gwei",
            code=Code.USAGE,
        ) from error

"""`pinpoint task check`: validates a task folder, and says what the task takes of whom."""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from protocol.cli import offer as offers
from protocol.cli.errors import Code, UserError
from protocol.cli.flags import DeviceChoice, DeviceOption
from protocol.cli.output import (
    Column,
    emit,
    format_bytes,
    format_tokens,
    print_fields,
    print_line,
    print_table,
    say,
)
from protocol.cli.settings import JsonOption
from protocol.cli.train import IsaOption, ThreadsOption, make_executor

if TYPE_CHECKING:
    from protocol.agents.figures import Figures
    from protocol.training.task import Task

PAGE: Final = "docs/operate/requester.md"
MONEY: Final = ("max_reward", "value_at_risk", "verifiers", "segments_per_verifier")
AMOUNTS: Final = ("stake", "deposit", "bond", "bond_ceiling")
MOST_MEASURED_SECONDS: Final = 600.0


def check(
    folder: Annotated[Path, typer.Argument(metavar="TASK", help="Folder of the task.")],
    max_reward: offers.MaxRewardOption = None,
    value_at_risk: offers.ValueAtRiskOption = None,
    verifier_fee: offers.VerifierFeeOption = None,
    verifiers: offers.VerifiersOption = None,
    segments_per_verifier: offers.SegmentsOption = None,
    run_seconds: offers.RunSecondsOption = None,
    segment_seconds: offers.SegmentSecondsOption = None,
    trace_seconds: offers.TraceSecondsOption = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Compute a few steps here, and time them.")
    ] = False,
    isa: IsaOption = None,
    threads: ThreadsOption = None,
    device: DeviceOption = DeviceChoice.CPU,
    as_json: JsonOption = False,
) -> None:
    """Validate a task as every agent does, and estimate work, memory, stake, gas of a dispute.

    No code is run: a task has none. Without --measure nothing of it is computed either. Exit code
    2, with the rule and the node, if it is refused. Amounts need an offer.toml in the folder, or
    --max-reward and --value-at-risk.
    """
    from protocol.agents.figures import Figures
    from protocol.training.task import Task

    task = Task.load(folder)
    offered = offers.read_partly(
        folder,
        {
            "max-reward": max_reward,
            "value-at-risk": value_at_risk,
            "verifier-fee": verifier_fee,
            "verifiers": verifiers,
            "segments-per-verifier": segments_per_verifier,
            "run-seconds": run_seconds,
            "segment-seconds": segment_seconds,
            "trace-seconds": trace_seconds,
        },
    )
    figures = Figures.of(task)
    measured = None
    if measure:
        measured = _measure(task, figures, make_executor(device, isa, threads))
    value = _to_json(task, figures, offered)
    value["measured_step_seconds"] = measured
    value["warnings"] = [*_warnings(task, figures, offered), *_bond_warnings(value)]
    for warning in value["warnings"]:
        say(f"warning: {warning}")
    emit(value, lambda: _show(value, figures), as_json=as_json)


def _to_json(task: Task, figures: Figures, offered: dict[str, int]) -> dict[str, Any]:
    manifest = task.manifest
    return {
        "name": manifest.name,
        "manifest_root": f"0x{manifest.root.hex()}",
        "steps": manifest.steps,
        "interval": manifest.interval,
        "segments": manifest.segments,
        "state_tensors": len(manifest.state),
        "data_tensors": len(manifest.data),
        "outputs": {spec.name: [spec.dtype.label, *spec.shape] for spec in manifest.outputs},
        **asdict(figures),
        "offer": offered or None,
        "quotes": _quotes(task, offered),
    }


def _quotes(task: Task, offered: dict[str, int]) -> dict[str, Any] | None:
    """Preset -> amounts, or why it refuses; None if reward or risk are not known."""
    from protocol.agents.figures import quotes

    if not {"max_reward", "value_at_risk"} <= offered.keys():
        return None
    money = {name: offered[name] for name in MONEY}
    return {
        name: {"refused": quote} if isinstance(quote, str) else asdict(quote)
        for name, quote in quotes(task.manifest.segments, money)
    }


def _warnings(task: Task, figures: Figures, offered: dict[str, int]) -> list[str]:
    from protocol.agents.appraisal import warnings_for
    from protocol.agents.figures import FREE
    from protocol.agents.requester import Offer, terms_of

    found = []
    memory = _memory()
    if figures.peak_bytes > memory:
        found.append(
            f"a step takes {format_bytes(figures.peak_bytes)} of memory, this machine has "
            f"{format_bytes(memory)}: it cannot train here"
        )
    # A time that nobody offered is none that can be too short.
    times = figures.wanted_seconds | {
        each.name.replace("_", "-"): offered[each.name]
        for each in fields(Offer)
        if each.name in offered
    }
    offer = asdict(FREE) | {name.replace("-", "_"): seconds for name, seconds in times.items()}
    terms = terms_of(task, Offer(**offer))
    for warning in warnings_for(task.program, task.manifest.state, terms):
        found.append(f"{warning}; see {PAGE}, section 2")
    return found


def _bond_warnings(value: dict[str, Any]) -> list[str]:
    """One for each pair of amounts, with the presets that have it."""
    dear: dict[tuple[int, int], list[str]] = {}
    for name, quote in (value["quotes"] or {}).items():
        if "refused" not in quote and quote["bond"] > quote["bond_ceiling"]:
            dear.setdefault((quote["bond"], quote["bond_ceiling"]), []).append(name)
    return [
        f"a challenger's bond is {format_tokens(bond)} tokens, above the {format_tokens(ceiling)} "
        f"that small challengers can win (preset {', '.join(names)}): choose more segments; see "
        f"{PAGE}, section 2"
        for (bond, ceiling), names in dear.items()
    ]


def _measure(task: Task, figures: Figures, executor: Any) -> float:
    """Seconds of a step here; refused if that would take too long or too much memory."""
    from protocol.training.timing import time_step

    if figures.peak_bytes > _memory() or figures.step_seconds > MOST_MEASURED_SECONDS:
        raise UserError(
            "a step of the task is not measured here",
            f"it takes {format_bytes(figures.peak_bytes)} and about {figures.step_seconds:.3g} s; "
            f"measured is what takes at most {format_bytes(_memory())}, this machine's memory, and "
            f"{MOST_MEASURED_SECONDS:.0f} s",
            "leave --measure away, or `pinpoint task run TASK --steps 1`",
            PAGE,
            Code.USAGE,
        )
    return time_step(task, executor)


def _memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _show(value: dict[str, Any], figures: Figures) -> None:
    measured = value["measured_step_seconds"]
    print_fields(
        {
            "manifest root": value["manifest_root"],
            "steps": f"{value['steps']}, a checkpoint every {value['interval']}: "
            f"{value['segments']} segments",
            "program": f"{figures.nodes} nodes",
            "state": f"{value['state_tensors']} tensors, {format_bytes(figures.state_bytes)}",
            "data": f"{value['data_tensors']} tensors, {format_bytes(figures.data_bytes)}",
            **_outputs_row(value["outputs"]),
            "trace of a step": format_bytes(figures.trace_bytes),
            "memory of a step": format_bytes(figures.peak_bytes),
            "work of a step": f"{figures.work:,} instructions, {figures.float_work:,} of floats",
            "time of a step": f"{figures.step_seconds:.3g} s on a slow machine, "
            f"{figures.worst_step_seconds:.3g} s if all numbers are subnormal",
            "measured here": "-"
            if measured is None
            else f"{measured:.3g} s a step, {measured * value['steps']:.3g} s for all",
            "times to allow": ", ".join(
                f"{name} {seconds}" for name, seconds in figures.wanted_seconds.items()
            ),
            "worst judgement": f"{figures.worst_gas:,} gas of at most {figures.gas_cap:,}: "
            f"node {figures.worst_node} ({figures.worst_origin})",
            "gas of a dispute": f"{figures.dispute_gas:,} at most if both sides serve leaves, "
            f"{figures.longest_dispute_gas:,} if neither does",
        },
        title=f"task {value['name']} is valid",
    )
    _show_quotes(value)


def _outputs_row(outputs: dict[str, list[Any]]) -> dict[str, str]:
    """What a task without training is for; no row for others."""
    if not outputs:
        return {}
    told = (f"{name} {dtype} {shape}" for name, (dtype, *shape) in outputs.items())
    return {"outputs": ", ".join(told)}


def _show_quotes(value: dict[str, Any]) -> None:
    if value["quotes"] is None:
        print_line("  no amounts: neither an offer.toml nor flags say max-reward, value-at-risk")
        return
    offered = value["offer"]
    print_table(
        [Column("preset"), *(Column(name.replace("_", " "), "right") for name in AMOUNTS)],
        [
            (name, quote.get("refused"))
            if "refused" in quote
            else (name, *(format_tokens(quote[amount]) for amount in AMOUNTS))
            for name, quote in value["quotes"].items()
        ],
        title=f"for a reward of {format_tokens(offered['max_reward'])} tokens, "
        f"{format_tokens(offered['value_at_risk'])} at risk, {offered['verifiers']} verifiers of "
        f"{offered['segments_per_verifier']} segments",
    )

"""Where two runs part, for people and for JSON: the end of `train diff`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from protocol.dispute.fault import Fault
from protocol.dispute.place import Place, place_of, where, whose
from protocol.training.diff import Comparison
from protocol.training.recorded import Record, RunFolder
from protocol.training.sides import Sides
from protocol.training.task import segment_steps

NAMES = ("A", "B")
HERE = "this machine"


def comparison_json(sides: Sides, comparison: Comparison) -> dict[str, Any]:
    """The outcome as plain values."""
    rerun = comparison.rerun
    records = (sides.first, sides.second)
    return {
        "equal": comparison.fault is None,
        "sides": {
            name: {
                "path": str(record.path),
                "kind": "run" if isinstance(record, RunFolder) else "receipt",
                "checkpoints": len(record.log),
                "last_state_root": record.log[-1],
            }
            for name, record in zip(NAMES, records, strict=True)
        },
        "checkpoints_compared": min(len(record.log) for record in records),
        "place": _place_json(sides, comparison.fault),
        "state_at_segment_end": _place_json(sides, comparison.state),
        "rerun": None
        if rerun is None
        else {
            "isa": rerun.isa,
            "state_root": rerun.root,
            "agrees_with": [n for n, agrees in zip(NAMES, rerun.agrees, strict=True) if agrees],
        },
        "against_this_machine": {
            name: _place_json(sides, fault)
            for name, fault in zip(NAMES, comparison.against, strict=True)
            if fault is not None
        },
        "not_recorded": [
            {"side": name, "what": what, "command": _command(record, what, comparison.fault)}
            for name, record, what in zip(NAMES, records, comparison.missing, strict=True)
            if what is not None and comparison.fault is not None
        ],
    }


def comparison_lines(sides: Sides, comparison: Comparison) -> list[str]:
    """The outcome in lines for people."""
    records = (sides.first, sides.second)
    fault = comparison.fault
    if fault is None:
        common = min(len(record.log) for record in records)
        root = sides.first.log[common - 1]
        return [f"no difference in {common} checkpoints; the last is 0x{root.hex()}"]
    place = place_of(fault, sides.first.manifest, sides.first.program)
    lines = [f"the runs differ: {where(asdict(place))}", *_words(NAMES, place)]
    lines += _details(place)
    if fault.step is None:
        steps = segment_steps(sides.first.manifest, fault.segment)
        lines.append(f"  in one of the steps {steps.start} to {steps.stop - 1}")
    if comparison.state is not None:
        lines += _state_lines(sides, comparison.state)
    lines += _rerun_lines(sides, comparison)
    for name, record, what in zip(NAMES, records, comparison.missing, strict=True):
        if what is not None:
            lines.append(
                f"{name}'s values inside this {what if what != 'fold' else 'element'} are not "
                f"recorded: run `{_command(record, what, fault)}` on {name}'s machine"
            )
    return lines


def remarks(sides: Sides, comparison: Comparison, *, rerun: bool) -> list[str]:
    """What a reader must know beside the result."""
    records = (sides.first, sides.second)
    said = []
    lengths = [len(record.log) for record in records]
    if lengths[0] != lengths[1]:
        longer, shorter = NAMES if lengths[0] > lengths[1] else NAMES[::-1]
        said.append(
            f"{longer} has {max(lengths)} checkpoints and {shorter} {min(lengths)}: only the "
            f"first {min(lengths)} were compared"
        )
    for name, record in zip(NAMES, records, strict=True):
        if isinstance(record, RunFolder):
            said += [f"{name}: {damage}" for damage in record.damages.values()]
    if comparison.fault is not None and comparison.rerun is None:
        why = "its folder is not known: name it with --task" if rerun else "--no-rerun"
        said.append(f"nothing was executed on this machine ({why})")
    return said


def _details(place: Place) -> list[str]:
    lines = []
    if place.origin is not None:
        module, colon, operator = place.origin.rpartition(": ")
        if colon:
            lines += [f"  module    {module}", f"  operator  {operator}"]
    if place.shape is not None:
        lines.append(f"  shape     {place.dtype} {place.shape}")
    return lines


def _words(names: tuple[str, str], place: Place) -> list[str]:
    return [] if place.words is None else [whose(*names, place.words, place.apart)]


def _state_lines(sides: Sides, fault: Fault) -> list[str]:
    place = place_of(fault, sides.first.manifest, sides.first.program)
    end = segment_steps(sides.first.manifest, fault.segment).stop
    element = "" if place.element is None else f", element {place.element}"
    return [
        f"after step {end - 1} the states differ first in tensor {place.binding} "
        f"({place.tensor}, {place.dtype} {place.shape}){element}",
        *_words(NAMES, place),
    ]


def _rerun_lines(sides: Sides, comparison: Comparison) -> list[str]:
    rerun = comparison.rerun
    if rerun is None or comparison.fault is None:
        return []
    segment = comparison.fault.segment
    if rerun.root is None:
        return [
            f"{HERE} ({rerun.isa}) does not reach checkpoint {segment - 1}, on which A and B "
            "agree: it cannot tell which of them is right"
        ]
    agreeing = [name for name, agrees in zip(NAMES, rerun.agrees, strict=True) if agrees]
    if agreeing:
        other = next(name for name in NAMES if name not in agreeing)
        return [f"{HERE} ({rerun.isa}) computes what {agreeing[0]} has, not what {other} has"]
    lines = [f"{HERE} ({rerun.isa}) agrees with neither: it has 0x{rerun.root.hex()} there"]
    for name, fault in zip(NAMES, comparison.against, strict=True):
        if fault is not None:
            place = place_of(fault, sides.first.manifest, sides.first.program)
            lines.append(f"  {name} differs from it first in {where(asdict(place))}")
            lines += [f"  {line}" for line in _words((HERE, name), place)]
    return lines


def _place_json(sides: Sides, fault: Fault | None) -> dict[str, Any] | None:
    if fault is None:
        return None
    return asdict(place_of(fault, sides.first.manifest, sides.first.program))


def _command(record: Record, what: str, fault: Fault | None) -> str:
    """What to run where a side was trained, to record what is missing."""
    assert fault is not None
    path = shlex.quote(str(record.path))
    run = path if isinstance(record, RunFolder) else f"RUN --out {path}"
    command = f"pinpoint train receipt {run} --segment {fault.segment}"
    if what != "segment":
        command += f" --step {fault.step}"
    if what == "fold":
        command += f" --fold {fault.node}:{fault.element}"
    return command

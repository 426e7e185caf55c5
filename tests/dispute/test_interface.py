"""Names, numbers and orders here are the contract's."""

from __future__ import annotations

import re
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from eth_utils.abi import filter_abi_by_type

from protocol.chain.compiler import compile_contract
from protocol.dispute.moves import Move, PositionMove
from protocol.dispute.rules import RULES
from protocol.dispute.state import (
    OPENER_STATES,
    SOLVER_STATES,
    ClaimFacts,
    DisputeState,
    Level,
    Position,
    Side,
    is_final,
    side_of,
)
from protocol.dispute.turns import REQUIRED

SOURCE = Path("contracts/interfaces/IDispute.sol").read_text(encoding="utf-8")
CLAIMS_SOURCE = Path("contracts/interfaces/IClaims.sol").read_text(encoding="utf-8")
RENAMED = {"after_": "after", "bindingBytes": "binding"}


def names_in(source: str, opening: str) -> list[str]:
    """Last identifiers of the lines of a Solidity enum or struct."""
    body = source.split(opening)[1].split("}")[0]
    lines = [re.sub(r"//.*", "", line).strip(" ,;") for line in body.splitlines()]
    return [line.split()[-1] for line in lines if line]


def snake(name: str) -> str:
    """The Python name of a Solidity one."""
    name = RENAMED.get(name, name)
    return re.sub(r"([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("enum", [DisputeState, Side, Level])
def test_enum_has_the_contract_s_members_in_order(enum: type[IntEnum]) -> None:
    assert [member.name for member in enum] == names_in(SOURCE, f"enum {enum.__name__} {{")
    assert [int(member) for member in enum] == list(range(len(enum)))


@pytest.mark.parametrize(("record", "source"), [(Position, SOURCE), (ClaimFacts, CLAIMS_SOURCE)])
def test_struct_has_the_contract_s_members_in_order(record: Any, source: str) -> None:
    expected = [snake(name) for name in names_in(source, f"struct {record.__name__} {{")]
    assert [field.name for field in fields(record)] == expected


@pytest.mark.parametrize("move", RULES)
def test_move_has_the_function_s_arguments_in_order(move: type[Move]) -> None:
    functions = filter_abi_by_type("function", compile_contract("IDispute").abi)
    inputs = next(f["inputs"] for f in functions if f["name"] == move.function)
    names = [snake(str(argument["name"])) for argument in inputs]
    if names[0] == "dispute_id":
        names = names[1:]
    assert [field.name for field in fields(move)] == names


def test_every_move_of_the_contract_has_a_rule() -> None:
    functions = filter_abi_by_type("function", compile_contract("IDispute").abi)
    moving = {f["name"] for f in functions if f["stateMutability"] == "nonpayable"}
    assert {move.function for move in RULES} == moving
    assert set(REQUIRED) == {move for move in RULES if issubclass(move, PositionMove)}


def test_every_state_has_one_side_on_the_clock_unless_it_is_final() -> None:
    """I4."""
    for state in DisputeState:
        idle = state is DisputeState.NONE or is_final(state)
        assert (side_of(state) is Side.NONE) == idle
    assert not OPENER_STATES & SOLVER_STATES

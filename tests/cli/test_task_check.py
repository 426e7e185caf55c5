"""`pinpoint task check`: what a task takes of whom; nothing of it is executed."""

from __future__ import annotations

import os
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.cli.output import format_tokens
from protocol.kernels.executor import Executor
from protocol.merkle import root_of_leaves
from protocol.program import cost
from protocol.program.canonical import encode_program
from protocol.program.cost import TreeSizes, judgement_gas
from protocol.program.isa import Op
from protocol.training.step import StepRunner
from protocol.training.task import Task
from scripts.devnet.town import EXAMPLE
from tests.training.regression import regression_task

TOKEN = 10**18


@pytest.fixture
def task(tmp_path) -> Path:
    regression_task().save(tmp_path / "task")
    return tmp_path / "task"


def test_check_has_the_figures_of_the_program(pinpoint) -> None:
    done = pinpoint("task", "check", str(EXAMPLE), "--json")
    assert done.code == 0
    task, found = Task.load(EXAMPLE), done.json
    program = task.program
    assert found["manifest_root"] == f"0x{task.manifest.root.hex()}"
    assert (found["nodes"], found["segments"]) == (len(program.nodes), 6)
    assert found["state_bytes"] == sum(tensor.nbytes for tensor in task.state)
    assert found["data_bytes"] == sum(tensor.nbytes for tensor in task.data)
    assert found["trace_bytes"] == sum(node.nbytes for node in program.nodes)
    assert found["work"] == cost.step_work(program)
    assert found["float_work"] == cost.float_work(program)
    sizes = TreeSizes.of(program, task.manifest.data)
    gas = [judgement_gas(node, sizes) for node in program.nodes]
    assert found["worst_gas"] == max(gas) == gas[found["worst_node"]]
    assert found["worst_origin"] == task.manifest.origins[found["worst_node"]]
    assert found["measured_step_seconds"] is None
    assert 1_543_388 <= found["dispute_gas"] < 1_700_000, "docs/GAS.md: what it took in a market"
    assert 3_184_514 <= found["longest_dispute_gas"] < 6_000_000


def test_check_quotes_what_the_documented_dry_run_does(pinpoint) -> None:
    """docs/operate/requester.md shows what a market on a local node answered for this offer."""
    found = pinpoint("task", "check", str(EXAMPLE), "--json").json["quotes"]
    assert found.keys() == {"minimal", "local", "devnet"}
    page = (EXAMPLE.parents[1] / "docs" / "operate" / "requester.md").read_text()
    names = {"stake": "solver_stake", "deposit": "bid_deposit", "bond": "challenger_bond"}
    for name, shown in names.items():
        (figure,) = re.findall(rf"^  {shown} +([\d,.]+)$", page, re.MULTILINE)
        assert format_tokens(found["local"][name]) == figure
    assert found["devnet"]["stake"] > found["local"]["stake"]


def test_check_for_people_shows_figures_and_amounts(pinpoint) -> None:
    done = pinpoint("task", "check", str(EXAMPLE))
    assert done.stdout.startswith("task digits is valid\n")
    for text in (
        "61 nodes",
        "worst judgement",
        "308,006 gas",
        "gas of a dispute",
        "2,079.0960",
        "7,072.4638",
    ):
        assert text in done.stdout
    assert "warning: a challenger's bond is 701.2000 tokens" in done.stderr


def test_check_without_an_offer_has_no_amounts_unless_flags_say_them(pinpoint, task) -> None:
    assert pinpoint("task", "check", str(task), "--json").json["quotes"] is None
    assert "no amounts" in pinpoint("task", "check", str(task)).stdout
    flags = ("--max-reward", "10", "--value-at-risk", "20")
    done = pinpoint("task", "check", str(task), *flags, "--json").json
    assert done["offer"] == {
        "max_reward": 10 * TOKEN,
        "value_at_risk": 20 * TOKEN,
        "verifiers": 2,
        "segments_per_verifier": 1,
    }
    assert done["quotes"]["devnet"]["deposit"] == TOKEN // 2


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--verifiers", "0", "--segments-per-verifier", "0"], "detect nothing"),
        (["--verifiers", "17"], "a market takes 0 to 16"),
        (["--segments-per-verifier", "99"], "a market takes 1 to"),
    ],
)
def test_check_of_terms_that_a_market_refuses_says_why(flags, says, pinpoint, task) -> None:
    money = ("--max-reward", "10", "--value-at-risk", "20")
    found = pinpoint("task", "check", str(task), *money, *flags, "--json")
    assert found.code == 0
    assert says in found.json["quotes"]["devnet"]["refused"]
    assert says in pinpoint("task", "check", str(task), *money, *flags).stdout


def test_check_warns_of_times_that_are_too_short_only_if_they_are_offered(pinpoint) -> None:
    warned = pinpoint("task", "check", str(EXAMPLE), "--run-seconds", "0", "--json")
    (found,) = [text for text in warned.json["warnings"] if "--run-seconds" in text]
    assert "allowed are 0 s" in found
    assert f"warning: {found}" in warned.stderr
    plain = pinpoint("task", "check", str(EXAMPLE), "--json").json["warnings"]
    assert not [text for text in plain if "seconds" in text]


def test_check_of_a_wrong_offer_is_refused(pinpoint, task) -> None:
    (task / "offer.toml").write_text('max-rewards = "1"\n')
    done = pinpoint("task", "check", str(task), "--json")
    assert done.code == 2
    assert "max-rewards" in done.error["why"]


# ---------------------------------------------------------------------- executing


def test_check_executes_nothing_unless_it_measures(pinpoint, monkeypatch, task) -> None:
    steps = []
    run = StepRunner.run
    monkeypatch.setattr(StepRunner, "run", lambda *a, **k: steps.append(a[1]) or run(*a, **k))
    monkeypatch.setattr(Executor, "run", None)
    assert pinpoint("task", "check", str(task)).code == 0
    assert steps == []


def test_check_measure_tells_seconds_of_a_step(pinpoint) -> None:
    done = pinpoint("task", "check", str(EXAMPLE), "--measure", "--threads", "1", "--json")
    assert done.code == 0
    assert 0 < done.json["measured_step_seconds"] < 60
    assert "s a step" in pinpoint("task", "check", str(EXAMPLE), "--measure").stdout


def test_check_measures_nothing_that_does_not_fit_the_machine(pinpoint, monkeypatch) -> None:
    monkeypatch.setattr("protocol.cli.task_check._memory", lambda: 1_000)
    plain = pinpoint("task", "check", str(EXAMPLE), "--json")
    assert plain.code == 0
    assert any("this machine has 1 kB" in text for text in plain.json["warnings"])
    done = pinpoint("task", "check", str(EXAMPLE), "--measure", "--json")
    assert done.code == 2
    assert done.error["what"] == "a step of the task is not measured here"


# ---------------------------------------------------------------------- refused tasks


def test_check_of_a_program_against_a_rule_names_node_and_rule(pinpoint, task) -> None:
    good = regression_task()
    node = good.program.nodes[3]
    bad = replace(node, instructions=(replace(node.instructions[0], op=Op.SQRT),))
    nodes = (*good.program.nodes[:3], bad, *good.program.nodes[4:])
    program = replace(good.program, nodes=nodes)
    leaves = encode_program(program)
    (task / "program.bin").write_bytes(
        b"".join(struct.pack(">I", len(leaf)) + leaf for leaf in leaves)
    )
    manifest = replace(good.manifest, program_root=root_of_leaves(leaves))
    (task / "manifest.json").write_bytes(manifest.to_bytes())
    done = pinpoint("task", "check", str(task), "--json")
    assert done.code == 2
    assert done.error["what"] == "the task cannot be used"
    assert "node 3" in done.error["why"]
    assert "[rule: " in done.error["why"]
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["manifest.json", "program.bin", "state.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped"])
def test_check_of_a_damaged_folder_is_refused(name, damage, pinpoint, tmp_path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "task")
    file = tmp_path / "task" / name
    raw = bytearray(file.read_bytes())
    raw[1] ^= 1
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": bytes(raw[:-9]), "flipped": bytes(raw)}[damage])
    done = pinpoint("task", "check", "task", "--json")
    assert done.code == 2, done.stderr
    assert done.error["what"] == "the task cannot be used"
    assert done.error["why"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "program.bin", "state.safetensors", "data.safetensors"]
)
def test_check_of_a_pipe_does_not_wait_for_it(name, pinpoint, task) -> None:
    (task / name).unlink()
    os.mkfifo(task / name)
    done = pinpoint("task", "check", str(task), "--json")
    assert done.code == 2
    assert f"{name} is no file" in done.error["why"]


def test_check_of_no_folder_is_refused(pinpoint) -> None:
    done = pinpoint("task", "check", "nowhere", "--json")
    assert done.code == 2
    assert "nowhere" in done.error["why"]

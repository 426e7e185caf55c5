"""The command line: results on stdout, errors that say what to do, documented exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("cli")  # one process makes the record

PINPOINT = [sys.executable, "-m", "protocol.cli.main"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [*PINPOINT, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(cwd), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a demo of one liar, run as a person would."""
    folder = tmp_path_factory.mktemp("demo")
    done = run("demo", "--only", "one-ulp", "--report", "report.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "1 ulp apart" in done.stdout
    assert "convicted" in done.stdout
    assert "capturing" in done.stderr
    assert "capturing" not in done.stdout, "progress is no result"
    return folder / "report.json"


def test_demo_report_names_the_exact_place(record) -> None:
    (scenario,) = json.loads(record.read_text())
    (dispute,) = [d for d in scenario["disputes"] if d["winner"] == "challenger"]
    place = dispute["place"]
    assert place["ulp"] == 1
    assert "mm" in place["origin"]
    assert place["kind"] == "arithmetic"
    solver, chain = (int(place[word]["hex"], 16) for word in ("solver_word", "chain_word"))
    assert abs(solver - chain) == 1


def test_dispute_show_draws_the_ladder_to_the_term(record, tmp_path) -> None:
    done = run("dispute", "show", "--record", str(record), cwd=tmp_path)
    assert done.returncode == 0
    ladder = [line.split()[1] for line in done.stdout.splitlines() if "●" in line]
    assert ladder == ["log", "segment", "trace", "tensor", "fold"]


def test_dispute_show_after_some_moves_draws_where_it_stood(record, tmp_path) -> None:
    done = run("dispute", "show", "--record", str(record), "--move", "4", cwd=tmp_path)
    marks = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[-5:]}
    assert marks == {"log": "●", "segment": "●", "trace": "·", "tensor": "·", "fold": "·"}
    assert "won" not in done.stdout


def test_task_show_prints_the_money_of_everybody(record, tmp_path) -> None:
    done = run("task", "show", "--record", str(record), cwd=tmp_path)
    assert done.returncode == 0
    for name in ("requester", "solver", "open challenger", "burned"):
        assert name in done.stdout
    as_json = run("task", "show", "--record", str(record), "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["claim_phase"] == "FALLEN"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--only", "nobody"], "no player nobody: there are honest"),
        (["demo", "--report", "missing/report.json"], "cannot write the report to missing"),
        (["task", "show", "--record", "missing.json"], "cannot read missing.json"),
        (["dispute", "show", "--record", "bad.json"], "is not a report"),
        (["task", "show", "--record", "list.json", "--player", "x"], "no player 'x'"),
    ],
)
def test_wrong_input_is_refused_with_exit_code_2(arguments, says, tmp_path) -> None:
    (tmp_path / "bad.json").write_text('{"no": "report"}')
    (tmp_path / "list.json").write_text('[{"player": "honest"}]')
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_help_answers_without_loading_torch_or_web3(tmp_path) -> None:
    code = (
        "import sys; from protocol.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'web3'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root)}, check=False
    )
    assert done.returncode == 0


def test_show_without_a_record_reads_the_last_demo(record) -> None:
    done = run("dispute", "show", "--player", "one-ulp", cwd=record.parent)
    assert done.returncode == 0, "the demo ran with this folder as its home"
    assert "1 ulp apart" in done.stdout

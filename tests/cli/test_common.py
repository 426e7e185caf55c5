"""What holds for every command: variables, common flags, JSON, light modules, help, completion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.core import TyperOption

from protocol.cli.config import walk
from protocol.cli.main import COMMANDS, root

ROOT = Path(__file__).parents[2]
WITHOUT_JSON = {("completion",)}
"""Commands whose result is no data."""
RUNS = {("requester", "run"), ("solver", "run"), ("verifier", "run")}
"""Commands that print nothing but logs, which --log-format makes JSON."""


def commands() -> dict[tuple[str, ...], list[TyperOption]]:
    command = typer.main.get_command(root)
    return {
        path: [p for p in leaf.params if isinstance(p, TyperOption)] for path, leaf in walk(command)
    }


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "protocol.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_flag_has_its_variable_and_a_help_text(path) -> None:
    for option in commands()[path]:
        flag = max(option.opts, key=len)
        if flag == "--help":
            continue
        assert option.envvar == "PINPOINT_" + flag[2:].replace("-", "_").upper()
        assert option.show_envvar
        assert option.help, f"{flag} of {' '.join(path)} says nothing"


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_the_common_flags_once(path) -> None:
    flags = [flag for option in commands()[path] for flag in option.opts]
    assert sorted(set(flags)) == sorted(flags)
    assert {"--config", "--debug"} <= set(flags)
    if path in RUNS:
        assert {"--log-format", "--log-level", "--metrics"} <= set(flags)
    elif path not in WITHOUT_JSON:
        assert "--json" in flags


def test_modules_of_all_commands_load_nothing_heavy() -> None:
    code = (
        "import sys, importlib\n"
        f"for name in {sorted({module.partition(':')[0] for module in COMMANDS.values()})!r}:\n"
        "    importlib.import_module(name)\n"
        "print(sorted({'torch', 'web3', 'eth_account', 'sklearn', 'fsspec'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


def test_a_command_loads_no_module_of_another() -> None:
    code = (
        "import sys\n"
        "from protocol.cli.main import run\n"
        "run(['wallet', 'list', '--keystore', 'none/none.json'])\n"
        "others = {'demo', 'devnet', 'solver', 'verifier', 'train'}\n"
        "print(sorted(o for o in others if f'protocol.cli.{o}' in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_lists_every_command(pinpoint) -> None:
    done = pinpoint("--help")
    assert done.code == 0
    for name in COMMANDS:
        assert f" {name} " in done.stdout


def test_version_is_that_of_the_package(pinpoint) -> None:
    assert pinpoint("--version").stdout == f"pinpoint {version('pinpoint-protocol')}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_each_shell(pinpoint, shell) -> None:
    done = pinpoint("completion", shell)
    assert (done.code, done.stderr) == (0, "")
    assert "_PINPOINT_COMPLETE" in done.stdout
    assert "_PINPOINT_COMPLETE" not in os.environ


def test_completion_script_completes_commands_and_flags(tmp_path) -> None:
    """As bash would ask after `pinpoint wal<TAB>` and `pinpoint wallet list --key<TAB>`."""
    for words, word, expected in (
        ("pinpoint wal", 1, "wallet"),
        ("pinpoint wallet list --key", 3, "--keystore"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "protocol.cli.main"],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "_PINPOINT_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(word),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [expected]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["walet"], "did you mean 'wallet'"),
        (["wallet", "lst"], "did you mean 'list'"),
        (["wallet", "list", "--keystor", "x"], "--keystore"),
        (["completion", "csh"], "'csh'"),
        (["wallet", "list", "more"], "unexpected"),
        (["wallet", "list", "--keystore"], "requires an argument"),
    ],
)
def test_wrong_usage_exits_with_2_in_four_parts(pinpoint, arguments, says) -> None:
    done = pinpoint(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert says.lower() in done.stderr.lower()
    parts = [line.split(":")[0].strip() for line in done.stderr.splitlines() if ":" in line]
    assert [part for part in parts if part in ("error", "why", "do", "read")] == [
        "error",
        "why",
        "do",
        "read",
    ]


@pytest.mark.parametrize(
    ("flags", "env"), [(["--json"], {}), ([], {"PINPOINT_JSON": "true"})], ids=["flag", "variable"]
)
def test_errors_are_json_where_results_are(pinpoint, flags, env) -> None:
    error = pinpoint("wallet", "address", "--keystore", "none.json", *flags, env=env).error
    assert error["code"] == 5
    assert {"what", "why", "todo", "read", "kind"} < set(error)


@pytest.mark.parametrize(
    ("arguments", "env", "text"),
    [
        (["wallet", "complete-unbond"], {"PINPOINT_JSON": "1", "PINPOINT_CONFIRMATIONS": "x"}, ""),
        (["wallet", "complete-unbond"], {"PINPOINT_CONFIRMATIONS": "x"}, "json = true"),
        (["wallet", "list", "--wrong"], {"PINPOINT_JSON": "1"}, ""),
        (["walet"], {"PINPOINT_JSON": "1"}, ""),
        (["wallet", "list", "--wrong", "--json"], {}, ""),
    ],
)
def test_wrong_usage_is_told_as_json_where_results_are(pinpoint, arguments, env, text) -> None:
    Path("pinpoint.toml").write_text(text)
    done = pinpoint(*arguments, env=env)
    assert (done.code, done.error["code"]) == (2, 2)


def test_debug_shows_the_traceback_and_only_then(pinpoint) -> None:
    command = ("wallet", "address", "--keystore", "none.json")
    assert "Traceback" not in pinpoint(*command).stderr
    assert "Traceback" in pinpoint(*command, "--debug").stderr
    assert "Traceback" in pinpoint(*command, env={"PINPOINT_DEBUG": "1"}).stderr
    assert "Traceback" not in pinpoint(*command).stderr, "the flag is forgotten afterwards"


def test_reader_that_closes_stdout_early_is_no_error(tmp_path) -> None:
    process = start("config", "show", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as at a terminal: a job in the background is started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_with_130(pinpoint, monkeypatch) -> None:
    def interrupted(_text: str) -> bytes:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on after Ctrl-C")

    monkeypatch.setattr("protocol.chain.keys.parse_private_key", interrupted)
    done = pinpoint("wallet", "import", "--keystore", "a.json")
    assert done.code == 130
    assert done.stderr.startswith("error: interrupted")
    assert "Traceback" not in done.stderr

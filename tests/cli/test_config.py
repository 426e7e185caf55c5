"""The settings file: precedence, tables, and keys that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.main import get_command

from protocol.chain.urls import redact_url
from protocol.cli.config import defaults_for, split_commas

DEFAULT = "~/.pinpoint/keys/wallet.json"


def setting(result, key: str) -> tuple[object, str]:
    (row,) = [row for row in result.json if row["setting"] == key]
    return row["value"], row["from"]


def test_precedence_is_flag_then_environment_then_file_then_default(pinpoint) -> None:
    show = ("config", "show", "wallet", "list")
    assert setting(pinpoint(*show, env={"PINPOINT_JSON": "1"}), "keystore") == (DEFAULT, "default")
    Path("pinpoint.toml").write_text('keystore = "from-file"\n')
    env = {"PINPOINT_JSON": "1"}
    assert setting(pinpoint(*show, env=env), "keystore") == ("from-file", "file pinpoint.toml")
    env["PINPOINT_KEYSTORE"] = "from-env"
    assert setting(pinpoint(*show, env=env), "keystore") == (
        "from-env",
        "environment PINPOINT_KEYSTORE",
    )
    shown = pinpoint(*show, "--keystore", "from-flag", env=env)
    assert setting(shown, "keystore") == ("from-flag", "flag")


def test_commands_get_what_config_show_says(pinpoint, tmp_path) -> None:
    """The error of the command names the value that it has got."""
    (tmp_path / "pinpoint.toml").write_text('keystore = "file.json"\n')
    cases = [
        ([], {}, "file.json"),
        ([], {"PINPOINT_KEYSTORE": "env.json"}, "env.json"),
        (["--keystore", "flag.json"], {"PINPOINT_KEYSTORE": "env.json"}, "flag.json"),
    ]
    for flags, env, expected in cases:
        done = pinpoint("wallet", "address", *flags, env=env)
        assert done.code == 5
        assert f"cannot read the keystore {expected}" in done.stderr


def test_nearest_table_counts(pinpoint) -> None:
    Path("pinpoint.toml").write_text(
        'json = true\nkeystore = "top"\n'
        '[wallet]\nkeystore = "group"\n'
        '[wallet.address]\nkeystore = "command"\n'
    )
    for command, value, table in (
        (("wallet", "address"), "command", " [wallet.address]"),
        (("wallet", "list"), "group", " [wallet]"),
        (("solver", "run"), "top", ""),
    ):
        shown = pinpoint("config", "show", *command)
        assert setting(shown, "keystore") == (value, f"file pinpoint.toml{table}")


def test_flags_with_the_name_of_a_command_can_be_set() -> None:
    command = get_command(make_app())
    settings = {"task": 3, "solver": {"task": 4, "show": {"task": 5}}}
    found = defaults_for(settings, ("task", "show"), command)
    assert found == {"task": (3, "")}
    found = defaults_for(settings, ("solver", "show"), command)
    assert found == {"task": (5, "solver.show")}


def make_app() -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @app.command()
    def show(task: int = 0) -> None:
        assert task == 0

    return app


def test_named_file_counts_instead_of_the_usual_places(pinpoint) -> None:
    Path("pinpoint.toml").write_text('keystore = "here"\n')
    Path("other.toml").write_text('keystore = "other"\n')
    show = ("config", "show", "wallet", "address", "--json")
    assert setting(pinpoint(*show, "--config", "other.toml"), "keystore")[0] == "other"
    env = {"PINPOINT_CONFIG": "other.toml"}
    assert setting(pinpoint(*show, env=env), "keystore")[0] == "other"
    assert setting(pinpoint(*show), "keystore")[0] == "here"


def test_file_in_the_home_folder_counts_last(pinpoint, tmp_path) -> None:
    folder = tmp_path / "home/.config/pinpoint"
    folder.mkdir(parents=True)
    (folder / "pinpoint.toml").write_text('keystore = "home"\n')
    shown = pinpoint("config", "show", "wallet", "address", "--json")
    assert setting(shown, "keystore") == ("home", f"file {folder / 'pinpoint.toml'}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keystor = 1", ["unknown setting 'keystor' in pinpoint.toml", "'keystore'"]),
        ("max_fee_gwei = 1", ["unknown setting 'max_fee_gwei'", "'max-fee-gwei'"]),
        ("[wallett]\nrpc = 'x'", ["unknown table 'wallett'", "'wallet'"]),
        ("[wallet.new]\nrpc = 'x'", ["unknown setting 'rpc' in [wallet.new]"]),
        ("[wallet.new.deeper]\nrpc = 'x'", ["unknown table 'deeper' in [wallet.new]"]),
        ("config = 'x'", ["unknown setting 'config'"]),
        ("keystore = ", ["cannot read the settings file pinpoint.toml"]),
        ('confirmations = "many"\n[wallet]\nhome = {a = 1}', ["unknown table 'home' in [wallet]"]),
        ("\xff\xfe", ["cannot read the settings file pinpoint.toml"]),
        ("completion = 3", ["unknown setting 'completion'"]),
    ],
)
def test_unusable_file_is_refused_with_its_name_and_the_nearest_key(pinpoint, text, says) -> None:
    Path("pinpoint.toml").write_text(text)
    done = pinpoint("wallet", "address")
    assert done.code == 2
    assert done.stdout == ""
    for part in says:
        assert part in done.stderr


def test_missing_named_file_is_refused(pinpoint) -> None:
    done = pinpoint("wallet", "address", "--config", "none.toml")
    assert done.code == 2
    assert "cannot read the settings file none.toml" in done.stderr


@pytest.mark.parametrize(
    ("env", "text", "origin"),
    [
        (
            {"PINPOINT_CONFIRMATIONS": "many"},
            "",
            "'many' comes from the environment variable PINPOINT_CONFIRMATIONS",
        ),
        ({}, 'confirmations = "many"', "'many' comes from the settings file pinpoint.toml"),
    ],
)
def test_wrong_value_is_refused_with_its_origin(pinpoint, env, text, origin) -> None:
    Path("pinpoint.toml").write_text(text)
    done = pinpoint("wallet", "complete-unbond", env=env)
    assert done.code == 2
    assert origin in done.stderr


def test_lists_come_repeated_or_separated_by_commas_or_as_lists(pinpoint) -> None:
    assert split_commas(["a, b", "c", ""]) == ["a", "b", "c"]
    assert split_commas([1, 2]) == [1, 2]
    assert split_commas(None) is None
    show = ("config", "show", "wallet", "balance", "--json")
    shown = [pinpoint(*show, "--rpc", "http://a", "--rpc", "http://b")]
    shown.append(pinpoint(*show, "--rpc", "http://a, http://b"))
    shown.append(pinpoint(*show, env={"PINPOINT_RPC": "http://a,http://b"}))
    for text in ('rpc = ["http://a", "http://b"]', 'rpc = "http://a,http://b"'):
        Path("pinpoint.toml").write_text(text)
        shown.append(pinpoint(*show))
    assert [setting(one, "rpc")[0] for one in shown] == [["http://a", "http://b"]] * 5
    assert pinpoint("demo", "--only", "a,b").stderr.count("no player a, b:") == 1


def test_config_show_of_everything_lists_each_command_with_its_settings(pinpoint) -> None:
    commands = {row["command"] for row in pinpoint("config", "show", "--json").json}
    assert {"demo", "wallet list", "wallet new", "config show"} <= commands


def test_config_show_hides_credentials_in_urls(pinpoint) -> None:
    url = "https://me:secret@node.example:8545/v3/0123456789abcdef0123456789abcdef?key=hidden"
    shown = pinpoint("config", "show", "wallet", "balance", env={"PINPOINT_RPC": url})
    assert "node.example:8545" in shown.stdout
    for secret in ("secret", "0123456789abcdef", "hidden"):
        assert secret not in shown.stdout


def test_config_show_of_an_unknown_command_is_refused(pinpoint) -> None:
    done = pinpoint("config", "show", "tusk")
    assert done.code == 2
    assert "no command 'tusk'" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8545",
        "https://store.example/objects/" + "ab" * 32,
        "folder/file",
        "file:///x/y",
        "[broken",
    ],
)
def test_redaction_leaves_harmless_texts_alone(text) -> None:
    assert redact_url(text) == text

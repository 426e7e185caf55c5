"""What the operators' pages say is so: links, commands, settings, errors, metrics, units."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import generate_latest

from protocol.agents.process.telemetry import Telemetry
from protocol.agents.requester import Offer
from protocol.cli.common import ENVIRONMENT_PREFIX
from protocol.cli.config import check_keys, settings_of, walk
from protocol.cli.errors import Code
from protocol.cli.main import root
from scripts.settings_table import split_page, table
from tests.docs.operate import (
    FOLDER,
    PAGES,
    ROOT,
    Line,
    accept,
    anchors,
    command_lines,
    fenced,
    links,
    prose,
)

LINES = sorted({line for page in PAGES for line in command_lines(page)}, key=str)
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
RULES = FOLDER / "prometheus-rules.yml"
COMPOSE = FOLDER / "compose" / "compose.yaml"
TOLD = {"errors.md": 0, "keys.md": 0, "devnet.md": 0, "deploy.md": 1}
"""Pages whose tables quote what people see, and in which column."""


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of tables, headings included."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def strings_of_the_code() -> str:
    """All string constants of the package; parts of f-strings count one by one."""
    found = []
    for path in (ROOT / "protocol").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def metric_names() -> set[str]:
    """What an agent's `/metrics` has, with the names of a counter and a histogram themselves."""
    telemetry = Telemetry("solver", "0x0")
    telemetry._transactions.labels("bid", "succeeded").inc()
    telemetry._errors.labels("OSError").inc()
    text = generate_latest(telemetry.registry).decode()
    names = set(re.findall(r"^(\w+)(?:\{| )", text, re.MULTILINE))
    return names | set(re.findall(r"^# TYPE (\w+) histogram", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(FOLDER)))
def test_links_of_the_operators_pages_lead_to_files_and_headings(page: Path) -> None:
    missing = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert not missing, f"{page.name} links to what is not there: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(FOLDER)))
def test_operators_pages_name_files_that_exist(page: Path) -> None:
    named = set(
        re.findall(r"`((?:contracts|docs|protocol|scripts|tests)/[\w./]+)[`\s]", page.read_text())
    )
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing, f"{page.name} names files that are not there: {missing}"


def test_every_operators_page_is_in_the_index() -> None:
    index = {target.partition("#")[0] for target in links(FOLDER / "README.md")}
    pages = {page.name for page in FOLDER.glob("*.md")} - {"README.md"}
    assert pages <= index


@pytest.mark.parametrize("line", LINES, ids=str)
def test_command_of_the_operators_pages_is_one(line: Line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PINPOINT_CONFIG", raising=False)
    accept(line.words, is_whole=line.is_whole)


@pytest.mark.parametrize(
    "words", ["solver fly", "solver run --warp", "requester fetch", "wallet", "wallet deposit x"]
)
def test_command_that_is_none_is_not_accepted(words: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((KeyError, typer.TyperException)):
        accept(tuple(words.split()))


def test_pages_show_enough_commands() -> None:
    groups = {line.words[0] for line in LINES if line.is_whole and line.words}
    assert {"devnet", "requester", "solver", "verifier", "wallet", "deploy", "doctor"} <= groups
    assert {"status", "task", "dispute", "config", "completion"} <= groups


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(FOLDER)))
def test_settings_files_of_the_pages_have_known_keys_only(page: Path) -> None:
    for block in fenced(page, "toml"):
        check_keys(tomllib.loads(block), typer.main.get_command(root), page)


def test_table_of_settings_is_that_of_the_commands() -> None:
    _, inside, _ = split_page((FOLDER / "settings.md").read_text())
    assert inside == table(), "run scripts/settings_table.py --write"


def test_every_setting_has_the_environment_variable_of_its_name() -> None:
    for path, command in walk(typer.main.get_command(root)):
        for key, option in settings_of(command).items():
            expected = ENVIRONMENT_PREFIX + key.replace("-", "_").upper()
            assert option.envvar == expected, f"--{key} of {' '.join(path)}"


def test_offer_table_has_the_fields_of_an_offer() -> None:
    text = (FOLDER / "requester.md").read_text()
    part = text[text.index("## 2. The offer") : text.index("### Few, long segments")]
    documented = [row[0].strip("`") for row in rows(part)[1:]]
    assert documented == [field.name.replace("_", "-") for field in fields(Offer)]


def test_every_place_that_errors_point_to_exists() -> None:
    pointed: set[str] = set()
    for path in (ROOT / "protocol").rglob("*.py"):
        text = path.read_text()
        pointed |= set(re.findall(r"docs/[\w./-]+\.md(?:#[\w-]+)?", text))
        pointed |= {
            f"docs/operate/errors.md#{anchor}"
            for anchor in re.findall(r"\{ERRORS_PAGE\}#([\w-]+)", text)
        }
    assert len([place for place in pointed if place.startswith("docs/operate/")]) >= 15
    for place in pointed:
        name, _, anchor = place.partition("#")
        assert (ROOT / name).is_file(), place
        assert not anchor or anchor in anchors(ROOT / name), place


def test_exit_codes_of_the_page_are_those_of_the_code() -> None:
    text = (FOLDER / "errors.md").read_text()
    part = text[text.index("## Exit codes") : text.index("## Chain")]
    documented = {int(row[0]): row[1] for row in rows(part)[1:]}
    assert documented == {int(code): code.name for code in Code}


@pytest.mark.parametrize("name", TOLD)
def test_quoted_errors_are_those_of_the_code(name: str) -> None:
    known = strings_of_the_code()
    quoted = [
        piece.strip()
        for row in rows(prose(FOLDER / name))
        if len(row) > TOLD[name]
        for phrase in re.findall(r"`([^`]+ [^`]+)`", row[TOLD[name]])
        if not phrase.startswith("pinpoint ")
        for piece in phrase.split("…")
    ]
    missing = [piece for piece in quoted if piece and piece not in known]
    assert quoted
    assert not missing, f"{name} quotes what no command says: {missing}"


def test_rules_and_page_name_metrics_that_agents_have() -> None:
    known = metric_names() | {"up"}
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    used = {name for rule in rules for name in re.findall(r"[a-z]+_\w+|^up", rule["expr"])}
    assert used <= known | {"humanizeDuration"}, sorted(used - known)
    documented = set(re.findall(r"`(pinpoint_\w+)`", (FOLDER / "alerts.md").read_text()))
    own = {n for n in known if n.startswith("pinpoint_") and not n.endswith(("_created", "_sum"))}
    own = {n for n in own if not n.endswith(("_bucket", "_count"))}
    assert documented == own


def test_every_alert_is_described_and_none_else() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    text = (FOLDER / "alerts.md").read_text()
    assert [rule["alert"] for rule in rules] == re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert all(rule["labels"]["severity"] in ("page", "ticket") for rule in rules)


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_unit_starts_a_command_and_stays_down_for_what_does_not_mend(
    file: Path, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(file.read_text())
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program.endswith("/bin/pinpoint")
    assert words[0] == file.stem.removeprefix("pinpoint-")
    accept(tuple(words))
    stays_down = {Code(int(code)) for code in service["RestartPreventExitStatus"].split()}
    assert stays_down == {Code.USAGE, Code.KEYS}
    assert service["KillSignal"] == "SIGTERM"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    variables = re.findall(r"^Environment=(\w+)=", file.read_text(), re.MULTILINE)
    assert variables == ["PINPOINT_CONFIG", "PINPOINT_PASSWORD_FILE"]


def test_units_for_all_roles_use_different_ports() -> None:
    assert len(UNITS) == 3
    ports = [re.findall(r"--metrics (\S+)", unit.read_text())[0] for unit in UNITS]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("name", ["solver", "verifier"])
def test_compose_service_runs_a_command_with_secrets_as_files(
    name: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    service = document["services"][name]
    accept(tuple(service["command"]))
    assert service["command"][0] == name
    for secret in service["secrets"]:
        assert document["secrets"][secret["source"]].keys() == {"file"}
    (metrics,) = [word for word in service["command"] if word.startswith("--metrics=")]
    port = metrics.rpartition(":")[2]
    assert f":{port}/healthz" in " ".join(service["healthcheck"]["test"])
    scraped = yaml.safe_load((FOLDER / "compose" / "prometheus.yml").read_text())
    assert f"{name}:{port}" in scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped["scrape_configs"][0]["job_name"] == "pinpoint"

from __future__ import annotations

import json

import pytest

from protocol.chain import compiler, solc, sources
from protocol.chain.artifact import Artifact, ArtifactError, load_artifact, packed_names

MAX_CODE_BYTES = 24_576  # EIP-170


def test_packed_artifacts_are_those_of_the_production_contracts():
    assert packed_names() == compiler.production_names(), "run `make artifacts`"


@pytest.mark.parametrize("name", compiler.production_names())
def test_packed_artifact_equals_its_sources(name):
    assert load_artifact(name).source_hash == compiler.source_hash(name), "run `make artifacts`"


@pytest.mark.parametrize("name", compiler.production_names())
def test_packed_artifact_equals_what_the_compiler_gives(name):
    assert load_artifact(name) == compiler.compile_contract(name), "run `make artifacts`"


@pytest.mark.parametrize("name", compiler.production_names())
def test_production_contract_fits_the_code_size_limit(name):
    assert 0 < load_artifact(name).code_size <= MAX_CODE_BYTES


def test_every_contract_compiles_without_a_warning(compiled):
    assert compiler.compile_contracts().keys() == compiled.keys()


def test_hardhat_uses_the_same_settings():
    config = (sources.ROOT / "hardhat.config.js").read_text()
    assert f'evmVersion: "{compiler.SETTINGS["evmVersion"]}"' in config
    assert f"viaIR: {json.dumps(compiler.SETTINGS['viaIR'])}" in config
    assert f"runs: {compiler.SETTINGS['optimizer']['runs']}" in config


def test_compile_unknown_contract_names_those_that_exist():
    with pytest.raises(compiler.CompileError, match="DevToken"):
        compiler.compile_contract("NoSuchContract")


def test_load_artifact_that_does_not_exist_says_what_to_do():
    with pytest.raises(ArtifactError, match="make artifacts"):
        load_artifact("NoSuchContract")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, with the compiler of this one."""
    for name in ("package.json", "node_modules"):
        (tmp_path / name).symlink_to(sources.ROOT / name)
    (tmp_path / "contracts").mkdir()
    solc_path = solc.find_solc()
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "CONTRACTS_DIR", tmp_path / "contracts")
    monkeypatch.setattr(compiler, "_UNITS_DIR", tmp_path / "units")
    monkeypatch.setattr(solc, "find_solc", lambda: solc_path)

    def write(name, body):
        head = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"
        (tmp_path / "contracts" / name).write_text(head + body)

    return write


def test_compile_error_shows_the_compilers_message(project):
    project("A.sol", "contract A { uint256 x = y; }")
    with pytest.raises(compiler.CompileError, match="Undeclared identifier"):
        compiler.compile_contract("A")


def test_compile_warning_counts_as_an_error(project):
    project("A.sol", "contract A { function f() external pure { uint256 x; } }")
    with pytest.raises(compiler.CompileError, match="Unused local variable"):
        compiler.compile_contract("A")


def test_broken_contract_does_not_stop_another(project):
    project("A.sol", "contract A { uint256 x = y; }")
    project("B.sol", "contract B {}")
    assert compiler.CompiledArtifacts()["B"].code_size > 0


def test_two_contracts_of_one_name_are_refused(project):
    project("A.sol", "contract A {}")
    project("B.sol", "contract A {}")
    with pytest.raises(sources.SourceError, match=r"contracts/A\.sol.*contracts/B\.sol"):
        sources.find_definitions()


def test_comment_and_layout_do_not_change_the_hash_but_code_does(project):
    def hash_of(body):
        project("A.sol", body)
        return compiler.source_hash("A")

    plain = hash_of('contract A { string public s = "a // b"; }')
    assert hash_of('/* x */ contract A {\n  string public s = "a // b"; // y\n}\n') == plain
    assert hash_of('contract A { string public s = "a //  b"; }') != plain


def test_change_of_an_import_changes_the_hash(project):
    project("B.sol", "library B { uint256 internal constant X = 1; }")
    project("A.sol", 'import {B} from "./B.sol";\ncontract A { uint256 public x = B.X; }')
    before = compiler.source_hash("A")
    project("B.sol", "library B { uint256 internal constant X = 2; }")
    assert compiler.source_hash("A") != before


def test_external_library_is_linked(project):
    project(
        "A.sol",
        "library L { function f() external pure returns (uint256) { return 7; } }\n"
        "contract A { function g() external pure returns (uint256) { return L.f(); } }",
    )
    artifact = compiler.compile_contract("A")
    with pytest.raises(ArtifactError, match="external library L"):
        artifact.link({})
    assert "42" * 20 in artifact.link({"L": "0x" + "42" * 20})


def test_missing_import_says_which_file(project):
    project("A.sol", 'import "./Missing.sol";\ncontract A {}')
    with pytest.raises(sources.SourceError, match=r"contracts/Missing\.sol"):
        compiler.compile_contract("A")


def test_import_without_node_modules_says_make_setup(project, tmp_path):
    (tmp_path / "node_modules").unlink()
    project("A.sol", 'import "@openzeppelin/contracts/token/ERC20/IERC20.sol";\ncontract A {}')
    with pytest.raises(sources.SourceError, match="make setup"):
        compiler.compile_contract("A")


def test_solc_without_any_source_names_each_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(solc, "ROOT", tmp_path)
    (tmp_path / "package.json").write_text('{"dependencies": {"solc": "0.8.37"}}')
    monkeypatch.setenv("PINPOINT_SOLC", "npm")
    with pytest.raises(solc.SolcMissingError, match=r"node_modules/solc.*make setup"):
        solc.find_solc()


def test_solc_choice_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("PINPOINT_SOLC", "magic")
    with pytest.raises(solc.SolcMissingError, match="'magic'; expected one of installed"):
        solc.find_solc()


def test_artifact_survives_its_packed_form():
    artifact = Artifact(
        "A", "contracts/A.sol", [{"type": "receive"}], "0x60", "0x", "h", {"L": [3]}
    )
    assert Artifact.from_json(artifact.to_json()) == artifact

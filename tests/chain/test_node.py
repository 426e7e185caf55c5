"""Development nodes start, mine by the clock, stop whole, and say why they cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from protocol.chain.node import KINDS, NodeError, free_port, request, start_node


@pytest.mark.parametrize("kind", KINDS)
def test_node_starts_on_a_free_port_and_stops_with_its_children(kind: str, tmp_path: Path) -> None:
    node = start_node(kind, tmp_path / "logs" / "node.log", port=0, block_seconds=0)
    try:
        assert node.is_alive()
        assert int(request(node.url, "eth_chainId"), 16) == 31337
        assert request(node.url, "eth_blockNumber") == "0x0"
        assert node.url.startswith("http://127.0.0.1:")
        with pytest.raises(NodeError, match="is it a development node"):
            request(node.url, "eth_noSuchMethod")
    finally:
        node.stop()
    assert not node.is_alive()
    node.stop()  # quietly, if it is gone


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="'geth' is none of hardhat, anvil"):
        start_node("geth", tmp_path / "node.log")


def test_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(NodeError, match=f"port {port} of 127.0.0.1 is taken") as error:
            start_node("anvil", tmp_path / "node.log", port=port)
    assert "--port" in error.value.todo


@pytest.mark.parametrize("kind", KINDS)
def test_node_that_is_not_installed_is_told(kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="is not installed") as error:
        start_node(kind, tmp_path / "node.log", port=0, project=tmp_path)
    assert "make setup" in error.value.todo


def test_node_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    script = tmp_path / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
    script.parent.mkdir(parents=True)
    script.write_text('console.log("no config"); process.exit(7);')
    with pytest.raises(NodeError, match="it ended with 7: no config"):
        start_node("hardhat", tmp_path / "node.log", port=0, project=tmp_path)


def test_free_ports_are_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass

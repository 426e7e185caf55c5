"""A market of real processes over JSON-RPC, as `scripts/devnet_e2e` plays it, on both nodes."""

from __future__ import annotations

import pytest

from scripts.devnet.e2e import play
from scripts.devnet.town import town


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("devnet")  # real time: not two of them at once
@pytest.mark.parametrize("kind", ["hardhat", "anvil"])
def test_devnet_of_processes_pays_the_honest_and_convicts_the_liar(kind: str, tmp_path) -> None:
    with town(tmp_path, kind) as people:
        play(people)
        assert people.processes == {}, "everybody stopped when told to"
        assert len(people.reader.book.stores) == 6, "everybody announced where it serves"

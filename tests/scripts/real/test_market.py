from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from protocol.agents.process.telemetry import Telemetry
from protocol.training.trainer import Progress
from scripts.real.market import Market, verdict

SHOWN: dict[str, Any] = {
    "transactions": 9,
    "gas": 1_567_486,
    "judgement_gas": 181_177,
    "place": {
        "segment": 2,
        "step": 5,
        "node": 163,
        "origin": "6.second: aten.convolution_backward (bwd)",
        "binding": None,
        "tensor": None,
        "element": [61, 61, 2, 1],
        "term": "term [63, 2, 2]",
        "kind": "arithmetic",
        "solver_word": {"hex": "0xb9b130e3", "decimal": "-0.00033796494"},
        "chain_word": {"hex": "0xb9b130e2", "decimal": "-0.0003379649"},
        "ulp": 1,
        "decided_by": "executing one term on chain",
    },
}


def test_losses_are_read_from_what_a_solver_logs(tmp_path, caplog) -> None:
    telemetry = Telemetry("solver", "0x" + "1" * 40)
    with caplog.at_level(logging.DEBUG, logger="protocol"):
        for step, loss in ((1, 2.5), (2, 1e-7), (2, 1.25), (3, None)):
            telemetry.stepped(Progress(step, 3, loss, 0.1, None))
    (tmp_path / "solver.log").write_text("\n".join(caplog.messages))
    people: Any = SimpleNamespace(folder=tmp_path)
    market = Market(people, tmp_path, SimpleNamespace())
    assert market.losses("solver") == {1: 2.5, 2: 1.25}, "a step done again counts as it ended"


def test_verdict_names_place_words_and_cost() -> None:
    facts = verdict(SHOWN, 1_778 * 10**18)
    assert facts["end"] == "convicted, its stake of 1,778 tokens slashed"
    assert facts["place"] == (
        "segment 2, step 5, node 163 (6.second: aten.convolution_backward (bwd)), element "
        "[61, 61, 2, 1], term [63, 2, 2], arithmetic"
    )
    assert facts["words"] == (
        "0xb9b130e3 (-0.00033796494) claimed, the chain has 0xb9b130e2 (-0.0003379649): 1 ulp apart"
    )
    assert facts["dispute"] == "9 transactions, 1,567,486 gas; the judgement alone 181,177"


def test_verdict_of_a_binding_names_the_state_tensor() -> None:
    place = dict.fromkeys(SHOWN["place"]) | {
        "segment": 3,
        "step": 6,
        "binding": 2,
        "tensor": "model.0.weight",
        "decided_by": "opening both sides of the binding",
        "solver_word": {"hex": "0x01", "decimal": "tensor root"},
        "chain_word": {"hex": "0x02", "decimal": "tensor root"},
    }
    facts = verdict({**SHOWN, "place": place}, 0)
    assert facts["place"] == "segment 3, step 6, state tensor model.0.weight"
    assert facts["words"] == "0x01 (tensor root) claimed, the chain has 0x02 (tensor root)"

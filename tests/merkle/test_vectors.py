"""The committed wrong proofs: each is refused, and for the reason that stands beside it."""

from typing import Any

import pytest

from protocol.merkle import ProofError, verify_consistency, verify_inclusion
from tests.merkle import wrong_proofs


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_vectors_in_the_repository_are_the_ones_that_the_cases_give(kind: str) -> None:
    committed = (wrong_proofs.FOLDER / f"{kind}.json").read_text()
    assert committed == wrong_proofs.text(wrong_proofs.documents()[kind])


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("inclusion", {None, "IndexOutOfRange", "WrongProofLength", "RootMismatch"}),
        (
            "consistency",
            {
                *(None, "EmptyTree", "SizesReversed", "WrongProofLength"),
                *("OldRootMismatch", "NewRootMismatch"),
            },
        ),
    ],
)
def test_vectors_cover_every_reason_many_times(kind: str, reasons: set[str | None]) -> None:
    rows = wrong_proofs.load(kind)
    assert len({row["name"] for row in rows}) == len(rows) > 300
    assert {row["reason"] for row in rows} == reasons


@pytest.mark.parametrize("row", wrong_proofs.load("inclusion"), ids=lambda row: row["name"])
def test_inclusion_vector_is_refused_for_its_reason(row: dict[str, Any]) -> None:
    claim = [row[key] for key in ("root", "leaf", "index", "size", "proof")]
    if row["reason"] is None:
        verify_inclusion(*claim)
        return
    with pytest.raises(ProofError) as refused:
        verify_inclusion(*claim)
    assert refused.value.reason == row["reason"]


@pytest.mark.parametrize("row", wrong_proofs.load("consistency"), ids=lambda row: row["name"])
def test_consistency_vector_is_refused_for_its_reason(row: dict[str, Any]) -> None:
    claim = [row[key] for key in ("size1", "root1", "size2", "root2", "proof")]
    if row["reason"] is None:
        verify_consistency(*claim)
        return
    with pytest.raises(ProofError) as refused:
        verify_consistency(*claim)
    assert refused.value.reason == row["reason"]

"""A place is told in the words of the model, the same way for every command."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from protocol.dispute.fault import Fault
from protocol.dispute.place import Word, place_of, where, whose, word_of
from protocol.dispute.state import ARITHMETIC
from protocol.program.isa import DType
from tests.training.regression import regression_task

TASK = regression_task(width=300)
F32, I32, U8 = DType.F32, DType.I32, DType.U8


def place(fault: Fault):
    return place_of(fault, TASK.manifest, TASK.program)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(2), "segment 2"),
        (Fault(2, 5), "segment 2, step 5"),
        (Fault(2, 5, node=0), "segment 2, step 5, node 0 (node 0)"),
        (Fault(2, 5, node=0, element=302), "segment 2, step 5, node 0 (node 0), element [1, 2]"),
        (Fault(2, 5, node=4, element=0), "segment 2, step 5, node 4 (node 4), element []"),
        (Fault(2, 5, binding=0), "segment 2, step 5, state tensor 0 (weight)"),
        (
            Fault(2, 5, binding=0, element=7),
            "segment 2, step 5, state tensor 0 (weight), element [7]",
        ),
    ],
)
def test_where_goes_as_deep_as_is_known(fault, text) -> None:
    assert where(asdict(place(fault))) == text


@pytest.mark.parametrize(
    ("node", "kind", "text"),
    [
        (2, ARITHMETIC, "term [9], arithmetic"),
        (2, 0, "term [9], load 0 from node 0 (node 0)"),
        (2, 1, "term [9], load 1 from state tensor weight"),
    ],
)
def test_where_names_the_term_and_what_a_load_reads(node, kind, text) -> None:
    fault = Fault(2, 5, node=node, element=1, term=9, kind=kind, expected=1, got=2, dtype=F32)
    assert where(asdict(place(fault))).endswith(f"element [1], {text}")


def test_where_names_the_data_that_a_load_reads_and_an_only_term() -> None:
    fault = Fault(1, 0, node=1, element=1, term=0, kind=2, expected=1, got=2, dtype=F32)
    assert where(asdict(place(fault))).endswith("its only term, load 2 from data tensor targets")


def test_place_of_a_node_has_its_shape_and_type() -> None:
    found = place(Fault(2, 5, node=0))
    assert (found.shape, found.dtype) == ([8, 300], "f32")
    found = place(Fault(2, 5, binding=4))
    assert (found.tensor, found.shape, found.dtype) == ("frozen", [3], "u8")


@pytest.mark.parametrize(
    ("dtype", "expected", "got", "ulp", "text"),
    [
        (F32, 0x3F800000, 0x3F800001, 1,
         "A 0x3f800000 (1.0), B 0x3f800001 (1.0000001), 1 ulp apart"),
        (F32, 0, 0x80000000, 1, "A 0x00000000 (0.0), B 0x80000000 (-0.0), 1 ulp apart"),
        (F32, 1, 2, 1, "A 0x00000001 (1e-45), B 0x00000002 (3e-45), 1 ulp apart"),
        (F32, 0x7F800000, 0xFF800000, 2 * 0x7F800000 + 1,
         "A 0x7f800000 (inf), B 0xff800000 (-inf), 4278190081 ulp apart"),
        (F32, 0x7FC00000, 0x3F800000, None,
         "A 0x7fc00000 (nan), B 0x3f800000 (1.0), not comparable"),
        (F32, 0x7FC00000, 0xFFC00001, None,
         "A 0x7fc00000 (nan), B 0xffc00001 (nan), two different NaNs"),
        (I32, 0xFFFFFFFE, 1, None, "A 0xfffffffe (-2), B 0x00000001 (1), 3 apart"),
        (I32, 0x80000000, 0x7FFFFFFF, None,
         "A 0x80000000 (-2147483648), B 0x7fffffff (2147483647), 4294967295 apart"),
        (U8, 0xFF, 0, None, "A 0xff (255), B 0x00 (0), 255 apart"),
    ],
)  # fmt: skip
def test_whose_shows_every_kind_of_word(dtype, expected, got, ulp, text) -> None:
    found = place(Fault(1, 0, node=6, element=0, expected=expected, got=got, dtype=dtype))
    assert found.ulp == ulp
    assert found.words is not None
    assert whose("A", "B", found.words, found.apart) == text


def test_whose_without_a_distance_names_the_words_only() -> None:
    root = Word("0x12", "tensor root")
    told = whose("solver", "chain", (root, word_of(3, I32)))
    assert told == "solver 0x12 (tensor root), chain 0x00000003 (3)"

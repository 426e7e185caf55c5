"""The table of the long campaign in docs/INVARIANTS.md has every kind of move."""

from __future__ import annotations

import re

import pytest

from scripts import campaign

OUTPUT = """  suite
accepted post 12
accepted judge it 1500
refused WrongPhase 3
steps 5166
dearest judgement 132114 gas
"""


def test_output_of_a_campaign_gives_counts_steps_and_gas():
    result = campaign.parse(OUTPUT)
    assert (result.steps, result.gas) == (5166, 132114)
    assert result.counts == {
        "accepted": {"post": 12, "judge it": 1500},
        "refused": {"WrongPhase": 3},
    }


def test_output_without_a_result_is_refused():
    with pytest.raises(ValueError, match="no result"):
        campaign.parse("1 passing")


def test_table_has_a_cell_for_each_kind_and_full_rows():
    table = campaign.render(campaign.parse(OUTPUT), seed=1)
    assert "| post | 12 | judge it | 1,500 | | | | |" in table
    assert "Accepted: 1,512, of 2 kinds." in table


def test_table_replaces_what_is_between_the_marks():
    text = f"a\n{campaign.BEGIN}old\n{campaign.END}b\n"
    assert campaign.replace_table(text, "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match="lacks"):
        campaign.replace_table("a\nb\n", "new\n")


def test_document_counts_exactly_the_moves_that_the_campaign_demands():
    suite = (campaign.ROOT / campaign.SUITE).read_text(encoding="utf-8")
    demanded = set(re.findall(r'^ {12}"([^"]+)",?$', suite, re.MULTILINE))
    document = campaign.DOCUMENT.read_text(encoding="utf-8")
    table = document.partition(campaign.BEGIN)[2].partition(campaign.END)[0]
    counted = re.findall(r"\| ([A-Za-z][A-Za-z ]*?) \| ([\d,]+) ", table)
    assert {move for move, _ in counted} == demanded
    assert all(int(count.replace(",", "")) > 0 for _, count in counted)


def test_document_lists_every_mutant_that_the_campaign_is_tried_on():
    from tests.contracts.test_invariants_can_fail import MUTANTS

    document = campaign.DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in MUTANTS if f"| {name} |" not in document] == []

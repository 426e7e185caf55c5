"""The page of supported operators is what the rules say."""

from __future__ import annotations

from scripts.operator_table import PAGE, page


def test_page_of_operators_equals_the_table_of_rules() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python -m scripts.operator_table --write"
    )

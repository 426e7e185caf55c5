"""The table of faults in the documentation names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operate" / "faults.md"


def test_every_row_of_the_table_of_faults_names_tests_that_exist() -> None:
    sources = {path.stem: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    names = {name for text in sources.values() for name in re.findall(r"def (test_\w+)", text)}
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    faults = [row.rsplit("|", 2)[1] for row in rows if not row.startswith("| fault |")]
    assert len(faults) >= 30
    for cell in faults:
        named = re.findall(r"`(?:tests/\w+/)?(test_\w+?)(?:\.py)?`", cell)
        fragments = [part.strip("…") for part in re.findall(r"`([^`]*…[^`]*)`", cell)]
        assert named or fragments or "the same" in cell, cell
        for name in named:
            assert name in sources or any(name in test for test in names), name
        for fragment in fragments:
            pattern = re.compile(fragment.replace("…", r"\w*"))
            assert any(pattern.search(test) for test in names), fragment

from __future__ import annotations

import pytest

from scripts.real.example import EXAMPLES, ExampleError, load, names

WHOLE = """
STEPS = 7
def arguments(steps=STEPS): return {"steps": steps}
def make_task(steps=STEPS): return beside.VALUE
def evaluate(state): return {"accuracy": "good"}
"""


def test_names_are_the_folders_that_the_harness_can_run() -> None:
    assert "images" in names()
    assert "digits" not in names(), "which grades nothing"
    assert set(names()) <= {path.name for path in EXAMPLES.iterdir()}


def test_load_of_a_whole_example_finds_what_is_beside_it(tmp_path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "beside_of_mine.py").write_text("VALUE = 3\n")
    (folder / "make_task.py").write_text("import beside_of_mine as beside\n" + WHOLE)
    found = load("mine", tmp_path)
    assert (found.name, found.steps, found.make_task(1)) == ("mine", 7, 3)
    assert found.arguments(2) == {"steps": 2}
    assert found.stock_losses is None


def test_load_of_an_unknown_name_tells_the_known_ones(tmp_path) -> None:
    with pytest.raises(ExampleError, match=r"no example nothing.*there are .*images"):
        load("nothing")
    with pytest.raises(ExampleError, match="no example mine"):
        load("mine", tmp_path)


def test_load_of_half_an_example_names_what_lacks(tmp_path) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "make_task.py").write_text("STEPS = 1\ndef make_task(steps): ...\n")
    with pytest.raises(ExampleError, match=r"lacks arguments, evaluate"):
        load("half", tmp_path)

from __future__ import annotations

import pytest

from scripts.real import run
from scripts.real.lie import LAZY, ONE_ULP


def test_parser_takes_the_examples_and_has_defaults() -> None:
    chosen = run.parser().parse_args(["images"])
    assert (chosen.name, chosen.steps, chosen.lie) == ("images", None, ONE_ULP)
    assert run.parser().parse_args(["images", "--lie", LAZY, "--steps", "4"]).steps == 4


@pytest.mark.parametrize("words", [[], ["nothing"], ["images", "--steps", "0"]])
def test_parser_of_nonsense_ends_with_a_message(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run.parser().parse_args(words)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_parser_takes_no_folder_of_an_earlier_run(tmp_path, capsys) -> None:
    assert run.parser().parse_args(["images", "--keep", str(tmp_path)]).keep == tmp_path
    (tmp_path / "solver.log").write_text("trained step 1 of 2, loss 3.0\n")
    with pytest.raises(SystemExit):
        run.parser().parse_args(["images", "--keep", str(tmp_path)])
    assert "not empty" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.xdist_group("devnet")  # real time: not two of them at once
def test_run_of_images_pays_the_honest_and_convicts_the_cheat(tmp_path, capsys) -> None:
    picture = tmp_path / "curves.png"
    words = ["images", "--steps", "4", "--stock", "4", "--png", str(picture)]
    assert run.main([*words, "--keep", str(tmp_path / "town")]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert "claim finalised" in told
    assert "convicted" in told
    assert "1 ulp apart" in told
    assert "accuracy as delivered" in told
    assert "accuracy by stock PyTorch, trained as long" in told
    assert picture.read_bytes().startswith(b"\x89PNG")

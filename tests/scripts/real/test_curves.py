from __future__ import annotations

from scripts.real.curves import SMALLEST, differences, draw


def test_differences_are_relative_and_of_common_steps_only() -> None:
    honest = {1: 2.0, 2: 4.0, 3: 0.0}
    assert differences({1: 2.0, 2: 3.0, 3: 1.0, 4: 1.0}, honest) == {1: SMALLEST, 2: 0.25}


def test_draw_makes_a_small_picture(tmp_path) -> None:
    honest = {step: 1 / step for step in range(1, 600)}
    cheat = {step: loss * (1 + 1e-6 * (step > 300)) for step, loss in honest.items()}
    stock = {step: loss * 1.0001 for step, loss in honest.items() if step <= 60}
    path = tmp_path / "new" / "curves.png"
    draw(path, "a task", honest, cheat, stock, 300)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 100_000


def test_draw_without_stock_or_lie_is_possible(tmp_path) -> None:
    path = tmp_path / "curves.png"
    draw(path, "a task", {1: 1.0, 2: 0.5}, {}, {}, None)
    assert path.stat().st_size > 1_000

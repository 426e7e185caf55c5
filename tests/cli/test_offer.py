"""What a requester offers: the file of a task folder, overridden by flags."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocol.cli.errors import Code, UserError
from protocol.cli.offer import FILE, read_offer, read_partly
from scripts.devnet.town import EXAMPLE

TOKEN = 10**18


def test_offer_of_the_example_is_complete() -> None:
    offer = read_offer(EXAMPLE, {})
    assert (offer.max_reward, offer.verifier_fee, offer.verifiers) == (1_000 * TOKEN, 30 * TOKEN, 2)


def test_flag_counts_before_the_file() -> None:
    flags = {"max-reward": "12.5", "verifiers": 3, "run-seconds": None}
    offer = read_offer(EXAMPLE, flags)
    assert (offer.max_reward, offer.verifiers) == (12_500_000_000_000_000_000, 3)
    assert offer.run_seconds == read_offer(EXAMPLE, {}).run_seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "max-reward"),
        ('max-rewards = "1"', "max-rewards"),
        ("max-reward = [", "Invalid"),
        ('max-reward = "a lot"', "a lot"),
        ("verifiers = -1", "-1"),
        ("verifiers = true", "True"),
        ('verifiers = "2"', "'2'"),
        ("verifiers = 256", "256 is more than the contracts can hold: at most 255"),
        ("segments-per-verifier = 4294967296", "at most 4,294,967,295"),
        ("run-seconds = 18446744073709551616", "at most 18,446,744,073,709,551,615"),
        (f'max-reward = "{1 << 69}"', "at most 340,282,366,920,938,463,463.37"),
        (f'value-at-risk = "{1 << 69}"', "tokens"),
        (f'verifier-fee = "{1 << 69}"', "tokens"),
    ],
)
def test_offer_that_cannot_be_used_is_refused_with_what_it_says(
    text: str, why: str, tmp_path: Path
) -> None:
    whole = (EXAMPLE / FILE).read_text()
    name = text.partition(" ")[0]
    kept = [line for line in whole.splitlines() if not line.startswith(f"{name} ")]
    (tmp_path / FILE).write_text(text if not text else "\n".join([*kept, text]))
    with pytest.raises(UserError) as refused:
        read_offer(tmp_path, {})
    assert refused.value.code is Code.USAGE
    assert why in refused.value.why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"\\u001b[2J" = 1\n', r"'\x1b[2J'"),
        ("a = " + "[" * 20_000, ""),
        ("# " + "x" * (1 << 16), "65,536 bytes"),
        ("\udcff", "utf-8"),
    ],
    ids=["escapes", "depth", "size", "encoding"],
)
def test_offer_that_a_stranger_wrote_is_refused_in_printable_words(
    text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as refused:
        read_partly(tmp_path, {})
    assert refused.value.code is Code.USAGE
    assert why in refused.value.why
    assert "\x1b" not in refused.value.why


def test_offer_that_is_a_pipe_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    assert read_partly(tmp_path, {}) == {}


def test_offer_that_is_partly_known_has_usual_values_only_with_money(tmp_path: Path) -> None:
    assert read_partly(tmp_path, {"run-seconds": 5}) == {"run_seconds": 5}
    assert read_partly(tmp_path, {"max-reward": "2", "verifiers": 3}) == {
        "max_reward": 2 * TOKEN,
        "verifiers": 3,
        "segments_per_verifier": 1,
    }


def test_offer_without_a_file_is_read_from_flags_alone(tmp_path: Path) -> None:
    example = read_offer(EXAMPLE, {})
    flags: dict[str, str | int | None] = {
        name.replace("_", "-"): value for name, value in vars(example).items()
    }
    for amount in ("max-reward", "value-at-risk", "verifier-fee"):
        flags[amount] = str(int(flags[amount] or 0) // TOKEN)
    assert read_offer(tmp_path, flags) == example

"""JSON of strangers."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc

import pytest

from protocol.program.strict_json import MAX_DEPTH, read_json, require_shallow

VALUES = [
    None,
    {"a": [1, 2.5, "x"], "b": {}},
    "[[[[" * 100,
    ["}" * 100, '"[', "\\", '\\"['],
    [[]] * 500,
    {"[" * 70: "{" * 70},
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_read_as_by_the_library(value, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text) == read_json(text.encode()) == value


def test_depth_is_allowed_up_to_the_limit() -> None:
    for depth, opening, closing in ((MAX_DEPTH, "[", "]"), (MAX_DEPTH - 1, '{"a":[', "]}")):
        half = depth if opening == "[" else depth // 2
        read_json(opening * half + closing * half)
    with pytest.raises(ValueError, match="nested deeper than 64"):
        read_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("text", ["", "[", "{", "nul", '"\\', "[1,]", "[" * 60, '["' + "[" * 999])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words
        read_json(text)


def test_integer_without_end_is_refused_in_plain_words() -> None:
    assert read_json("[" + "9" * 4_000 + "]") == [10**4_000 - 1]
    with pytest.raises(ValueError, match=r"^an integer in it has more than 4300 digits$"):
        read_json('{"version":' + "9" * 1_000_000 + "}")


def test_brackets_behind_characters_that_look_like_quotes_in_utf16_are_refused() -> None:
    text = '["\u2200",' + "[" * 500 + "]" * 500 + ',"\u2200"]'
    for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-32"):
        with pytest.raises(ValueError, match="zero byte"):
            read_json(text.encode(encoding))


def test_quotes_without_end_take_little_memory() -> None:
    pieces = ['\\"', "a", "\\\\", '"', '"",', "[],"]
    for piece in pieces:
        text = ('"' + piece * 200_000).encode()
        tracemalloc.start()
        require_shallow(b'{"":[]},' * 70 + text)  # looked at to its end
        assert tracemalloc.get_traced_memory()[1] < 1.5 * len(text) + 100_000
        tracemalloc.stop()
        with pytest.raises(ValueError, match="nested deeper"):
            require_shallow(b"[" * 70 + text)


def test_brackets_of_strangers_do_not_end_a_process_with_a_raised_recursion_limit() -> None:
    code = (
        "import sys\n"
        "sys.setrecursionlimit(100_000)  # as py_ecc does\n"
        "from protocol.program.manifest import Manifest, ManifestError\n"
        "try:\n"
        "    Manifest.from_bytes(b'[' * 1_000_000)\n"
        "except ManifestError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nested deeper" in done.stdout

"""What a manifest may be called, and what its tensors may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.program.manifest import Manifest, ManifestError
from tests.training.regression import regression_task

WAYS_OUT = ("../up", "/etc/passwd", "..", ".", "a/..", "a/../../b", "a//b", "a/", "./a", "a/./b")
NAMES = ("model.h.0.weight", "a/b", "..a", "a..", "...", ".a/b..", "inputs.x:0")


def named(name: str) -> Manifest:
    return replace(regression_task().manifest, name=name)


def with_tensor(name: str) -> Manifest:
    manifest = regression_task().manifest
    return replace(manifest, state=(replace(manifest.state[0], name=name), *manifest.state[1:]))


@pytest.mark.parametrize("name", WAYS_OUT)
def test_name_that_leads_out_of_a_folder_is_refused(name: str) -> None:
    for manifest in (named(name), with_tensor(name)):
        with pytest.raises(ManifestError, match=r"no part of it between slashes") as caught:
            Manifest.from_bytes(manifest.to_bytes())
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["..\\up", "a\\", "C:\\..\\x"])
def test_name_of_a_task_that_leads_out_by_backslashes_is_refused(name: str) -> None:
    with pytest.raises(ManifestError, match=r"no part of it between slashes"):
        Manifest.from_bytes(named(name).to_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_name_that_stays_where_it_is_is_taken(name: str) -> None:
    for manifest in (named(name), with_tensor(name)):
        assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@pytest.mark.parametrize("name", ["", "a b", "a\\b", "ä", "a" * 201, "a\0"])
def test_name_of_a_tensor_with_other_characters_is_refused(name: str) -> None:
    with pytest.raises(ManifestError, match=r"does not match"):
        Manifest.from_bytes(with_tensor(name).to_bytes())


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a" * 513])
def test_name_of_a_task_that_cannot_be_printed_is_refused(name: str) -> None:
    with pytest.raises(ManifestError, match=r"printable text of at most 512"):
        Manifest.from_bytes(named(name).to_bytes())


def test_two_tensors_of_one_name_are_refused() -> None:
    manifest = regression_task().manifest
    with pytest.raises(ManifestError, match=r"two tensors of one name"):
        Manifest.from_bytes(with_tensor(manifest.state[1].name).to_bytes())

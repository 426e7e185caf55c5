"""Data from safetensors, NumPy files, mappings and what looks like ``datasets.Dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from protocol.capture.data.sources import load_columns
from protocol.capture.errors import CaptureError
from tests.capture.running import states
from tests.capture.test_task import X, Y, capture, mlp

ARRAYS = {"x": X, "y": Y.astype(np.int32)}


class Dataset:
    """What ``load_columns`` uses of ``datasets.Dataset``: columns that are lazy since version 4."""

    def __init__(self, columns: dict[str, Any], form: str | None = None) -> None:
        self.columns, self.form = columns, form

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def with_format(self, form: str) -> Dataset:
        return Dataset(self.columns, form)

    def __getitem__(self, name: str) -> Any:
        assert self.form == "numpy"
        return self.columns[name]


def files(folder: Path) -> list[Any]:
    save_file(ARRAYS, folder / "data.safetensors")
    np.savez(folder / "data.npz", **ARRAYS)
    return [folder / "data.safetensors", str(folder / "data.npz"), ARRAYS, Dataset(ARRAYS)]


def test_every_source_gives_the_arrays_in_the_asked_order(tmp_path: Path) -> None:
    for source in files(tmp_path):
        y, x = load_columns(source, "y", "x")
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)


def test_task_from_a_file_is_the_task_from_its_arrays(tmp_path: Path) -> None:
    losses = [
        [float(after["loss"]) for after in states(capture(mlp(), data=data))]
        for data in ((X, Y), *(load_columns(source, "x", "y") for source in files(tmp_path)))
    ]
    assert all(one == losses[0] for one in losses)


def test_npy_is_mapped_and_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    (x,) = load_columns(tmp_path / "x.npy")
    assert isinstance(x, np.memmap)
    np.testing.assert_array_equal(x, X)
    assert dict(capture(mlp(), data=(x, Y)).data)["inputs"].base is None  # a task holds its own


def test_data_set_with_splits_is_refused_with_an_example() -> None:
    class Splits(Dataset):
        column_names = {"train": ["x"], "test": ["x"]}  # noqa: RUF012 - as datasets.DatasetDict

    with pytest.raises(CaptureError, match=r"splits \['test', 'train'\].*dataset\['test'\]"):
        load_columns(Splits(ARRAYS), "x")


def test_pickled_objects_are_refused_and_not_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.write_text, (tmp_path / "ran", "x"))

    np.savez(tmp_path / "bomb.npz", x=np.array([Bomb()], dtype=object))
    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object))
    for name, columns in (("bomb.npz", ["x"]), ("bomb.npy", [])):
        with pytest.raises(CaptureError, match=r"no file of plain NumPy arrays"):
            load_columns(tmp_path / name, *columns)
    assert not (tmp_path / "ran").exists()


def test_archive_that_is_cut_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x=X)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    with pytest.raises(CaptureError, match=r"cut\.npz is no file of plain NumPy arrays"):
        load_columns(tmp_path / "cut.npz", "x")


def test_sources_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_torch({"x": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "half.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{}")
    (tmp_path / "torn.npy").write_bytes(b"no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "x.npy", X)
    cases: list[tuple[Any, list[str], str]] = [
        (ARRAYS, ["z"], r"no column 'z'; it has \['x', 'y'\].*docs/CAPTURE\.md, Data"),
        (ARRAYS, [], "none is asked for"),
        (Dataset(ARRAYS), ["labels"], "no column 'labels'"),
        (Dataset({"x": ["a", "b"]}), ["x"], "tokenise text first"),
        (Dataset({"x": [[1], [1, 2]]}), ["x"], "to one length"),
        ({"x": np.array([None])}, ["x"], "object, no plain numbers"),
        (7, ["x"], "a int is no source"),
        (tmp_path / "x.csv", ["x"], r"x\.csv ends in \.csv"),
        (tmp_path / "x", ["x"], "ends in nothing"),
        (tmp_path / "x.npy", ["x"], "one array without a name"),
        (tmp_path / "half.safetensors", ["x"], "half types as float32"),
        (tmp_path / "torn.safetensors", ["x"], "cannot be read as safetensors"),
        (tmp_path / "torn.npy", [], "no file of plain NumPy arrays"),
        (tmp_path / "empty.npy", [], "no file of plain NumPy arrays"),
    ]
    for source, names, message in cases:
        with pytest.raises(CaptureError, match=message):
            load_columns(source, *names)
    with pytest.raises(OSError, match=r"none\.npy"):
        load_columns(tmp_path / "none.npy")

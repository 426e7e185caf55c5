"""`pinpoint task build`: the requester's own file becomes a task folder, whole or not at all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.training.task import Task
from scripts.devnet.town import EXAMPLE
from tests.docs.operate import FOLDER, fenced
from tests.training.regression import regression_task

ROOT = Path(__file__).parents[2]
MODEL = """
import numpy as np
import torch
from torch import nn


def make_task():
    model = nn.Linear(3, 1)
    return dict(
        model=model,
        loss=nn.MSELoss(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data=(np.ones((8, 3), np.float32), np.zeros((8, 1), np.float32)),
        steps=6,
        interval=2,
        batch_size=4,
        name="line",
    )
"""
SCORES = """
import numpy as np
import torch


def make_task():
    model = torch.nn.Linear(3, 2).eval()
    return dict(model=model, data=np.ones((5, 3), np.float32), batch_size=2, name="scores")
"""
WRITER = """
import torch
from torch import nn


class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4), nn.Linear(4, 5)

    def forward(self, tokens, cache):
        x = self.words(tokens)[:, None]
        keys, values = cache.update(x, x, 0)
        seen = nn.functional.scaled_dot_product_attention(x, keys, values, attn_mask=cache.mask)
        return self.head(seen[:, 0])


def make_task():
    return dict(model=Writer().eval(), prompts=[[1, 2], [3]], new_tokens=3, batch_size=2, name="w")
"""
FILES = ["data.safetensors", "manifest.json", "program.bin", "state.safetensors"]


@pytest.fixture
def build(pinpoint, tmp_path):
    """`build("text of a file", "--out", …)`."""

    def call(text: str, *arguments: str, function: str = "make_task"):
        (tmp_path / "my_model.py").write_text(text)
        out = () if "--out" in arguments else ("--out", "made")
        return pinpoint("task", "build", "--entry", f"my_model.py:{function}", *out, *arguments)

    return call


def test_build_of_a_dict_writes_a_task_and_says_whose_code_runs(build) -> None:
    done = build(MODEL, "--json")
    assert done.code == 0, done.stderr
    task = Task.load(Path("made"))
    assert done.json["manifest_root"] == f"0x{task.manifest.root.hex()}"
    assert (task.manifest.name, task.manifest.steps, done.json["segments"]) == ("line", 6, 3)
    assert "your own code, here only" in done.stderr
    assert sorted(path.name for path in Path("made").iterdir()) == FILES
    assert not [path for path in Path().iterdir() if "building" in path.name]


@pytest.mark.parametrize(
    "text",
    [
        SCORES,
        SCORES.replace("dict(", "dict(output=lambda said, _: {'best': said.argmax(1)}, "),
        SCORES.replace(
            "return dict(", "from protocol.capture import inference_from as f; return f("
        ),
    ],
    ids=["dict", "dict with output", "captured"],
)
def test_build_of_a_task_without_a_loss_is_compared_checked_and_run(text, build, pinpoint) -> None:
    done = build(text, "--json")
    assert (done.json["name"], done.json["steps"]) == ("scores", 3)
    assert build(text, "--compare").code == 0
    assert build(text.replace("ones", "zeros"), "--compare").code == 6
    assert pinpoint("task", "check", "made").code == 0
    run = pinpoint("task", "run", "made", "--json").json
    assert (run["steps_done"], run["losses"]) == (3, [])
    assert run["outputs"] == (["outputs.best"] if "best" in text else ["outputs.output"])


def test_build_of_a_decoding_is_compared_checked_and_run(build, pinpoint) -> None:
    done = build(WRITER, "--json")
    assert done.code == 0, done.stderr
    assert (done.json["name"], done.json["steps"]) == ("w", 4)
    assert build(WRITER, "--compare").code == 0
    assert pinpoint("task", "check", "made").code == 0
    run = pinpoint("task", "run", "made", "--json").json
    assert (run["steps_done"], run["losses"]) == (4, [])
    assert run["outputs"] == ["outputs.tokens", "outputs.lengths"]


def test_build_twice_gives_the_same_bytes_though_the_file_draws_weights(build) -> None:
    for folder in ("made", "again"):
        assert build(MODEL, "--out", folder).code == 0
    for name in FILES:
        assert (Path("made") / name).read_bytes() == (Path("again") / name).read_bytes()


def test_build_of_the_example_is_what_is_committed(pinpoint) -> None:
    entry = f"{EXAMPLE / 'make_task.py'}:make_task"
    build = ("task", "build", "--entry", entry, "--out")
    assert pinpoint(*build, str(EXAMPLE), "--compare").code == 0
    assert pinpoint(*build, "made").code == 0
    assert (Path("made") / "manifest.json").read_bytes() == (EXAMPLE / "manifest.json").read_bytes()


def test_file_of_the_requesters_page_is_built(build) -> None:
    (text,) = fenced(FOLDER / "requester.md", "python")
    assert build(text, "--json").json["name"] == "my-model"


def test_built_task_is_checked_and_trained(build, pinpoint) -> None:
    assert build(MODEL).code == 0
    assert pinpoint("task", "check", "made").code == 0
    losses = pinpoint("task", "run", "made", "--json").json["losses"]
    assert len(losses) == 6
    assert losses[-1] < losses[0]


def test_build_prints_results_only_on_stdout(build) -> None:
    noise = "import os\nprint('loaded')\nos.system('echo from a shell')\n"
    done = build(noise + MODEL.replace("return", "print('called'); return"), "--json")
    assert done.code == 0
    assert done.json["name"] == "line"
    assert "loaded" in done.stderr
    assert "called" in done.stderr


def test_build_finds_modules_beside_the_file_and_leaves_the_path_alone(build) -> None:
    Path("beside_it.py").write_text("STEPS = 4\n")
    before = list(sys.path)
    done = build("import beside_it\n" + MODEL.replace("steps=6", "steps=beside_it.STEPS"), "--json")
    assert done.json["steps"] == 4
    assert sys.path == before


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("def make_task():\n    return 7\n", "does not return a task", "int 7"),
        ("def make_task():\n    return None\n", "does not return a task", "NoneType"),
        ("def make_task():\n    return 1 / 0\n", "failed", "ZeroDivisionError: division by zero"),
        ("x = undefined\n", "failed", "my_model.py line 1: x = undefined"),
        ("def make_task(:\n", "failed", "my_model.py line 1"),
        ("import sys\ndef make_task():\n    sys.exit(3)\n", "ended the process", "sys.exit(3)"),
        ("raise SystemExit\n", "ended the process", "line 1"),
        ("def make_tusk(): ...\n", "has no function make_task", "make_tusk"),
        ("make_task = 3\n", "has no function make_task", "none"),
        ("def make_task(model): ...\n", "failed", "required positional argument"),
        ("import no_such_module\n", "failed", "No module named 'no_such_module'"),
    ],
)
def test_file_that_gives_no_task_is_refused_in_four_parts(text, what, why, build) -> None:
    done = build(text, "--json")
    assert done.code == 2
    assert what in done.error["what"]
    assert why in done.error["why"]
    assert done.error["todo"]
    assert done.error["read"].startswith("docs/operate/requester.md")
    assert done.stdout == ""
    assert not Path("made").exists()


def test_dict_with_wrong_names_is_refused_with_the_right_ones(build) -> None:
    done = build(MODEL.replace("steps=", "stepps=").replace("loss=", "losses="), "--json")
    assert done.code == 2
    for text in ("missing are loss, steps", "unknown are losses, stepps", "known are model, loss"):
        assert text in done.error["why"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("batch_size=2", "batchsize=2"), "missing are batch_size; unknown are batchsize; known"),
        (
            ("name=", "outputs=None, name="),
            "unknown are outputs; known are model, data, batch_size",
        ),
        (("name=", "steps=3, name="), "missing are loss, optimizer; known are model, loss"),
        (("data=", "new_tokens=3, prompt="), "missing are prompts; unknown are prompt; known"),
    ],
)
def test_dict_is_held_against_the_arguments_that_it_has_most_of(change, says, build) -> None:
    done = build(SCORES.replace(*change), "--json")
    assert done.code == 2
    assert says in done.error["why"]
    named = {"steps=3": "task_from", "new_tokens": "decode_from"}
    expected = next((f for word, f in named.items() if word in change[1]), "inference_from")
    assert done.error["what"].endswith(f"is not the arguments of {expected}")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("nowhere.py:make_task", "there is no file nowhere.py"),
        ("my_model.py:", "names no function"),
        (":make_task", "names no function"),
        ("my_model.py:1+1", "names no function"),
        ("notes.txt:make_task", "no file of Python"),
    ],
)
def test_entry_that_names_nothing_is_refused(entry, says, pinpoint) -> None:
    Path("my_model.py").write_text(MODEL)
    Path("notes.txt").write_text("")
    done = pinpoint("task", "build", "--entry", entry, "--out", "made", "--json")
    assert done.code == 2
    assert says in done.error["what"]


def test_operator_without_a_lowering_is_told_with_module_line_and_advice(build) -> None:
    text = MODEL.replace("nn.Linear(3, 1)", "nn.Sequential(Sorting())").replace(
        "def make_task",
        "class Sorting(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.own = nn.Parameter(torch.ones(3, 3))\n"
        "    def forward(self, x):\n"
        "        return torch.linalg.inv(self.own).sum() * x[:, :1]\n\n\ndef make_task",
    )
    done = build(text, "--json")
    assert done.code == 2
    assert "linalg_inv" in done.error["what"]
    assert "my_model.py" in done.error["why"]
    assert "it comes from 0" in done.error["why"]
    assert done.error["todo"]
    assert done.error["read"] == "docs/CAPTURE.md#what-is-supported"


def test_model_whose_shapes_do_not_fit_is_told_with_its_line_and_without_noise(build) -> None:
    text = MODEL.replace("nn.Linear(3, 1)", "nn.Sequential(nn.Linear(3, 4), Second())").replace(
        "def make_task",
        "class Second(nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(5, 1)\n"
        "    def forward(self, x):\n        return super().forward(x)\n\n\ndef make_task",
    )
    done = build(text, "--json")
    assert done.code == 2
    assert "my_model.py line 11: return super().forward(x)" in done.error["why"]
    assert len(done.stderr.splitlines()) == 2, "who runs, and the error"


@pytest.mark.parametrize(
    ("option", "says"),
    [("steps=0", "steps is 0"), ("steps='6'", "steps is '6'"), ("batch_size=0", "batch_size is 0")],
)
def test_run_of_nothing_is_refused_by_name(option, says, build) -> None:
    name = option.partition("=")[0]
    text = re.sub(rf"{name}=\d", option, MODEL)
    done = build(text, "--json")
    assert done.code == 2
    assert says in done.error["why"]


def test_dtype_that_programs_lack_is_told_with_the_tensor(build) -> None:
    done = build(MODEL.replace("nn.Linear(3, 1)", "nn.Linear(3, 1).double()"), "--json")
    assert done.code == 2
    assert done.error["what"] == "parameter weight is float64"
    assert "float32" in done.error["why"]
    assert "model.float()" in done.error["todo"]
    assert done.error["kind"] == "UnsupportedDtype"


def test_dtype_inside_of_a_step_is_told_with_module_line_and_advice(build) -> None:
    text = MODEL.replace("nn.Linear(3, 1)", "nn.Sequential(Mixed(3, 1))").replace(
        "def make_task",
        "class Mixed(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        with torch.autocast('cpu', torch.bfloat16):\n"
        "            return super().forward(x)\n\n\ndef make_task",
    )
    done = build(text, "--json")
    assert done.code == 2
    assert done.error["what"] == "the output of aten._to_copy.default is bfloat16"
    assert "it comes from 0, my_model.py:" in done.error["why"]
    assert "super().forward(x)" in done.error["why"]
    assert "autocast" in done.error["todo"]


# ---------------------------------------------------------------------- where it is put


def test_folder_with_another_task_is_kept_unless_it_may_be_replaced(build, tmp_path) -> None:
    other = regression_task()
    other.save(tmp_path / "made")
    (tmp_path / "made" / "offer.toml").write_text("verifiers = 2\n")
    done = build(MODEL, "--json")
    assert done.code == 2
    assert f"0x{other.manifest.root.hex()}" in done.error["why"]
    assert Task.load(tmp_path / "made").manifest == other.manifest
    assert build(MODEL, "--replace").code == 0
    assert Task.load(tmp_path / "made").manifest.name == "line"
    assert (tmp_path / "made" / "offer.toml").read_text() == "verifiers = 2\n"
    assert build(MODEL).code == 0, "the same task again is no other task"


def test_compare_tells_a_task_that_is_another_by_its_exit_code(build, tmp_path) -> None:
    assert build(MODEL, "--compare").code == 6
    assert not (tmp_path / "made").exists()
    assert build(MODEL).code == 0
    assert build(MODEL, "--compare").code == 0
    done = build(MODEL.replace("lr=0.1", "lr=0.2"), "--compare", "--json")
    assert done.code == 6
    assert "the file makes 0x" in done.error["why"]


def test_out_that_is_a_file_is_refused_before_the_code_runs(build, tmp_path) -> None:
    (tmp_path / "made").write_text("")
    done = build("raise RuntimeError\n", "--json")
    assert done.code == 2
    assert "is no folder" in done.error["what"]


KILLED = """
import os, signal, sys
import protocol.training.task as tasks
def cut(path, *_others):
    path.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
tasks.write_tensors = cut
from protocol.cli.main import app
app(sys.argv[1:])
"""


def test_killed_build_leaves_no_folder_and_does_not_hinder_the_next(build, tmp_path) -> None:
    (tmp_path / "my_model.py").write_text(MODEL)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "task", "build", "--entry", "my_model.py", "--out", "made"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "made").exists()
    assert build(MODEL).code == 0
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == FILES
    assert not (tmp_path / ".made.building").exists()

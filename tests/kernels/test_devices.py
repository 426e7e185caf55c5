"""An executor on a device, as the command line's flags name it."""

from __future__ import annotations

import pytest

from protocol.kernels import instruction_sets
from protocol.kernels.devices import executor_on


@pytest.mark.parametrize("isa", instruction_sets())
def test_executor_on_the_cpu_has_the_threads_and_instructions_asked_for(isa) -> None:
    executor = executor_on("cpu", 3, isa)
    assert (executor.threads, executor.isa) == (3, isa)


@pytest.mark.parametrize(
    ("arguments", "says"), [(("gpu",), "cpu, cuda"), (("cpu", 1, "abacus"), "abacus")]
)
def test_executor_on_what_is_not_there_is_refused_by_name(arguments, says) -> None:
    with pytest.raises(ValueError, match=says):
        executor_on(*arguments)

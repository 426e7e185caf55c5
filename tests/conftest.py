"""Fixtures that several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from protocol.chain.artifact import Artifact
    from protocol.chain.embedded import EmbeddedChain

# The same examples on every run; `HYPOTHESIS_PROFILE=explore` looks for new ones.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("explore", parent=settings.get_profile("ci"), derandomize=False)
settings.register_profile(
    "deep", parent=settings.get_profile("ci"), derandomize=False, max_examples=5000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


NEEDS_GPU = "needs a GPU"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none."""
    needing = [item for item in items if item.get_closest_marker("needs_gpu")]
    if needing:
        import torch

        if not torch.cuda.is_available():
            for item in needing:
                item.add_marker(pytest.mark.skip(reason=NEEDS_GPU))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out: they have not passed."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NEEDS_GPU in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests were not run: each {NEEDS_GPU}", yellow=True)


@pytest.fixture(scope="session")
def compiled() -> Mapping[str, Artifact]:
    """All contracts of the sources, with the harness, by name; compiled when asked for."""
    from protocol.chain.compiler import CompiledArtifacts

    return CompiledArtifacts()


@pytest.fixture(scope="session")
def _session_chain(compiled: Mapping[str, Artifact]) -> EmbeddedChain:
    from protocol.chain.embedded import EmbeddedChain

    return EmbeddedChain(compiled)


@pytest.fixture
def chain(_session_chain: EmbeddedChain) -> Iterator[EmbeddedChain]:
    """An embedded chain that knows every contract; each test starts from the same block."""
    start = _session_chain.snapshot()
    yield _session_chain
    _session_chain.revert(start)

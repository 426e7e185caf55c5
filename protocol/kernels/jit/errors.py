"""What the machine code compiler says when it leaves a region to the C++ engine."""

from __future__ import annotations


class Unsupported(ValueError):
    """No machine code for this region; the message says why. The C++ engine computes it."""

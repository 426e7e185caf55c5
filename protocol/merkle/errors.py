"""Why a proof is refused."""

from enum import StrEnum


class Refusal(StrEnum):
    """The rule that a refused proof breaks. The values are the names of the errors on chain."""

    INDEX_OUT_OF_RANGE = "IndexOutOfRange"
    WRONG_LENGTH = "WrongProofLength"
    ROOT_MISMATCH = "RootMismatch"
    SIZE_ZERO = "EmptyTree"
    SIZES_REVERSED = "SizesReversed"
    OLD_ROOT_MISMATCH = "OldRootMismatch"
    NEW_ROOT_MISMATCH = "NewRootMismatch"
    WRONG_CHILD_COUNT = "WrongChildCount"
    CHILD_OUT_OF_RANGE = "ChildOutOfRange"
    SINGLE_LEAF = "SingleLeaf"
    # These two cannot be expressed on chain, where sizes are uint64 and nodes are bytes32.
    SIZE_TOO_LARGE = "SizeTooLarge"
    WRONG_NODE_LENGTH = "WrongNodeLength"


class ProofError(ValueError):
    """A proof, or a bisection of a tree, that is refused.

    Attributes:
        reason: the rule that it breaks.
        expected: what the rule asks for.
        got: what was found.
    """

    def __init__(self, reason: Refusal, expected: object, got: object, advice: str) -> None:
        self.reason = reason
        self.expected = expected
        self.got = got
        super().__init__(f"{reason.value}: expected {_show(expected)}, got {_show(got)}; {advice}")


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)

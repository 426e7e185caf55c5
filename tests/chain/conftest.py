"""Real nodes for the tests of the transaction layer."""

from tests.faults.desks import desk, node, started_node

__all__ = ["desk", "node", "started_node"]

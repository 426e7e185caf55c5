"""Real nodes for the tests of faults."""

from tests.faults.desks import desk, node, started_node

__all__ = ["desk", "node", "started_node"]

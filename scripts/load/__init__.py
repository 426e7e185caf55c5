"""A market with many tasks on a development node, for measuring and testing what watching costs."""

"""Programs: scalar instruction set, fold nodes, canonical bytes, validation, cost."""

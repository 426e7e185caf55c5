"""Tasks that train nothing: outputs of many examples, and texts."""

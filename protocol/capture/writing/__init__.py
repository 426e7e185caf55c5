"""Writes nodes: views, expressions that wait, the growing program, and what is left out of it."""

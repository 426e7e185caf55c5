"""Small training tasks that run on one machine in seconds."""

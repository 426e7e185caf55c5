"""Ours and stock PyTorch side by side; `python -m scripts.bench --help`."""

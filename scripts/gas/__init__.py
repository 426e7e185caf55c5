"""What things cost on chain, each figure from a real run; `scripts/gas_table.py` is the way in."""

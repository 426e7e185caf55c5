"""Whole markets of real processes on a devnet: `scripts/devnet_e2e`, `scripts/devnet_soak`."""

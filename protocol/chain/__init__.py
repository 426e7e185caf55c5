"""Chains: compiled contracts, the embedded chain, and the clients that talk to nodes."""

"""Models on real data, through the market: `scripts/real_data`."""

"""Every balance explained to the wei: `ledger`, `rules`, `statement`, `accounts`."""

"""The command line: `pinpoint`."""

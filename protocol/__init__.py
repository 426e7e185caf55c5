"""Pinpoint: training that strangers can prove, down to one floating-point operation."""

__version__ = "0.1.0"

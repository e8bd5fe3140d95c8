"""Waterfall: an OpenAI-compatible gateway that answers from the cheapest good enough model."""

__version__ = "0.1.0"

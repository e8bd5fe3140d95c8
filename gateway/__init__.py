"""Waterfall: an OpenAI-compatible gateway, answering from the cheapest model that is good enough."""

__version__ = "0.1.0"

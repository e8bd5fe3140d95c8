"""Prices: a small dated book of list prices, and the user's own file over it."""

from __future__ import annotations

from gateway.prices.book import BUILTIN, open_book, read_book

__all__ = ["BUILTIN", "open_book", "read_book"]

"""Prices: a small dated book of list prices, and the user's own files over it.

book           a file of prices over time; what is in force on a day
survey         all books of a configuration at a glance
from_litellm   what litellm's price file has
imported       a price file made of that, and what would change in it
"""

from __future__ import annotations

from gateway.prices.book import BUILTIN, open_book, read_book

__all__ = ["BUILTIN", "open_book", "read_book"]

"""Readers of finished ledger entries: metrics and the request log."""

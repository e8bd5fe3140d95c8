"""What a provider says it billed, held against what the ledger has."""

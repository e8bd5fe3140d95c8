"""What a period cost, saved and lost, by the ledger; told to a person, a page or a program."""

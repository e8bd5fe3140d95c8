"""Where the record goes: marks of open calls, a crash-safe spool, and SQLite behind it."""

"""Database backends, transactions, and queries that are compiled once."""

"""The databases: their backends, transactions, and queries that are compiled once."""

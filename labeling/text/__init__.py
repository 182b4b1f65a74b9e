"""Texts: conversations, Markdown, repair, personal data and similarity. Knows no table."""

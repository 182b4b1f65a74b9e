"""The quality of judgments: gold tasks, adjudication, and how far people agree."""

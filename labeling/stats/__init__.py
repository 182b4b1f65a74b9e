"""Statistics of judgments, as pure functions: agreement, accuracy on gold tasks, intervals."""

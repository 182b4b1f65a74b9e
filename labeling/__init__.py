"""What people judge, and what joins judgments to models."""

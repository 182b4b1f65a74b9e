"""The pages of jobs and of model versions."""

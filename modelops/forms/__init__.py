"""Forms: starting a job, registering a model version."""

"""What models, datasets and jobs are."""

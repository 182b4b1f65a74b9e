"""A model's devices, weights, tokens and forward passes, for engines and trainers alike."""

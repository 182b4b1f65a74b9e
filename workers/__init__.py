"""What machines do; the only package that imports torch."""

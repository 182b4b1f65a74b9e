"""`make up`: the checks before the start, and the supervised broker, web server and workers."""

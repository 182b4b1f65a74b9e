"""What `make up` starts: checks, the database, the broker, web and workers, watched."""

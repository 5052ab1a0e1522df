"""Where readings come to rest: the embedded store."""

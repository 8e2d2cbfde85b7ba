"""Programs in CPython, each in a jailed process of its own that is forked from a warm interpreter."""

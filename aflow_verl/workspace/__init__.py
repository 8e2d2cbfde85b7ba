"""AFlow's workspace on disk: read into a tree, and written so that AFlow itself can go on from it."""

"""From a resolved recipe to a running Ray job."""

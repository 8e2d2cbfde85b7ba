"""A rollout server on plain transformers, registered with verl."""

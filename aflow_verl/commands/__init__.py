"""Subcommands of ``aflow-verl`` that need no training: search, evaluate, workspace."""

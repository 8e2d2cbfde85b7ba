"""Run directory in, tables and progress out."""

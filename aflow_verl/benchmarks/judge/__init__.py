"""Runs hidden tests against an answer's program, in two processes that exchange nothing but plain values."""

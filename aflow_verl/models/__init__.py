"""Clients for the models that execute workflows."""

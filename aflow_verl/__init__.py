"""Reinforcement learning for the search of agentic workflows: AFlow as a verl environment."""

"""AFlow as a verl environment: episodes, rewards, the agent loop."""

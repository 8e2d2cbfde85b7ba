"""The RL side: verl's PPO trainer with GiGPO, on GPUs and on CPUs. Knows nothing of AFlow."""

"""What a recipe must satisfy before anything is started: one function a check."""

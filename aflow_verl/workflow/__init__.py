"""What a workflow is: its state, its text, and the edits that change it."""

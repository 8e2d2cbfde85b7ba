"""The LLM operators that a workflow may call."""

"""The search over workflows: tree, selectors, Q, experience, store."""

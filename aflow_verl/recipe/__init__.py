"""From a recipe file and overrides to a composed, typed recipe."""

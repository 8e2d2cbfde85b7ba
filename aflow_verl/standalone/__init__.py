"""Search without training: select, expand, evaluate, back up, with any model as the editor."""

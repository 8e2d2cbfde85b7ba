"""A workflow and some problems in, graded results out."""

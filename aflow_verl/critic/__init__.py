"""The critic as a plain model: values of workflows and edits, without verl and without Ray."""

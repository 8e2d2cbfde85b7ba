"""verl training engines with restricted-decoding log-probabilities, and their CPU versions."""

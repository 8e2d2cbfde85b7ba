"""The study: worlds whose truth is known, and what the search and the learning do in them."""

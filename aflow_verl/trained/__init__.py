"""What a training has left, used outside of it: its policy as an editor, its critic as a judge, both as files."""

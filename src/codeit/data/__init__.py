"""Tasks and expert programs."""

"""What was found: candidates, hindsight relabelling, scores."""

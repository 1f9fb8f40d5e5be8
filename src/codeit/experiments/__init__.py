"""What runs once and leaves a directory: baselines, evolution, policy evaluation, submissions."""

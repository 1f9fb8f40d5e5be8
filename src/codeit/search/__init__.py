"""Searches over programs: mutation and evolution. Knows no disk."""

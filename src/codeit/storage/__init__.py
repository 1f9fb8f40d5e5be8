"""Everything on disk: databases, directories, the replay buffer. Knows no search."""

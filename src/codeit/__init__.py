"""CodeIt: software that teaches itself to write programs (Butt et al. 2024, arXiv 2402.04858)."""

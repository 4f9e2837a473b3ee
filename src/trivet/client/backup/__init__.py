"""Trees that leave and enter a volume: walked, written to tar and store, read back, put into place."""

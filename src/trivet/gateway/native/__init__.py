"""The native face /api/v1: for people, pages and agents."""

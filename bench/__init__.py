"""Measurements run by hand: one module per subject, each prints its figures and ratios."""

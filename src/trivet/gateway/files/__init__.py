"""The drive on top of a volume: what both faces of the HTTP door share."""

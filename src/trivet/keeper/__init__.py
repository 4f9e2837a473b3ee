"""The one process that orders changes to a volume."""

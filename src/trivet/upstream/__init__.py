"""The drive's way out: one process that stands between the volume and a vendor's drive."""

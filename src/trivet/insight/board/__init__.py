"""What the live board says of a drive in words."""

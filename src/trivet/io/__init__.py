"""Thin shells round clocks, disks, links and child processes."""

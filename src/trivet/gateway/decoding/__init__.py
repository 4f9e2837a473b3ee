"""Decodes files to the end, in child processes with limits, to find out whether they are whole."""

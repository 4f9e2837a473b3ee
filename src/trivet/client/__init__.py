"""Clients of the volume in other processes than the keeper."""

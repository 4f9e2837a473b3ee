"""The analysis cores: access logs, floods, runs and exchanges, without I/O."""

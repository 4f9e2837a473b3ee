"""`trivet runs`: files and stores of events in, charts, statistics and comparisons out."""

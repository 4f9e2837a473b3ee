"""The doors that turn logs, tables and captures into reports."""

"""Requests for transfers on their way to who does the work: a queue, and those parked until later."""

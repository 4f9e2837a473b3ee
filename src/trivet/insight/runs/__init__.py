"""Where the time of test runs goes: events become phases, phases become statistics, bars and comparisons."""

"""Lets `python -m trivet` do what the command `trivet` does."""

from trivet.cli.main import main

main()

"""What stands between many people and one vendor: budgets, quotas, tries, and who is right about a file."""

"""Reading access logs, at once or live, and what is shown of them."""

"""Prints docs/guide/commands.md from the program's own help; `make docs` keeps it, a test holds it true."""

from trivet.cli.main import app

page = app.generate_docs(output_format="markdown", usage_name="trivet")
print("<!-- Written by `make docs` from the program's own help: change the help, not this page. -->")
print("\n".join(line.rstrip() for line in page.splitlines()))

"""What tests do with the page by hand: put files in, find their rows."""

from playwright.sync_api import Locator, Page, expect


def upload(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose `files` for upload; return when they are listed."""
    sent = [{"name": name, "mimeType": "", "buffer": content} for name, content in files]
    page.set_input_files("input[type=file][multiple]", sent)  # type: ignore[arg-type]
    for name, _ in files:
        expect(row(page, name)).to_be_visible()


def row(page: Page, name: str) -> Locator:
    """Return the row of a file."""
    return page.locator("tbody tr", has_text=name)

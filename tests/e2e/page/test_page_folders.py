"""Folders brought to the page in a real Chromium: dragged onto the list, or chosen."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

EXPECTED = {"/tree/a.txt": 3, "/tree/deep/deeper/big.bin": 700_000, "/tree/deep/ü b.txt": 5, "/beside.txt": 6}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with folders and files, an empty folder, and a file beside it."""
    top = tmp_path / "sent" / "tree"
    (top / "deep" / "deeper").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a.txt").write_bytes(b"abc")
    (top / "deep" / "ü b.txt").write_bytes(b"12345")
    (top / "deep" / "deeper" / "big.bin").write_bytes(bytes(700_000))
    (top.parent / "beside.txt").write_bytes(b"beside")
    return top


def drag_in(page: Page, *paths: Path) -> None:
    """Drag files and folders of this machine onto the middle of the list, as the window system would."""
    size = page.viewport_size
    assert size
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    link = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": size["width"] / 2, "y": size["height"] / 2, "data": data}
        link.send("Input.dispatchDragEvent", event)


def wait_for(page: Page, expected: dict[str, int]) -> None:
    """Wait until the drive holds these files, no other."""
    page.wait_for_function(
        """async (wanted) => {
            const found = (await (await fetch("/api/v1/search?page_size=100")).json()).files;
            const files = found.filter((f) => f.kind === "file").map((f) => [f.path, f.size]);
            return JSON.stringify(files.sort()) === JSON.stringify(wanted);
        }""",
        arg=sorted([path, size] for path, size in expected.items()),
    )


def test_a_folder_dragged_in_comes_whole(page: Page, tree: Path) -> None:
    drag_in(page, tree, tree.parent / "beside.txt")
    expect(page.locator("tbody tr", has_text="tree")).to_be_visible()
    expect(page.locator("tbody tr", has_text="beside.txt")).to_be_visible()
    wait_for(page, EXPECTED)
    page.locator("tbody tr", has_text="tree").dblclick()
    expect(page.locator("tbody tr", has_text="empty")).to_be_visible()
    drag_in(page, tree / "a.txt")
    wait_for(page, EXPECTED)


def test_a_folder_that_is_chosen_comes_whole(page: Page, tree: Path) -> None:
    page.set_input_files("input[type=file][webkitdirectory]", str(tree))
    wait_for(page, {path: size for path, size in EXPECTED.items() if path != "/beside.txt"})
    expect(page.locator("tbody tr", has_text="tree")).to_be_visible()

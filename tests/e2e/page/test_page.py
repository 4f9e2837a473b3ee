"""The web page as people use it: files, folders, versions, trash, health, log in and out."""

from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

import made_files
from door_in_memory import DoorInMemory
from page_driving import row, upload


def test_logging_in_and_out(context: BrowserContext, door: DoorInMemory) -> None:
    page = context.new_page()
    page.goto(door.url)
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill("wrong wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("the name or the password is wrong")
    page.get_by_label("Password").fill("long enough")
    page.keyboard.press("Enter")
    expect(page.locator("#user")).to_have_text("ann")
    page.reload()
    expect(page.locator("#user")).to_have_text("ann")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in to this drive")).to_be_visible()
    assert door.people.sessions.count() == 0


def test_a_used_link_says_so(context: BrowserContext, door: DoorInMemory) -> None:
    page = context.new_page()
    page.goto(f"{door.url}/login/never-made")
    expect(page.get_by_role("alert")).to_have_text("This login link was used or has run out.")


def test_upload_preview_download(page: Page, tmp_path: Path) -> None:
    image = made_files.whole("png")
    upload(page, ("picture.png", image), ("<b>notes</b>.txt", b"<i>words</i>"), ("big.bin", bytes(9 << 20)))
    page.get_by_text("picture.png").click()
    preview = page.get_by_alt_text("Preview of picture.png")
    expect(preview).to_have_js_property("complete", True)
    expect(preview).to_have_js_property("naturalWidth", 160)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "picture.png"
    assert Path(download.value.path()).read_bytes() == image
    page.get_by_text("<b>notes</b>.txt").click()
    expect(page.locator(".preview pre")).to_have_text("<i>words</i>")
    page.get_by_role("link", name="Transfers").click()
    expect(page.locator(".transfer", has_text="big.bin")).to_contain_text("9.0 MiB of 9.0 MiB · done")


def test_an_old_version_comes_back(page: Page) -> None:
    upload(page, ("a.txt", b"first"))
    upload(page, ("a.txt", b"the second one"))
    page.get_by_text("a.txt").click()
    expect(page.locator(".preview pre")).to_have_text("the second one")
    page.get_by_text("Versions").click()
    expect(page.locator(".versions li")).to_have_count(2)
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".preview pre")).to_have_text("first")


def test_folders_rename_move_trash(page: Page) -> None:
    upload(page, ("a.txt", b"one"))
    page.get_by_role("button", name="New folder").click()
    page.get_by_label("Name").fill("Docs")
    page.keyboard.press("Enter")
    expect(row(page, "Docs")).to_be_visible()
    row(page, "a.txt").focus()
    page.keyboard.press("F2")
    page.get_by_label("Name").fill("b.txt")
    page.keyboard.press("Enter")
    expect(row(page, "b.txt")).to_be_visible()
    page.get_by_text("b.txt").click()
    page.get_by_role("button", name="Move", exact=True).click()
    page.locator("dialog").get_by_role("button", name="Docs").click()
    page.get_by_role("button", name="Move here").click()
    expect(row(page, "b.txt")).to_have_count(0)
    page.get_by_role("link", name="Docs").click()
    expect(row(page, "b.txt")).to_be_visible()
    expect(page.locator(".crumbs")).to_have_text("FilesDocs")
    row(page, "b.txt").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("The trash is empty")).to_be_visible()
    page.get_by_role("link", name="Files").click()
    row(page, "Docs").focus()
    page.keyboard.press("Enter")
    expect(row(page, "b.txt")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(row(page, "Docs")).to_be_visible()


def test_health_tells_what_the_keeper_tells(page: Page) -> None:
    page.get_by_role("link", name="Health").click()
    main = page.locator("main")
    for text in (
        "Not everything is well",
        "bank 9000 lacks server 9001",
        "down",
        "/a/b.txt",
        "checksum differs",
    ):
        expect(main).to_contain_text(text)
    expect(main.get_by_text("Processes over time")).to_be_hidden()  # ann is no administrator


def test_what_somebody_else_does_shows(page: Page, context: BrowserContext, door: DoorInMemory) -> None:
    upload(page, ("mine.txt", b"x"))
    answer = context.request.post(f"{door.url}/drive/v3/files", data={"name": "from elsewhere"})
    assert answer.ok
    expect(row(page, "from elsewhere")).to_be_visible()


def test_stored_pages_can_not_run_scripts(context: BrowserContext, page: Page, door: DoorInMemory) -> None:
    upload(page, ("evil.html", b"<script>document.title = 'taken over'</script><p>text</p>"))
    address = page.get_by_role("link", name="evil.html").get_attribute("href")
    answer = context.request.get(f"{door.url}{address}")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_narrow_and_dark(browser: Browser, door: DoorInMemory) -> None:
    narrow = browser.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark")
    page = narrow.new_page()
    page.goto(f"{door.url}/login/{door.people.link_for('ann')}")
    upload(page, ("a name that is long enough to be wrapped on narrow screens " * 3 + ".txt", b"x"))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 26)"
    narrow.close()

"""The web page in a real, headless Chromium over the real door (its volume in memory)."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import made_files
from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import EVERYTHING
from trivet.wire.control_messages import BankStatus, Finding, RepairHistory, ServerStatus, Status

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed")
_SERVERS = [ServerStatus(9000, "up"), ServerStatus(9001, "down")]
STATUS = Status("v", False, [BankStatus(9000, _SERVERS)], notes=["bank 9000 is degraded"])
REPAIRS = RepairHistory([Finding("fixed", "/a/b.txt", "page", 9000, "checksum differs", time.time(), 7000)])
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorInMemory]:
    keeper = {"status": msgspec.to_builtins(STATUS), "repairs": msgspec.to_builtins(REPAIRS)}
    with door_in_memory(tmp_path / "state", status=keeper) as served:
        served.people.users.add("ann", "long enough", scopes=(EVERYTHING,))
        yield served


@pytest.fixture
def context(browser: Browser, door: DoorInMemory) -> Iterator[BrowserContext]:
    """A browser that remembers every address it asks; at the end none may be of another machine."""
    made, asked = browser.new_context(accept_downloads=True), list[str]()
    made.on("request", lambda request: asked.append(request.url))
    made.set_default_timeout(15_000)
    yield made
    made.close()
    assert asked
    assert [url for url in asked if not url.startswith((door.url, "blob:"))] == []


@pytest.fixture
def page(context: BrowserContext, door: DoorInMemory) -> Iterator[Page]:
    """The page as ann sees it after logging in; scripts that fail fail the test."""
    opened, failures = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.goto(f"{door.url}/login/{door.people.link_for('ann')}")
    expect(opened.get_by_text("Nothing here yet")).to_be_visible()
    yield opened
    assert failures == []


def _upload(page: Page, *files: tuple[str, bytes]) -> None:
    sent = [{"name": name, "mimeType": "", "buffer": content} for name, content in files]
    page.set_input_files("input[type=file][multiple]", sent)  # type: ignore[arg-type]
    for name, _ in files:
        expect(_row(page, name)).to_be_visible()


def _row(page: Page, name: str) -> object:
    return page.locator("tbody tr", has_text=name)


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
    _upload(page, ("picture.png", image), ("<b>notes</b>.txt", b"<i>words</i>"), ("big.bin", bytes(9 << 20)))
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


def test_dropping_files_uploads_them(page: Page) -> None:
    page.evaluate_handle(
        """() => {
            const carried = new DataTransfer();
            carried.items.add(new File(["dropped"], "dropped.txt", {type: "text/plain"}));
            const place = document.querySelector(".place");
            place.dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true}));
        }"""
    )
    expect(_row(page, "dropped.txt")).to_be_visible()  # type: ignore[arg-type]


def test_an_upload_goes_on_after_a_cut(page: Page, context: BrowserContext) -> None:
    cut = {"left": 2}

    def some_fail(route: object) -> None:
        request = route.request  # type: ignore[attr-defined]
        late = request.headers.get("content-range", "").startswith("bytes 4194304-")
        if late and cut["left"]:
            cut["left"] -= 1
            route.abort("connectionreset")  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    context.route("**/api/v1/transfers/*", some_fail)
    _upload(page, ("big.bin", bytes(range(256)) * (6 << 12)))
    page.get_by_text("big.bin").click()
    expect(page.locator(".panel dl")).to_contain_text("6,291,456 bytes")
    assert cut["left"] == 0


def test_a_parked_upload_goes_on_after_a_reload(page: Page, context: BrowserContext, tmp_path: Path) -> None:
    big, starts = tmp_path / "big.bin", list[str]()
    big.write_bytes(bytes(range(256)) * (6 << 12))

    def late_ones_fail(route: object) -> None:
        said = route.request.headers.get("content-range", "")  # type: ignore[attr-defined]
        late = said.startswith("bytes 4194304-")
        route.abort() if late else route.continue_()  # type: ignore[attr-defined]

    context.route("**/api/v1/transfers/*", late_ones_fail)
    page.set_input_files("input[type=file][multiple]", str(big))
    expect(page.locator(".strip")).to_contain_text("Uploading 1 of 1 · 66 %")
    page.get_by_role("link", name="Transfers").click()
    expect(page.locator(".transfer", has_text="big.bin")).to_contain_text("4.0 MiB of 6.0 MiB")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".transfer", has_text="parked")).to_be_visible()
    page.reload()
    expect(page.locator(".transfer", has_text="/big.bin")).to_contain_text("4.0 MiB of 6.0 MiB")
    context.unroute("**/api/v1/transfers/*")
    page.on("request", lambda sent: starts.append(sent.headers.get("content-range", "")))
    page.get_by_role("link", name="Files").click()
    page.set_input_files("input[type=file][multiple]", str(big))
    expect(_row(page, "big.bin")).to_be_visible()  # type: ignore[arg-type]
    sent = [one for one in starts if one and "*/" not in one]
    assert sent == ["bytes 4194304-6291455/6291456"], "what the server held was not sent again"


def test_a_damaged_file_is_marked(page: Page) -> None:
    _upload(page, ("cut.jpg", made_files.whole("jpg")[:-3000]))
    page.get_by_text("cut.jpg").click()
    expect(page.locator(".panel").get_by_role("alert")).to_contain_text("it does not decode")
    expect(_row(page, "cut.jpg")).to_contain_text("damaged")  # type: ignore[arg-type]


def test_what_may_not_leave_is_told_with_a_better_name(
    page: Page, context: BrowserContext, door: DoorInMemory
) -> None:
    _upload(page, ("picture.pdf", made_files.whole("png")))
    assert context.request.patch(f"{door.url}/api/v1/files/root", data={"validate": "refuse"}).ok
    page.get_by_text("picture.pdf").click()
    page.get_by_role("link", name="Download").click()
    expect(page.locator(".toast.bad")).to_contain_text("its content is PNG")
    page.get_by_role("button", name="Rename to picture.png").click()
    expect(_row(page, "picture.png")).to_be_visible()  # type: ignore[arg-type]
    page.get_by_text("picture.png").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == made_files.whole("png")


def test_a_cut_download_is_told_of(page: Page, context: BrowserContext, door: DoorInMemory) -> None:
    _upload(page, ("large.bin", bytes(12 << 20)))
    cookies = {one["name"]: one["value"] for one in context.cookies()}
    with httpx2.stream("GET", f"{door.url}/api/v1/content/large.bin", cookies=cookies) as answer:
        next(answer.iter_raw())
    page.get_by_role("button", name="See transfers").click()
    one = page.locator(".transfer", has_text="Download of /large.bin")
    expect(one).to_contain_text("parked: the connection was cut")
    with page.expect_download() as download:
        one.get_by_role("link", name="Download again").click()
    assert Path(download.value.path()).stat().st_size == 12 << 20
    expect(one).to_contain_text("done")


def test_an_old_version_comes_back(page: Page) -> None:
    _upload(page, ("a.txt", b"first"))
    _upload(page, ("a.txt", b"the second one"))
    page.get_by_text("a.txt").click()
    expect(page.locator(".preview pre")).to_have_text("the second one")
    page.get_by_text("Versions").click()
    expect(page.locator(".versions li")).to_have_count(2)
    page.get_by_role("button", name="Restore").click()
    expect(page.locator(".preview pre")).to_have_text("first")


def test_a_wrong_extension_is_offered_the_right_one(
    page: Page, context: BrowserContext, door: DoorInMemory
) -> None:
    answer = context.request.patch(f"{door.url}/api/v1/files/root", data={"validate": "refuse"})
    assert answer.ok, answer.text()
    picture = {"name": "picture.pdf", "mimeType": "", "buffer": made_files.whole("png")}
    page.set_input_files("input[type=file][multiple]", [picture])  # type: ignore[list-item]
    expect(page.locator(".toast.bad")).to_contain_text("picture.pdf was not uploaded")
    page.get_by_role("button", name="See transfers").click()
    expect(page.locator(".transfer").first).to_contain_text("its content is PNG")
    page.get_by_role("button", name="Upload as picture.png").click()
    expect(page.locator(".transfer", has_text="picture.png").first).to_contain_text("done")
    page.get_by_role("link", name="Files").click()
    expect(_row(page, "picture.png")).to_be_visible()  # type: ignore[arg-type]
    expect(_row(page, "picture.pdf")).to_have_count(0)  # type: ignore[arg-type]


def test_folders_rename_move_trash(page: Page) -> None:
    _upload(page, ("a.txt", b"one"))
    page.get_by_role("button", name="New folder").click()
    page.get_by_label("Name").fill("Docs")
    page.keyboard.press("Enter")
    expect(_row(page, "Docs")).to_be_visible()  # type: ignore[arg-type]
    _row(page, "a.txt").focus()  # type: ignore[attr-defined]
    page.keyboard.press("F2")
    page.get_by_label("Name").fill("b.txt")
    page.keyboard.press("Enter")
    expect(_row(page, "b.txt")).to_be_visible()  # type: ignore[arg-type]
    page.get_by_text("b.txt").click()
    page.get_by_role("button", name="Move", exact=True).click()
    page.locator("dialog").get_by_role("button", name="Docs").click()
    page.get_by_role("button", name="Move here").click()
    expect(_row(page, "b.txt")).to_have_count(0)  # type: ignore[arg-type]
    page.get_by_role("link", name="Docs").click()
    expect(_row(page, "b.txt")).to_be_visible()  # type: ignore[arg-type]
    expect(page.locator(".crumbs")).to_have_text("FilesDocs")
    _row(page, "b.txt").focus()  # type: ignore[attr-defined]
    page.keyboard.press("Delete")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("The trash is empty")).to_be_visible()
    page.get_by_role("link", name="Files").click()
    _row(page, "Docs").focus()  # type: ignore[attr-defined]
    page.keyboard.press("Enter")
    expect(_row(page, "b.txt")).to_be_visible()  # type: ignore[arg-type]
    page.keyboard.press("Backspace")
    expect(_row(page, "Docs")).to_be_visible()  # type: ignore[arg-type]


def test_health_tells_what_the_keeper_tells(page: Page) -> None:
    page.get_by_role("link", name="Health").click()
    main = page.locator("main")
    for text in ("Not everything is well", "bank 9000 is degraded", "down", "/a/b.txt", "checksum differs"):
        expect(main).to_contain_text(text)


def test_what_somebody_else_does_shows(page: Page, context: BrowserContext, door: DoorInMemory) -> None:
    _upload(page, ("mine.txt", b"x"))
    answer = context.request.post(f"{door.url}/drive/v3/files", data={"name": "from elsewhere"})
    assert answer.ok
    expect(_row(page, "from elsewhere")).to_be_visible()  # type: ignore[arg-type]


def test_stored_pages_can_not_run_scripts(context: BrowserContext, page: Page, door: DoorInMemory) -> None:
    _upload(page, ("evil.html", b"<script>document.title = 'taken over'</script><p>text</p>"))
    address = page.get_by_role("link", name="evil.html").get_attribute("href")
    answer = context.request.get(f"{door.url}{address}")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_narrow_and_dark(browser: Browser, door: DoorInMemory) -> None:
    narrow = browser.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark")
    page = narrow.new_page()
    page.goto(f"{door.url}/login/{door.people.link_for('ann')}")
    _upload(page, ("a name that is long enough to be wrapped on narrow screens " * 3 + ".txt", b"x"))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 26)"
    narrow.close()

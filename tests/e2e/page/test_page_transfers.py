"""The web page's transfers: progress, cuts, what is refused or damaged, and what people are told."""

from pathlib import Path

import httpx2
from playwright.sync_api import BrowserContext, Page, expect

import made_files
from door_in_memory import DoorInMemory
from page_driving import row, upload


def test_dropping_files_uploads_them(page: Page) -> None:
    page.evaluate_handle(
        """() => {
            const carried = new DataTransfer();
            carried.items.add(new File(["dropped"], "dropped.txt", {type: "text/plain"}));
            const place = document.querySelector(".place");
            place.dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true}));
        }"""
    )
    expect(row(page, "dropped.txt")).to_be_visible()


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
    upload(page, ("big.bin", bytes(range(256)) * (6 << 12)))
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
    expect(row(page, "big.bin")).to_be_visible()
    sent = [one for one in starts if one and "*/" not in one]
    assert sent == ["bytes 4194304-6291455/6291456"], "what the server held was not sent again"


def test_a_damaged_file_is_marked(page: Page) -> None:
    upload(page, ("cut.jpg", made_files.whole("jpg")[:-3000]))
    page.get_by_text("cut.jpg").click()
    expect(page.locator(".panel").get_by_role("alert")).to_contain_text("it does not decode")
    expect(row(page, "cut.jpg")).to_contain_text("damaged")


def test_what_may_not_leave_is_told_with_a_better_name(
    page: Page, context: BrowserContext, door: DoorInMemory
) -> None:
    upload(page, ("picture.pdf", made_files.whole("png")))
    assert context.request.patch(f"{door.url}/api/v1/files/root", data={"validate": "refuse"}).ok
    page.get_by_text("picture.pdf").click()
    page.get_by_role("link", name="Download").click()
    expect(page.locator(".toast.bad")).to_contain_text("its content is PNG")
    page.get_by_role("button", name="Rename to picture.png").click()
    expect(row(page, "picture.png")).to_be_visible()
    page.get_by_text("picture.png").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == made_files.whole("png")


def test_a_cut_download_is_told_of(page: Page, context: BrowserContext, door: DoorInMemory) -> None:
    upload(page, ("large.bin", bytes(12 << 20)))
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
    expect(row(page, "picture.png")).to_be_visible()
    expect(row(page, "picture.pdf")).to_have_count(0)

"""The page, in a real browser and by Streamlit's own tests: right answers, clear words, nothing that leaves or stays."""

import asyncio
import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, LARGEST_FILE, browser, served
from PIL import Image

import kerastl
from kerastl.deploy import gallery, server, uploads
from kerastl.deploy.app import plain
from kerastl.errors import MissingExtra, UserError

EVIL = "![x](https://example.com/x.png) :red[$a$] <img src=https://example.com/y.png>"


def encoded(image, form="PNG"):
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


REPORT = """<!doctype html><meta http-equiv="refresh" content="0; url=https://example.com/away"><base href="https://example.com/">
<p>Report of a stranger</p><script>top.document.title = 'taken'</script><img src="https://example.com/report.png">
<a href="#end">To the end</a> <a href="https://example.com/link">Away</a><p style="margin-top: 4000px" id="end">The end</p>"""


@pytest.fixture(scope="module")
def models(finished, tmp_path_factory):
    """A folder with a model, and one that names its classes and tells its report as a stranger would."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("digits", "strange"):
        shutil.copytree(finished.exports, folder / name, ignore=shutil.ignore_patterns("saved_model", "model.h5"))
    (folder / "strange" / "labels.json").write_text(json.dumps({"classes": [f"{EVIL} {n}" for n in range(10)]}))
    (folder / "strange" / "report.html").write_text(REPORT)
    return folder


def script(folder):
    from kerastl.deploy.app import page

    page(folder)


@pytest.fixture
def app(models):
    from streamlit.testing.v1 import AppTest

    server.keep_model_ready()
    return AppTest.from_function(script, kwargs={"folder": str(models)}, default_timeout=120)


def test_an_example_is_answered_at_once(app, models):
    app.run()
    assert not app.exception and not app.subheader
    assert app.caption[0].value.startswith(plain("10 classes, pictures of 8 x 8 pixels, read from model.keras"))
    app.radio[0].set_value("Examples").run()
    app.pills[0].set_value("Scan of a 5").run()
    [expected] = kerastl.predict(models / "digits", kerastl.deploy.gallery.examples(models)["Scan of a 5"], top=None)
    assert app.subheader[0].value == plain(f"{expected.classes[0]}, {100 * expected.probabilities[0]:.1f}%")
    assert list(app.dataframe[0].value["class"]) == list(expected.classes)
    assert list(app.dataframe[0].value["probability"]) == pytest.approx(expected.probabilities)
    assert not app.exception and not app.error


def test_good_and_bad_ones_together(app):
    app.run()
    files = [("a.png", encoded(noise(30, 20)), "image/png"), ("b.png", b"no picture", "image/png")]
    app.file_uploader[0].set_value(files).run()
    assert len(app.subheader) == 1 and "1 picture in" in app.caption[1].value
    [told] = app.error
    assert told.value.startswith(plain("b.png: not an image, or of a format that Pillow cannot open"))


def test_too_many_at_once(app):
    app.run()
    app.file_uploader[0].set_value([(f"{n}.png", encoded(noise(9, 9, n)), "image/png") for n in range(21)]).run()
    assert "21 pictures are too many" in app.warning[0].value and len(app.subheader) == 20


def test_what_was_dropped_is_said(app):
    app.run()
    files = [("a.png", encoded(noise(9, 9)), "image/png"), ("b.png", b"", uploads.DROPPED)]
    app.file_uploader[0].set_value(files).run()
    assert "2 pictures are too many at once; these are 1 of them" in app.warning[0].value and len(app.subheader) == 1


def test_links_for_a_report_and_examples_show_nothing(app, models, tmp_path):
    (tmp_path / "secret").mkdir()
    noise(9, 9).save(tmp_path / "secret" / "private.png")
    (tmp_path / "secret" / "report.html").write_text("SECRET")
    made = models / "sent"
    shutil.copytree(models / "digits", made)
    try:
        (made / "examples").symlink_to(tmp_path / "secret")
        (made / "report.html").symlink_to(tmp_path / "secret" / "report.html")
        assert not any("private" in name for name in gallery.examples(made))
        with pytest.raises(UserError, match=r"report\.html: is no file of this folder"):
            gallery.report_of(made)
        app.query_params["model"] = "sent"
        app.run()
        assert not app.error and app.radio
    finally:
        shutil.rmtree(made)


@pytest.mark.parametrize("name", ["../digits", "/etc/passwd", "nothing", ""])
def test_only_names_of_the_folder(app, name):
    app.query_params["model"] = name
    app.run()
    assert "No model is named" in app.error[0].value and app.selectbox[0].value is None and not app.caption
    app.selectbox[0].set_value("strange").run()
    assert not app.error and app.query_params["model"] in ("strange", ["strange"])


def test_a_model_that_cannot_be_opened_is_told(app, models):
    broken = models / "zz.keras"
    broken.write_bytes(b"no zip")
    try:
        app.query_params["model"] = broken.name
        app.run()
    finally:
        broken.unlink()
    assert "zz" in app.error[0].value and not app.exception and not app.radio


@pytest.mark.parametrize(("host", "allowed"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_the_server_s_settings_are_streamlit_s(host, allowed):
    from streamlit import config

    flags = server.flags_for(host, 1234)
    for name in flags:
        config.get_option(name)  # raises where there is no such setting
    assert ("server.allowedHosts" in flags) == allowed and flags["server.address"] == host


def test_no_settings_and_modules_of_the_working_folder(tmp_path, monkeypatch):
    from streamlit import config
    from streamlit.web import bootstrap

    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text('[theme]\nfont = "Evil:https://example.com/font.css"\n')
    (tmp_path / ".streamlit" / "secrets.toml").write_text('EVIL_SECRET = "x"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for place, name in ((config, "get_config_files"), (bootstrap, "_fix_sys_path"), (sys, "path")):
        monkeypatch.setattr(place, name, getattr(place, name) if place is not sys else ["", str(tmp_path), *sys.path])
    bootstrap.load_config_options(server.FLAGS)
    assert "Evil" in config.get_option("theme.font"), "Streamlit alone would read it"
    server.read_no_settings(bootstrap)
    server.forget_working_folder()
    bootstrap.load_config_options(server.FLAGS)
    assert not config.get_option("theme.font") and config.get_option("secrets.files") == []
    assert config.get_option("server.maxUploadSize") == uploads.MEGABYTES
    before = list(sys.path)
    bootstrap._fix_sys_path("kerastl/deploy/app.py")
    assert sys.path == before and "" not in before and str(tmp_path) not in before


@pytest.fixture
def kept():
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.uploaded_file_manager import UploadedFileRec

    manager = uploads.bounded(MemoryUploadedFileManager)("/upload")

    def add(session, number, megabytes, name="a.png"):
        manager.add_file(session, UploadedFileRec(str(number), name, "image/png", bytes(int(megabytes * 10**6))))
        [found] = manager.get_files(session, [str(number)])
        return found.type != uploads.DROPPED

    add.manager = manager
    return add


def test_a_visitor_s_uploads_have_an_end(kept):
    assert [kept("me", number, 0.001) for number in range(25)] == [True] * 20 + [False] * 5
    kept.manager.remove_file("me", "3")
    assert kept("me", 25, 0.001) and not kept("me", 26, 0.001), "one was taken out"
    assert [kept("other", number, 19) for number in range(7)] == [True] * 5 + [False] * 2, "100 MB"
    assert kept("other", 0, 1), "in place of itself"


def test_all_visitors_uploads_have_an_end_together(kept, monkeypatch):
    monkeypatch.setattr(uploads, "OF_ALL", 3)
    assert [kept(str(number), 0, 1) for number in range(5)] == [True] * 3 + [False] * 2
    kept.manager.remove_session_files("0")
    assert kept("5", 0, 1)


def test_names_of_dropped_uploads_have_an_end(kept, monkeypatch):
    monkeypatch.setattr(uploads, "NAMES", 3)
    for number in range(23):
        kept("me", number, 0, name="n" * 100_000)
    with pytest.raises(Exception, match="load the page again"):
        kept("me", 23, 0)
    assert all(len(it.name) <= 200 for it in kept.manager.file_storage["me"].values())


def test_without_streamlit_it_says_what_to_install(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "streamlit.web.bootstrap", None)
    with pytest.raises(MissingExtra, match=r'pip install "kerastl\[app\]"'):
        server.serve(models)


def test_pinned_streamlit_clears_keras_after_every_answer():
    """When this fails, Streamlit has changed, and `keep_model_ready` may go."""
    from streamlit.runtime.scriptrunner import script_runner

    assert hasattr(script_runner, "_clean_problem_modules")


def test_pinned_an_upload_stays_in_memory(monkeypatch):
    """Starlette's own limit is a megabyte; beyond it, there is a file."""
    from starlette import formparsers
    from starlette.datastructures import Headers
    from starlette.formparsers import MultiPartParser

    async def parsed(size):
        async def body():
            yield b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n'
            yield bytes(size) + b"\r\n--x--\r\n"

        form = await MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=x"}), body()).parse()
        return form["a"].file._rolled

    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    uploads.keep_in_memory(formparsers)
    assert not asyncio.run(parsed(20 * 2**20))
    MultiPartParser.spool_max_size = 2**20
    assert asyncio.run(parsed(2**20 + 1))


# In a browser.


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None and os.environ.get("KERASTL_BROWSER") != "required":
        pytest.skip("no chromium; KERASTL_BROWSER=required makes this an error")
    assert CHROMIUM, "no chromium, and KERASTL_BROWSER=required"
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("server_home")


@pytest.fixture(scope="module")
def address(chromium, models, home):
    with served(models, {**os.environ, "HOME": str(home)}) as there:
        yield there


@pytest.fixture
def visit(chromium, address):
    """A function that opens the page; at the end, all that was asked for was asked for here, or not let through."""
    context = chromium.new_context(viewport={"width": 390, "height": 844}, accept_downloads=True)
    asked, refused = [], []
    context.on("request", lambda request: asked.append(request.url))
    context.on("requestfailed", lambda request: request.failure == "csp" and refused.append(request.url))
    context.add_init_script(
        "const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = wanted => { window.camera = true; return ask(wanted) }"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)

    def go(query=""):
        page.goto(f"{address}/{query}")
        page.get_by_label("Model").first.wait_for()
        return page

    yield go
    context.close()
    elsewhere = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert asked and elsewhere == refused


def upload(page, *files):
    kinds = [{"name": name, "mimeType": "image/png", "buffer": raw} for name, raw in files]
    page.locator("input[type=file]").set_input_files(kinds)


def answered(page):
    """Wait for what stands below all answers."""
    page.get_by_role("button", name="Download all probabilities").wait_for()


def no_wider_than_the_window(page):
    wide = page.evaluate(
        "[document, ...document.querySelectorAll('section')].map(it => (it.documentElement ?? it).scrollWidth)"
    )
    return max(wide) <= 390


def listing(folder):
    return sorted((str(path), path.stat().st_size) for path in Path(folder).rglob("*"))


def test_a_large_picture_is_answered_as_predict_answers_and_written_nowhere(visit, models, home):
    raw = encoded(noise(1300, 1200))
    assert len(raw) > LARGEST_FILE, "beyond what Starlette would keep in memory, and what the server may write"
    before = listing(models), listing(home)
    page = visit("?model=digits")
    upload(page, (f"{EVIL.replace('/', '_')}.png", raw))
    answered(page)
    [expected] = kerastl.predict(models / "digits", raw, top=None)
    told = f"{expected.classes[0]}, {100 * expected.probabilities[0]:.1f}%"
    assert page.get_by_role("heading", name=told).is_visible()
    assert page.get_by_test_id("stProgress").count() == 5
    for caption in ("As the network sees it: the middle square, at 8 x 8 pixels", "Where the evidence for"):
        assert page.get_by_text(caption).is_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download all probabilities").click()
    header, row = csv.reader(Path(waiting.value.path()).read_text().splitlines())
    given = dict(zip(header[1:], map(float, row[1:]), strict=True))
    assert [given[name] for name in expected.classes] == pytest.approx(expected.probabilities, rel=1e-5)
    assert no_wider_than_the_window(page)
    assert (listing(models), listing(home)) == before


def test_bad_uploads_are_told_in_words(visit):
    page = visit("?model=digits")
    bad = {"text.png": b"no picture", "half.png": encoded(noise(200, 200))[:5000]}
    bad["bomb.png"] = encoded(Image.new("1", (14_000, 13_000)))
    upload(page, *bad.items())
    page.get_by_text("bomb.png: more pixels than Pillow takes for safe").wait_for()
    assert page.get_by_text("text.png: not an image").is_visible()
    assert page.get_by_text("half.png: OSError: image file is truncated").is_visible()
    assert not page.get_by_text("Traceback").count() and no_wider_than_the_window(page)


def test_a_name_that_leaves_the_folder_is_refused(visit, models):
    page = visit(f"?model=../{models.name}/digits")
    page.get_by_text(f"No model is named ../{models.name}/digits; choose one").wait_for()
    assert not page.locator("input[type=file]").count()


def test_with_the_keyboard_alone(visit):
    page = visit("?model=digits")
    page.get_by_text("Pictures from").wait_for()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    answered(page)
    assert page.get_by_role("heading", name="%").is_visible()


def test_the_camera_is_asked_for_only_when_it_is_chosen(visit):
    page = visit("?model=digits")
    page.get_by_text("Pictures from").wait_for()
    assert not page.evaluate("window.camera")
    page.get_by_text("Camera", exact=True).click()
    page.wait_for_function("document.querySelector('video')?.currentTime > 0")
    page.get_by_role("button", name="Take Photo").click()
    answered(page)
    assert page.evaluate("window.camera") and page.get_by_text("Camera picture").is_visible()


def test_a_stranger_s_names_are_text_and_their_report_cannot_act(visit):
    page = visit("?model=strange")
    page.get_by_text("Examples", exact=True).click()
    answered(page)
    assert page.get_by_role("heading", name="![x](https://example.com/x.png) :red[$a$] <img").is_visible()
    page.get_by_role("tab", name="Report").click()
    report = page.frame_locator("iframe").frame_locator("iframe")
    report.get_by_role("link", name="To the end").click()
    assert report.get_by_text("The end", exact=True).evaluate("it => it.getBoundingClientRect().top < innerHeight")
    report.get_by_role("link", name="Away").click()
    page.wait_for_timeout(300)
    assert page.title() == "kerastl" and not report.get_by_text("Example Domain").count()


def test_a_model_without_a_report_says_where_there_are_some(visit):
    page = visit("?model=digits")
    page.get_by_role("tab", name="Report").click()
    page.get_by_text("There is no report.html in the folder of this model").wait_for()

"""The web page: a model of the folder, pictures, and what it says of them. `kerastl app` runs this file in Streamlit."""

import re
import sys
import threading

import streamlit as st
from PIL import Image

from kerastl.deploy import gallery, uploads
from kerastl.deploy.classifier import open_model, part_seen
from kerastl.errors import KerastlError
from kerastl.evaluate.gradcam import overlay

TOP = 5
# Less air above; pictures of an answer two in a row on a phone, where Streamlit would stack them.
STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding-top: 3rem; padding-bottom: 3rem; }
@media (max-width: 640px) {
  [class*="st-key-pictures-"] [data-testid="stColumn"] { min-width: calc(50% - 1rem); }
}
</style>"""
ICON = Image.new("RGB", (16, 16), "#0072B2")
SOURCES = ("Files", "Camera", "Examples")


def page(folder):
    """Draw the page, from the top to the bottom, as Streamlit does whenever something was chosen.

    Args:
        folder: of the models.
    """
    st.set_page_config(page_title="kerastl", page_icon=ICON, layout="wide")
    st.html(STYLE)
    st.header("What is in the picture?", anchor=False)
    try:
        path, classifier, lock = choose_model(gallery.models_in(folder))
    except KerastlError as error:
        st.error(plain(str(error)))
        st.stop()
    try_it, report = st.tabs(["Try it", "Report"], on_change="rerun")
    if report.open:
        with report:
            show_report(path)
    else:
        with try_it:
            show_answers(classifier, lock, choose_pictures(path, classifier.size))


def choose_model(models):
    """A box with the models; the one in the address of the page, or the first, is chosen."""
    if "model" not in st.session_state:
        st.session_state.model = asked = st.query_params.get("model", next(iter(models)))
        if asked not in models:
            st.session_state.model = None
            st.error(plain(f"No model is named {asked[:100]}; choose one of those in the list."))
    name = st.selectbox("Model", list(models), key="model")
    if name is None:
        st.stop()
    st.query_params["model"] = name
    gallery.refuse_links_of(models[name])
    classifier, lock = opened_once(str(models[name]), gallery.stamp(models[name]))
    height, width = classifier.size
    told = f"{len(classifier.class_names)} classes, pictures of {width} x {height} pixels, read from {classifier.path.name}"
    if classifier.temperature != 1.0:
        told += f", temperature {classifier.temperature:.2f}"
    st.caption(plain(told))
    return models[name], classifier, lock


@st.cache_resource(max_entries=3, show_spinner="The model is opened")
def opened_once(path, written):
    """A model that is ready, and a lock: it answers one visitor at a time."""
    classifier = open_model(path)
    gallery.warm_up(classifier)
    return classifier, threading.Lock()


def choose_pictures(path, size):
    """Pictures from files, the camera or the examples; the camera is asked for only when it is chosen."""
    source = st.radio("Pictures from", SOURCES, horizontal=True)
    if source == "Files":
        told = f"Up to {gallery.MOST} at once. They stay on the machine that shows this page, in memory."
        files = st.file_uploader(told, type=list(gallery.SUFFIXES), accept_multiple_files=True)
        held = [file for file in files if file.type != uploads.DROPPED][: gallery.MOST]
        if len(held) < len(files):
            st.warning(
                f"{len(files)} pictures are too many at once; these are {len(held)} of them. At most {gallery.MOST} are kept, of "
                f"{uploads.OF_ONE} MB together, and {uploads.OF_ALL} MB of all visitors: take some out, then add others."
            )
        return [gallery.look_at(file.name, file.getvalue(), size) for file in held]
    if source == "Camera":
        taken = st.camera_input("It stays on the machine that shows this page, in memory.")
        return [gallery.look_at("Camera picture", taken.getvalue(), size)] if taken else []
    there = gallery.examples(path)
    name = st.pills("Example", list(there), default=next(iter(there)), format_func=plain)
    return [gallery.look_at(name, there[name], size)] if name else []


def show_answers(classifier, lock, pictures):
    for picture in pictures:
        if picture.error:
            st.error(plain(f"{picture.name}: {picture.error}"))
    sound = [picture for picture in pictures if not picture.error]
    if not sound:
        return
    with lock:
        answers, milliseconds = gallery.answers(classifier, sound)
    told = "1 picture" if len(answers) == 1 else f"{len(answers)} pictures"
    st.caption(f"{told} in {milliseconds:,.0f} ms")
    for number, answer in enumerate(answers):
        with st.container(border=True):
            show_answer(answer, classifier.size, number)
    table = gallery.table([answer.said for answer in answers if not answer.said.error], classifier.class_names)
    st.download_button("Download all probabilities (CSV)", table, "probabilities.csv", "text/csv", on_click="ignore")


def show_answer(answer, size, number):
    """One picture: what it is, how sure that is, and where that was seen."""
    said = answer.said
    if said.error:
        st.error(plain(f"{said.file}: {said.error}"))
        return
    st.subheader(plain(f"{said.classes[0]}, {100 * said.probabilities[0]:.1f}%"), anchor=False)
    bars, pictures = st.columns([2, 5], gap="medium")
    with bars:
        for name, probability in list(zip(said.classes, said.probabilities, strict=True))[:TOP]:
            st.progress(min(probability, 1.0), text=plain(f"{name} {100 * probability:.1f}%"))
    with pictures.container(key=f"pictures-{number}"):
        show_pictures(answer, size)
    with st.expander(f"All {len(said.classes)} classes"):
        st.dataframe(
            {"class": said.classes, "probability": said.probabilities},
            column_config={"probability": st.column_config.ProgressColumn(format="%.4f", min_value=0, max_value=1)},
            hide_index=True,
            key=f"classes-{number}",
        )


def show_pictures(answer, size):
    """A picture as it came, as the network sees it, and where the network looked."""
    height, width = size
    given, seen, looked = st.columns(3)
    given.image(answer.picture.shown, caption=plain(answer.picture.name), width="stretch")
    small = gallery.enlarged(answer.picture.pixels)
    seen.image(
        small, caption=f"As the network sees it: {part_seen(size)}, at {width} x {height} pixels", width="stretch"
    )
    if answer.heat is None:
        looked.info("Where the evidence lies (Grad-CAM) can be shown for convolutional Keras models only.")
    else:
        told = plain(f"Where the evidence for {answer.said.classes[0]} lies (Grad-CAM)")
        looked.image(overlay(small, answer.heat), caption=told, width="stretch")


def show_report(path):
    try:
        report = gallery.report_of(path)
    except KerastlError as error:
        st.error(plain(str(error)))
        return
    if report is None:
        st.info("There is no report.html in the folder of this model. Run folders have one: kerastl app --models runs")
        return
    st.download_button("Download the report", report, "report.html", "text/html", on_click="ignore")
    st.iframe(gallery.sealed(report), height=900, alt="Report of the run")


def plain(text):
    """Text as it is, where Streamlit would read Markdown: a name is no picture, colour or formula."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!~$:<>|&])", r"\\\1", text)


if __name__ == "__main__":
    page(sys.argv[1])

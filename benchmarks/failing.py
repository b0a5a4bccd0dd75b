"""The small inputs that once failed, run again: a Markdown table of what was expected and whether it holds.

    python benchmarks/failing.py FOLDER [NAME ...]        # FOLDER: failing/, with people/ and hostile/ in it

Each case is a folder with a run.sh, which is run from the project's root and prints what it saw. A row of CASES names what has
to be in its output, and what must not be, as regular expressions; every case is also searched for raw Python errors, but for those
that its own script ends with ("raw"). A case whose output shows that a file of its own is not there ("missing") was not tried. The
small run that the hostile cases try things on is trained once.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 900  # seconds for one case
WORK = tempfile.mkdtemp()
# In no output: an error that kerastl did not make a sentence of.
NEVER = (
    r"Traceback \(most recent call last\)",
    r"not a message made for you",
    r"--debug shows where",
    r"Unexpected error; rerun",
)
OVER_ALL = r"\b(?!100\.0%)\d{3,}\.\d%"  # more than 100%
# Two cases need what is not among their files: a run that was killed in its second phase, and a finished sweep.
BEGUN = """
mkdir -p begun && cd begun && rm -rf begun
KERAS_HOME=$PWD/home kerastl train $FAILING/lib/base.toml --set train.checkpoint_minutes=1e-9 --set train.epochs_scale=10 --out begun &
until [ -e begun/state/phases.npz ] && [ -e begun/state/step.npz ] || ! kill -0 $!; do sleep 0.02; done
kill -9 $!
"""
KEPT = """
mkdir -p case && cd case && cp $CASE/s.toml .
KERAS_HOME=$PWD/home kerastl sweep s.toml --over train.batch_size=16,32 --out kept
"""
# Per case: "expect" and "never", regular expressions that are found, or not found, in the output (multiline); "why", in a few words;
# "before", a script that is run first; "missing", as above.
CASES = {
    "hostile/card-injection": {
        "why": "names in the card are text",
        "expect": ["README|^\\d+:# Lic|exports: "],
        "never": ["^\\d+[:-]<script>", "onerror=alert", "^\\d+:# License$"],
    },
    "hostile/class-name-dollars": {
        "why": "trained, drawn, reported",
        "expect": ["exports: exports/", "report\\.html"],
        "never": ["rror:", "ParseException"],
    },
    "hostile/config-oov-tokens": {
        "why": "a table of words is refused, however long it is",
        "expect": [r"found StringLookup, which keeps a table of words", r"\[measure\] rc=2 .*peak=[1-9]\d{0,2}MB $"],
        "never": [r"KILLED", r"peak=\d{5,}MB"],
    },
    "hostile/config-shape-product": {
        "why": "a shape of 100,000 numbers is refused before they are multiplied",
        "expect": [
            r"found target_shape of 100,000 numbers; expected at most 32",
            r"a config of 800,\d+ tables, lists and values",
        ],
        "never": [r"KILLED", r"wall=\d{3,}\."],
    },
    "hostile/cwd-matplotlibrc": {
        "why": "settings of the package alone",
        "expect": ["--- others\\nreport: run/report.html|--- others[\\s\\S]*report\\.html"],
        "never": ["rror:", "KILLED"],
    },
    "hostile/cwd-streamlit-config": {
        "why": "no settings of the working folder: it listens on this machine, and fetches nothing",
        "expect": ["LISTEN.*127\\.0\\.0\\.1", "asked elsewhere: +\\[\\]"],
        "never": ["0\\.0\\.0\\.0:[0-9]+ +0", "example\\.com"],
    },
    "hostile/eps-inside-iptc": {
        "why": "nothing is opened inside, no program started",
        "expect": ["cat/x.jpg +not an image", "rc=1"],
        "never": ["gs -", "PROGRAM OF A STRANGER", "timeout"],
    },
    "hostile/export-folder-found-out-late": {
        "why": "refused before the training, with the remedy",
        "expect": ["(error: export.folder[^\\n]*--set export.folder=[\\s\\S]*){3}", "name: found 300 bytes"],
        "never": ["metrics.json", "Unexpected"],
    },
    "hostile/h5-huge-chunk": {
        "why": "a chunk that is larger than its array, or deflated twice, is refused before it is unpacked",
        "expect": [r"is packed by the HDF5 filters \[1, 1\]; expected gzip", r"\[measure\] rc=2"],
        "never": [r"KILLED", r"peak=[1-9]\d{3,}MB"],
    },
    "hostile/image-allowed-memory": {
        "why": "one large picture at a time",
        "expect": ["rc=0 wall=[0-9.]+s peak=[0-3][0-9]{0,3}MB"],
        "never": ["MemoryError", "Killed"],
    },
    "hostile/image-sparse-file": {
        "why": "refused by its header",
        "expect": ["2 of 12 images cannot be read", "peak=[0-9]{1,3}MB"],
        "never": ["Traceback"],
    },
    "hostile/jpeg-many-scans": {
        "why": "refused, counted by its markers",
        "expect": ["(JPEG of more than 200 scans[\\s\\S]*){2}", "(wall=[0-9]{1,2}\\.[\\s\\S]*){2}"],
        "never": ["timeout"],
    },
    "hostile/keras-json-settings": {
        "why": "the same for every setting of keras.json",
        "expect": ["(report.html[\\s\\S]*){5}"],
        "never": ["rror:", "loss nan"],
    },
    "hostile/killed-while-state-is-deleted": {
        "why": "the state goes in one move: there is no moment to kill it half-deleted",
        "expect": ["No such file or directory: .run/state."],
        "never": ["overwritten: True"],
        "raw": True,
    },
    "hostile/labels-txt-newline": {
        "why": "as many lines as classes",
        "expect": ["12 classes, 12 lines"],
        "never": ["Traceback"],
    },
    "hostile/long-file-name-explain": {
        "why": "a picture of each",
        "expect": ["a-explained.png\\n[n]{40,}.*\\nz-explained.png"],
        "never": ["rror"],
    },
    "hostile/many-problems-listed": {
        "why": "ten lines and a count",
        "expect": ["check data: [1-3]?[0-9] lines", "train: 1?[0-9] lines"],
        "never": ["[0-9]{4} lines"],
    },
    "hostile/names-not-utf8": {
        "why": "answers and runs are whole",
        "expect": ["caf\\\\xe9|\\\\udcfc|\\\\xfc", "o\\.csv", "(rc=0[\\s\\S]*){2}"],
        "never": ["rror:", "UnicodeEncodeError"],
    },
    "hostile/near-duplicates-squared": {
        "why": "no longer with the square",
        "expect": ["40000 images: [12]?[0-9]\\.[0-9] s, [0-9]{1,3} MB"],
        "never": ["Traceback"],
    },
    "hostile/no-home-unknown-user": {
        "why": "train, predict and doctor work",
        "expect": ["exports: exports/base", "one.png: \\d", "nothing wrong was found|problem:"],
        "never": ["rror:"],
    },
    "hostile/page-follows-links-out": {
        "why": "nothing is shown of what a link leads to",
        "expect": ["secret of another folder: +False"],
        "never": ["SECRET", "True", "private.png"],
    },
    "hostile/page-uploads-unlimited": {
        "why": "100 MB of 40 uploads of 18 MB are kept",
        "expect": ["after"],
        "never": ["[2-9]\\d{3} MB after"],
    },
    "hostile/pixel-cache-two-at-once": {
        "why": "no image lost, none wrong",
        "expect": ["other images, room for four[\\s\\S]*process 2 {}"],
        "never": ["process [0-9] {[^}]"],
    },
    "hostile/predict-follows-links-out": {
        "why": "links that lead out are refused by name",
        "expect": ["b.png: a link to .*outside", "holiday: a link to .*outside", "rc=1"],
        "never": ["secret.png: [0-9a-z]+ +[0-9.]+%"],
    },
    "hostile/report-writes-through-link": {
        "why": "no link is written through",
        "expect": ["(after: export PRECIOUS=1  ... 18 bytes[\\s\\S]*){2}", "reads nor writes through links"],
        "never": ["after: <!"],
    },
    "hostile/run-folder-logs-link-out": {
        "why": "no link is followed; the state is read as everything of a stranger's",
        "before": BEGUN,
        "expect": ["UserError: .*/run/logs: is a link to", "(phases.npz: .*BrokenRun[\\s\\S]*){7}"],
        "never": ["RAW", "KILLED"],
    },
    "hostile/run-folder-npz-bomb": {
        "why": "refused by its declared size",
        "expect": [],
        "never": ["RAW", "KILLED"],
    },
    "hostile/run-folder-raw-errors": {
        "why": "one kind of error",
        "expect": ["BrokenRun"],
        "never": ["RAW", "KILLED"],
    },
    "hostile/same-pid-after-kill": {
        "why": "liveness rests on locks",
        "expect": ["started again, 1[\\s\\S]*exports: exports/names", "holds a run already"],
        "never": ["Traceback"],
    },
    "hostile/sweep-db-raw-errors": {
        "why": "one kind of error",
        "before": KEPT,
        "expect": ["(the database of the sweep cannot be read[\\s\\S]*){3}", "sweep.json: is not JSON"],
    },
    "hostile/sweep-up-of-the-living": {
        "why": "what a living process writes stays",
        "expect": ["the first: rc 0", "exports: all/x"],
        "never": ["Traceback"],
    },
    "hostile/terminal-escapes": {
        "why": "no escape sequence reaches a terminal",
        "expect": [
            "check data: title set 0 times, screen cleared 0 times",
            "predict .*: title set 0 times, screen cleared 0 times",
            "recipe's key, in the error: title set 0 times",
            "HDF5 file, in the error: title set 0 times",
        ],
    },
    "hostile/zip-bzip2-lying-size": {
        "why": "bzip2 in an archive is refused before a byte is unpacked",
        "expect": [
            r"'config\.json' is compressed by bzip2; expected members that are stored or deflated",
            r"\[measure\] rc=2",
        ],
        "never": [r"KILLED", r"peak=[1-9]\d{3,}MB"],
    },
    "people/cjk_boxes": {
        "why": "a font that has the letters, or a sentence and their numbers",
        "expect": ["both classes are the same box"],
    },
    "people/class_named_train_or_test": {
        "why": "data.splits = none is offered",
        "expect": ['(data\\.splits = "none"[\\s\\S]*){2}'],
    },
    "people/console_cp1252": {
        "why": "letters that the console lacks are escapes",
        "expect": ["(rc=0[\\s\\S]*){4}"],
        "never": ["UnicodeEncodeError"],
    },
    "people/docs_own_images_exif": {
        "why": "the lines of the page and predict say the same",
        "expect": ["new.jpg: sky_above", "^sky_above "],
        "never": ["^sky_below"],
    },
    "people/dollar_class": {
        "why": "trained, drawn, reported",
        "expect": ["rc=0", "report\\.html"],
        "never": ["^error: ", "Error:"],
    },
    "people/exports_of_another_run_replaced": {
        "why": "the second run's exports go to saved_models/small-2, and it is said",
        "expect": [
            "exports: saved_models/small \\(",
            "exports: saved_models/small-2 \\(",
            "warning: saved_models/small: holds the exports of another",
        ],
        "never": ["crow"],
    },
    "people/from_another_folder": {
        "why": "evaluate and report find the images",
        "expect": ["rc=0[\\s\\S]*rc=0\\npictures in report.html: [1-9]"],
        "never": ["rc=[12]", "report.html: 0"],
    },
    "people/keras2_h5": {
        "why": "opens, as its settings mean the same",
        "expect": ["bright.png: class", "rc=0"],
        "never": ["TypeError"],
    },
    "people/keras_settings": {
        "why": "floatx, layout and backend are set right for the process, and said",
        "expect": ["== keras.json: float16[\\s\\S]*rc=0", "rc=0[\\s\\S]*rc=0[\\s\\S]*rc=0"],
        "never": ["rc=1"],
    },
    "people/long_file_name": {
        "why": "a picture of each",
        "expect": ["rc=0", "pictures: 41 of 41"],
        "never": ["rror"],
    },
    "people/model_gives_logits": {
        "why": "shown after softmax, and said",
        "expect": [
            "answers with logits",
            "bright.png: bright (100|9[0-9])",
            "dark.png: dark (100|9[0-9])",
            "page: \\[\\]",
        ],
        "never": [OVER_ALL],
    },
    "people/module_and_version": {
        "why": "both answer",
        "expect": ["Usage: kerastl ", "^kerastl \\d"],
    },
    "people/nas_thumbnails": {
        "why": "folders of a system are no classes",
        "expect": ["(usable as it is|dog +\\d+)", "exact duplicates: none|duplicates: none|usable"],
        "never": ["@eaDir"],
    },
    "people/no_home": {
        "why": "trains, and doctor answers",
        "expect": ["rc=0", "nothing wrong was found|problem:"],
        "never": ["rc=1"],
    },
    "people/no_right_answer": {
        "why": "no right answer is a score",
        "expect": ["rc=0", "run/report\\.html"],
        "never": ["^error: ", "Error:"],
    },
    "people/non_utf8_names": {
        "why": "trained; JSON is written",
        "expect": ["(rc=0[\\s\\S]*){2}"],
        "never": ["^error: ", "Error:"],
    },
    "people/onnx_uint8_half_or_batch_of_one": {
        "why": "by the types, sizes and outputs of the file: tests/deploy/test_runtimes.py",
        "missing": "no such file or folder",
    },
    "people/own_model_as_backbone": {
        "why": "flat graphs; a head of classes is cut off and said",
        "expect": ["== nested[\\s\\S]*0 of 104[\\s\\S]*rc=0", "== sequential[\\s\\S]*rc=0", "head +1 of 1 +66"],
        "never": ["KeyError", "AttributeError", " 2,117 "],
    },
    "people/readonly_working_folder": {
        "why": "refused at once, with the remedy",
        "expect": ["export.folder saved_models/small: Permission denied.*--set export.folder=", "rc=2"],
    },
    "people/recipe_text": {
        "why": "what was meant, or a sentence that says it",
        "expect": ["as Notepad writes it[\\s\\S]*rc=0", "single quotes", "expected folder:my photos"],
        "never": ["^\\./~", "ew: no such folder"],
    },
    "people/saved_model_uint8_or_two_outputs": {
        "why": "by the types, sizes and outputs of the file: tests/deploy/test_runtimes.py",
        "missing": "no such file or folder",
    },
    "people/small_messages": {
        "why": "what was meant, or a sentence that says it",
        "expect": ["stand beside the class folders", "unpack it", "is an address", "MODEL.KERAS|bright.png: ", "rc=1"],
        "never": ["found '\\[\\\"stem\\\"'", "not a model", "^keras.json$", "^kerastl$"],
    },
    "people/split_names_silently_classes": {
        "why": "splits, whatever their names",
        "expect": ["(usable as it is[\\s\\S]*){3}", "test +16"],
        "never": ["^ Train ", "^ seg_train ", "^ training_set "],
    },
    "people/tflite_int8": {
        "why": "by the scale and zero point of its tensors",
        "expect": ["bright.png: bright 9[0-9.]+%", "dark.png: dark 9[0-9.]+%", "rc=0"],
        "never": [OVER_ALL],
    },
}


def run(folder, name):
    """Run one case.

    Returns:
        What does not hold, a sentence each, or None where a file of the case is not there; and the seconds it took.
    """
    began = time.perf_counter()
    for left in ("case", "keras"):
        shutil.rmtree(Path(WORK) / left, ignore_errors=True)
    environment = {**os.environ, "WORK": WORK, "CASE": str(folder / name), "FAILING": str(folder / name.split("/")[0])}
    if before := CASES[name].get("before"):
        subprocess.run(["bash", "-c", before], cwd=WORK, env=environment, capture_output=True)
    try:
        done = subprocess.run(
            ["bash", folder / name / "run.sh"],
            cwd=Path(__file__).parents[1],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return [f"took more than {LIMIT} s"], LIMIT
    output, row = done.stdout.decode("utf-8", "replace"), CASES[name]
    if "missing" in row and re.search(row["missing"], output):
        return None, 0
    wrong = [f"{it!r} is missing" for it in row.get("expect", ()) if not re.search(it, output, re.MULTILINE)]
    never = (*(() if row.get("raw") else NEVER), *row.get("never", ()))
    wrong += [f"{it!r} is there" for it in never if re.search(it, output, re.MULTILINE)]
    if wrong:
        print(f"----- {name}\n{output}", file=sys.stderr, flush=True)
    return wrong, time.perf_counter() - began


def main(folder, *names):
    folder = Path(folder).resolve()
    print("| case | what is right | result | seconds |\n|---|---|---|---|", flush=True)
    right, tried = 0, 0
    for name in names or CASES:
        wrong, seconds = run(folder, name)
        right += wrong == []
        tried += wrong is not None
        told = (
            "not tried: its files are not there" if wrong is None else "; ".join(wrong).replace("|", "\\|") or "right"
        )
        print(f"| {name} | {CASES[name].get('why', '')} | {told} | {seconds:.0f} |", flush=True)
    print(f"\n{right} of {tried} cases that could be tried are right", flush=True)
    return right == tried


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)

"""The recipe: all tables together, how the model is judged, and what is exported."""

from dataclasses import dataclass
from typing import Any, Literal

from kerastl.schema.images import AugmentSpec, DataSpec
from kerastl.schema.model import ModelSpec
from kerastl.schema.training import Phase, TrainSpec, check_file_name
from kerastl.strict import key


@dataclass(frozen=True)
class EvaluateSpec:
    flip: bool = key(False, "judge by the mean over each image and its mirror image; the saved model is the plain one")
    report: bool = key(True, "write report.html, the run as a page for people; kerastl report RUN writes it later")
    duplicates: Literal["near", "exact", "none"] = key(
        "near",
        "which test images count as trained on: exact copies, near ones too (streamed images are decoded once more), or none",
    )


@dataclass(frozen=True)
class ExportSpec:
    folder: str = key("saved_models", "where the exports go, in a sub-folder with the recipe's name")
    formats: tuple[Literal["keras", "h5", "saved_model", "onnx", "litert", "litert-float16", "litert-int8"], ...] = key(
        ("keras", "h5", "saved_model"), "what is written"
    )
    temperature: bool = key(False, "the exports divide by the fitted temperature themselves; labels.json then has none")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An experiment: data, model and phases.

    Made by `recipe` from a TOML file. All values are checked; `strict.dump` gives the plain table back.
    """

    description: str = key(doc="one line for the table of recipes")
    name: str = key("", "the file's name when absent")
    strategy: str = key("", "a named list of phases; beside [[phases]], the name of what they are a version of")
    seed: int = key(0, "fixes splits, order, augmentation, initial weights and dropout", at_least=0, at_most=2**32 - 1)
    data: DataSpec = key(doc="a table {name, ...}")
    augment: AugmentSpec = key(AugmentSpec, "nothing when absent")
    model: ModelSpec = key(doc="a table {backbone, ...}")
    train: TrainSpec = key(TrainSpec, "batch size and what holds for all phases")
    phases: tuple[Phase, ...] = key(doc="[[phases]] tables, or strategy = NAME")
    evaluate: EvaluateSpec = key(EvaluateSpec, "how the finished model is judged")
    export: ExportSpec = key(ExportSpec, "what is saved where")
    why: dict[str, str] = key(
        dict, "from dotted key to why it was chosen, of an automatic recipe; stands as comments in its recipe.toml"
    )
    baseline: dict[str, Any] | None = key(
        None, "overrides (dotted keys) of a second run, compared with this one at the end"
    )

    def __post_init__(self):
        for name in (self.name, (self.baseline or {}).get("name")):
            check_file_name(str(name or "unnamed"))
        if not self.phases:
            raise ValueError("phases: found none; expected at least one [[phases]] table, or strategy = NAME")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases: found the names {', '.join(names)}; expected each once")
        judged = [phase.name for phase in self.phases if phase.monitor]
        if judged and not self.data.validation:
            raise ValueError(
                f"data.validation is 0, but the phase {judged[0]!r} chooses its weights on validation images; "
                "expected a share above 0, or no early_stopping and no keep_best"
            )

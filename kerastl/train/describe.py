"""A plan in words: as text, what `--dry-run` prints and what stands in plan.txt; as a table, what stands in metrics.json."""

from kerastl.train.frontier import human_bytes

# Phase.solve -> what is said of it.
SOLVERS = {
    "logistic": "regularised multinomial logistic regression; its strength is chosen on validation images, or by cross-validation"
}


def describe(plans):
    """The plan as text: a line for each phase and a table of its groups."""
    lines = []
    for number, it in enumerate(plans, start=1):
        length = f"{it.epochs} epochs x {it.steps_per_epoch} steps = {it.steps} steps"
        length = "solved, no steps" if it.phase.solve else length
        lines.append(f"phase {number}/{len(plans)} {it.phase.name}: {length}")
        lines += [f"    {about}: {told}" for about, told in settings(it).items()]
        lines += [f"    warning: {warning}" for warning in it.warnings]
        lines.append(
            f"    {'group':<10}{'layers trained':>16}{'parameters trained':>20}{'frozen':>14}{'learning rate':>15}"
        )
        for group in it.groups:
            rate = "frozen" if not group.trained else "solved" if it.phase.solve else f"{group.learning_rate:g}"
            of = f"{len(group.trained)} of {group.layers}"
            lines.append(f"    {group.name:<10}{of:>16}{group.parameters:>20,}{group.frozen_parameters:>14,}{rate:>15}")
        lines.append("")
    return "\n".join(lines)


def tabulate(plans):
    """The plan as plain values.

    Args:
        plans: a list of `PhasePlan`.

    Returns:
        A list with a dict for each phase: name, epochs, steps_per_epoch, steps, settings (`settings`), and groups, each with
        name, layers, layers_trained, parameters, frozen_parameters and learning_rate, which is None where nothing learns.
    """
    return [
        {
            "name": it.phase.name,
            "epochs": it.epochs,
            "steps_per_epoch": it.steps_per_epoch,
            "steps": it.steps,
            "settings": settings(it),
            "groups": [
                {
                    "name": group.name,
                    "layers": group.layers,
                    "layers_trained": len(group.trained),
                    "parameters": group.parameters,
                    "frozen_parameters": group.frozen_parameters,
                    "learning_rate": group.learning_rate,
                }
                for group in it.groups
            ],
        }
        for it in plans
    ]


def settings(it):
    """What holds for a whole phase: a dict from what it is about to what is said of it."""
    phase, momentum = it.phase, sorted(set(it.momentum.values()))
    told = {
        "solver": phase.solve and SOLVERS[phase.solve],
        "optimizer": phase.optimizer and f"{_optimizer(phase.optimizer)}; schedule: {_schedule(phase.schedule)}",
        "batch normalisation": f"updated, momentum {' and '.join(f'{m:g}' for m in momentum)}"
        if momentum
        else "frozen",
        "learning rates": it.batch_scale != 1
        and f"times {it.batch_scale:g} for the size of the batch (train.lr_scaling = linear)",
        "images": phase.image_size and f"resized to {phase.image_size} in this phase",
        "precision": it.precision != "float32" and it.precision,
        "dropout of frozen groups": it.quiet and f"off ({len(it.quiet)} layers)",
        "cache": _cache(it),
        "early stopping": phase.early_stopping
        and f"{phase.early_stopping.monitor}, patience {phase.early_stopping.patience}",
        "ends with": phase.monitor
        and f"the weights of its best {phase.monitor}" + (", or those before it" if phase.only_if_better else ""),
    }
    return {about: words for about, words in told.items() if words}


def _optimizer(it):
    numbers = ("momentum", "weight_decay", "clip_norm", "ema")
    shown = [f"{name} {getattr(it, name):g}" for name in numbers if getattr(it, name)]
    return ", ".join([it.name, *shown, *["nesterov"] * it.nesterov])


def _schedule(it):
    return {
        "constant": "constant",
        "step": f"step: times {it.factor:g} every {it.every:g} epochs",
        "cosine": f"cosine, warm-up {it.warmup or 0:g}",
        "one-cycle": f"one-cycle, warm-up {0.3 if it.warmup is None else it.warmup:g}",
    }[it.name]


def _cache(it):
    frontier = it.frontier
    if not frontier.cached:
        return f"none; {frontier.why_not}"
    shape = " x ".join(map(str, frontier.shape))
    views = f", {frontier.views} views" if frontier.views > 1 else ""
    narrow = f", in {it.trunk_precision}" if it.trunk_precision != "float32" else ""
    via = f", by way of {frontier.via}" if frontier.via else ""
    gain = "" if it.phase.solve else f"; {frontier.gain:g} times less arithmetic"
    return f"up to {frontier.layer} ({shape}){views}{narrow}{via}: {human_bytes(frontier.bytes)}{gain}"

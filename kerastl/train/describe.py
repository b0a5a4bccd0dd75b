"""A plan as text: what `--dry-run` prints, and what stands in plan.txt."""

from kerastl.train.frontier import human_bytes


def describe(plans):
    """The plan as text: a line for each phase and a table of its groups."""
    lines = []
    for number, it in enumerate(plans, start=1):
        length = f"{it.epochs} epochs x {it.steps_per_epoch} steps = {it.steps} steps"
        lines += [f"phase {number}/{len(plans)} {it.phase.name}: {length}", *_settings(it)]
        lines.append(
            f"    {'group':<10}{'layers trained':>16}{'parameters trained':>20}{'frozen':>14}{'learning rate':>15}"
        )
        for group in it.groups:
            rate = "frozen" if group.learning_rate is None else f"{group.learning_rate:g}"
            of = f"{len(group.trained)} of {group.layers}"
            lines.append(f"    {group.name:<10}{of:>16}{group.parameters:>20,}{group.frozen_parameters:>14,}{rate:>15}")
        lines.append("")
    return "\n".join(lines)


def _cache(it):
    frontier = it.frontier
    if not frontier.cached:
        return f"none; {frontier.why_not}"
    shape = " x ".join(map(str, frontier.shape))
    views = f", {frontier.views} views" if frontier.views > 1 else ""
    narrow = f", in {it.trunk_precision}" if it.trunk_precision != "float32" else ""
    via = f", by way of {frontier.via}" if frontier.via else ""
    return (
        f"up to {frontier.layer} ({shape}){views}{narrow}{via}: {human_bytes(frontier.bytes)}; "
        f"{frontier.gain:g} times less arithmetic"
    )


def _settings(it):
    phase, optimizer, schedule = it.phase, it.phase.optimizer, it.phase.schedule
    shown = [optimizer.name]
    shown += [
        f"{name} {value:g}"
        for name in ("momentum", "weight_decay", "clip_norm", "ema")
        if (value := getattr(optimizer, name))
    ]
    shown += ["nesterov"] * optimizer.nesterov
    moving = {
        "constant": "constant",
        "step": f"step: times {schedule.factor:g} every {schedule.every:g} epochs",
        "cosine": f"cosine, warm-up {schedule.warmup or 0:g}",
        "one-cycle": f"one-cycle, warm-up {0.3 if schedule.warmup is None else schedule.warmup:g}",
    }[schedule.name]
    momentum = sorted(set(it.momentum.values()))
    norm = f"updated, momentum {' and '.join(f'{m:g}' for m in momentum)}" if momentum else "frozen"
    lines = [f"    optimizer: {', '.join(shown)}; schedule: {moving}", f"    batch normalisation: {norm}"]
    if it.batch_scale != 1:
        lines.append(
            f"    learning rates: times {it.batch_scale:g} for the size of the batch (train.lr_scaling = linear)"
        )
    if phase.image_size:
        lines.append(f"    images: resized to {phase.image_size} in this phase")
    if it.precision != "float32":
        lines.append(f"    precision: {it.precision}")
    if it.quiet:
        lines.append(f"    dropout of frozen groups: off ({len(it.quiet)} layers)")
    lines.append(f"    cache: {_cache(it)}")
    if phase.early_stopping:
        lines.append(f"    early stopping: {phase.early_stopping.monitor}, patience {phase.early_stopping.patience}")
    if phase.monitor:
        lines.append(f"    ends with the weights of its best {phase.monitor}")
    return lines + [f"    warning: {warning}" for warning in it.warnings]

"""The sentence that says what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

Button = Literal["none", "new_strokes", "train", "pause", "segment", "save"]
#: What stands on the buttons, as long as a page tells nothing else; see `Board.name`.
NAMES: Mapping[Button, str] = {
    "new_strokes": "New strokes",
    "train": "Train",
    "pause": "Go on",
    "segment": "Segment image",
    "save": "Save model",
}


class Phase(Enum):
    """What the session does."""

    IDLE = "idle"
    WAITING = "waiting"
    TRAINING = "training"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the next step depends on.

    Attributes
    ----------
    image, strokes, ready, segmenting, segmented : bool
        Whether they are there, going on, or done with the model as it is.
    live, paused, saved : bool
        Whether strokes start training by themselves; whether it is held; whether the model as it is lies in a file.
    classes : tuple of str
        Names, background first.
    painted : tuple of int
        Painted pixels per class; what complete regions turn into background counts.
    phase : Phase
    step : int
        Steps the model in use was trained.
    suggested : bool
        Whether what it takes for cells is shown before it has learnt anything.
    """

    image: bool = False
    strokes: bool = False
    ready: bool = False
    segmenting: bool = False
    segmented: bool = False
    live: bool = True
    paused: bool = False
    saved: bool = False
    classes: tuple[str, ...] = ("background", "cell")
    painted: tuple[int, ...] = (0, 0)
    phase: Phase = Phase.IDLE
    step: int = 0
    suggested: bool = False


class Advice(NamedTuple):
    """What to do next: in words, and by which button."""

    words: str
    button: Button = "none"


def next_step(now: Situation, names: Mapping[Button, str] = NAMES) -> Advice:
    """One plain sentence or two, and the button they speak of, by the text in `names`.

    Examples
    --------
    >>> next_step(Situation(image=True, strokes=True)).words
    'Paint a few strokes on cell (2) and on background (1); learning then starts by itself.'
    """
    if not now.image:
        return Advice("Open an image: drop a file on the window, or choose File > Open Sample > U-Net segmentation.")
    if now.segmenting:
        return Advice("Segmenting. You can go on painting, or press Cancel: what is finished stays.")
    if now.phase is not Phase.IDLE:
        return Advice(_while_training(now))
    if now.paused:
        goes_on = names["pause"]
        return Advice(f"Paused. What you paint is learnt when you press {goes_on}; Stop ends the pause.", "pause")
    if now.suggested and not any(now.painted):
        return Advice(_suggested(now, names), "none" if now.strokes else "new_strokes")
    if now.strokes and not all(now.painted):
        return Advice(_what_to_paint(now, names))
    if now.step:
        return _after_training(now, names)
    if now.strokes:
        live = ", or paint: the next stroke starts learning"
        return Advice(f"Press {names['train']}{live if now.live else ''}.", "train")
    new = names["new_strokes"]
    return Advice(
        f"Press {new} to get a layer to paint on, or Suggest for a first look without strokes.", "new_strokes"
    )


def _while_training(now: Situation) -> str:
    if not now.ready:
        return "Starting the engine; this takes a few seconds, then training begins by itself."
    if now.phase is Phase.WAITING:
        return "Preparing the training."
    if now.phase is Phase.STOPPING:
        return "Stopping after this step; the model is kept."
    if now.live:
        return "Learning. Paint where the prediction is wrong, it is learnt at once; press Stop when it looks right."
    return "Learning. Paint where the prediction is wrong; press Stop when it looks right."


def _after_training(now: Situation, names: Mapping[Button, str]) -> Advice:
    wrong = "paint where it is wrong" + ("" if now.live else f" and press {names['train']}")
    segment, keep = names["segment"], names["save"]
    if now.segmented and now.saved:
        return Advice(f"Segmented, and the model is saved. Choose the next image, or {wrong}.")
    if now.segmented:
        return Advice(f"Looks right? Press {keep}, or choose the next image. If not, {wrong}.", "save")
    if not now.strokes:
        return Advice(f"Press {segment} to use this model, or {names['new_strokes']} to teach it more.", "segment")
    save = "" if now.saved else f", then {keep}"
    return Advice(f"Looks right? Press {segment}{save}. If not, {wrong}.", "segment")


def _suggested(now: Situation, names: Mapping[Button, str]) -> str:
    if not now.ready:
        return "Starting the engine; this takes a few seconds, then a first suggestion appears."
    correct = "paint" if now.strokes else f"press {names['new_strokes']} and paint"
    return (
        "A first suggestion, before any stroke. To correct it, "
        f"{correct} both classes; to keep it, segment the image; to dismiss it, press Suggest again."
    )


def _what_to_paint(now: Situation, names: Mapping[Button, str]) -> str:
    missing = [f"{name} ({value})" for value, name in enumerate(now.classes, start=1) if not now.painted[value - 1]]
    then = "; learning then starts by itself." if now.live else f", then press {names['train']}."
    if len(missing) == len(now.classes):
        return f"Paint a few strokes on {_list([*missing[1:], missing[0]])}{then}"
    if now.step:
        return f"Now paint a little {_list(missing)} too."
    return f"Now paint a little {_list(missing)}{then}"


def _list(words: list[str]) -> str:
    return " and on ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

"""A part of an image, as a command and a script say it. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.session.commands import Box


@dataclass(frozen=True, slots=True)
class Part:
    """One position along the axes before the spatial ones, and a box over these.

    Attributes
    ----------
    lead : tuple of int
    box : Box or None
        None for all.

    Examples
    --------
    >>> str(Part((3,), ((10, 60), (0, 90)))), str(Part((3,)))
    ('3,10:60,0:90', '3')
    >>> Part.parse("3,10:60,0:90") == Part((3,), ((10, 60), (0, 90)))
    True
    """

    lead: tuple[int, ...] = ()
    box: Box | None = None

    def __str__(self) -> str:
        edges = [f"{start}:{stop}" for start, stop in self.box or ()]
        return ",".join([*map(str, self.lead), *edges])

    @classmethod
    def parse(cls, text: str) -> Part:
        """What `str` made.

        Raises
        ------
        ConfigError
            When it is something else.
        """
        words = [word.split(":") for word in text.split(",") if word]
        try:
            lead = tuple(int(word[0]) for word in words if len(word) == 1)
            box = tuple((int(start), int(stop)) for start, stop in (word for word in words if len(word) > 1))
        except ValueError as error:
            raise ConfigError(f"give a part as 3,10:60,0:90, not '{text}'") from error
        if any(start < 0 or stop <= start for start, stop in box):
            raise ConfigError(f"give each edge of a part as START:STOP, STOP the larger one, not '{text}'")
        return cls(lead, box or None)

    def check(self, source: ImageSource) -> None:
        """Raise `ConfigError` unless an image has this part."""
        if self.lead and len(self.lead) != len(source.lead):
            axes = " ".join(source.lead_axes) or "none"
            raise ConfigError(f"give one number for each axis before {source.spatial_axes} ({axes}), not '{self}'")
        if any(not 0 <= place < size for place, size in zip(self.lead, source.lead, strict=False)):
            raise ConfigError(f"give numbers below {', '.join(map(str, source.lead))}: the image has no part '{self}'")
        if self.box is not None and len(self.box) != source.ndim:
            raise ConfigError(f"give START:STOP for each of {' '.join(source.spatial_axes)}, not '{self}'")
        if any(start >= size for (start, _), size in zip(self.box or (), source.spatial, strict=False)):
            sizes = " x ".join(map(str, source.spatial))
            raise ConfigError(f"choose a part of the image, which has {sizes} pixels: '{self}' lies outside")

    def python(self) -> str:
        """As arguments of `Model.predict`."""
        box = "" if self.box is None else f", box=[{', '.join(f'slice({a}, {b})' for a, b in self.box)}]"
        return f", leads=[{self.lead!r}]{box}"

"""The package's own errors. Each message is one sentence that tells the user what to do."""


class NapariUnetError(Exception):
    """Base of every error that napari-unet raises on purpose."""


class ConfigError(NapariUnetError, ValueError):
    """A setting, or a combination of settings, cannot work."""


class ImageError(NapariUnetError, ValueError):
    """An image cannot be used: wrong axes, no finite pixel, unreadable file."""


class AnnotationError(NapariUnetError, ValueError):
    """The strokes cannot be used: none yet, one class only, another shape than the image."""


class ModelFileError(NapariUnetError, ValueError):
    """A model file is corrupt, foreign, or cannot be written."""


class TrainingError(NapariUnetError, RuntimeError):
    """Training cannot go on, for example because the loss is no longer finite."""


class PredictionError(NapariUnetError, RuntimeError):
    """A prediction cannot go on, for example because not even a small tile fits in memory."""


class MissingDependencyError(NapariUnetError, ImportError):
    """An optional package is missing or broken; the message holds the line that mends it."""


class SessionError(NapariUnetError, RuntimeError):
    """The training process could not be started, or does not answer."""


class ProjectError(NapariUnetError, ValueError):
    """A project cannot be read or written, or is open elsewhere."""

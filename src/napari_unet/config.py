"""Every setting of the engine: frozen, bounded, with the help text that forms and ``--help`` show."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_unet.errors import ConfigError

Architecture = Literal["unet", "unetpp", "unet3plus", "fcn8s", "fcn16s", "fcn32s", "fpn", "linknet", "pspnet"]
Task = Literal["semantic", "instances"]
InstanceTarget = Literal["foreground", "boundary"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "plateau", "constant"]
Precision = Literal["auto", "off", "bf16", "fp16"]
Learns = Literal["all", "decoder", "head"]
Output = Literal["labels", "probabilities", "instances", "uncertainty"]
Augmented = Literal["none", "flips", "rotations"]
Uncertainty = Literal["entropy", "disagreement"]
Spacing = tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]

#: Colour-blind-safe class colours (Okabe and Ito 2008), background first: none is grey, as most images are.
CLASS_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00", "#999999")

ADVANCED: dict[str, Any] = {"advanced": True}


class Config(BaseModel):
    """Base of all configs: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self).__name__, error)) from error

    def replace(self, **changes: Any) -> Self:
        """A copy with other settings, checked like a new one."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _sentence(name: str, error: ValidationError) -> str:
    """Say in one line what is wrong with the first bad field."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or name
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}: change {where}={first['input']!r}: {message}" if first["loc"] else f"{name}: {message}"


class NormalizationConfig(Config):
    """How intensities become network input: per image and channel, over the whole image."""

    low: float = Field(1.0, ge=0, lt=50, description="Percentile of the image that becomes 0.")
    high: float = Field(99.8, gt=50, le=100, description="Percentile of the image that becomes 1.")
    max_samples: int = Field(
        2_000_000, ge=1000, description="Pixels looked at per channel; larger images are sampled, always the same way."
    )


class ModelConfig(Config):
    """What a network is: its architecture, its classes, and how it reads an image."""

    architecture: Architecture = Field("unet", description="Network family member.")
    ndim: Literal[2, 3] = Field(2, description="2 segments slice by slice, 3 segments volumes.")
    in_channels: int = Field(1, ge=1, le=64, description="Number of image channels the network reads.")
    channels: tuple[str, ...] = Field(
        (),
        description="Names of the channels it reads, for example DAPI,GFP; empty to take them as they come.",
    )
    classes: tuple[str, ...] = Field(
        ("background", "cell"), min_length=1, max_length=255, description="Class names, background first."
    )
    colors: tuple[str, ...] = Field((), description="One colour (#RRGGBB) per class; empty for the standard colours.")
    task: Task = Field("semantic", description="Whether stroke values 2, 3, ... are classes or single objects.")
    instance_target: InstanceTarget = Field(
        "foreground",
        description="How objects that touch are told apart: by a gap of background, or by their boundary as a class.",
        json_schema_extra=ADVANCED,
    )
    ignore_value: int | None = Field(
        None,
        ge=2,
        description="Stroke value that counts as not annotated, also inside complete regions.",
        json_schema_extra=ADVANCED,
    )
    width: int = Field(16, ge=1, le=512, description="Feature channels of the first level; doubled at each level.")
    depth: int = Field(4, ge=1, le=7, description="Number of times the image is halved.")
    padding: Literal["same", "valid"] = Field(
        "same", description="'same' pads inside the network; 'valid' is the unpadded network of 2015."
    )
    norm: Literal["batch", "group", "instance", "none"] = Field("batch", description="Normalisation of features.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout at the end of the contracting path.")
    stem: Literal["none", "scale_space"] = Field(
        "none",
        description="'scale_space' also shows the network the image's blurs, edges and curvatures at several scales.",
    )
    weights: Literal["base", "random"] = Field(
        "base",
        description="What a new network begins from: the weights that come with napari-unet, where it is the network "
        "they belong to (stem=scale_space, width=16, depth=4), or random ones.",
    )
    block: Literal["conv_norm_relu", "conv_relu_norm", "residual"] = Field(
        "conv_norm_relu", description="Order of operations in a block of two convolutions."
    )
    upsampling: Literal["transpose", "nearest", "linear"] = Field(
        "transpose", description="2x2 up-convolution, or nearest or linear up-sampling followed by a convolution."
    )
    deep_supervision: bool = Field(False, description="Learn from intermediate outputs too (U-Net++, U-Net 3+).")
    guided: bool = Field(
        False,
        description="Learn which classes an image holds at all, and suppress the others (U-Net 3+).",
        json_schema_extra=ADVANCED,
    )
    encoder: str | None = Field(None, description="Encoder of segmentation-models-pytorch, for example 'resnet50'.")
    encoder_weights: str | None = Field(None, description="Pretrained weights of the encoder, for example 'imagenet'.")
    spacing: Spacing | None = Field(
        None, description="Pixel size along each spatial axis; decides anisotropic pooling in 3D."
    )
    normalization: NormalizationConfig = Field(NormalizationConfig(), description="Intensity normalisation.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("give each class a name of its own")
        if self.channels and len(set(self.channels)) != self.in_channels:
            raise ValueError(f"name {self.in_channels} different channels, as many as the network reads, or none")
        if self.colors and len(self.colors) != len(self.classes):
            raise ValueError(f"give {len(self.classes)} colours, one for each class, or none")
        if self.spacing is not None and len(self.spacing) != self.ndim:
            raise ValueError(f"give {self.ndim} pixel sizes, one for each spatial axis")
        if self.task == "instances" and len(self.classes) > 2:
            raise ValueError("an instance model knows background and one kind of object; use two classes")
        if self.task == "semantic" and self.ignore_value is not None and self.ignore_value <= len(self.classes):
            raise ValueError(f"give an ignore_value above {len(self.classes)}: smaller values are classes")
        return self

    @property
    def has_boundary(self) -> bool:
        """Whether the boundary of objects is a class of its own, the last of `outputs`."""
        return self.task == "instances" and self.instance_target == "boundary"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output channel of the network stands for: the classes, and perhaps the objects' boundary.

        With `has_boundary` they are always three, in this order: background, interior, boundary. An object is its
        interior together with its boundary, a rim one pixel wide that lies inside the object.

        Examples
        --------
        >>> ModelConfig(task="instances", instance_target="boundary").outputs
        ('background', 'cell', 'cell boundary')
        """
        if not self.has_boundary:
            return self.classes
        known = self.classes if len(self.classes) > 1 else ("background", *self.classes)
        return (*known, f"{known[-1]} boundary")

    @property
    def class_colors(self) -> tuple[str, ...]:
        """One colour per class."""
        return self.colors or tuple(CLASS_COLORS[i % len(CLASS_COLORS)] for i in range(len(self.classes)))


class AugmentConfig(Config):
    """Random changes of patches, composed into one resampling.

    Weaker changes of intensity learn faster in the first 200 steps (membranes: IoU 0.47 instead of 0.32 after 30), and
    do worse later (nuclei: 0.70 instead of 0.76 after 120 s, one seed).
    """

    enabled: bool = Field(True, description="Augment the patches at all.")
    flip: bool = Field(True, description="Mirror along random axes.")
    rotation: float = Field(180.0, ge=0, le=180, description="Largest rotation in the image plane, degrees.")
    scale: float = Field(1.25, ge=1, le=4, description="Largest magnification; its inverse is the smallest.")
    shear: float = Field(0.0, ge=0, le=45, description="Largest shear, degrees.", json_schema_extra=ADVANCED)
    elastic: float = Field(
        10.0, ge=0, le=100, description="Standard deviation of the displacements of the elastic grid, pixels."
    )
    elastic_grid: int = Field(3, ge=2, le=16, description="Nodes of the elastic grid along each axis.")
    brightness: float = Field(0.1, ge=0, le=1, description="Largest shift of intensity, parts of the range.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Largest relative change of contrast.")
    gamma: float = Field(0.2, ge=0, lt=1, description="Largest relative change of gamma.")
    noise: float = Field(0.03, ge=0, le=1, description="Largest standard deviation of added noise.")
    blur: float = Field(
        0.0,
        ge=0,
        le=20,
        description="Largest standard deviation of a Gaussian blur, pixels.",
        json_schema_extra=ADVANCED,
    )
    channel_drop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How often one channel of several is left out.",
        json_schema_extra=ADVANCED,
    )


class BoundaryConfig(Config):
    """The boundary weights of Ronneberger et al. 2015, w0 exp(-(d1+d2)^2 / 2 sigma^2), or those of Falk et al. 2019.

    Falk's are ``BoundaryConfig(method="falk", w0=50, sigma=6)``: objects weigh 1, and background far_weight, rising to
    1 next to objects and further in gaps.
    """

    method: Literal["ronneberger", "falk"] = Field(
        "ronneberger",
        description="Weights of 2015, or of 2019, where background far from objects counts little.",
        json_schema_extra=ADVANCED,
    )
    w0: float = Field(10.0, ge=0, le=1000, description="Weight of a gap of zero width; 0 switches the term off.")
    sigma: float = Field(5.0, gt=0, le=200, description="Width of the gap the weight falls off at, pixels.")
    class_balance: bool = Field(
        True,
        description="Rare classes weigh as much as frequent ones, unless everything is painted (2015 only).",
    )
    far_weight: float = Field(
        0.1, ge=0, le=1, description="Weight of background far from objects (2019 only).", json_schema_extra=ADVANCED
    )
    fade: float = Field(
        10.0,
        gt=0,
        le=200,
        description="Distance over which the weight of background falls, pixels (2019 only).",
        json_schema_extra=ADVANCED,
    )


class LossConfig(Config):
    """Parts of the training loss, all of them masked to annotated pixels."""

    cross_entropy: float = Field(1.0, ge=0, le=100, description="Weight of the cross-entropy.")
    dice: float = Field(1.0, ge=0, le=100, description="Weight of the Dice loss.")
    focal: float = Field(
        0.0, ge=0, le=100, description="Weight of the focal loss: hard pixels count more.", json_schema_extra=ADVANCED
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="How little the focal loss counts easy pixels.", json_schema_extra=ADVANCED
    )
    tversky: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of the Tversky loss: Dice with a choice between missed and false pixels.",
        json_schema_extra=ADVANCED,
    )
    tversky_alpha: float = Field(
        0.3, ge=0, le=1, description="What a false pixel costs the Tversky index.", json_schema_extra=ADVANCED
    )
    tversky_beta: float = Field(
        0.7, ge=0, le=1, description="What a missed pixel costs the Tversky index.", json_schema_extra=ADVANCED
    )
    tversky_gamma: float = Field(
        1.0,
        ge=1,
        le=3,
        description="Above 1 classes with a low Tversky index count more (focal Tversky).",
        json_schema_extra=ADVANCED,
    )
    weighted_overlap: bool = Field(
        False, description="Dice and Tversky count pixels by their weights too.", json_schema_extra=ADVANCED
    )
    deep_decay: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Weight of each intermediate output, parts of that of the output before it.",
        json_schema_extra=ADVANCED,
    )
    boundary: BoundaryConfig = Field(BoundaryConfig(), description="Boundary weights of the cross-entropy.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.cross_entropy == self.dice == self.focal == self.tversky == 0:
            raise ValueError("give at least one part of the loss a weight above 0")
        return self


class SamplingConfig(Config):
    """Which annotated pixels training patches are drawn around; all others come back too, so nothing is forgotten.

    With hard = 0.5 instead of 0, IoU of membranes rose from 0.248 to 0.291 and from 0.283 to 0.302, and that of nuclei
    went from 0.653 to 0.663 and from 0.733 to 0.731 (width 8, 150 steps, strokes on 1 % of 3 images, two seeds).
    """

    turns: Literal["classes", "pixels"] = Field(
        "classes",
        description="Classes take turns however rare they are, or every annotated pixel is drawn alike.",
        json_schema_extra=ADVANCED,
    )
    background: float = Field(
        0.1,
        gt=0,
        le=1,
        description="How often background pixels are drawn where every pixel is alike (0.1 in Falk et al. 2019).",
        json_schema_extra=ADVANCED,
    )
    recent: float = Field(
        2.0,
        ge=0,
        le=100,
        description="How many times more often than others new strokes are drawn at first, in addition; 0 for alike.",
        json_schema_extra=ADVANCED,
    )
    recent_steps: int = Field(
        100, ge=1, le=100_000, description="Steps after which that is half as much.", json_schema_extra=ADVANCED
    )
    hard: float = Field(
        0.5,
        ge=0,
        le=2,
        description="How much more often strokes are drawn that are learnt badly, a power of their loss; 0 for alike.",
        json_schema_extra=ADVANCED,
    )


class PseudoConfig(Config):
    """Learning from the network's own, filtered labels where nothing is annotated (Lee and Jeong 2020).

    Off, because it gained nothing: IoU of nuclei 0.699 without and 0.700 with weight 0.5, of membranes 0.330 and 0.335
    (width 8, 150 steps, strokes on 1 % of 3 images, mean of 3 seeds), for one more forward pass a step.
    """

    weight: float = Field(0.0, ge=0, le=100, description="Weight of the pseudo-labels' loss; 0 switches them off.")
    threshold: float = Field(
        0.8, ge=0.5, le=1, description="Pixels count from this probability on.", json_schema_extra=ADVANCED
    )
    warmup: int = Field(
        200, ge=0, le=100_000, description="Steps over which the weight rises.", json_schema_extra=ADVANCED
    )


class TrainConfig(Config):
    """How a network learns: budget, patches, optimiser."""

    seconds: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Budget in seconds; neither budget: until stopped."
    )
    steps: int | None = Field(None, ge=1, description="Budget in optimiser steps.")
    patch_size: int = Field(128, ge=8, le=2048, description="Edge of a training patch, pixels.")
    batch_size: int = Field(4, ge=1, le=256, description="Patches per step.")
    optimizer: Optimizer = Field("adamw", description="AdamW, or SGD with Nesterov momentum.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="Weight decay of the optimiser.")
    momentum: float = Field(0.99, ge=0, lt=1, description="Momentum of SGD.", json_schema_extra=ADVANCED)
    schedule: Schedule = Field(
        "cosine",
        description="After the warm-up the rate falls with the budget, falls when nothing improves, or stays.",
    )
    warmup: int = Field(20, ge=0, le=10_000, description="Steps over which the learning rate rises.")
    clip: float = Field(
        5.0, ge=0, le=1e6, description="Gradients are scaled down to this norm; 0 for none.", json_schema_extra=ADVANCED
    )
    accumulate: int = Field(
        1, ge=1, le=1024, description="Batches whose gradients are added up to one step.", json_schema_extra=ADVANCED
    )
    precision: Precision = Field(
        "auto",
        description="Numbers to compute with: 'auto' takes half precision on a GPU where a short test finds it faster.",
        json_schema_extra=ADVANCED,
    )
    learns: Learns = Field(
        "all",
        description="What learns: everything, all but the contracting path, or only the last layers.",
        json_schema_extra=ADVANCED,
    )
    base_rate: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Learning rate of a network that began from the weights of napari-unet, in parts of that of random "
        "ones: what it knows is not to be lost.",
        json_schema_extra=ADVANCED,
    )
    encoder_rate: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Learning rate of the contracting path, parts of the other.",
        json_schema_extra=ADVANCED,
    )
    holdout: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Part of the annotated areas that is held out to measure progress, once there are many.",
    )
    holdout_from: int = Field(
        24,
        ge=2,
        le=10_000,
        description="Areas that are learnt from before any is held out.",
        json_schema_extra=ADVANCED,
    )
    patience: int | None = Field(
        None, ge=1, description="Stop when this many steps brought no improvement on the held-out strokes."
    )
    ema: float = Field(0.99, ge=0, lt=1, description="Averaging of the weights used for prediction; 0 for none.")
    base_ema: float = Field(
        0.98,
        ge=0,
        lt=1,
        description="That of a network that began from the weights of napari-unet: it follows corrections sooner.",
        json_schema_extra=ADVANCED,
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of all random choices.")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; by default all that are free.")
    augment: AugmentConfig = Field(AugmentConfig(), description="Augmentation.")
    loss: LossConfig = Field(LossConfig(), description="Loss.")
    sampling: SamplingConfig = Field(SamplingConfig(), description="Which strokes are learnt from how often.")
    pseudo: PseudoConfig = Field(PseudoConfig(), description="Pseudo-labels.")


class InstanceConfig(Config):
    """How single objects are made of what the network found."""

    min_size: int = Field(0, ge=0, description="Smaller objects are left out, pixels (voxels).")
    max_size: int | None = Field(None, ge=1, description="Larger objects are left out, pixels (voxels).")
    fill_holes: int = Field(0, ge=0, description="Holes of up to this many pixels inside one object are filled.")
    smoothing: float = Field(
        0.0, ge=0, le=50, description="Smooth the probabilities first: standard deviation, pixels."
    )
    split: float = Field(
        0.0, ge=0, le=200, description="Cut objects apart at necks narrower than twice this, pixels; 0 for never."
    )
    link: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Objects of a 2D model go on in the next z where they overlap by this IoU; 0 for never.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError("give a max_size that is at least min_size")
        return self


class PredictConfig(Config):
    """How an image is segmented."""

    output: Output = Field(
        "labels", description="Class labels, class probabilities, single objects, or how uncertain each pixel is."
    )
    tile: int | None = Field(None, ge=16, le=16384, description="Edge of a tile, pixels; chosen from memory if unset.")
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', 'mps'.")
    half: bool = Field(
        False, description="Probabilities as 16-bit numbers: half the space, three digits.", json_schema_extra=ADVANCED
    )
    background_zero: bool = Field(
        False, description="Write background as 0 and the classes as 1, 2, ..., as other tools expect."
    )
    channels: tuple[str, ...] = Field(
        (),
        description="Channels to read, by name or number from 0, for example DAPI or 0,2; empty for the model's own.",
    )
    rescale: bool = Field(
        False, description="Bring the image to the pixel size of the model first, and the result back on its own grid."
    )
    spacing: Spacing | None = Field(
        None,
        description="Pixel size of the image along ZYX or YX; read from the file if unset.",
        json_schema_extra=ADVANCED,
    )
    precision: Precision = Field(
        "auto",
        description="Numbers to compute with: 'auto' takes half precision on a GPU where, before a long prediction, a "
        "short test finds it faster and of the same labels.",
        json_schema_extra=ADVANCED,
    )
    depth: int | None = Field(
        None,
        ge=1,
        le=7,
        description="Predict with the smaller U-Net++ of this depth inside one that learnt with deep supervision: "
        "faster, and coarser.",
        json_schema_extra=ADVANCED,
    )
    memory: float | None = Field(
        None, ge=0.5, le=65536, description="Memory to work in, GB; by default 2, and of a GPU half of what is free."
    )
    augmented: Augmented = Field(
        "none",
        description="Mean over mirrored (4 in 2D, 8 in 3D) and turned copies (twice as many): better, and slower.",
        json_schema_extra=ADVANCED,
    )
    uncertainty: Uncertainty = Field(
        "entropy",
        description="Of the probabilities, or how much mirrored and turned copies disagree; both from 0 to 1.",
        json_schema_extra=ADVANCED,
    )
    instances: InstanceConfig = Field(InstanceConfig(), description="How single objects are made.")

"""What an explanation says: what each layer costs, what its repair buys, and the changes tried."""

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """What a fixed network reaches: right predictions, those that differ, and its logits' SQNR.

    ``accuracy`` is ``None`` without labels, ``flips`` where the network has no classes. A network
    without any error has an endless ``sqnr_db``, which JSON spells null. ``lost`` counts the images
    that the float network alone has right, ``gained`` those that the fixed one alone has.
    """

    accuracy: float | None
    flips: int | None
    sqnr_db: float | None
    lost: int | None = None
    gained: int | None = None

    def loss(self, images: int) -> float | None:
        """Give the accuracy that is lost on so many images; ``None`` without labels."""
        if self.lost is None or self.gained is None:
            return None
        return (self.lost - self.gained) / images  # a difference of fractions may miss a limit


class Parts(msgspec.Struct, frozen=True):
    """What the network reaches when one part of a layer is repaired; ``None``: it has none such."""

    weights: Effect | None = None
    output: Effect | None = None
    accumulator: Effect | None = None


class LayerExplanation(msgspec.Struct, frozen=True):
    """One layer, with the ReLU and pools behind it that keep its format.

    ``alone`` has only this layer as it is given, all others ideal; ``prefix`` this one and all
    before it; ``repaired`` only this one ideal, all others as given, and ``parts`` only one part of
    it. Ideal means 16-bit words: weights rounded anew from the float ones, the output calibrated,
    sums in 48 bits. ``own_sqnr_db`` compares the layer with its float operation on the same inputs:
    what it adds itself. The counts are those of the network as it is given.
    """

    name: str
    op: str
    alone: Effect | None
    prefix: Effect | None
    repaired: Effect | None
    parts: Parts
    own_sqnr_db: float | None
    clipped_weights: int
    saturations: int
    accumulator_overflows: int


class Tried(msgspec.Struct, frozen=True):
    """A change of one part of a layer that was run, and what the network reaches with it.

    ``setting`` and ``value`` are the key and the value in a file of formats. ``bits`` is what it
    costs: those of all weights, of all values of the output, or of one accumulator for each.
    """

    part: str
    setting: str
    value: str | tuple[str, ...]
    bits: int
    effect: Effect


class Ranked(msgspec.Struct, frozen=True):
    """A layer, the part whose repair buys most, what the layer's repair buys, and a proposal.

    All is what comes with the layers before it in the ranking repaired, for what they lose may hide
    what this one does. Where no error is left, the dB gained are infinite. The proposal is the
    cheapest of the changes that were tried and do about as well as the best.
    """

    name: str
    part: str
    flips_removed: int | None
    sqnr_db_gained: float | None
    proposal: Tried | None


class FirstLoss(msgspec.Struct, frozen=True):
    """The first image and element where a layer's output or accumulator overflowed.

    ``element`` is an index into the layer's output, ``None`` where a layer is too large to look.
    """

    name: str
    kind: str
    image: int
    element: tuple[int, ...] | None


class FlippedImage(msgspec.Struct, frozen=True):
    """An image whose prediction changed, and by how much the largest logit leads the second."""

    index: int
    label: int | None
    reference: int
    fixed: int
    reference_margin: float
    fixed_margin: float


class Explanation(msgspec.Struct, frozen=True):
    """Where a fixed network loses what it loses, and what would help.

    ``ranking`` begins with the layer whose repair removes most flips, then gains most SQNR; it is
    empty where nothing is lost. ``tried`` are the changes of its first layer. ``flipped`` begins
    with the smallest margin of the float network.
    """

    reference_accuracy: float | None
    images: int
    given: Effect
    ideal: Effect
    layers: tuple[LayerExplanation, ...]
    ranking: tuple[Ranked, ...]
    tried: tuple[Tried, ...]
    first_losses: tuple[FirstLoss, ...]
    flipped: tuple[FlippedImage, ...]

    @property
    def loss(self) -> float | None:
        """Give the accuracy that the fixed network loses; ``None`` without labels."""
        return self.given.loss(self.images)

"""How an evaluation treats files that are missing, unreadable or of another size than their mask."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import METRICS, parse_metric
from sodbench.metrics.protocols import PROTOCOLS

# Results state a shard with up to nine digits, see result.schema.json
MAX_SHARDS = 999_999_999

Missing = Literal["error", "skip", "zero"]
Resize = Literal["error", "bilinear", "nearest", "bicubic", "opencv"]
Undefined = Literal["keep", "skip"]
Channel = Literal["grey", "alpha"]


@dataclass(frozen=True)
class Policy:
    """The choices of one evaluation; those that affected at least one pair are part of the signature.

    Parameters
    ----------
    missing : {"error", "skip", "zero"}
        For a missing or unreadable map: refuse to score, leave the image out, or score an all-black map.
    resize : {"error", "bilinear", "nearest", "bicubic", "opencv"}
        For a map of another size than its mask: refuse to score, or resize the map.
    undefined : {"keep", "skip"}, optional
        Whether an undefined S-measure makes the mean undefined or is left out of it; None is the protocol's choice.
    weighted : bool
        Whether weighted F is computed.
    metrics : tuple of str
        The metrics that are computed on request only, such as ``hce`` or ``iou@0.5``; others are dropped, since they are
        computed anyway.
    protocols : tuple of str
        The protocols for which pairs are counted on request only, such as ``torch``; others are dropped.
    shard : (int, int), optional
        ``(i, n)``: score only every n-th pair, starting with the i-th, i = 1..n.
    channel : {"grey", "alpha"}
        What of a map's file is the map: its grey values, or its alpha channel, as for cutouts.

    Raises
    ------
    SodbenchError
        For a value that is not one of these.
    """

    missing: Missing = "error"
    resize: Resize = "bilinear"
    undefined: Undefined | None = None
    weighted: bool = True
    shard: tuple[int, int] | None = None
    metrics: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    channel: Channel = "grey"

    def __post_init__(self) -> None:
        _check_choice("missing", self.missing, get_args(Missing))
        _check_choice("resize", self.resize, get_args(Resize))
        _check_choice("channel", self.channel, get_args(Channel))
        _check_choice("undefined", self.undefined, (None, *get_args(Undefined)))
        if self.weighted not in (True, False):
            raise SodbenchError(f"weighted is {self.weighted!r}, but must be True or False")
        object.__setattr__(self, "weighted", bool(self.weighted))  # 0 and numpy's False as well
        object.__setattr__(self, "metrics", requested_metrics(self.metrics))
        counted = [name for name, p in PROTOCOLS.items() if p.on_request and name in self.protocols]
        object.__setattr__(self, "protocols", tuple(counted))
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1] <= MAX_SHARDS:
            raise SodbenchError(
                f"shard {self.shard_text}: I must be between 1 and N, and N at most {MAX_SHARDS:,}"
            )

    @property
    def shard_text(self) -> str:
        """The shard as it is written on the command line, such as ``1/8``; empty for all pairs.

        Returns
        -------
        str
        """
        return "/".join(map(str, self.shard)) if self.shard else ""

    def applied(
        self, *, n_missing: int, n_resized: int, n_divided: int | None = None
    ) -> "AppliedPolicy":
        """Return this policy together with the numbers of pairs that it affected, see `AppliedPolicy`.

        Parameters
        ----------
        n_missing, n_resized, n_divided
            See `AppliedPolicy`.

        Returns
        -------
        AppliedPolicy
        """
        choices = {field.name: getattr(self, field.name) for field in fields(Policy)}
        return AppliedPolicy(
            **choices, n_missing=n_missing, n_resized=n_resized, n_divided=n_divided
        )


def requested_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics among some that are computed on request only.

    Parameters
    ----------
    names : iterable of str
        Metrics of the catalogue, also with parameters.

    Returns
    -------
    tuple of str
        In the order of the catalogue, then those with parameters in the order of their names.

    Raises
    ------
    SodbenchError
        For a name that is not in the catalogue, and for parameters that make no sense.
    """
    try:
        metrics = [parse_metric(name) for name in names]
    except ValueError as error:
        raise SodbenchError(str(error)) from None
    requested = {metric.name for metric in metrics if metric.on_request}
    of_catalogue = [name for name in METRICS if name in requested]
    return (*of_catalogue, *sorted(requested.difference(of_catalogue)))


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise SodbenchError(
            f"{name} is {value!r}, but must be one of {', '.join(map(str, choices))}"
        )


@dataclass(frozen=True)
class AppliedPolicy(Policy):
    """A policy and what it did to the pairs of one result.

    Parameters
    ----------
    n_missing : int
        Missing or unreadable maps that were left out or scored as black.
    n_resized : int
        Maps that were resized to their masks.
    n_divided : int, optional
        The number of pairs of all shards together; None for a result that is not a shard.
    """

    n_missing: int = 0
    n_resized: int = 0
    n_divided: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for ``result.json``.

        Returns
        -------
        dict
            With ``shard`` as text, such as ``1/8``, and ``metrics`` and ``protocols`` as lists.
        """
        lists = {"metrics": list(self.metrics), "protocols": list(self.protocols)}
        return {**vars(self), "shard": self.shard_text or None, **lists}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned.

        Parameters
        ----------
        content : mapping
            The fields as plain values.

        Returns
        -------
        AppliedPolicy

        Raises
        ------
        SodbenchError
            For a value that is no choice.
        """
        shard = content["shard"]
        index, number = map(int, shard.split("/")) if shard else (0, 0)
        whole = (index, number) if shard else None
        lists = {name: tuple(content[name]) for name in ("metrics", "protocols")}
        return cls(**{**content, "shard": whole, **lists})

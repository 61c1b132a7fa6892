"""The signature: one line that states how a number was made."""

import re
from dataclasses import dataclass
from typing import Self

from sodbench.errors import SodbenchError
from sodbench.version import __version__

# Of the fields in the line, after the version
_FIELD_ORDER = (
    *("protocol", "subset", "shard", "n", "missing", "resize", "gt", "undefined"),
    *("channel", "groups", "hce"),
)


@dataclass(frozen=True)
class Signature:
    """How a number was made; numbers of different signatures are not the same quantity.

    ``str(signature)`` is the line that is printed and stored, and `parse` reads it.

    Parameters
    ----------
    protocol : str
        Name of the protocol.
    n : int
        Number of pairs.
    missing, resize : str
        The policy and the number of pairs that it affected, such as ``skip(2)``; ``error`` and ``none`` where it
        affected no pair.
    gt : str
        Which grey levels of a mask are foreground, such as ``>128``.
    undefined : str
        As ``missing``, for undefined S-measures; empty if there are none.
    subset : str
        The subset of the dataset, such as ``test`` for HKU-IS/test; empty for the whole dataset.
    shard : str
        The part of the pairs that was scored, such as ``1/8``; empty for all of them.
    channel : str
        What of a map's file was scored, such as ``alpha``; empty for its grey values.
    groups : str
        By what the images were grouped, and the number of groups, such as ``parent(29)``: the numbers are means over
        groups of the means of their images; empty for the mean over all images.
    hce : str
        Whose polylines human correction effort counts, such as ``opencv-4.12``; empty where it was not computed.
    version : str
        Version of sodbench.

    Examples
    --------
    >>> signature = Signature("pysodmetrics", n=300, missing="skip(2)", version="0.1.0")
    >>> str(signature)
    'sodbench:0.1.0|protocol:pysodmetrics|n:300|missing:skip(2)|resize:none|gt:>128'
    >>> Signature.parse(str(signature)) == signature
    True
    """

    protocol: str
    n: int
    missing: str = "error"
    resize: str = "none"
    gt: str = ">128"
    undefined: str = ""
    subset: str = ""
    shard: str = ""
    channel: str = ""
    groups: str = ""
    hce: str = ""
    version: str = __version__

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the line by name, in its order; without those that are empty.

        Returns
        -------
        dict of str to str
        """
        values = {"sodbench": self.version}
        values |= {name: str(getattr(self, name)) for name in _FIELD_ORDER}
        return {name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return "|".join(f"{name}:{_escape_value(value)}" for name, value in self.fields.items())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a signature from its line.

        Raises
        ------
        SodbenchError
            If the text is not the line of a signature.
        """
        values = {}
        for part in text.split("|"):
            name, colon, value = part.partition(":")
            values[name if colon else ""] = _unescape(value)
        values["version"] = values.pop("sodbench", "")
        try:
            signature = cls(**{**values, "n": int(values.get("n", ""))})  # type: ignore[arg-type]
        except (TypeError, ValueError):
            signature = None
        if signature is None or signature.n < 0 or str(signature) != text:
            raise SodbenchError(f"{text!r} is not the signature of a result")
        return signature


def _escape_value(value: str) -> str:
    # names of datasets and protocols are the user's own, and may hold the separator
    return re.sub("[%|]", lambda match: f"%{ord(match[0]):02X}", value)


def _unescape(value: str) -> str:
    return value.replace("%7C", "|").replace("%25", "%")

"""Stub."""

from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from sodbench.parallel import processors
from sodbench.results import Policy
from sodbench.runners.evaluation.count import Visit, count, get_ready


@dataclass(frozen=True)
class Workers:
    """Stub."""

    jobs: int | None = None
    executor: Executor | None = None
    processes: bool = False

    def count(self, visits: Sequence[Visit], policy: Policy) -> Generator[Any, None, None]:
        """Stub."""
        get_ready()
        yield from count(visits, policy, self.jobs or processors())

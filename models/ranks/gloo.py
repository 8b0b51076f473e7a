"""The same over `torch.distributed`: one rank a process, collective calls on a real gloo group.

Slower than `together`, and what a server does; the same operations have the same results.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as distributed

from sanitree.models.ranks.group import Reduction


class Gloo:
    """A process group of so many processes, which meet at a file that does not exist yet. A context: it ends the group.

    process_group: as `torch.distributed` takes it.
    """

    def __init__(self, rank: int, size: int, meet: Path, seconds: float = 60.0) -> None:
        self.rank, self.size = rank, size
        distributed.init_process_group(
            "gloo", init_method=f"file://{meet}", rank=rank, world_size=size, timeout=timedelta(seconds=seconds)
        )
        self.process_group: Any = distributed.group.WORLD

    def __enter__(self) -> Gloo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        distributed.destroy_process_group()

    def reduce(self, how: Reduction, values: Sequence[int]) -> list[int]:
        """As `Group.reduce`."""
        tensor = torch.tensor(list(values), dtype=torch.int64)
        operation = {"min": distributed.ReduceOp.MIN, "max": distributed.ReduceOp.MAX, "sum": distributed.ReduceOp.SUM}
        distributed.all_reduce(tensor, op=operation[how], group=self.process_group)
        return [int(x) for x in tensor.tolist()]

    def barrier(self) -> None:
        """As `Group.barrier`."""
        distributed.barrier(group=self.process_group)

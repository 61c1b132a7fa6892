"""Score maps with the workers of a Dask cluster, or of any executor of concurrent.futures.

    pip install 'sodbench[dask]'
    python examples/score_on_a_cluster.py                                  # two workers on this machine
    python examples/score_on_a_cluster.py tcp://head:8786 maps/ masks/     # the workers of a scheduler

The workers read the files themselves, so every machine needs the same paths.  The numbers are those of one process, to
the last bit.  With SLURM, `dask_jobqueue.SLURMCluster` starts such a scheduler: see docs/cluster.md.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster
from PIL import Image

from sodbench import evaluate


def draw_pairs(folder: Path) -> tuple[Path, Path]:
    """Write forty maps and masks, to have something to score; return their folders."""
    generator = np.random.default_rng(0)
    maps, masks = folder / "maps", folder / "masks"
    for path in (maps, masks):
        path.mkdir()
    for index in range(40):
        mask = np.hypot(*(np.mgrid[:90, :120] - generator.uniform(30, 60, (2, 1, 1)))) < 20
        noisy = (200 * mask + generator.uniform(0, 55, mask.shape)).astype(np.uint8)
        Image.fromarray(noisy).save(maps / f"{index:03}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(masks / f"{index:03}.png")
    return maps, masks


def main() -> None:
    """Score the folders of the arguments, or forty drawn pairs."""
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            cluster, maps, masks = None, *map(Path, sys.argv[2:4])
            client = Client(sys.argv[1])
        else:
            cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            client = Client(cluster)
            maps, masks = draw_pairs(Path(folder))
        with client:
            result = evaluate(maps, masks, executor=client.get_executor())
        if cluster is not None:
            cluster.close()
    print(result.signature)
    for name in ("mae", "f_max", "s", "e_max"):
        print(f"{name} {result.metrics[name]:.4f}")


if __name__ == "__main__":
    main()

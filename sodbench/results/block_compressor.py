"""Compress arrays for ``counts.npz`` by several threads: deflate streams may be joined block by block."""

import zlib
from collections import deque
from concurrent.futures import Executor, Future

from sodbench.parallel import thread_count

# Histograms are mostly zeros, and higher levels gain little
LEVEL = 1


class BlockCompressor:
    """Compresses blocks of data side by side into one stream, with the methods of ``zlib.compressobj``.

    The stream depends on the blocks alone, not on the number of threads.

    Parameters
    ----------
    threads : Executor
        Where the blocks are compressed; zlib releases the interpreter's lock.
    """

    def __init__(self, threads: Executor):
        self._threads = threads
        self._pending: deque[Future[bytes]] = deque()

    def compress(self, data: bytes | memoryview) -> bytes:
        """Begin to compress a block, and return the next piece of the stream.

        Parameters
        ----------
        data : bytes or memoryview
            It must not change any more.

        Returns
        -------
        bytes
            Earlier blocks, as far as they must be finished so that a bounded number of them is in memory.
        """
        self._pending.append(self._threads.submit(_deflate_block, data))
        number = len(self._pending) - 2 * thread_count()
        return b"".join(self._pending.popleft().result() for _ in range(number))

    def flush(self) -> bytes:
        """Return the rest of the stream."""
        blocks = [block.result() for block in self._pending]
        self._pending.clear()
        return b"".join([*blocks, zlib.compressobj(wbits=-zlib.MAX_WBITS).flush()])


def _deflate_block(data: bytes | memoryview) -> bytes:
    """Compress some data as a part of a deflate stream that refers to nothing before it."""
    compressor = zlib.compressobj(LEVEL, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)

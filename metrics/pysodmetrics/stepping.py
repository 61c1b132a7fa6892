"""What all classes of the drop-in share: pairs are added one by one."""

from typing import Any

from numpy.typing import NDArray

from sodbench.metrics.pysodmetrics_input import LastPair, PreparedPair, prepare_pair


class SteppedMetric:
    """A metric that is stepped with pairs."""

    _last: LastPair | None = None

    def step(self, pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True) -> None:
        """Add a pair.

        Parameters
        ----------
        pred : array [h, w]
            With ``normalize`` any numbers, which are divided by 255 and stretched to [0, 1] unless they are constant;
            without it float32 or float64 in [0, 1].
        gt : array [h, w]
            With ``normalize`` foreground is above 128; without it the mask is bool.
        normalize : bool
            Which of the two.

        Raises
        ------
        ValueError
            For shapes that differ or are not [h, w], no pixels, NaN, values outside [0, 1], or where the metric is
            undefined.
        TypeError
            Without ``normalize``, for other types.
        """
        # held, so that other metrics can share it
        self._last = prepare_pair(pred, gt, normalize)
        self._add(self._last.pair)

    def get_results(self) -> dict[str, Any]:
        """Average over the pairs.

        Returns
        -------
        dict
            With the keys and shapes of PySODMetrics, which the class describes.
        """
        return self._results()

    def _add(self, pair: PreparedPair) -> None:
        raise NotImplementedError

    def _results(self) -> dict[str, Any]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}

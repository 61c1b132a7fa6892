"""Everything that is wrong with the files of an evaluation, found before anything is scored and raised together."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sodbench import images
from sodbench.datasets import Pair
from sodbench.errors import ImageError, Problem, ProblemKind, ProblemsError, SodbenchError
from sodbench.files import report_write_errors
from sodbench.metrics import PreparedMask
from sodbench.output_folder import check_outside
from sodbench.parallel import in_threads
from sodbench.results.pair_problems import sorted_unique
from sodbench.runners.evaluation.assemble import result_folder
from sodbench.runners.evaluation.count import size_problem
from sodbench.runners.evaluation.plan import EvaluationPlan
from sodbench.runners.evaluation.task import Task

# Printed where no map at all matches a mask: then the advice of the kind "missing" would mislead
_NAMES_ADVICE = (
    "names: a map is named as its mask, with any ending and a suffix that all maps share (0001.png or 0001_net.png "
    "for 0001.jpg); is this GT the dataset of these maps?"
)
# How many pairs are read to see whether masks look like masks
_SAMPLES = 3


def check_plan(plan: EvaluationPlan, output: Path | None = None) -> None:
    """Check everything that can be known before images are decoded.

    Parameters
    ----------
    plan : EvaluationPlan
    output : Path, optional
        The folder in which results will be stored; it is created.

    Raises
    ------
    SodbenchError
        Where results cannot be stored in the folder.
    ProblemsError
        With every problem of every task that the policy does not cover, and every fault that headers and checksums of
        the other files show.
    """
    for task in plan.tasks:
        if task.maps and task.maps.resolve() == task.masks.resolve():
            raise SodbenchError(
                f"{task.maps}: PREDS and GT are the same folder; masks scored against themselves are no result"
            )
    if output:
        _check_output_folder(plan.tasks, output)
    errors = [error for task in plan.tasks for error in task.errors]
    if output:
        errors += [error for task in plan.tasks for error in _find_names_not_utf8(task)]
    if not errors:
        return
    notes = [n for task in plan.tasks for n in task.notes if n.kind != ProblemKind.MISSING]
    problems = list(dict.fromkeys([*errors, *notes, *plan.problems, *_look_at_files(plan)]))
    nothing_matches = not any(task.pairing.pairs for task in plan.tasks)
    raise ProblemsError(
        f"{len(problems)} problem(s) with the files; nothing was scored",
        problems,
        *advise(problems, nothing_matches=nothing_matches),
    )


def advise(problems: Sequence[Problem], *, nothing_matches: bool = False) -> list[str]:
    """Return what a user can do about problems.

    Parameters
    ----------
    problems : sequence of Problem
    nothing_matches : bool
        Whether no map at all has the name of a mask.

    Returns
    -------
    list of str
        A line for each kind that has an advice.
    """
    kinds = {problem.kind for problem in problems}
    advice = {kind: kind.advice for kind in ProblemKind if kind in kinds}
    if nothing_matches and ProblemKind.MISSING in advice:
        advice[ProblemKind.MISSING] = _NAMES_ADVICE
    return [text for text in advice.values() if text]


def _check_output_folder(tasks: Sequence[Task], output: Path) -> None:
    """Raise SodbenchError for a folder among the user's data, or one that cannot be written to."""
    owners: dict[Path, Task] = {}
    for task in tasks:
        folder = result_folder(task, output)
        image = next(iter(task.images.values()), None)
        data = {task.maps, task.masks, image and image.parent}
        # a list's own folder holds nothing but the list, as far as is known
        if task.maps is None:
            data = {file.parent for pair in task.pairing.pairs for file in (pair.mask, pair.map)}
        for place in (output, folder):
            check_outside(place, sorted(filter(None, data)))
        if task.root and output.resolve() == task.root.resolve():
            raise SodbenchError(
                f"{output}: is the folder of the dataset {task.dataset}; choose an output folder of its own"
            )
        other = owners.setdefault(folder, task)
        if other is not task:
            raise SodbenchError(
                f"{other.method} and {task.method} would both be stored in {folder}; rename one"
            )
    with report_write_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass


def _find_names_not_utf8(task: Task) -> list[Problem]:
    """Names from old archives that neither JSON nor CSV can hold."""
    names = [task.method, task.dataset, *filter(None, task.folders.values())]
    names += map(str, task.mask_files.values())
    names += map(str, filter(None, task.map_files.values()))
    try:
        # usually all are, and one look at all of them is quick
        "".join(names).encode()
    except UnicodeEncodeError:
        pass
    else:
        return []
    return [
        Problem(ProblemKind.NAME, name, "is not UTF-8, so that no result can hold it; rename it")
        for name in dict.fromkeys(names)
        if any("\udc80" <= letter <= "\udcff" for letter in name)
    ]


def _look_at_files(plan: EvaluationPlan) -> list[Problem]:
    """What scoring would find, as far as headers and checksums show."""
    policy = plan.policy
    kinds: dict[Path, ProblemKind] = {}
    pairs: list[tuple[Path, Path]] = []
    for task in plan.tasks:
        kinds |= dict.fromkeys(task.mask_files.values(), ProblemKind.UNREADABLE_MASK)
        pairs += [(map_, task.mask_files[stem]) for stem, map_ in task.map_files.items() if map_]
    if policy.missing == "error" or policy.resize == "error":
        kinds |= dict.fromkeys((map_ for map_, _ in pairs), ProblemKind.UNREADABLE)

    def look(path: Path) -> tuple[int, int] | str:
        try:
            return images.image_size(path)
        except ImageError as error:
            return error.problem.detail

    sizes = dict(zip(kinds, in_threads(look, list(kinds), "check", "file"), strict=True))
    problems = [
        Problem(kinds[path], str(path), fault)
        for path, fault in sizes.items()
        if isinstance(fault, str)
        and (kinds[path] != ProblemKind.UNREADABLE or policy.missing == "error")
    ]
    for map_, mask in pairs if policy.resize == "error" else ():
        size, wanted = sizes[map_], sizes[mask]
        if size != wanted and not isinstance(size, str) and not isinstance(wanted, str):
            problems.append(size_problem(map_, size, wanted))
    return sorted_unique(problems)


# -- folders that are probably not what the user means -----------------------------------------------


def check_not_swapped(task: Task, stems: Sequence[str]) -> None:
    """Check that some of the masks look like masks and the maps like maps.

    Parameters
    ----------
    task : Task
    stems : sequence of str
        The pairs that will be counted.

    Raises
    ------
    SodbenchError
        Where all of these masks have many grey levels and the maps two, or the masks look like photographs.
    """
    wanted = set(stems)
    pairs = [pair for pair in task.pairing.pairs if pair.stem in wanted]
    pairs = pairs[:: max(1, len(pairs) // _SAMPLES)][:_SAMPLES]
    try:
        swapped = bool(pairs) and all(map(_looks_swapped, pairs))
        photographs = bool(pairs) and all(_looks_like_a_photograph(pair.mask) for pair in pairs)
    except ImageError:
        # reported when its turn comes
        return
    if swapped and task.maps is None:
        raise SodbenchError(
            f"{task.source[-1] if task.source else 'the list'}: the first column names images of two grey levels, like "
            "masks, and the second images of many, like maps: are the columns swapped? A line is "
            "'map.png mask.png'. If they are right, add --allow-swapped"
        )
    if swapped:
        raise SodbenchError(
            f"{task.maps} holds images of two grey levels, like masks, and {task.masks} images of many, like maps: "
            "are the two folders swapped? The order is PREDS GT. If they are right, add --allow-swapped"
        )
    if photographs:
        raise SodbenchError(
            f"{task.masks}: holds images that look like photographs, not like masks (most of their pixels are neither "
            "black nor white); give the folder of the masks as GT. If these are the masks, add --allow-swapped"
        )


def _looks_swapped(pair: Pair) -> bool:
    """Whether the mask has many grey levels, as maps do, and the map two, as masks do."""
    return _count_levels(pair.mask) > 32 and _count_levels(pair.map) <= 2


def _looks_like_a_photograph(path: Path) -> bool:
    """Whether most pixels are neither dark nor bright.  JPEG masks have many grey levels, too, but few such pixels."""
    pixels = images.read_grey(path).pixels
    between = (pixels >= 32) & (pixels < 224)
    return len(PreparedMask(pixels).levels) > 128 and float(between.mean()) > 0.5


def _count_levels(path: Path) -> int:
    return len(PreparedMask(images.read_grey(path).pixels).levels)

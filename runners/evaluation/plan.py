"""What will be scored: the user's paths, resolved into tasks of one method on one dataset each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sodbench.datasets import Dataset, read_pair_list
from sodbench.datasets.dataset import check_dataset_name
from sodbench.datasets.layouts import describe_layouts
from sodbench.datasets.list_files import list_subset_name
from sodbench.errors import Problem, ProblemKind, SodbenchError
from sodbench.folders import list_file_folders, listing_once
from sodbench.quoting import count_noun
from sodbench.results.policy import Policy
from sodbench.runners.evaluation.prediction_tree import PredictionTree, is_selected, read_tree
from sodbench.runners.evaluation.task import Task, find_same_files, make_task

_LAYOUT_ADVICE = (
    "  PREDS is read as <set>/*.png, <method>/<set>/*.png or <set>/<method>/*.png where GT has several datasets",
    *describe_layouts(),
    "  or give the folder of the dataset and --dataset-name NAME",
)


@dataclass(frozen=True)
class EvaluationPlan:
    """Which saliency maps are scored against which masks, and how.

    Attributes
    ----------
    tasks : tuple of Task
        Sorted by dataset, then method; all with the same policy.
    ignored : tuple of str
        What is left out on purpose or without loss, in words.
    problems : tuple of Problem
        Folders of maps that are not scored (``unscored-maps``) and links that lead nowhere (``broken-link``).
    """

    tasks: tuple[Task, ...]
    ignored: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy of all tasks."""
        return self.tasks[0].policy if self.tasks else Policy()

    def counted_for(self, protocols: Sequence[str]) -> "EvaluationPlan":
        """Return the same plan with pairs counted for these protocols, too.

        Parameters
        ----------
        protocols : sequence of str

        Returns
        -------
        EvaluationPlan
        """
        policy = replace(self.policy, protocols=(*self.policy.protocols, *protocols))
        return replace(self, tasks=tuple(replace(task, policy=policy) for task in self.tasks))

    def by_dataset(self) -> Iterator[tuple[Task, ...]]:
        """Group the tasks that share masks.

        Yields
        ------
        tuple of Task
            All tasks of one dataset that have pairs in this shard.
        """
        for name in dict.fromkeys(task.dataset for task in self.tasks):
            group = tuple(task for task in self.tasks if task.dataset == name and task.stems)
            if group:
                yield group

    def describe(self) -> list[str]:
        """Describe what will be scored.

        Returns
        -------
        list of str
            A line for each task, and one for everything that is left out.
        """
        lines = []
        for task in self.tasks:
            pairing = task.pairing
            parts = [count_noun(len(pairing.pairs), "pair")]
            parts += [f"{len(pairing.missing)} without a map"] * bool(pairing.missing)
            for things, noun, state in (
                (pairing.extra, "map", "without a mask"),
                (pairing.ambiguous, "name", "claimed twice"),
                (pairing.outside_subset, "map", "outside the subset"),
            ):
                if things:
                    parts.append(f"{count_noun(len(things), noun)} {state}")
            parts += [f"suffix '{pairing.suffix}' on the maps' names"] * bool(pairing.suffix)
            lines.append(f"{task}: {', '.join(parts)}")
        return lines + [f"not scored: {reason}" for reason in self.ignored]

    def to_dict(self) -> dict[str, Any]:
        """Return what will be scored, for JSON.

        Returns
        -------
        dict
            ``tasks``, each with its method, dataset and number of pairs, and the files that are in no pair;
            ``not_scored``, the reasons for all that is left out; ``problems``.
        """
        tasks = [
            {
                "method": task.method,
                "dataset": task.dataset,
                "maps": str(task.maps) if task.maps else None,
                "masks": str(task.masks),
                "pairs": len(task.pairing.pairs),
                "missing": [str(mask.path) for mask in task.pairing.missing],
                "extra": [str(map_.path) for map_ in task.pairing.extra],
                "ambiguous": [str(path) for item in task.pairing.ambiguous for path in item.paths],
                "outside_subset": [str(path) for path in task.pairing.outside_subset],
                "suffix": task.pairing.suffix,
            }
            for task in self.tasks
        ]
        problems = [asdict(problem) for problem in self.problems]
        return {"tasks": tasks, "not_scored": list(self.ignored), "problems": problems}


@listing_once()
def plan_evaluation(
    predictions: Path,
    truths: Sequence[Dataset],
    *,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    name: str | None = None,
    others: Sequence[Dataset] | None = None,
    policy: Policy | None = None,
) -> EvaluationPlan:
    """Find the methods below a folder and match their maps with the masks of datasets.

    Parameters
    ----------
    predictions : Path
        One folder of maps, or a tree of them: ``<set>/``, ``<method>/<set>/``, ``<set>/<method>/``, or ``<method>/``
        where there is one dataset.  A method's name may be several folders deep (``<paper>/<backbone>``).
    truths : sequence of Dataset
        From `sodbench.datasets.find_masks`.
    methods, datasets : collection of str
        Only these, by name; case and punctuation do not matter.
    name : str, optional
        What to call the one method.
    others : sequence of Dataset, optional
        Datasets that the user left out: their maps are then no problem, nor are those of any further dataset.
    policy : Policy, optional
        What to do about missing maps and other problems.

    Raises
    ------
    SodbenchError
        Where there are no maps, a method is not there or is there twice, or nothing is left to score.
    """
    wanted = select_truths(truths, datasets)
    unwanted = [*(others or ()), *(truth for truth in truths if truth not in wanted)]
    tree = read_tree(predictions, wanted, unwanted, bool(datasets) or others is not None)
    scored, seen, problems, ignored = [], set(), list(tree.broken), list(tree.loops)
    for folder, maps in tree.folders.items():
        method, truth, reason = tree.identify(folder)
        if truth is None and tree.on_purpose:
            ignored.append(f"{folder}: {reason}")
        elif truth is None:
            detail = f"{len(maps)} maps: {reason}"
            problems.append(Problem(ProblemKind.UNSCORED_MAPS, str(folder), detail))
        else:
            seen.add(name or method)
            if not methods or is_selected(name or method, methods):
                scored.append((name or method, truth, folder))
    problems += tree.find_unscored()
    if unknown := [w for w in methods if not any(is_selected(method, [w]) for method in seen)]:
        raise SodbenchError(
            f"{predictions}: no method named {', '.join(unknown)}; there are {', '.join(sorted(seen))}"
        )
    tasks = _make_tasks(tree, scored, policy)
    _check_distinct(tasks)
    if not tasks:
        raise _nothing_to_score(predictions, ignored, problems)
    order = {truth.name: i for i, truth in enumerate(wanted)}
    tasks.sort(key=lambda task: (order[task.dataset], task.method))
    return EvaluationPlan(tuple(tasks), tuple(ignored), tuple(problems))


def _make_tasks(
    tree: PredictionTree, scored: Sequence[tuple[str, Dataset, Path]], policy: Policy | None
) -> list[Task]:
    """The tasks of the folders of maps, each with its method and dataset; those of one dataset's groups are one task."""
    tasks: list[Task] = []
    grouped: dict[tuple[Path, str, str], dict[str, list[Path]]] = {}
    truths = {truth.name: truth for _, truth, _ in scored}
    for method, truth, folder in scored:
        maps = tree.folders[folder]
        if not truth.groups:
            tasks.append(make_task(method, truth, folder, maps, policy))
            continue
        base, group = tree.group_of(folder)
        by_stem = grouped.setdefault((base, method, truth.name), {})
        for map_ in maps:
            by_stem.setdefault(f"{group}/{map_.stem}", []).append(map_)
    return tasks + [
        make_task(method, truths[dataset], base, by_stem, policy)
        for (base, method, dataset), by_stem in grouped.items()
    ]


def _nothing_to_score(
    predictions: Path, ignored: Sequence[str], problems: Sequence[Problem]
) -> SodbenchError:
    reasons = [*ignored, *(f"{problem.file}: {problem.detail}" for problem in problems)]
    lines = [f"  {reason}" for reason in reasons]
    return SodbenchError(f"{predictions}: nothing to score", *lines, *_LAYOUT_ADVICE)


def select_truths(truths: Sequence[Dataset], datasets: Collection[str]) -> Sequence[Dataset]:
    """Select datasets by name.

    Parameters
    ----------
    truths : sequence of Dataset
    datasets : collection of str
        Names; none selects all.

    Raises
    ------
    SodbenchError
        For a name that is not there.
    """
    unknown = [w for w in datasets if not any(is_selected(truth.name, [w]) for truth in truths)]
    if unknown:
        raise SodbenchError(
            f"no ground truth for {', '.join(unknown)}; there is {', '.join(t.name for t in truths)} "
            "(a subset such as HKU-IS/test is asked for as GT itself: data/HKU-IS/test)"
        )
    return [truth for truth in truths if not datasets or is_selected(truth.name, datasets)]


def plan_pair_list(
    list_file: Path,
    name: str | None = None,
    dataset_name: str | None = None,
    policy: Policy | None = None,
) -> EvaluationPlan:
    """Plan the pairs of a SalMetric list, ``map.png mask.png`` on each line, as one task.

    Parameters
    ----------
    list_file : Path
        The list.
    name : str, optional
        What to call the method; by default as the list.
    dataset_name : str, optional
        What to call the dataset.  A hash of the items' names is its subset, so that the numbers of two lists have
        different signatures.
    policy : Policy, optional
        As for `plan_evaluation`.

    Raises
    ------
    SodbenchError
        Where the list cannot be read.
    """
    source: tuple[str, ...] = ("--pairs", str(list_file.absolute()))
    if dataset_name is not None:
        check_dataset_name(dataset_name, "--dataset-name")
        source = (*source, "--dataset-name", dataset_name)
    pairing = read_pair_list(list_file)
    stems = {item.stem for item in pairing.pairs}
    stems |= {item.stem for item in pairing.missing} | {item.stem for item in pairing.ambiguous}
    task = Task(
        name or list_file.stem,
        f"{dataset_name or 'list'}/{list_subset_name(stems)}",
        None,
        list_file.parent,
        {},
        pairing,
        problems=find_same_files(
            pairing,
            list_file_folders(pair.map for pair in pairing.pairs),
            list_file_folders(pair.mask for pair in pairing.pairs),
        ),
        source=source,
        policy=policy or Policy(),
    )
    return EvaluationPlan((task,))


def _check_distinct(tasks: Sequence[Task]) -> None:
    """Raise SodbenchError for a method that has two folders of maps for one dataset."""
    folders: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        folders.setdefault((task.method, task.dataset), []).append(str(task.maps))
    for (method, dataset), places in sorted(folders.items()):
        if len(places) > 1:
            raise SodbenchError(
                f"{method} on {dataset} has maps in {len(places)} folders: {', '.join(places)}; name one of them"
            )

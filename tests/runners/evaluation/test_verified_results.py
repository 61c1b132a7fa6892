"""Results that were derived from their counts before are not derived again, as long as nothing has changed."""

import subprocess
import sys

import pytest
from evaluations import STEMS, edit_json, run

from sodbench.datasets import find_masks
from sodbench.metrics import catalogue
from sodbench.results import derivation, load_result, verified
from sodbench.runners.evaluation import evaluate as evaluate_module
from sodbench.runners.evaluation import reuse
from sodbench.runners.evaluation.plan import plan_evaluation


@pytest.fixture
def derivations(monkeypatch):
    """The results that are derived from stored counts from now on."""
    derived = []

    def derive(counts, protocol, info, *arguments):
        derived.append(protocol)
        return real(counts, protocol, info, *arguments)

    real = derivation.derive_result
    monkeypatch.setattr(reuse, "derive_result", derive)
    monkeypatch.setattr(derivation, "derive_result", derive)
    return derived


@pytest.fixture
def scored(folders):
    assert run(folders, "-o", str(folders / "out")) == 0
    return folders


def again(folders, *options):
    assert run(folders, "-o", str(folders / "out"), *options) == 0


def test_an_unchanged_result_is_reused_and_opened_without_deriving_it(scored, derivations):
    again(scored)
    stored = load_result(scored / "out/maps/toys")
    assert len(stored.counts) == stored.n
    assert len(stored.open_counts()) == stored.n
    assert derivations == []


def test_no_workers_are_started_early_for_what_is_stored(scored):
    plan = plan_evaluation(scored / "maps", find_masks(scored / "gt"))
    count = evaluate_module._count_new_maps
    assert count(plan, scored / "out", force=False) == 0
    assert count(plan, scored / "out", force=True) == len(STEMS)
    assert count(plan, None, force=False) == count(plan, scored / "new", force=False) == len(STEMS)


def test_it_is_derived_again_after_a_change_of_the_code(scored, derivations, monkeypatch):
    monkeypatch.setattr(verified, "_code_state", lambda: "another version")
    again(scored)
    assert derivations == ["salmetric"]
    # and is known from then on
    again(scored)
    assert derivations == ["salmetric"]


def test_it_is_derived_again_after_a_change_of_the_protocol(scored, derivations, monkeypatch):
    other = dict(verified.PROTOCOLS)
    other["salmetric"] = other["matlab"]
    monkeypatch.setattr(verified, "PROTOCOLS", other)
    again(scored)
    assert derivations == ["salmetric"]


def test_results_with_formulas_of_the_user_are_always_derived(scored, derivations, monkeypatch):
    monkeypatch.setattr(verified, "registered_formulas", lambda: {"mine": catalogue})
    again(scored)
    again(scored)
    assert derivations == ["salmetric"] * 2


def test_another_statement_makes_another_result(scored, derivations):
    folder = scored / "out/maps/toys"
    before = (folder / "result.json").read_bytes()
    edit_json(folder, lambda stored: stored["provenance"].update(suffix="_x"), forge=True)
    again(scored)
    assert set(derivations) == {"salmetric"}
    assert (folder / "result.json").read_bytes() == before


def test_without_a_cache_folder_results_are_derived_each_time(
    folders, derivations, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SODBENCH_CACHE", str(tmp_path / "file" / "below"))
    again(folders)
    # as another process, which knows nothing of the first
    verified._read_notes.cache_clear()
    again(folders)
    assert derivations == ["salmetric"]


def test_the_notes_are_kept_short(scored, monkeypatch, tmp_path):
    monkeypatch.setenv("SODBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verified, "_MAX_BYTES", 330)
    stored = load_result(scored / "out/maps/toys")
    for number in range(40):
        monkeypatch.setattr(verified, "_code_state", lambda n=number: str(n))
        verified.note_verified(stored)
    lines = (tmp_path / "cache/verified-results").read_text().splitlines()
    assert 5 <= len(lines) <= 10 and all(len(line) == 32 for line in lines)
    verified._read_notes.cache_clear()
    # the newest
    assert verified.is_verified(stored)


def test_numba_is_not_imported_for_what_is_up_to_date(scored):
    """It takes as long to import as thousands of stored pairs take to be looked up."""
    code = "import sys; from sodbench.cli import main; main(sys.argv[1:]); print('numba' in sys.modules)"
    command = ["eval", str(scored / "maps"), str(scored / "gt"), "-o", str(scored / "out")]
    ran = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "False"

"""`wardlight bench signals`: what is found, what counts, and what is printed; the real recordings last."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from simulators.mit_annotations import Annotations
from vitals.errors import ConfigurationError
from wardlight import signals_beats
from wardlight.main import app
from wardlight.signals_beats import live_flags, neighbours_flags, score_beats, stored_flags, with_artefacts
from wardlight.signals_data import find
from wardlight.signals_scores import Bounds, Measure, Track, longest_s, rate_measures

DATA = Path(os.environ.get("WARDLIGHT_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
NAN = float("nan")


def track(reference: list[float], estimate: list[float], trusted: list[bool] | None = None) -> Track:
    told = np.array(trusted if trusted is not None else [True] * len(reference))
    return Track("one", np.arange(len(reference)) * 2.0, np.array(reference), np.array(estimate), told)


def values(measures: tuple[Measure, ...]) -> list[float]:
    return [measure.value for measure in measures]


def test_silence_is_as_wrong_as_zero_and_a_window_without_reference_does_not_count() -> None:
    one = track([80, 80, NAN, 80], [82, NAN, 10, 90], [True, True, True, False])
    mae, within, coverage, gated_mae, gated_within, worst = values(rate_measures([one], Bounds(5.0)))
    assert mae == worst == pytest.approx((2 + 80 + 10) / 3)
    assert within == coverage == pytest.approx(1 / 3)
    assert (gated_mae, gated_within) == (2, 1)


def test_the_longest_time_off() -> None:
    assert longest_s(track([80] * 6, [80, 90, NAN, 90, 80, 90]), 5.0) == 6
    assert longest_s(track([80] * 3, [80] * 3), 5.0) == 0


def test_a_bound_has_a_side() -> None:
    assert Measure("error", 1.0, 1.0).holds
    assert not Measure("error", 1.1, 1.0).holds
    assert Measure("share", 0.96, 0.95, at_most=False).holds
    assert not Measure("share", NAN, 0.95, at_most=False).holds
    assert Measure("stated", 1.0).holds is None


def labelled(rr_ms: list[float], letters: str, rhythm: str = "N") -> Annotations:
    return Annotations("made", np.cumsum([0.0, *rr_ms]), np.array(list(letters)), ((0.0, rhythm),))


def test_an_interval_is_affected_when_it_begins_or_ends_with_an_ectopic_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_beats, "stored_flags", lambda _: np.array([0, 1, 0, 0, 1, 0], np.bool_))
    score = score_beats("made", [labelled([800, 500, 1100, 800, 800, 800], "NNVNNjN")], lambda: None)
    found = {measure.name: measure.value for measure in score.measures}
    assert found["stored: sensitivity"] == 0.5
    assert found["stored: false flags per 100"] == 25
    assert score.per_record["made"]["affected"] == 2


def test_the_rule_of_the_baseline_asks_both_neighbours() -> None:
    assert neighbours_flags(np.array([800.0, 500, 1100, 1000])).tolist() == [False, True, False, False]


@pytest.mark.parametrize("method", [stored_flags, live_flags])
def test_artefacts_that_are_put_in_are_found(method: signals_beats.Method) -> None:
    healthy = 800 + np.random.default_rng(2).normal(0, 20, 900)
    spoiled, wrong = with_artefacts(healthy)
    assert wrong.sum() == 3 * 1 + 3 * 2 + 3 * 2
    assert spoiled[~wrong].tolist() == [v for v in healthy.tolist() if v in set(spoiled.tolist())]
    assert method(spoiled)[wrong].mean() > 0.9
    assert method(spoiled)[~wrong].mean() < 0.01


def test_annotated_fibrillation_is_scored_apart() -> None:
    rr = np.maximum(np.random.default_rng(1).gamma(25, 28, 400), 300).tolist()
    score = score_beats("made", [labelled(rr, "N" * 401, "AFIB")], lambda: None)
    found = {measure.name: measure.value for measure in score.measures}
    assert found["fibrillation: segments annotated"] == 5
    assert found["fibrillation: share suspected"] == 1
    assert np.isnan(found["other rhythms: share suspected"])


# -- finding and printing ----------------------------------------------------------------------------------------------


def motion(folder: Path, seconds: int = 20) -> None:
    """A still wearer of 90 /min in both layouts of recordings under motion."""
    for rate_hz, channels, name in ((125, 2, "spc"), (50, 3, "bami")):
        at_s = np.arange(seconds * rate_hz) / rate_hz
        wave = np.tile(np.sin(2 * np.pi * 1.5 * at_s) + 0.3 * np.sin(2 * np.pi * 3 * at_s), (channels, 1)) * 300
        still = np.tile([[0.0], [0.0], [1.0]], len(at_s))
        still = still + np.random.default_rng(0).normal(0, 0.002, still.shape)
        rates = np.full(((seconds - 8) // 2 + 1, 1), 90.0)
        (folder / name).mkdir(parents=True)
        if name == "spc":
            savemat(folder / name / "D_01.mat", {"sig": np.vstack([np.zeros(len(at_s)), wave, still])})
            savemat(folder / name / "D_01_BPMtrace.mat", {"BPM0": rates})
        else:
            counts = (still * 4096 + 32768).astype(np.uint16)
            savemat(folder / name / "B_1.mat", {"rawPPG": wave + 40000, "rawAcc": counts, "bpm_ecg": rates})


def intervals(folder: Path) -> None:
    rr = 800 + np.random.default_rng(2).normal(0, 20, 400)
    (folder / "rr").mkdir(parents=True)
    (folder / "rr" / "healthy.txt").write_text("\n".join(f"{v:.0f}" for v in rr))
    (folder / "rr" / "notes.txt").write_text("nothing to score")


def beats(folder: Path) -> None:
    (folder / "mit").mkdir(parents=True)
    (folder / "mit" / "1.hea").write_text("1 1 360 1000\n")
    marks = b"".join(struct.pack("<H", kind << 10 | 290) for kind in [1] * 60)
    (folder / "mit" / "1.atr").write_bytes(marks + b"\0\0")
    (folder / "mit" / "2.atr").write_bytes(marks)


def test_recordings_are_known_by_what_they_hold_and_damage_is_named(tmp_path: Path) -> None:
    motion(tmp_path)
    intervals(tmp_path)
    beats(tmp_path)
    savemat(tmp_path / "lonely.mat", {"sig": np.zeros((6, 100))})
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    seen: list[Path] = []
    found, problems = find(tmp_path, seen.append)
    assert {(f.family, f.layout, len(f.recordings)) for f in found} == {
        ("spc", "ieee_spc", 1),
        ("bami", "bami", 1),
        ("rr", "rr", 1),
        ("mit", "mitdb", 1),
    }
    assert len(seen) == 8
    assert len(problems) == 2
    assert "lonely_BPMtrace.mat" in problems[0]
    assert "2.hea" in problems[1]


def test_json_and_tables(tmp_path: Path) -> None:
    motion(tmp_path)
    intervals(tmp_path)
    ran = CliRunner().invoke(app, ["bench", "signals", "--data", str(tmp_path), "--json"])
    assert ran.exit_code == 0, ran.output
    scores = {score["family"]: score for score in json.loads(ran.stdout)}
    assert set(scores) == {"spc", "bami", "rr"}
    for family in ("spc", "bami"):
        measures = {measure["name"]: measure for measure in scores[family]["measures"]}
        assert measures["mean absolute error, all windows"]["value"] < 1
        assert measures["mean absolute error, all windows"]["holds"]
        assert scores[family]["us_per_device_second"] > 0
        assert next(iter(scores[family]["per_record"].values()))["windows"] == 7
    ran = CliRunner().invoke(app, ["bench", "signals", "--data", str(tmp_path), "--records"])
    assert ran.exit_code == 0, ran.output
    assert "holds" in ran.stdout
    assert "D_01" in ran.stdout


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        ran = CliRunner().invoke(app, ["bench", "signals", "--data", str(folder)])
        assert isinstance(ran.exception, ConfigurationError)
        assert "recording" in str(ran.exception)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}; set WARDLIGHT_DATA")
def test_ectopic_beats_of_real_records_hold_their_bounds() -> None:
    found, problems = find(DATA / "mitdb_rr")
    assert not problems
    score = score_beats(found[0].family, found[0].recordings, lambda: None)  # type: ignore[arg-type]
    measures = {measure.name: measure for measure in score.measures}
    assert measures["stored: sensitivity"].holds
    assert measures["stored: false flags per 100"].holds
    assert measures["20 % rule: sensitivity"].value == pytest.approx(0.77, abs=0.005)
    assert measures["20 % rule: false flags per 100"].value == pytest.approx(0.46, abs=0.005)
    assert measures["live: sensitivity"].value > 0.85

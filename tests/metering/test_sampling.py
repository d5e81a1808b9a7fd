"""Drawing the assets of a month: what is always measured, and that nobody can pick the rest."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.sampling import Traits, draw, sample_seed

SEED = sample_seed(contract_hash="c", period="2026-11", ledger_root="r")


def test_an_asset_as_large_as_a_step_of_the_draw_is_certain() -> None:
    delivered = {"giant": 100, "large": 40, **{f"tail-{n:02}": 1 for n in range(60)}}
    sample = draw(delivered, SEED, count=5)
    assert sample.certainty == ("giant", "large")
    assert (sample.certainty_bytes, sample.tail_bytes, sample.tail_population, len(sample.tail)) == (140, 60, 60, 3)


def test_a_library_of_equals_needs_no_more_than_the_agreed_sample() -> None:
    sample = draw({f"asset-{n:04}": 1_000 for n in range(5_000)}, SEED)
    assert (sample.certainty, len(sample.tail)) == ((), 400)


def test_what_is_alike_stands_in_a_stratum_and_every_stratum_gets_its_part() -> None:
    delivered = {f"{name}-{n:03}": 100 for name in ("animation", "grain") for n in range(600)}
    traits = {
        name: Traits(content_class=name.split("-")[0], bits_per_pixel_ppm=int(name.split("-")[1])) for name in delivered
    }
    sample = draw(delivered, SEED, count=200, traits=traits)
    assert [stratum.name for stratum in sample.strata][:2] == ["animation 1/5", "animation 2/5"]
    assert {(stratum.population, len(stratum.drawn)) for stratum in sample.strata} == {(120, 20)}
    assert all(name.startswith(stratum.name.split()[0]) for stratum in sample.strata for name in stratum.drawn)


def test_a_class_too_small_to_know_its_own_spread_joins_another() -> None:
    delivered = {f"film-{n:03}": 100 for n in range(500)} | {f"news-{n}": 100 for n in range(9)}
    traits = {name: Traits(content_class=name.split("-")[0]) for name in delivered}
    sample = draw(delivered, SEED, count=60, traits=traits)
    assert {stratum.name.split(" ")[0] for stratum in sample.strata} == {"film"}
    assert sample.tail_population == 509


def test_a_small_library_is_measured_as_a_whole() -> None:
    sample = draw({"a": 3, "b": 2, "c": 1}, SEED)
    assert (sample.certainty, sample.tail, sample.tail_bytes) == (("a", "b", "c"), (), 0)


def test_another_contract_month_or_ledger_gives_another_draw() -> None:
    delivered = {f"asset-{n:03}": 100 + n for n in range(400)}
    seeds = [
        SEED,
        sample_seed(contract_hash="d", period="2026-11", ledger_root="r"),
        sample_seed(contract_hash="c", period="2026-12", ledger_root="r"),
        sample_seed(contract_hash="c", period="2026-11", ledger_root="s"),
        sample_seed(contract_hash="c2", period="026-11", ledger_root="r"),
    ]
    assert len({draw(delivered, seed, count=20).tail for seed in seeds}) == len(seeds)


def test_an_asset_is_drawn_in_proportion_to_its_bytes() -> None:
    delivered = {"giant": 10_000, **{f"small-{n:02}": 10 for n in range(40)}, **{f"big-{n:02}": 30 for n in range(40)}}
    drawn = Counter[str]()
    for n in range(300):
        seed = sample_seed(contract_hash="c", period="2026-11", ledger_root=str(n))
        drawn.update(name.split("-")[0] for name in draw(delivered, seed, count=9).tail)
    assert drawn["big"] + drawn["small"] == 300 * 8
    assert 0.70 < drawn["big"] / (300 * 8) < 0.80


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 10**15), max_size=60), st.integers(2, 20))
def test_every_draw_is_complete_and_has_no_asset_twice(delivered: dict[str, int], count: int) -> None:
    sample = draw(delivered, SEED, count=count)
    chosen = [*sample.certainty, *sample.tail]
    assert len(chosen) == len(set(chosen)) == len(sample.sizes)
    assert sample.certainty_bytes + sample.tail_bytes == sum(delivered.values())
    assert all(len(stratum.drawn) >= 2 for stratum in sample.strata)
    assert len(chosen) >= min(count, len([name for name, size in delivered.items() if size]))

"""Drawing the assets of a month: what is always measured, and that nobody can pick the rest."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.sampling import draw, sample_seed

SEED = sample_seed(contract_hash="c", period="2026-11", ledger_root="r")


def test_the_largest_assets_are_certain_until_they_carry_half_of_all_bytes() -> None:
    delivered = {"a": 40, "b": 30, **{f"tail-{n}": 1 for n in range(50)}}
    sample = draw(delivered, SEED, tail_count=5)
    assert sample.certainty == ("a", "b")
    assert (sample.certainty_bytes, sample.tail_bytes, sample.tail_population, len(sample.tail)) == (70, 50, 50, 5)


def test_an_asset_as_large_as_a_step_of_the_draw_is_certain_too() -> None:
    delivered = {"giant": 100, "large": 40, **{f"tail-{n:02}": 1 for n in range(60)}}
    assert draw(delivered, SEED, tail_count=3).certainty == ("giant", "large")


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
    assert len({draw(delivered, seed, tail_count=20).tail for seed in seeds}) == len(seeds)


def test_an_asset_is_drawn_in_proportion_to_its_bytes() -> None:
    delivered = {"giant": 10_000, **{f"small-{n:02}": 10 for n in range(40)}, **{f"big-{n:02}": 30 for n in range(40)}}
    drawn = Counter[str]()
    for n in range(300):
        seed = sample_seed(contract_hash="c", period="2026-11", ledger_root=str(n))
        drawn.update(name.split("-")[0] for name in draw(delivered, seed, tail_count=8).tail)
    assert drawn["big"] + drawn["small"] == 300 * 8
    assert 0.70 < drawn["big"] / (300 * 8) < 0.80


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 10**15), max_size=60), st.integers(2, 20))
def test_every_draw_is_complete_and_has_no_asset_twice(delivered: dict[str, int], count: int) -> None:
    sample = draw(delivered, SEED, tail_count=count)
    chosen = [*sample.certainty, *sample.tail]
    assert len(chosen) == len(set(chosen))
    assert 2 * sample.certainty_bytes >= sum(delivered.values())
    assert sample.certainty_bytes + sample.tail_bytes == sum(delivered.values())
    assert len(sample.tail) == (count if sample.tail_bytes else 0)

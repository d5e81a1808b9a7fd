"""The pipeline that makes the weights: what it may read, what it draws, and that it learns."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from narrows.codec.entropy_model import RateEstimate
from narrows.codec.group import Place, places
from narrows.codec.layers import unpack420
from narrows.codec.model import LATENTS, Model, Neighbours
from narrows.codec.reference import Reference, settle
from narrows.codec.weights import load_weights
from torch import Tensor, nn
from training.chain import Chain, path
from training.examples import Examples
from training.export import export
from training.manifest import SHARE_MAX, Material, read_manifest
from training.optimizer import Optimizer, orthogonalise
from training.prepare import quotas
from training.sequences import CROP, SEQUENCE_FRAMES, clip_sequences
from training.start import calibrate
from training.steps import intra_step, joint_step, motion_step

from ..builders import a_clip_of, a_picture


def a_manifest(folder: Path, *licenses: str) -> Path:
    with (folder / "PROVENANCE.tsv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["path", "kind", "source", "license"])
        rows.writerows([f"video/{i}.mp4", "video", f"site-{i}:file", name] for i, name in enumerate(licenses))
    return folder


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("examples")
    pictures = [a_picture(320, 288, shift=2 * i) for i in range(SEQUENCE_FRAMES + 2)]
    clip = a_clip_of(pictures, folder / "clip.y4m")
    material = Material(path=clip, kind="video", source="here", license="CC0-1.0")
    sequences = np.stack(list(clip_sequences(material, 2, np.random.default_rng(0))))
    np.save(folder / "sequences.npy", sequences)
    return Examples(folder)


def test_only_material_whose_license_allows_a_product_is_read(tmp_path: Path) -> None:
    allowed, refused = read_manifest(
        a_manifest(tmp_path, "CC-BY-4.0", "CC-BY-NC-4.0", "all rights reserved", "MIT (x)")
    )

    assert [m.license for m in allowed] == ["CC-BY-4.0", "MIT (x)"]
    assert [m.license for m in refused] == ["CC-BY-NC-4.0", "all rights reserved"]


def test_no_origin_gives_more_than_its_share() -> None:
    materials = [
        Material(path=Path(f"{i}"), kind="video", source=f"{'robots' if i < 30 else f'site-{i}'}:x", license="MIT")
        for i in range(60)
    ]

    given = quotas(materials, per_clip=20, per_photo=0)

    assert sum(given[:30]) <= SHARE_MAX * 60 * 20 * 1.05
    assert given[30:] == [20] * 30


def neighbours_of(chain: Chain, place: Place) -> Neighbours:
    """Originals as the references of the frame at *place*."""

    def known(position: int) -> Reference:
        symbols = torch.zeros(1, LATENTS, *chain.batch.latent_size)
        return settle(*unpack420(chain.planes(position)), None, symbols, chain.quality_index)

    first = known(place.first)
    second = first if place.second == place.first else known(place.second)
    return Neighbours(first, second, place.offsets, first)


def test_the_hints_of_a_pan_are_the_pan(examples: Examples) -> None:
    batch = examples.draw(1, 3, np.random.default_rng(1))
    chain = Chain(batch, torch.full((1, 1, 1, 1), 60.0), torch.zeros(1, 1, 1, 1))

    place = Place(position=2, first=0, second=0, depth=0)

    hints = chain.hints(place, neighbours_of(chain, place), chain.quality_index)

    assert hints.flows[0].shape == (1, 2, CROP // 8, CROP // 8)
    speed = max(abs(float(component.median())) for component in hints.flows[0][0]) / 2
    assert speed == pytest.approx(2, abs=0.6) or speed == pytest.approx(4, abs=1.0)


def test_a_draw_is_cut_to_size(examples: Examples) -> None:
    batch = examples.draw(3, 4, np.random.default_rng(1), crop=128)

    assert batch.luma.shape == (3, 4, 1, 128, 128)
    assert batch.chroma.shape == (3, 4, 2, 64, 64)
    assert batch.latent_size == (8, 8)


def test_orthogonalising_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(48, 96)))

    assert 0.5 < float(values.min()) <= float(values.max()) < 1.5


def test_a_few_steps_of_each_stage_lower_its_loss(examples: Examples) -> None:
    torch.manual_seed(0)
    model = Model()
    batch = examples.draw(2, SEQUENCE_FRAMES, np.random.default_rng(2), crop=64)
    quality, visual = torch.full((2, 1, 1, 1), 60.0), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)

    def random() -> np.random.Generator:
        return np.random.default_rng(5)

    stages: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        "intra": (model.intra, lambda: intra_step(model, batch, quality, visual)[0]),
        "motion": (model.inter.motion, lambda: motion_step(model, batch, quality, random())[0]),
        "joint": (model, lambda: joint_step(model, Chain(batch, quality, visual), random(), has_intra=True)[0]),
    }
    for name, (trained, loss_of) in stages.items():
        optimizer = Optimizer([trained], 1e-3)
        losses = []
        for _ in range(6):
            loss = loss_of()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(1.0)
            losses.append(float(loss.detach()))
        assert min(losses[3:]) < losses[0], name


def test_calibrated_networks_pass_signals_of_size_one(examples: Examples) -> None:
    model = Model()
    model.intra.synthesis16.entry.weight.data.mul_(0.01)  # type: ignore[operator]
    sizes = []
    calibrate(model, examples)
    model.intra.synthesis8.register_forward_hook(lambda *seen: sizes.append(float(seen[2].square().mean())))

    calibrate(model, examples)

    assert all(0.5 < size < 2 for size in sizes)


def test_exported_weights_load_with_their_tables(tmp_path: Path) -> None:
    checkpoint = tmp_path / "joint.pt"
    torch.save({"average": Model().state_dict()}, checkpoint)

    digest = export(checkpoint, tmp_path / "weights.safetensors")

    loaded = load_weights(tmp_path / "weights.safetensors")
    assert digest.startswith(loaded.model_id.hex())
    assert len(loaded.tables.models) == 64


def a_reference(chain: Chain) -> Reference:
    """The current frame, coded by networks that learned nothing."""
    condition = chain.condition(chain.quality_index, None, None)
    intra = Model().intra
    latents = intra.analyse(chain.planes(0), condition)
    return intra.code(latents, RateEstimate(), condition=condition, size=chain.batch.latent_size)


@pytest.mark.parametrize("span", [1, 2, 4, 8])
def test_a_path_stands_for_every_frame_of_its_group(span: int) -> None:
    legs = path(span, np.random.default_rng(span))

    assert sum(leg.weight for leg in legs) == span
    assert [leg.place.depth for leg in legs] == list(range(len(legs)))
    assert {leg.place for leg in legs} <= set(places(span))


def test_a_chain_plays_to_and_fro_and_its_hints_lead_to_the_references(examples: Examples) -> None:
    batch = examples.draw(1, SEQUENCE_FRAMES, np.random.default_rng(3))
    chain = Chain(batch, torch.full((1, 1, 1, 1), 60.0), torch.zeros(1, 1, 1, 1))
    group = places(4)
    forward = [chain.hints(place, neighbours_of(chain, place), chain.quality_index).flows for place in group]
    start, end = chain.planes(0), chain.planes(4)
    speeds = [(place, hints[0].flatten(2).median(-1).values[0, 0]) for place, hints in zip(group, forward, strict=True)]

    assert chain.fit(8) == 8
    chain.keep(a_reference(chain), 4)
    assert torch.equal(chain.planes(0), end)
    assert chain.fit(8) == 4
    chain.keep(a_reference(chain), 4)
    assert chain.fit(8) == 8
    assert torch.equal(chain.planes(8), start)
    per_frame = [float(speed) / place.offsets[0] for place, speed in speeds]
    assert max(per_frame) - min(per_frame) < 0.6
    assert abs(per_frame[0]) > 1


def test_a_chain_continues_from_what_the_step_before_left(examples: Examples) -> None:
    model, random = Model(), np.random.default_rng(0)
    batch = examples.draw(1, SEQUENCE_FRAMES, np.random.default_rng(3), crop=64)
    chain = Chain(batch, torch.full((1, 1, 1, 1), 60.0), torch.zeros(1, 1, 1, 1))

    joint_step(model, chain, random, has_intra=False)
    left = chain.anchor
    joint_step(model, chain, random, has_intra=False)

    assert left is not None and left.velocity is not None
    assert not left.luma.requires_grad
    assert chain.anchor is not None and chain.anchor is not left

"""The pipeline that makes the weights: what it may read, what it draws, and that it learns."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from narrows.codec.model import QUALITY_MAX, Model
from narrows.codec.weights import load_weights
from torch import Tensor, nn
from training.chain import Chain
from training.examples import Examples
from training.export import export
from training.losses import LAMBDA_HIGHEST, LAMBDA_LOWEST, distortion, trade_off
from training.manifest import SHARE_MAX, Material, read_manifest
from training.optimizer import Optimizer, orthogonalise
from training.prepare import quotas
from training.sequences import CROP, SEQUENCE_FRAMES, clip_sequences, sequence_hints
from training.train import intra_step, joint_step, motion_step

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
    np.save(folder / "hints.npy", np.stack([sequence_hints(s) for s in sequences]))
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


def test_the_hints_of_a_pan_are_the_pan(examples: Examples) -> None:
    _, _, hints = examples.sequence(0, 0, 3)

    assert hints.shape == (2, 2, CROP // 4, CROP // 4)
    speed = float(hints[:, 0].median())
    assert abs(speed) == pytest.approx(2, abs=0.6) or abs(speed) == pytest.approx(4, abs=1.0)


def test_a_draw_is_cut_to_size_and_hints_follow_the_flips(examples: Examples) -> None:
    batch = examples.draw(3, 4, np.random.default_rng(1), crop=128)

    assert batch.luma.shape == (3, 4, 1, 128, 128)
    assert batch.chroma.shape == (3, 4, 2, 64, 64)
    assert batch.hints.shape == (3, 3, 2, 32, 32)
    assert batch.latent_size == (8, 8)


def test_lambda_is_spaced_in_log_between_its_ends() -> None:
    ends = trade_off(torch.tensor([0.0, QUALITY_MAX / 2, QUALITY_MAX]))

    assert ends.tolist() == pytest.approx([LAMBDA_LOWEST, (LAMBDA_LOWEST * LAMBDA_HIGHEST) ** 0.5, LAMBDA_HIGHEST])


def test_distortion_weighs_luma_and_chroma_six_to_one_to_one() -> None:
    target = torch.zeros(1, 96, 2, 2)
    luma, chroma = target.clone(), target.clone()
    luma[:, :64] = 1
    chroma[:, 64:80] = 1

    assert float(distortion(luma, target)) == pytest.approx(6 / 8)
    assert float(distortion(chroma, target)) == pytest.approx(1 / 8)


def test_orthogonalising_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(48, 96)))

    assert 0.5 < float(values.min()) <= float(values.max()) < 1.5


def test_a_few_steps_of_each_stage_lower_its_loss(examples: Examples) -> None:
    torch.manual_seed(0)
    model = Model()
    batch = examples.draw(1, 3, np.random.default_rng(2), crop=64)
    quality = torch.full((1, 1, 1, 1), 60.0)
    stages: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        "intra": (model.intra, lambda: intra_step(model, batch, quality)[0]),
        "motion": (model.inter.motion, lambda: motion_step(model, batch, quality)[0]),
        "joint": (model, lambda: joint_step(model, Chain(batch, quality, 0), 2)[0]),
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


def test_exported_weights_load_with_their_tables(tmp_path: Path) -> None:
    checkpoint = tmp_path / "joint.pt"
    torch.save({"average": Model().state_dict()}, checkpoint)

    digest = export(checkpoint, tmp_path / "weights.safetensors")

    loaded = load_weights(tmp_path / "weights.safetensors")
    assert digest.startswith(loaded.model_id.hex())
    assert len(loaded.tables.models) == 64


def test_a_chain_plays_to_and_fro_and_its_hints_point_back(examples: Examples) -> None:
    batch = examples.draw(1, 3, np.random.default_rng(3))
    chain = Chain(batch, torch.full((1, 1, 1, 1), 60.0), phase=0)

    shown, speeds = [chain.planes()], []
    for _ in range(4):
        hints = chain.advance()
        speeds.append(hints.flatten(2).median(-1).values.flatten())
        shown.append(chain.planes())

    assert torch.equal(shown[1], shown[3])
    assert torch.equal(shown[0], shown[4])
    assert torch.allclose(speeds[0], -speeds[3], atol=0.6)
    assert speeds[0].abs().max() > 1


def test_a_chain_continues_from_what_the_step_before_left(examples: Examples) -> None:
    model = Model()
    chain = Chain(examples.draw(1, 3, np.random.default_rng(3), crop=64), torch.full((1, 1, 1, 1), 60.0), phase=0)

    _, first = joint_step(model, chain, 1)
    _, second = joint_step(model, chain, 1)

    assert "bpp_intra" in first
    assert "bpp_intra" not in second
    assert chain.reference is not None
    assert not chain.reference.luma.requires_grad

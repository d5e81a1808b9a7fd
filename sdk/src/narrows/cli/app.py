"""
The command line: `narrows encode | decode | info | evidence | license … | usage … | savings …`.

Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from narrows.cli import license as license_commands
from narrows.cli import savings as savings_commands
from narrows.cli import usage as usage_commands
from narrows.cli.terminal import Json, LicensePath, err, out, progress_bar, reports_errors, show
from narrows.options import CRF_DEFAULT, CRF_MAX, KEYINT_DEFAULT, Preset, Tune
from narrows.version import VERSION

app = typer.Typer(
    name="narrows",
    help="A video codec made only of neural networks.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(license_commands.app, name="license")
app.add_typer(usage_commands.app, name="usage")
app.add_typer(savings_commands.app, name="savings")


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"narrows {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A video codec made only of neural networks."""


@app.command()
@reports_errors
def encode(
    source: Annotated[Path, typer.Argument(help="Any video that FFmpeg reads.")],
    target: Annotated[Path, typer.Argument(help="Matroska file to write (.mkv).")],
    crf: Annotated[int, typer.Option(min=0, max=CRF_MAX, help="Quality, lower is better.")] = CRF_DEFAULT,
    preset: Annotated[Preset, typer.Option(help="How much time the encoder takes.")] = Preset.MEDIUM,
    tune: Annotated[Tune, typer.Option(help="visual: the human eye; fidelity: PSNR.")] = Tune.VISUAL,
    keyint: Annotated[int, typer.Option(min=1, help="Most frames between key frames.")] = KEYINT_DEFAULT,
    low_delay: Annotated[bool, typer.Option("--low-delay", help="Code each frame as it comes: no B-frames.")] = False,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Encode a video; its audio is carried along.

    Example: narrows encode talk.mp4 talk.mkv --crf 32 --preset slow
    """
    from narrows import files

    with progress_bar("encoding", is_quiet=as_json) as update:
        result = files.encode(
            source,
            target,
            crf=crf,
            preset=preset,
            tune=tune,
            keyint=keyint,
            low_delay=low_delay,
            license=license,
            on_progress=update,
        )
    if result.license_state != "valid" and not as_json:
        err.print(f"[yellow]The license is in state {result.license_state}; run: narrows license show[/]")
    show(result, as_json=as_json, title="encoded")


@app.command()
@reports_errors
def decode(
    source: Annotated[Path, typer.Argument(help="A file that `narrows encode` wrote.")],
    target: Annotated[Path, typer.Argument(help="YUV4MPEG2 file to write (.y4m).")],
    as_json: Json = False,
) -> None:
    """
    Decode a coded file. Needs no license and no network.

    Example: narrows decode talk.mkv talk.y4m
    """
    from narrows import files

    with progress_bar("decoding", is_quiet=as_json) as update:
        result = files.decode(source, target, on_progress=update)
    show(result, as_json=as_json, title="decoded")


@app.command()
@reports_errors
def info(source: Annotated[Path, typer.Argument(help="A coded file.")], as_json: Json = False) -> None:
    """
    Show what a coded file is, after checking all of it.

    Example: narrows info talk.mkv --json
    """
    from narrows import files

    show(files.inspect(source), as_json=as_json, title=str(source))


@app.command()
@reports_errors
def evidence(
    source: Annotated[Path, typer.Argument(help="The video that was encoded.")],
    coded: Annotated[Path, typer.Argument(help="What `narrows encode` made of it.")],
    baseline: Annotated[list[str] | None, typer.Option(help="libx264-medium, libx265-medium; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """
    Find out what the baseline codec needs at equal quality, and record it as evidence.

    Example: narrows evidence talk.mp4 talk.mkv --baseline libx265-medium
    """
    from narrows.media.quality import available_metrics
    from narrows.savings import account

    known = account.baselines(baseline)
    with err.status("measuring …") as status:
        comparison = account.record_evidence(
            source, coded, known, metrics=available_metrics(), on_step=lambda step: status.update(f"{step} …")
        )
    if as_json:
        show(comparison, as_json=True)
        return
    table = Table("baseline", "metric", "status", "our bytes", "baseline bytes", "saved", title="evidence", box=None)
    for item in comparison.evidence:
        saved = item.saved_percent
        table.add_row(
            item.baseline.value,
            item.metric.value,
            item.status,
            f"{item.payload_bytes:,}",
            "–" if item.baseline_bytes is None else f"{item.baseline_bytes:,}",
            "–" if saved is None else f"{saved:+.1f} %",
        )
    out.print(table)


def main() -> None:
    """The console script."""
    app()

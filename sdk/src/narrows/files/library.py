"""Many video files in, as many coded files out. What is there is left alone, and one bad file stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from narrows.errors import NarrowsError, VideoError
from narrows.files.encoding import EncodeResult, encode
from narrows.media.packets import container_of
from narrows.shown import Shown

AT_ONCE_DEFAULT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFile(Shown):
    """One file of a library: *result* if it was encoded now, *error* if it could not be, neither if it was there."""

    source: Path
    target: Path
    result: EncodeResult | None = None
    error: NarrowsError | None = None

    @property
    def was_there(self) -> bool:
        return self.result is None and self.error is None


def encode_all(
    sources: Iterable[Path | str],
    folder: Path | str,
    *,
    suffix: str = ".mkv",
    at_once: int = AT_ONCE_DEFAULT,
    on_file: Callable[[LibraryFile], None] | None = None,
    **options: Any,
) -> list[LibraryFile]:
    """
    Encode each of *sources* into *folder*, under its own name with *suffix*; the *options* are those of `encode`.

    A target that is there already was recorded before it appeared, so it is left alone: after an interruption, the same
    call does what is left, and nothing is metered twice. *at_once* files are worked on at a time; on a *cluster* that
    keeps workers busy while short files begin and end. *on_file* is called as each is done, in the caller's thread.
    Returns one entry per source, in order. Raises VideoError if two sources would have one target.

    >>> narrows.encode_all(Path("masters").glob("*.mov"), "coded", crf=30)  # doctest: +SKIP
    """
    folder = Path(folder)
    pairs = [(Path(source), folder / f"{Path(source).stem}{suffix}") for source in sources]
    _check(pairs)
    folder.mkdir(parents=True, exist_ok=True)
    done = dict[Path, LibraryFile]()
    for one in _encoded(pairs, max(1, at_once), options):
        done[one.target] = one
        if on_file:
            on_file(one)
    return [done[target] for _, target in pairs]


def _check(pairs: list[tuple[Path, Path]]) -> None:
    seen = dict[Path, Path]()
    for source, target in pairs:
        container_of(target)  # Refuses a suffix that is no container's.
        if target in seen:
            raise VideoError(f"{source} and {seen[target]} would both become {target}: encode them into two folders")
        seen[target] = source


def _encoded(pairs: list[tuple[Path, Path]], at_once: int, options: dict[str, Any]) -> Iterator[LibraryFile]:
    waiting = iter(pairs)
    with ThreadPoolExecutor(at_once, thread_name_prefix="narrows-library") as threads:
        running = set[Future[LibraryFile]]()
        try:
            while True:
                for source, target in waiting:
                    running.add(threads.submit(_encode_one, source, target, options))
                    if len(running) == at_once:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


def _encode_one(source: Path, target: Path, options: dict[str, Any]) -> LibraryFile:
    if target.exists():
        return LibraryFile(source=source, target=target)
    try:
        return LibraryFile(source=source, target=target, result=encode(source, target, **options))
    except NarrowsError as error:
        return LibraryFile(source=source, target=target, error=error)

"""The acts of the demo, in their order. Whatever is done here, a user's own program could do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import mageflow_temporal as mageflow
from mageflow_temporal import Chain, Status, StatusReport, Verb
from mageflow_temporal.cli.demo import board, progress
from mageflow_temporal.cli.demo.counting import SECONDS
from mageflow_temporal.cli.demo.pipeline import COUNT, Texts, mf
from mageflow_temporal.cli.demo.screen import Screen
from mageflow_temporal.cli.demo.shell import Shell
from mageflow_temporal.cli.demo.summary import Summary, some

_LOOK: Final = 0.15
"""Seconds between two looks at the status."""
_HOLD: Final = 3.0
"""Seconds in which one sees that a suspended pipeline stands still."""
_LONG: Final = 1.5
"""Seconds that a task has to have run before it is interrupted, so that there is something to go on from."""
_SIBLINGS: Final = 2
"""Files that are to be finished while one of them is interrupted."""


class _EndedEarly(Exception):  # noqa: N818 - it is no error
    """The pipeline has ended before the story was at that point."""


class Story:
    """Runs the pipeline, and steers it on the way.

    Args:
        pipeline: the chain, not started yet.
        texts: its start message.
        screen: who is told.
        shell: writes the commands that do the same.
    """

    def __init__(self, pipeline: Chain[Summary], texts: Texts, screen: Screen, shell: Shell) -> None:
        self._pipeline = pipeline
        self._texts = texts
        self._screen = screen
        self._shell = shell
        # Many files are counted in a short time each.
        self._long = min(_LONG, SECONDS * texts.at_once / len(texts.paths) / 3)
        self._running_since: dict[str, float] = {}

    async def tell(self) -> Summary:
        """Tell it to the end, and return the pipeline's result.

        Raises:
            MageflowError: the pipeline failed, or somebody else ended it.
        """
        try:
            await self._start()
            await self._suspend_and_resume()
            await self._interrupt_one()
        except (_EndedEarly, mageflow.SignatureEndedError):
            self._screen.note("Too late: it has ended already.")
        await self._finish()
        return await self._pipeline.result()

    async def _start(self) -> None:
        files, at_once = some(len(self._texts.paths), "file"), self._texts.at_once
        self._screen.act("1 Start", f"A chain of three steps; the second is a swarm: {files}, {at_once} at a time.")
        self._screen.way("Python", "await pipeline.start(message)")
        self._screen.way("look", self._shell.status())
        await self._pipeline.start(self._texts)
        await self._until(lambda report: _ended(report) > 0 or all(map(_begun, _files(report))))

    async def _suspend_and_resume(self) -> None:
        self._screen.act("2 Suspend", "What runs goes on to its end, and nothing new begins.")
        self._ways("await pipeline.suspend()", Verb.SUSPEND)
        draining = len((await self._pipeline.suspend()).draining)
        self._screen.note(f"Suspended. Still running: {some(draining, 'task')}.")
        report = await self._until(lambda report: not any(map(_runs, board.members(report))))
        if report.status.ended:
            raise _EndedEarly
        counted = some(_ended(report), "file")
        self._screen.note(f"Now nothing runs, and nothing will until a resume. Counted: {counted}.")
        held = time.monotonic() + _HOLD
        await self._until(lambda _: time.monotonic() > held)
        self._screen.act("3 Resume", "It goes on where it stood: what is counted is not counted again.")
        self._ways("await pipeline.resume()", Verb.RESUME)
        await self._pipeline.resume()

    async def _interrupt_one(self) -> None:
        report = await self._until(lambda report: bool(self._under_way(report)) or not _left(report))
        if not (candidates := self._under_way(report)):
            self._screen.note("With more files, one of them would now be interrupted: there is none left.")
            return
        file = max(candidates, key=lambda file: _unread(file.key))
        self._screen.act("4 Interrupt", f"{file.name}: its running code is stopped. The others go on.")
        self._ways(f'await mageflow.interrupt("{file.key}")', Verb.INTERRUPT, board.path(file))
        interrupted = await mf.interrupt(file.key)
        if interrupted.status.ended:
            self._screen.note(f"{file.name} was faster: it is {interrupted.status}.")
            return
        stopped_at = progress.lines(file.key)
        took = interrupted.took.total_seconds() * 1000
        self._screen.note(f"Stopped within {took:.0f} ms{_at(stopped_at)}.")
        before = _ended(report)
        await self._until(lambda report: _ended(report) >= before + _SIBLINGS or _left(report) <= 1)
        self._screen.act("5 Resume", f"{file.name} goes on from its checkpoint, not from its beginning.")
        self._ways(f'await mageflow.resume("{file.key}")', Verb.RESUME, board.path(file))
        await mf.resume(file.key)
        await self._until(lambda report: _goes_on(report, file, stopped_at))
        self._screen.note(f"It has gone on{_at(progress.lines(file.key))}.")

    async def _finish(self) -> None:
        if not (await self._look()).status.ended:
            self._screen.act("6 Finish", "The other files, and then the last step: it gets all counts at once.")
        await self._until(lambda report: report.status.ended)

    def _ways(self, python: str, verb: Verb, member: str = "") -> None:
        self._screen.way("Python", python)
        self._screen.way("shell", self._shell.signal(verb, member))

    async def _until(self, reached: Callable[[StatusReport], bool]) -> StatusReport:
        """Show the state of the pipeline until it is what the story waits for.

        Raises:
            _EndedEarly: the pipeline has ended before.
        """
        while True:
            report = await self._look()
            self._note_time(report)
            self._screen.show(report)
            if reached(report):
                return report
            if report.status.ended:
                raise _EndedEarly
            await asyncio.sleep(_LOOK)

    async def _look(self) -> StatusReport:
        told = False
        while True:
            try:
                return await self._pipeline.status()
            except mageflow.WorkerUnavailableError as error:
                # The pipeline goes on as soon as there is one, and so does the story.
                if not told:
                    self._screen.note(f"Waiting: {error}")
                told = True
                await asyncio.sleep(_LOOK)

    def _note_time(self, report: StatusReport) -> None:
        now = time.monotonic()
        self._running_since = {
            file.key: self._running_since.get(file.key, now) for file in _files(report) if _runs(file)
        }

    def _under_way(self, report: StatusReport) -> list[StatusReport]:
        long_ago = time.monotonic() - self._long
        return [file for file in _files(report) if self._running_since.get(file.key, float("inf")) <= long_ago]


def _files(report: StatusReport) -> list[StatusReport]:
    return report.children[COUNT].children


def _begun(file: StatusReport) -> bool:
    return file.status is not Status.PENDING


def _runs(member: StatusReport) -> bool:
    return member.kind == "task" and member.status is Status.ACTIVE


def _ended(report: StatusReport) -> int:
    return sum(file.status.ended for file in _files(report))


def _left(report: StatusReport) -> int:
    return len(_files(report)) - _ended(report)


def _goes_on(report: StatusReport, file: StatusReport, stopped_at: tuple[int, int] | None) -> bool:
    now = report.find(board.path(file))
    if now is None or not _runs(now):
        return now is not None and now.status.ended
    return stopped_at is None or progress.lines(file.key) != stopped_at


def _unread(key: str) -> int:
    read, total = progress.lines(key) or (0, 0)
    return total - read


def _at(lines: tuple[int, int] | None) -> str:
    return f", at line {lines[0]} of {lines[1]}" if lines else ""

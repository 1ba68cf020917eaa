"""`mageflow demo` tells its story on real files, and leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import re
import shlex
import signal
import string
import subprocess
import sys
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.demo_process import MAGEFLOW, running
from tests.support import eventually

SHIPPED = Path(__file__).parents[2] / "mageflow_temporal/cli/demo/texts"

STORY = [
    "counts the words of 12 texts",
    "Web UI: http://127.0.0.1:",
    "1 Start",
    "check the files: done",
    "count the words: active",
    "2 Suspend",
    "Suspended. Still running: ",
    "Now nothing runs, and nothing will until a resume.",
    "3 Resume",
    "4 Interrupt",
    "Stopped within ",
    ": interrupted",
    "5 Resume",
    "It has gone on, at line ",
    "6 Finish",
    "count the words: done",
    "write the report: done",
    "longest texts",
    "was counted in two sittings",
    "Report: ",
    "Finished in ",
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of a user's own: small, so that its story is short."""
    folder = tmp_path / "my texts"
    folder.mkdir()
    for number, lines in enumerate((3, 9, 1, 8, 0, 7)):
        text = "".join(f"Line {line}: don't panic, said the well-known owl.\n" for line in range(lines))
        (folder / f"text {number}.md").write_text(text)
    (folder / "picture.png").write_bytes(b"\x89PNG\x00\xff")
    return folder


@dataclass(frozen=True)
class Told:
    """What became of a whole demo."""

    text: str
    exit_code: int
    left_behind: list[psutil.Process]
    typed: list[subprocess.CompletedProcess[str]]
    """Some of the commands that it printed, pasted into another terminal while it went on."""


@pytest.fixture(scope="module")
async def told() -> Told:
    with running("demo") as demo:
        typed = [
            _typed_by_hand(await demo.says("--name resume")),
            _typed_by_hand(await demo.says('--name resume --input \'{"target":"1.')),
            _typed_by_hand(await demo.says("--type status"), "--output", "json"),
        ]
        exit_code = await demo.ends()
        return Told(text=demo.text, exit_code=exit_code, left_behind=demo.left_behind(), typed=typed)


def test_the_story_is_told_in_its_order(told: Told) -> None:
    lines = iter(told.text.splitlines())
    for part in STORY:
        assert any(part in line for line in lines), f"{part!r} is missing, or not where it belongs, in\n{told.text}"
    assert int(_found(told.text, r"Finished in (\d+) s")) < 60
    assert "Traceback" not in told.text
    assert "WARN" not in told.text


def test_it_ends_with_a_right_report_and_leaves_nothing_behind(told: Told) -> None:
    assert told.exit_code == 0
    assert told.left_behind == []
    report = Path(_found(told.text, r"Report: (.*)"))
    _check(report, SHIPPED, _found(told.text, r"4 Interrupt  (\S+):"))
    report.unlink()


def test_the_printed_commands_work_as_they_stand(told: Told) -> None:
    assert [answer.returncode for answer in told.typed] == [0, 0, 0]
    [tree] = json.loads(told.typed[-1].stdout)["queryResult"]
    assert (tree["kind"], tree["name"], tree["status"]) == ("chain", "pipeline", "active")


def test_while_it_is_suspended_nothing_begins(told: Told) -> None:
    draining = _between(told.text, "Suspended. Still running", "Now nothing runs")
    assert ": active" not in draining
    held = _between(told.text, "Now nothing runs", "3 Resume")
    assert held.count("\n") == 2, "not a word while it is held"


def test_while_one_task_is_interrupted_the_others_go_on_and_then_it_goes_on_from_its_checkpoint(told: Told) -> None:
    alone = _between(told.text, "4 Interrupt", "5 Resume")
    assert alone.count(".txt: interrupted") == 1
    assert alone.count(".txt: done") >= 2
    before, total = re.findall(r"at line (\d+) of (\d+)", alone)[0]
    after, same = re.findall(r"It has gone on, at line (\d+) of (\d+)", told.text)[0]
    assert 0 < int(before) <= int(after)
    assert total == same


async def test_on_a_terminal_the_state_of_each_file_is_drawn_and_the_web_ui_can_be_kept(
    texts: Path, tmp_path: Path
) -> None:
    with running("demo", texts, "--report", tmp_path / "report.md", "--keep", terminal=True) as demo:
        await demo.says("2 Suspend")
        await demo.says(" suspended")
        await demo.says("3 Resume")
        url = _found(await demo.says("Open until Ctrl-C"), r"(http://\S+)")
        with urllib.request.urlopen(url) as page:
            assert page.status == 200
        demo.press_ctrl_c()
        assert await demo.ends() == 0, "the demo was over before"
        assert demo.left_behind() == []
    assert "\x1b[?25l" in demo.raw, "the cursor is hidden while the board is drawn"
    assert demo.raw.rindex("\x1b[?25h") > demo.raw.rindex("\x1b[?25l"), "and comes back"
    board = demo.text[demo.text.rindex(" pipeline done") :]
    for number, path in enumerate(sorted(texts.glob("*.md"))):
        assert re.search(rf"1\.{number}\s+{re.escape(path.name)}\s.*done", board)
    assert "━" in board
    assert "Traceback" not in demo.text


async def test_a_folder_of_ones_own_is_counted_into_a_report_of_ones_own(texts: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    with running("demo", texts, "--report", report) as demo:
        assert await demo.ends() == 0
        assert demo.left_behind() == []
    _check(report, texts, _interrupted(demo.text))
    assert f"Report: {report}" in demo.lines


async def test_there_may_be_too_little_to_do_for_the_whole_story(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("One line.")
    with running("demo", tmp_path, "--report", tmp_path / "report.md") as demo:
        assert await demo.ends() == 0
    assert "there is none left" in demo.text
    assert "2 words in 1 line of 1 file." in demo.text


async def test_a_pipeline_that_fails_fails_the_demo_with_its_reason(texts: Path) -> None:
    with running("demo", texts) as demo:
        await demo.says("Starting a Temporal server")
        (texts / "text 3.md").unlink()
        assert await demo.ends() == 1
        assert demo.left_behind() == []
    assert re.search(r"mageflow demo: task 'check_files' .* failed after 3 attempts: FileNotFoundError", demo.text)
    assert "Traceback" not in demo.text


@pytest.mark.parametrize("moment", ["Starting a Temporal server", "1 Start", "Now nothing runs", "4 Interrupt"])
async def test_ctrl_c_on_a_terminal_leaves_nothing_running(moment: str, texts: Path) -> None:
    with running("demo", texts, terminal=True) as demo:
        await demo.says(moment)
        demo.press_ctrl_c()
        assert await demo.ends() == 130
        assert demo.left_behind() == []
    # After the "^C" that the terminal shows.
    assert demo.lines[-1].endswith("mageflow demo: stopped, and nothing is left running")
    assert "Traceback" not in demo.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_as_ctrl_c_does(number: signal.Signals, texts: Path) -> None:
    with running("demo", texts) as demo:
        await demo.says("2 Suspend")
        demo.signal(number)
        demo.signal(number)
        assert await demo.ends() == 128 + number
        assert demo.left_behind() == []
    assert "Traceback" not in demo.text


async def test_even_a_demo_that_is_killed_leaves_no_server(texts: Path) -> None:
    with running("demo", texts) as demo:
        await demo.says("2 Suspend")
        demo.signal(signal.SIGKILL)
        assert await demo.ends() == -signal.SIGKILL
        await eventually(lambda: demo.left_behind() == [], "the server has ended, too")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["empty"], "nothing to count in empty: no file is a text file (.md, .rst, .text, .txt)"),
        (["large"], "nothing to count in large: each text file is larger than 256 KiB"),
        (["a-file.txt"], "a-file.txt cannot be read: Not a directory"),
        (["texts", "--report", "nowhere/report.md"], "the report cannot be written to nowhere/report.md"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(arguments: list[str], message: str, tmp_path: Path) -> None:
    for name in ("empty", "large", "texts"):
        (tmp_path / name).mkdir()
    (tmp_path / "large" / "much.txt").write_text("word " * 100_000)
    (tmp_path / "texts" / "a.txt").write_text("word")
    (tmp_path / "a-file.txt").write_text("word")
    done = subprocess.run([MAGEFLOW, "demo", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"mageflow demo: {message}")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from mageflow_temporal.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "the command mageflow needs an extra: pip install 'mageflow-temporal[cli]'\n"


def test_a_worker_has_the_demos_tasks_without_the_extra() -> None:
    program = (
        "import sys; sys.modules.update(typer=None, rich=None, click=None)\n"
        "from mageflow_temporal.cli.demo.pipeline import mf\n"
        "print(*sorted(task.name for task in mf.tasks))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["check_files", "count_words", "write_report"]


def _typed_by_hand(line: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Do what somebody does who pastes a printed command into another terminal."""
    command = [*shlex.split(line.partition(" ")[2]), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _interrupted(text: str) -> str | None:
    found = re.search(r"^(.*) was counted in two sittings", text, re.MULTILINE)
    return found and found.group(1)


def _check(report: Path, folder: Path, interrupted: str | None) -> None:
    """Compare a report with a count that is made in another way."""
    rows: dict[str, list[str]] = {}
    for line in report.read_text().splitlines():
        if line.startswith("| "):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name] = cells
    words: Counter[str] = Counter()
    for path in [path for path in folder.iterdir() if path.suffix in (".txt", ".md")]:
        text = path.read_text()
        found = [word for part in text.split() if (word := part.strip(string.punctuation + string.digits).lower())]
        words.update(word for word in found if len(word) >= 5)
        row: Any = rows[path.name]
        assert row[:2] == [str(text.count("\n")), str(len(found))], path.name
        assert ("interrupted and resumed after line" in row[2]) is (path.name == interrupted)
    for word, times in words.most_common(3):
        assert rows[word] == [str(times)]


def _between(text: str, begin: str, end: str) -> str:
    return text[text.index(begin) : text.index(end)]


def _found(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern!r} is not in\n{text}"
    return match.group(1)

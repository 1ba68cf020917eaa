"""What somebody sees in the Web UI who has never heard of us."""

from __future__ import annotations

import pytest

from tests.web.browser import WebUi
from tests.web.gallery import mf


async def test_the_list_has_a_column_for_the_status_that_temporal_has_no_word_for(web_ui: WebUi) -> None:
    await web_ui.list()
    await web_ui.add_columns("MageflowName", "MageflowStatus")
    rows = await web_ui.rows()
    assert {key: row.split()[-1] for key, row in rows.items()} == {
        "digitise-emma": "done",
        "digitise-notes": "failed",
        "digitise-moby-dick": "active",
        "digitise-ulysses": "suspended",
        "digitise-walden": "interrupted",
        "read-atlas": "active",
    }
    assert "mageflow.chain" in rows["digitise-emma"]
    assert rows["digitise-emma"].split()[-2] == "digitise"


STEPS = {
    "fetch-scan • step 1 of 4, target 0",
    "read-page • item 1 of 12 in read-pages, target 1.0",
    "make-index • step 3 of 4, target 2",
}


@pytest.mark.parametrize(
    ("key", "on_the_timeline", "told"),
    [
        pytest.param(
            "digitise-emma",
            {*STEPS, "publish • step 4 of 4, target 3"},
            ["✓ chain digitise is done", "▰▰▰▰▰▰▰▰▰▰ 4 of 4 done", "3 ✓ done publish"],
            id="finished",
        ),
        pytest.param(
            "digitise-notes",
            {*STEPS, "tell-the-librarian • error callback of digitise, target e0"},
            [
                "✗ chain digitise is failed: LookupError: no word occurs twice: is the book blank?",
                "2 ✗ failed make-index LookupError: no word occurs twice: is the book blank? (attempt 1)",
                "3 ⊘ canceled publish",
                "e0 ✓ done tell-the-librarian called on failure",
            ],
            id="failed",
        ),
        pytest.param(
            "digitise-moby-dick",
            {
                "read-page • item 2 of 12 in read-pages, target 1.1, attempt 2",
                "pause before a retry",
                "Attempt 1 / 1 • read-page • item 6 of 12 in read-pages, target 1.5",
            },
            [
                "▶ chain digitise is active",
                "▰▰▱▱▱▱▱▱▱▱ 1 of 4 done, 1 active",
                "1 ▶ active read-pages 4 of 12 done, 3 active, 1 failed",
                "1.1 ✗ failed read-page ValueError: page 2 is torn (attempt 2)",
                "1.5 ▶ active read-page",
                "1.8 · pending read-page",
                "3 · pending publish",
            ],
            id="running",
        ),
        pytest.param(
            "digitise-walden",
            {"interrupt", "read-page • item 4 of 12 in read-pages, target 1.3"},
            [
                "■ chain digitise is interrupted: wrong edition",
                "▰▰▱▱▱▱▱▱▱▱ 1 of 4 done, 3 interrupted",
                "1.3 ■ interrupted read-page",
            ],
            id="interrupted",
        ),
        pytest.param(
            "read-atlas",
            {"read-page • item 81 of 200, target 80"},
            [
                "▶ swarm read-pages is active",
                "▰▰▰▰▱▱▱▱▱▱ 79 of 200 done, 5 active, 1 suspended, 1 failed",
                "6 ✗ failed read-page ValueError: page 7 is torn (attempt 2)",
                "80 ▶ active read-page",
                "150 ‖ suspended read-page page 151 is being bound",
                "… … 185 more 106 pending, 79 done",
            ],
            id="a swarm of 200",
        ),
    ],
)
async def test_the_pages_of_a_signature_tell_its_story(
    web_ui: WebUi, key: str, on_the_timeline: set[str], told: list[str]
) -> None:
    await web_ui.open(key)
    labels = {label.removeprefix("Attempt 1 / 1 • ") for label in await web_ui.timeline()}
    assert {label.removeprefix("Attempt 1 / 1 • ") for label in on_the_timeline} <= labels
    summary, guide, current = await web_ui.metadata()
    assert summary in (
        "chain digitise: fetch-scan → read-pages → make-index → publish",
        "swarm read-pages: 200 x read-page, 5 at a time",
    )
    assert "Send a Signal" in guide
    lines = current.splitlines()
    assert [line for line in told if line not in lines] == [], current


async def test_a_suspended_signature_is_steered_with_the_buttons(web_ui: WebUi) -> None:
    key = "digitise-ulysses"
    await web_ui.open(key)
    _, _, current = await web_ui.metadata()
    assert current.startswith("‖ chain digitise is suspended: the disk is nearly full\n")
    assert "1 of 4 done, 3 suspended; 3 tasks still run" in current

    offered = await web_ui.signals()
    assert {"suspend", "interrupt", "resume", "skip", "configure", "retry_failed"} <= set(offered)
    assert 'Payload: {"target": "2.1", ' in offered["suspend"]
    await web_ui.choose("interrupt", '{"target": "1.3", "reason": "stuck"}')
    await web_ui.submit()
    await web_ui.updates()
    await web_ui.choose("resume")  # without any data: all of it
    await web_ui.submit()

    await web_ui.open(key)
    _, _, current = await web_ui.metadata()
    lines = current.splitlines()
    assert lines[0] == "▶ chain digitise is active"
    assert "1.3 ■ interrupted read-page stuck" in lines
    [last] = [line for line in lines if line.startswith("Last asked: resume at ")]
    assert last.endswith(f"{key} is active")
    assert (await (await mf.load_signature(key)).status()).status == "active"


async def test_a_schedule_says_what_it_starts_and_when(web_ui: WebUi) -> None:
    text = await web_ui.schedules()
    for part in ("digitise-almanac", "mageflow.chain", "At 03:00 every day"):
        assert part in text

"""What a person and the Automation API are told, never a secret."""

from __future__ import annotations

import io
import json

from pulumi.automation.events import EngineEvent

from adapters.errors import BadInput, Refused
from local.engine.diff import Change
from local.engine.events import EventLog, ensure_closed
from local.engine.failures import Failed, Failure
from local.engine.model import Identity, Resource
from local.engine.output import Display, Lines, Redactor
from local.engine.plan import Op, Step
from local.engine.report import Report

RESOURCE = Resource(
    urn="urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::a",
    type="kubernetes:core/v1:ConfigMap",
    identity=Identity("c", "", "ConfigMap", "ns", "a"),
    manifest={"data": {"x": "never shown"}},
)
STEP = Step(Op.UPDATE, RESOURCE, (Change("data.x", "update", "1", "2"),))


def test_secrets_and_their_lines_are_redacted_the_longest_first():
    redact = Redactor()
    redact.learn(["hunter22", "hunter22 and more", "first line\nsecond line", "abc"])
    assert redact("it is hunter22 and more") == "it is [secret]"
    assert redact("hunter22!") == "[secret]!"
    assert redact("second line") == "[secret]"
    assert redact("abc") == "abc"  # too short to be told from a word


def test_both_streams_of_the_display_are_redacted():
    out, err = io.StringIO(), io.StringIO()
    display = Display(out, err)
    display.redact.learn(["hunter22"])
    display.say("a hunter22")
    display.complain("b hunter22")
    assert (out.getvalue(), err.getvalue()) == ("a [secret]\n", "b [secret]\n")


def test_what_the_program_prints_is_shown_by_whole_lines():
    out = io.StringIO()
    display = Display(out, out)
    display.redact.learn(["hunter22"])
    lines = Lines(display)
    lines.write("hun")
    lines.write("ter22\nrest")
    assert out.getvalue() == "[secret]\n"
    lines.finish()
    assert out.getvalue() == "[secret]\nrest\n"


def test_events_are_what_the_automation_api_reads_and_hold_no_inputs(tmp_path):
    path = tmp_path / "events"
    log = EventLog(path)
    log.prelude()
    log.begun(STEP, planning=False)
    log.done(STEP, planning=False)
    log.failed(STEP)
    log.diagnostic("message", "error", RESOURCE.urn)
    log.summary({"update": 1}, 1.2, planning=False)
    log.close()
    assert "never shown" not in path.read_text()
    events = [EngineEvent.from_json(json.loads(line)) for line in path.read_text().splitlines()]
    assert [event.sequence for event in events] == list(range(1, 8))
    metadata = events[1].resource_pre_event.metadata
    assert (metadata.op, metadata.urn) == ("update", RESOURCE.urn)
    assert metadata.detailed_diff["data.x"].input_diff
    assert events[3].res_op_failed_event.metadata.urn == RESOURCE.urn
    assert events[5].summary_event.resource_changes == {"update": 1}
    assert events[-1].cancel_event is not None


def test_a_log_whose_writer_died_is_ended(tmp_path):
    path = tmp_path / "events"
    ensure_closed(path)
    assert json.loads(path.read_text())["cancelEvent"] == {}
    path.write_text('{"sequence": 1, "timestamp": 1, "preludeEvent": {"config"')
    ensure_closed(path)
    assert json.loads(path.read_text().splitlines()[-1])["cancelEvent"] == {}
    before = path.read_text()
    ensure_closed(path)
    assert path.read_text() == before


def test_a_plan_shows_steps_and_fields_and_a_sum():
    out = io.StringIO()
    report = Report(Display(out, out), EventLog(None), planning=True)
    report.planned([STEP, Step(Op.SAME, RESOURCE), Step(Op.DISCARD, RESOURCE, note="stays")])
    report.summary()
    lines = out.getvalue().splitlines()
    assert lines[0] == "~ update    ConfigMap ns/a"
    assert lines[1].strip() == "~ data.x: 1 → 2"
    assert lines[2].endswith("ConfigMap ns/a: stays")
    assert lines[-1].startswith("1 to update, 1 to discard, 1 unchanged (")


def test_an_update_without_changes_says_so():
    out = io.StringIO()
    report = Report(Display(out, out), EventLog(None), planning=False)
    report.begun(Step(Op.SAME, RESOURCE))
    report.done(Step(Op.SAME, RESOURCE))
    report.summary()
    assert out.getvalue().startswith("Nothing changed, 1 as declared (")


def test_several_failures_end_with_the_first_ones_code_and_are_told_once_each():
    failures = [Failure.of(BadInput("one")), Failure.of(Refused("two")), Failure.of(BadInput("one"))]
    failed = Failed(failures)
    assert failed.exit_code == 3
    assert failed.paragraph() == "one.\ntwo."
    assert Failure.of(ValueError("x")).text == "ValueError: x"

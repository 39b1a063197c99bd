"""What a person sees of long work: a bar with rate and time left on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from io import StringIO

import pytest
from report_records import SEVEN, make_record
from rich.console import Console

from exobench import progress as said
from exobench.data import __main__ as data
from exobench.metrics.score import Score
from exobench.progress import Progress, clock, pace, track
from exobench.small_commands import command_arguments, take_verbosity
from exobench.terminal import PER_PARAMETER, find_score, format_score, print_summary, scores_on

RUN = ["-m", "exobench", "task=linear_gaussian", "budget=300", "n_test=25", "n_draws=50", "workers=1", "report=false"]
SLOW = """
import time
from exobench.progress import track
for _ in track(range(30), "resting", "naps"):
    time.sleep(0.1)
"""


def started(cwd, data_root):
    return {"cwd": cwd, "env": {**os.environ, "EXOBENCH_DATA": str(data_root), "OMP_NUM_THREADS": "1"}}


def piped(cwd, data_root, *arguments):
    done = subprocess.run([sys.executable, *arguments], **started(cwd, data_root), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def on_terminal(cwd, data_root, *arguments):
    """What a command writes to a terminal of 110 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
    child = subprocess.Popen(
        [sys.executable, *arguments], **started(cwd, data_root), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 4096):
            written += block
    except OSError:  # Linux says so when the last writer is gone
        pass
    os.close(ours)
    assert child.wait() == 0, written.decode()
    return written.decode()


def test_a_bar_shows_rate_and_time_left(tmp_path, data_root):
    shown = on_terminal(tmp_path, data_root, "-c", SLOW)
    states = re.findall(r"resting +(\d+) % \|[^|]*\| (\d+) of 30 naps, ([\d.]+) naps/s, (\d+) s left", shown)
    assert len(states) >= 3, shown
    for percent, done, rate, left in states:
        assert int(percent) == pytest.approx(100 * int(done) / 30, abs=1)
        assert float(rate) == pytest.approx(10.0, rel=0.3)
        assert int(left) == pytest.approx((30 - int(done)) / 10.0, abs=1.0)
    assert shown.rstrip("\r").endswith(" "), "the bar is wiped out at the end"


def test_a_training_shows_a_bar_on_a_terminal(tmp_path, data_root):
    shown = on_terminal(tmp_path, data_root, *RUN, "method=mdn", "limits.seconds=6")
    found = re.findall(r"mdn: training +\d+ % \|[^|]*\| [\d.]+ %/\w+, [\w ]+ left, step [\d,]+, [\d.,]+ steps/", shown)
    assert found, shown


def test_elsewhere_there_are_plain_lines_only(tmp_path, data_root):
    done = piped(tmp_path, data_root, *RUN, "method=mdn", "limits.seconds=3", "-v")
    for text in (done.stdout, done.stderr):
        for mark in ("\x1b", "\r", "% |", " left"):
            assert mark not in text
    for stage in ("training on", "retrieving 25 test spectra", "scoring"):
        assert stage in done.stdout
    for detail in ("folder: ", '"budget": 300', "fit: ", "draws: ", "scores: "):
        assert detail in done.stdout
    slow = piped(tmp_path, data_root, "-c", SLOW)
    assert slow.stdout + slow.stderr == ""


def test_a_sweep_ends_with_a_table(tmp_path, data_root):
    done = piped(tmp_path, data_root, *RUN, "-m", "method=prior", "seed=1,2")
    title, *rows = [line for line in done.stdout.split("Record:")[-1].splitlines()[1:] if line.strip(" ─")]
    assert title.split() == ["task", "method", "budget", "seed", "spectra", "result"]
    assert [row.split()[3] for row in rows if row.split()[0] == "linear_gaussian"] == ["1", "2"]
    assert "folder: " not in done.stdout, "details are for -v"


def test_quiet_runs_print_one_line_of_result_each(tmp_path, data_root):
    done = piped(tmp_path, data_root, *RUN, "-q", "method=prior", "-m", "seed=1,2")
    for line, seed in zip(done.stdout.splitlines(), (1, 2), strict=True):
        wanted = rf"prior on linear_gaussian: energy score 0\.\d+ ±\S+, calibration undefined: \S+/{seed}"
        assert re.fullmatch(wanted, line)
    assert done.stderr == ""


def test_quiet_is_quiet_on_a_terminal_too(tmp_path, data_root):
    shown = on_terminal(tmp_path, data_root, *RUN, "method=mdn", "limits.seconds=3", "-q")
    (line,) = shown.splitlines()
    assert line.startswith("mdn on linear_gaussian: energy score")


def test_quiet_data_are_made_with_one_line(tmp_path, capsys):
    arguments = ["generate", "task=linear_gaussian", "n=100", "workers=1", f"paths.data={tmp_path}"]
    data.main([*arguments, "-q"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("done:   train has 10,000 spectra")
    data.main(arguments)
    assert len(capsys.readouterr().out.splitlines()) > 1


@pytest.mark.parametrize(
    "command", ["list", "data", "tune", "retrieve", "metrics", "shifts", "reference", "show", "compare"]
)
def test_every_command_knows_quiet_and_verbose(command, capsys):
    module = __import__(f"exobench.{command}", fromlist=["main"])
    main = getattr(module, "main", None) or __import__(f"exobench.{command}.__main__", fromlist=["main"]).main
    main(["--help"])
    shown = capsys.readouterr().out
    assert "-q" in shown
    assert "-v" in shown
    with pytest.raises(SystemExit) as ended:
        main(["-q", "-v"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: -q and -v exclude each other: give one of them.\n"


def test_the_flags_are_taken_out_of_the_arguments():
    assert take_verbosity(["a", "-q", "b=1"]) == (40, ["a", "b=1"])
    assert take_verbosity(["--verbose", "-m"]) == (10, ["-m"])
    assert command_arguments(["x", "-q"]) == ["x"]
    assert said.is_quiet()
    assert command_arguments(["x"]) == ["x"]
    assert not said.is_quiet()


def test_the_state_in_words():
    with Progress("work", 100, "spectra", done=20) as progress:
        progress._start = time.monotonic() - 5.0
        progress.reach(70)
        assert progress.line() == "work: 70 of 100 spectra, 10 spectra/s, 3 s left"
    with Progress("work", None) as progress:
        progress._start = time.monotonic() - 65.0
        assert progress.line() == "work: 1 min 05 s so far"


def test_items_are_passed_on_unchanged():
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert list(track([], "nothing")) == []


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1234.0, "1,234 x/s"),
        (40.2, "40 x/s"),
        (2.5, "2.5 x/s"),
        (0.5, "30 x/min"),
        (0.02, "1.2 x/min"),
        (1e-3, "3.6 x/h"),
    ],
)
def test_rates_as_people_say_them(rate, words):
    assert pace(rate, "x") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.3, "0 s"), (59.4, "59 s"), (125, "2 min 05 s"), (3600, "1 h 00 min"), (12_000, "3 h 20 min")],
)
def test_times_as_people_say_them(seconds, words):
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("value", "error", "digits", "text"),
    [
        (0.1234, 0.0213, ".2f", "0.12 ±.02"),
        (1.0, 0.0, ".2f", "1.00 ±0"),
        (1.0, 5e-4, ".2f", "1.00 ±.0005"),
        (1.0, 8.2e-5, ".2f", "1.00 ±<.0001"),
        (0.1677, 3e-7, ".4f", "0.1677 ±<.000001"),
        (1.523e-4, 3.9e-6, ".3g", "0.000152 ±.000004"),
        (9.87e-5, 1.1e-6, ".3g", "9.87e-05 ±1e-06"),
        (9.87e-5, 1.1e-10, ".3g", "9.87e-05 ±<1e-09"),
        (9.87e-5, 0.0, ".3g", "9.87e-05 ±0"),
        (0.0, 1e-7, ".3g", "0 ±<.00001"),
        (20.5, 2.1, ".3g", "20.5 ±2"),
        (48.2, 9.7, ".3g", "48.2 ±10"),
        (271.3, 29.6, ".3g", "271 ±30"),
    ],
)
def test_a_standard_error_has_one_digit_and_is_written_as_its_value_is(value, error, digits, text):
    assert format_score(Score("crps", "temperature_k", value, error, n_obs=25, status="ok"), digits) == text


@pytest.mark.parametrize("width", [80, 60])
def test_no_number_of_the_table_is_cut_on_a_narrow_terminal(tmp_path, width):
    """Posteriors of 1e-4 of the prior's width: scores as small as those of a well-seen radius."""
    record = make_record(tmp_path, "sharp", n_test=1000, parameters=SEVEN, width=5e-5)
    floor = make_record(tmp_path, "prior", n_test=1000, parameters=SEVEN)
    console = Console(width=width, file=StringIO())
    print_summary(record, floor, console)
    shown = console.file.getvalue()
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines() if "Record:" not in line) <= width
    scores = scores_on(record, 1000)
    for parameter in SEVEN:
        for metric, _, digits in PER_PARAMETER:
            for word in format_score(find_score(scores, metric, parameter["name"]), digits).split():
                assert word in shown
    assert "±<.0001" in shown
    if width == 80:
        (row,) = [line for line in shown.splitlines() if "radius_rjup " in line and "±" in line]
        assert row.count("±") == len(PER_PARAMETER)

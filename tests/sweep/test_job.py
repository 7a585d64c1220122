"""A job in a process of its own: finished, failed, killed, refused, left alone, and left without its parent."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import config
from filelock import FileLock
from finished_run import finished_result

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import parse_record
from ser_lightning.sweep.job import REFUSED, _result, run_apart
from ser_lightning.training import experiment

RESULT = finished_result()

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
run = Path(sys.argv[1].removeprefix("resume=").strip("'").replace("\\\\'", "'"))
assert (run / "config.yaml").is_file()
print("said by the job", flush=True)
(run / "pid").write_text(str(os.getpid()))
{body}
"""
FINISH = f"(run / 'result.json').write_text({json.dumps(RESULT)!r})"


@pytest.fixture
def job(tmp_path):
    """Runs a program in place of train.py on a directory with an awkward name."""

    def run(body=FINISH, cfg=None, aloud=False):
        program = tmp_path / "program.py"
        program.write_text(PROGRAM.format(body=body))
        directory = RunDirectory(tmp_path / "sweep" / "it's,a=job")
        return run_apart(cfg or config(), directory, [], train=program, cwd=tmp_path, aloud=aloud), directory

    return run


def test_a_finished_job_gives_what_is_optimised(job, capfd):
    value, run = job()
    assert value == 0.5
    assert (run.path / "console.log").read_text() == "said by the job\n"
    assert "said by" not in capfd.readouterr().out


def test_aloud_it_is_heard(job, capfd):
    _, run = job(aloud=True)
    assert "said by the job" in capfd.readouterr().out
    assert not (run.path / "console.log").exists()


def test_a_finished_job_is_left_as_it_is(job):
    job()
    value, run = job(body="raise AssertionError('not again')")
    assert value == 0.5
    assert run.read_result() == parse_record(RESULT)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"killed \(SIGKILL\), as happens when memory runs out"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "ended by SIGTERM"),
        ("sys.exit(3)", "ended with status 3 and left no result"),
        ('(run / \'result.json\').write_text(\'{"schema": 1, "status": "failed", "reason": "NaN"}\')', "NaN"),
    ],
)
def test_a_failed_job_is_recorded_and_tried_again(job, body, reason):
    value, run = job(body)
    assert value is None
    failed = run.read_result().plain()
    assert failed["status"] == "failed"
    assert re.search(reason, failed["reason"])
    assert job()[0] == 0.5
    assert run.read_result() == parse_record(RESULT)


@pytest.mark.parametrize("content", ["{}", '{"schema": 1, "status": "finished"}', "[" * 100_000, "[]"])
def test_a_result_that_is_not_whole_counts_as_not_there(job, content):
    _, run = job()
    run.result.write_text(content)
    assert job()[0] == 0.5
    assert run.read_result() == parse_record(RESULT)


def test_the_result_of_another_config_is_neither_taken_nor_touched(job):
    job()
    value, run = job(cfg=config("seed=7"))
    assert value is None
    assert run.read_result() == parse_record(RESULT)
    assert "differs in data.seed, seed" in json.loads((run.path / REFUSED).read_text())["reason"]
    assert job()[0] == 0.5
    assert not (run.path / REFUSED).exists()


def test_a_job_that_another_process_is_at_is_waited_for(job, caplog):
    caplog.set_level("INFO")
    _, run = job()
    held = threading.Event()

    def hold():
        with FileLock(run.lock):
            held.set()
            time.sleep(0.3)

    threading.Thread(target=hold).start()
    held.wait()
    assert job()[0] == 0.5
    assert any("another process is still at it" in line for line in caplog.messages)


def test_a_job_ends_with_the_process_that_waits_for_it(tmp_path):
    body = "from ser_lightning.sweep.job import end_with_sweep; end_with_sweep(); time.sleep(60)"
    (tmp_path / "program.py").write_text(PROGRAM.format(body=body))
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from conftest import config
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import parse_record
from ser_lightning.sweep.job import run_apart
where = Path({str(tmp_path)!r})
run_apart(config(), RunDirectory(where / "job"), [], train=where / "program.py", cwd=where, aloud=False)
"""
    waiting = subprocess.Popen([sys.executable, "-c", script])
    pid = int(_read_when_there(tmp_path / "job" / "pid", waiting))
    time.sleep(1)  # for it to listen
    waiting.send_signal(signal.SIGKILL)
    waiting.wait()
    deadline = time.monotonic() + 20
    while _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("given", "group"), [("null", "my-sweep"), ("mine", "mine")])
def test_wandb_groups_the_jobs_of_a_sweep(given, group, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_JOB_OF", "my-sweep")
    cfg = config("data=cremad", "logger.wandb._target_=builtins.dict", f"logger.wandb.group={given}")
    made = experiment._logger(cfg, RunDirectory(tmp_path), {"corpus": "cremad", "split": "actors5", "fold": 2})
    assert made["group"] == group
    assert made["tags"] == ["cnn", "cremad", "fold2"]
    assert made["run_dir"] == tmp_path


def _read_when_there(path, process):
    deadline = time.monotonic() + 60
    while not (path.is_file() and path.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_text()


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_job_that_another_process_has_is_waited_for(tmp_path):
    run = RunDirectory(tmp_path)
    code = (
        "import sys, time; from pathlib import Path; from filelock import FileLock; held = FileLock(sys.argv[1]); "
        "held.acquire(); print('held', flush=True); time.sleep(0.5); Path(sys.argv[2]).write_text(sys.argv[3])"
    )
    command = [sys.executable, "-c", code, run.lock, run.result, json.dumps(RESULT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert _result(config("seed=0"), run, 1) == parse_record(RESULT)

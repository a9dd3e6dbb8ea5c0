from pathlib import Path

from trainer.log import Log, Record, read_log


def record(step: int) -> Record:
    return Record(step=step, loss=1 / step, grad_norm=1.0, lr=0.1, tokens_per_second=1.0, seconds=float(step))


def test_a_resumed_log_holds_every_step_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Log(path, 0) as log:
        for step in range(1, 8):
            log.append(record(step))
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # killed while it wrote
    with Log(path, 5) as log:  # the last checkpoint was made at step 5
        assert log.records[-1] == record(5)
        for step in range(6, 10):
            log.append(record(step))
    assert read_log(path) == [record(step) for step in range(1, 10)]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "log.jsonl") == []

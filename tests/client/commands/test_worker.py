"""`strongroom worker`."""

from pathlib import Path

from tests.client.shell import run


def test_a_worker_says_what_its_configuration_lacks(tmp_path: Path) -> None:
    home = tmp_path / "h"
    home.mkdir()
    told = run(home, "worker", "--role", "backup", code=78)
    assert "broker.url" in told.stderr
    (home / "config.toml").write_text('[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    for words, named in (
        (("--role", "restore", "--queue", "backup"), "restore"),
        (("--role", "backup", "--queue", "backup.Web 1"), "backup.<host>"),
        (("--role", "scheduler", "--concurrency", "4"), "scheduler"),
    ):
        assert named in run(home, "worker", *words, code=78).stderr
    (home / "config.toml").write_text('[broker]\nurl = "rediss://broker.example/0"\n')
    assert "ca_file" in run(home, "worker", "--role", "backup", code=78).stderr

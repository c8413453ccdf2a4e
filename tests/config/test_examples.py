"""The example of each role's settings is one that loads, and says what its first lines say."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from client.commands.worker import ROLES
from config.home import Home
from config.settings import Settings, load

FOLDER = Path(__file__).parents[2] / "config" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.toml"))


def loaded(example: Path, home: Path) -> Settings:
    shutil.copy(example, home / "config.toml")
    return load(Home(home), {})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_loads_and_reaches_its_broker_by_mutual_tls(example: Path, tmp_path: Path) -> None:
    broker = loaded(example, tmp_path).broker
    station = "backup.web1" if example.stem == "backup-host" else example.stem
    assert broker.url.startswith("rediss://")
    assert broker.ca_file
    assert (
        Path(broker.cert_file).stem
        == Path(broker.key_file).stem
        == Path(broker.password_file).stem
        == station
    )


def test_every_role_and_the_client_has_an_example() -> None:
    assert {example.stem for example in EXAMPLES} == {*ROLES, "client", "backup-host"}


def test_an_example_schedules_and_forgets_nothing_until_it_is_told_to(tmp_path: Path) -> None:
    """Its vault and its host are nobody's."""
    example = FOLDER / "scheduler.toml"
    assert loaded(example, tmp_path).recurring == ()
    before, *tables = re.split(r"^# (?=\[\[)", example.read_text(), flags=re.MULTILINE)
    told = "\n".join(table.partition("\n\n")[0].replace("\n# ", "\n") for table in tables)
    (tmp_path / "told.toml").write_text(before + told)
    settings = loaded(tmp_path / "told.toml", tmp_path)
    assert settings.schedules[0].host == "web1"
    (policy,) = settings.retention
    assert (policy.tags, policy.prune) == (settings.schedules[0].tags, True)
    assert policy.vault == settings.schedules[0].vault


def test_another_host_is_four_words_away() -> None:
    lines = (FOLDER / "backup-host.toml").read_text().splitlines()
    assert sum("web1" in line for line in lines if not line.startswith("#")) == 4


def test_what_an_example_sets_is_what_its_role_reads(tmp_path: Path) -> None:
    assert loaded(FOLDER / "restore.toml", tmp_path).delivery.areas
    assert loaded(FOLDER / "monitor.toml", tmp_path).monitor.flower_cert_file
    assert loaded(FOLDER / "backup-host.toml", tmp_path).workers.node == "web1"


def test_the_tables_of_the_readme_are_taken_as_they_stand(tmp_path: Path) -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text()
    (block,) = re.findall(r"^  ```\n(  \[\[schedules\]\]\n.*?)^  ```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "config.toml").write_text(textwrap.dedent(block))
    settings = load(Home(tmp_path), {})
    assert [each.name for each in settings.recurring] == ["nightly", "weekly"]

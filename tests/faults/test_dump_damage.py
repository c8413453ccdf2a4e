"""Guarantee 9 for dumps: whatever happens to the store, what is written is right; the exit code says if it is all."""

import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.faults.test_damage import FOLDERS, Vault, built, vault
from tests.whole.room import COMMAND, Strongroom

__all__ = ["built", "vault"]


def dump(room: Strongroom, *words: str | Path) -> tuple[int, bytes, str]:
    done = subprocess.run(
        [COMMAND, "dump", *map(str, words)],
        env=room.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stderr.decode()
    assert "Traceback" not in said
    return done.returncode, done.stdout, said


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("damage", ["flip", "missing"])
def test_an_archive_has_right_files_and_the_others_are_named(vault: Vault, folder: str, damage: str) -> None:
    pack = vault.repo / vault.packs[folder]
    spoil(pack, pack.stat().st_size // 2) if damage == "flip" else pack.unlink()
    code, archive, said = dump(vault.room, "v", f"latest:{vault.source}")
    assert code == 3
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for member in tar.getmembers():
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    assert found.items() < vault.content.items()
    named = {name for name in vault.content if f"{vault.source}/{name}: " in said}
    assert named == vault.content.keys() - found.keys()
    assert named <= vault.files(folder)
    for name in sorted(vault.content):
        code, written, said = dump(vault.room, "v", f"latest:{vault.source}/{name}")
        assert (code, written) == ((1, b"") if name in named else (0, vault.content[name])), said


@pytest.mark.parametrize("kind", ["content", "tar", "zip"])
def test_a_large_file_ends_where_the_damage_is(kept: Strongroom, tmp_path: Path, kind: str) -> None:
    source, repo = tmp_path / "source", tmp_path / "repository"
    source.mkdir()
    content = random.Random(kind).randbytes(40 << 20)
    (source / "large").write_bytes(content)
    (source / "z").write_bytes(b"after it")
    name = f"large-{kind}"
    kept.run("vault", "create", name, "--repo", repo.as_uri(), "--kms", "local-kms://main")
    kept.run("backup", name, source)
    pack = max(repo.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    spoil(pack, pack.stat().st_size // 2)
    if kind == "content":
        code, found, said = dump(kept, name, f"latest:{source}/large")
        assert len(found) > 0
        assert content.startswith(found)
    else:
        code, found, said = dump(kept, name, f"latest:{source}", "-a", kind)
        reader = {"tar": ["tar", "-t"], "zip": ["zipinfo", "/dev/stdin"]}[kind]
        judged = subprocess.run(reader, input=found, capture_output=True, check=False)
        assert judged.returncode != 0, "a reader takes it for whole"
    assert code == 1
    assert f"{source}/large: " in said

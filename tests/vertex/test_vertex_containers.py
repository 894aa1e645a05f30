"""Containers: what docker is called with, and what is never said to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from docker_stub import DockerStub, path_without_docker

from hwnas.errors import JobError
from hwnas.vertex._containers import build_image, ensure_image, image_uri, run_words
from hwnas.vertex._programs import ImageProgram, LocalProgram
from support import HWNAS

SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DockerStub:
    echo = [sys.executable, "-c", "import os, sys; print(sys.argv[1:], os.environ.get('CLOUD'))"]
    stub = DockerStub(tmp_path, {"trainer:latest": echo})
    monkeypatch.setenv("PATH", stub.path)
    return stub


def mounts(argv: list[str]) -> list[str]:
    return [argv[n + 1] for n, word in enumerate(argv) if word == "--mount"]


def test_images_are_named_as_vertex_names_them() -> None:
    assert image_uri("t1", "proj", "us-west1") == "us-west1-docker.pkg.dev/proj/nas/t1:latest"
    assert image_uri("t1") == "t1:latest"
    assert image_uri("ghcr.io/a/b:2", "proj", "us-west1") == "ghcr.io/a/b:2"


def test_a_container_gets_its_words_its_variables_and_the_root(
    docker: DockerStub, tmp_path: Path
) -> None:
    """Flags reach the program in the container, whatever they hold."""
    program = ImageProgram("trainer:latest", f"file://{tmp_path}/root, with a comma")
    launch = program.launch(["--a=b=c", "--d=e f"], {"CLOUD": "yes"})
    told = subprocess.run(
        launch.argv, env={**os.environ, **launch.env}, capture_output=True, text=True, check=True
    )
    assert told.stdout == "['--a=b=c', '--d=e f'] yes\n"
    (call,) = docker.calls("run")
    root = f"{tmp_path}/root, with a comma"
    assert mounts(call["argv"]) == [f'type=bind,"source={root}","target={root}"']
    assert "yes" not in call["argv"]
    assert launch.container in call["argv"]


def test_folders_outside_of_the_root_are_mounted(docker: DockerStub, tmp_path: Path) -> None:
    """Where a job is in a store, a trial's metrics are told through a folder of this host."""
    inside, outside = tmp_path / "root" / "job", tmp_path / "elsewhere"
    here = ImageProgram("trainer:latest", f"file://{tmp_path}/root").launch([], {}, [inside])
    assert len(mounts(here.argv)) == 1
    there = ImageProgram("trainer:latest", "s3://bucket").launch([], {}, [outside])
    assert f"type=bind,source={outside},target={outside}" in mounts(there.argv)


def test_credentials_of_the_roots_cloud_are_mounted_read_only(
    docker: DockerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other clouds stay outside; no value of a variable is in the command line."""
    for name in (".config/gcloud", ".aws", ".azure"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".aws" / "credentials").write_text(SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLOUDSDK_CONFIG", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    words, extra = run_words("trainer:latest", [], name="n", root="s3://bucket/jobs")
    inside = "/hwnas-credentials/credentials"
    assert mounts(words) == [
        f"type=bind,source={tmp_path}/.aws/credentials,target={inside},readonly"
    ]
    assert extra == {"AWS_SHARED_CREDENTIALS_FILE": inside}
    assert "AWS_SECRET_ACCESS_KEY" in words
    assert SECRET not in " ".join(words)

    words, extra = run_words("trainer:latest", [], name="n", root="gs://bucket/jobs")
    assert mounts(words) == [
        f"type=bind,source={tmp_path}/.config/gcloud,target=/hwnas-credentials/gcloud,readonly"
    ]
    assert "AWS_SECRET_ACCESS_KEY" not in words

    words, extra = run_words("trainer:latest", [], name="n", root=f"file://{tmp_path}/root")
    assert "readonly" not in " ".join(words)
    assert not extra


def test_a_missing_image_is_told(docker: DockerStub) -> None:
    ensure_image("trainer:latest")
    with pytest.raises(JobError, match=r"cannot get the image other:latest: .*no such image"):
        ensure_image("other:latest")


def test_a_failing_build_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", DockerStub(tmp_path, {}, build_code=7).path)
    file = tmp_path / "Dockerfile"
    file.touch()
    with pytest.raises(JobError, match="docker cannot build x: it ended with code 7"):
        build_image("x", file, push=False)


def hwnas_vertex_build(folder: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HWNAS, "vertex", "build", *words],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_build_builds_and_pushes(docker: DockerStub, tmp_path: Path) -> None:
    (tmp_path / "t.Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "l.Dockerfile").write_text("FROM scratch\n")
    done = hwnas_vertex_build(
        tmp_path,
        docker.path,
        *("--project_id=p", "--trainer_docker_id=t", "--trainer_docker_file=t.Dockerfile"),
        *("--latency-calculator-docker-id", "l"),
        *("--latency-calculator-docker-file", "l.Dockerfile", "--use_cache=False"),
    )
    assert done.returncode == 0, done.stderr
    built = [call["argv"] for call in docker.calls("build")]
    uris = [f"us-central1-docker.pkg.dev/p/nas/{one}:latest" for one in "tl"]
    assert built == [
        ["build", "--no-cache", "-f", f"{one}.Dockerfile", "-t", uri, "."]
        for one, uri in zip("tl", uris, strict=True)
    ]
    assert [call["argv"] for call in docker.calls("push")] == [["push", uri] for uri in uris]


def test_build_says_what_is_missing(docker: DockerStub, tmp_path: Path) -> None:
    done = hwnas_vertex_build(tmp_path, docker.path)
    assert done.returncode == 2
    assert "nothing to build" in done.stderr
    done = hwnas_vertex_build(tmp_path, docker.path, "--trainer_docker_id=t", "--use_cache=yes")
    assert done.returncode == 2
    assert "'yes' is not one of 'true', 'false'" in done.stderr
    (tmp_path / "Dockerfile").touch()
    words = ("--trainer_docker_id=t", "--trainer_docker_file=Dockerfile")
    done = hwnas_vertex_build(tmp_path, path_without_docker(), *words)
    assert done.returncode == 1
    assert "docker is not on the PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_local_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python files and executables; the current folder can be imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part.py").write_text("NAME = 'part'\n")
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "trainer.py").write_text(
        "import sys, part\nprint(part.NAME, *sys.argv[1:])"
    )
    launch = LocalProgram("programs/trainer.py").launch(["--x=1"], {})
    told = subprocess.run(
        launch.argv, env={**os.environ, **launch.env}, capture_output=True, text=True, check=True
    )
    assert told.stdout == "part --x=1\n"
    assert LocalProgram("true").launch([], {}).argv[0].endswith("/true")
    for wrong in ("none.py", "no-such-program"):
        with pytest.raises(JobError, match=f"there is no program {wrong}"):
            LocalProgram(wrong).check()

"""What deploy/ has for Kubernetes, compose and Prometheus: valid, complete, and known to us."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import WANTED
from distbelief.coordinator.commands.cli import main

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CONFIGURATION = (DEPLOY.parent / "docs" / "configuration.md").read_text()

Json = Any


def documents(path: Path) -> list[Json]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


FILES = [path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"]
RESOURCES = [each for path in FILES for each in documents(path)]


def pods() -> Iterator[tuple[str, Json]]:
    for each in RESOURCES:
        if "template" in each.get("spec", {}):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers() -> list[Json]:
    return [container for _, pod in pods() for container in pod["containers"]]


def test_every_file_is_a_resource_of_its_kustomization_and_its_secrets_are_made(
    tmp_path: Path,
) -> None:
    command = [
        str(DEPLOY / "make-secrets"),
        str(tmp_path / "secrets"),
        "control",
        "parameters-0.parameters",
    ]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    for folder in ("base", "keda"):
        (kustomization,) = documents(KUBERNETES / folder / "kustomization.yaml")
        there = {path.name for path in FILES if path.parent.name == folder}
        assert {name for name in kustomization["resources"] if "/" not in name} == there
        for secret in kustomization.get("secretGenerator", []):
            for name in secret["files"]:
                assert (tmp_path / name.rpartition("=")[2]).is_file(), name
    urls = (tmp_path / "secrets" / "worker-parameter-servers").read_text()
    assert re.fullmatch(r"redis://worker:\w+@parameters-0\.parameters:6379/0\n", urls)


def test_no_pod_is_more_than_it_needs_to_be() -> None:
    for name, pod in pods():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 10001, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            mounted = {volume["name"] for volume in container["volumeMounts"]}
            claims = {"ledger"} if name == "control" else set()
            assert mounted == {volume["name"] for volume in pod["volumes"]} | claims
    assert "useradd --system --uid 10001" in (DEPLOY / "Dockerfile").read_text()


def test_variables_and_options_are_ours() -> None:
    services = documents(DEPLOY / "compose.yaml")[0]["services"].values()
    named = {variable["name"] for each in containers() for variable in each.get("env", [])}
    named |= {name for each in services for name in each.get("environment", {})}
    units = "".join(path.read_text() for path in DEPLOY.glob("*.service"))
    named |= set(re.findall(r"DISTBELIEF_\w+", units))
    ours = {name for name in named if name.startswith("DISTBELIEF_")}
    assert len(ours) > 4
    for name in ours:
        assert f"`{name}`" in CONFIGURATION, name
    commands = [each["args"][1:] for each in containers() if each["args"][0] == "distbelief"]
    (line,) = re.findall(r"^ExecStart=\S+/distbelief (.*)$", units, re.MULTILINE)
    for words in (*commands, line.replace("%i", "nightly").split()):
        found = main.get_command(click.Context(main), words[0])
        assert found is not None
        found.make_parser(click.Context(found)).parse_args(words[1:])


def test_the_job_goes_on_and_ends_by_the_exit_codes_that_there_are() -> None:
    (job,) = [each for each in RESOURCES if each["kind"] == "Job"]
    rules = {
        rule["action"]: rule["onExitCodes"]["values"]
        for rule in job["spec"]["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }
    assert rules["Ignore"] == [ExitCode.GO_ON]
    final = [
        *(ExitCode.USAGE, ExitCode.DATA, ExitCode.MODEL, ExitCode.AUTHENTICATION),
        *(ExitCode.EVICTION, ExitCode.SELF_TEST, ExitCode.DIVERGED, ExitCode.CHECKPOINT),
        *(ExitCode.MISMATCH, ExitCode.INTERRUPTED),
    ]
    assert rules["FailJob"] == final
    unit = (DEPLOY / "distbelief-train@.service").read_text()
    (prevented,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert sorted(map(int, prevented.split())) == sorted([*final, ExitCode.GO_ON])


def test_keda_counts_what_is_wanted_in_processes_of_a_worker() -> None:
    (scaled,) = [each for each in RESOURCES if each["kind"] == "ScaledObject"]
    (trigger,) = scaled["spec"]["triggers"]
    (worker,) = [each for name, pod in pods() if name == "worker" for each in pod["containers"]]
    assert trigger["metadata"]["listName"] == WANTED
    processes = worker["args"][worker["args"].index("--concurrency") + 1]
    assert trigger["metadata"]["listLength"] == processes


def test_every_component_has_a_rule_for_who_reaches_it() -> None:
    components = {name for name, _ in pods()} - {"train"} | {"coordinator"}
    text = (KUBERNETES / "base" / "network.yaml").read_text()
    assert all(component in text for component in components)
    budgets = {each["metadata"]["name"] for each in RESOURCES if each["kind"].endswith("Budget")}
    assert budgets == components - {"coordinator"}


@pytest.mark.parametrize("folder", ["base", "keda"])
def test_kubernetes_takes_what_kustomize_makes(folder: str, tmp_path: Path) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="no kubernetes-validate: pip install kubernetes-validate"
    )
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("no kubectl on the PATH")
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    secrets = tmp_path / "kubernetes" / "base" / "secrets"
    shutil.rmtree(secrets, ignore_errors=True)
    command = [str(DEPLOY / "make-secrets"), str(secrets), "control", "parameters-0.parameters"]
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    made = subprocess.run(
        [kubectl, "kustomize", tmp_path / "kubernetes" / folder],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout
    for document in yaml.safe_load_all(made):
        if not document["apiVersion"].startswith("keda.sh/"):
            validate.validate(document, "1.33", strict=True)


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool on the PATH (Debian's prometheus has it)")
    (tmp_path / "metrics").write_text("secret")
    for name in ("prometheus.yml", "prometheus-fleet.yml"):
        text = (DEPLOY / name).read_text().replace("/run/secrets", str(tmp_path))
        (tmp_path / name).write_text(text)
        subprocess.run([promtool, "check", "config", tmp_path / name], check=True, timeout=30)

"""One update at a time, and a record that survives whoever writes it."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import pytest
from pulumi import automation as auto

from adapters.errors import BadInput, Locked
from adapters.paths import REPOSITORY
from local.engine.backend import Backend
from local.engine.command import Engine
from local.engine.lock import StackLock, break_lock
from local.engine.project import Project
from local.engine.record import KEPT, PART_BYTES, RecordStore

KEY = bytes(32)
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "a passphrase for tests"}


def options():
    """As the project's own stacks are opened."""
    return auto.LocalWorkspaceOptions(pulumi_command=Engine(), env_vars=PASSPHRASE)


def _records(kube, stack, role, project="p"):
    selector = f"slipway.dev/stack-id={project}.{stack},slipway.dev/record-role={role}"
    return kube.list("v1", "Secret", "slipway-system", labels=selector)


def test_a_second_update_is_refused_with_the_holders_name(project, kube, namespace, config_map):
    stack = project.stack()
    with StackLock(kube, "engine-tests", namespace):
        project.program('config_map("a")')
        with pytest.raises(auto.ConcurrentUpdateError) as caught:
            stack.up()
        assert caught.value.code == 6
        assert f"the stack is currently locked by {os.environ.get('USER', 'root')}@" in caught.value.stderr
        assert f"pid {os.getpid()}" in caught.value.stderr
    assert config_map("a") is None
    stack.up()
    assert config_map("a") is not None


def test_cancel_frees_the_lock_and_its_holder_writes_no_more(project, kube, namespace):
    stack = project.stack()
    with StackLock(kube, "engine-tests", namespace, duration_s=2) as lock:
        stack.cancel()
        lock._renewer.join(20)  # it ends once it has seen that the lock is lost
        with pytest.raises(Locked, match="it was cancelled"):
            lock.check()
    project.up('config_map("a")')


def test_the_lock_of_a_process_that_died_is_taken_over_at_once(kube, cluster, namespace):
    program = (
        "import os, sys\n"
        "from adapters.kubernetes import Kubernetes\n"
        "from local.engine.lock import StackLock\n"
        "kube = Kubernetes.connect(kubeconfig=sys.argv[1], context=sys.argv[2])\n"
        "StackLock(kube, 'p', sys.argv[3]).__enter__()\n"
        "os._exit(0)\n"
    )
    arguments = [str(cluster.kubeconfig), cluster.context, namespace]
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=REPOSITORY, check=True)
    with StackLock(kube, "p", namespace) as lock:
        lock.check()


def test_breaking_a_lock_names_who_held_it(kube, namespace):
    assert break_lock(kube, "p", namespace) is None
    with StackLock(kube, "p", namespace):
        assert f"pid {os.getpid()}" in (break_lock(kube, "p", namespace) or "")


def test_a_record_beyond_one_secret_is_split_and_read_again(kube, namespace):
    store = RecordStore(kube, "p", namespace, KEY)
    with StackLock(kube, "p", namespace):  # makes the namespace
        pass
    big = {"text": base64.b64encode(os.urandom(3 * PART_BYTES)).decode()}
    store.save(big)
    parts = _records(kube, namespace, "part")
    assert len(parts) >= 3
    assert all(len(base64.b64decode(part["data"]["part"])) <= PART_BYTES for part in parts)
    assert RecordStore(kube, "p", namespace, KEY).load() == big
    store.delete()
    assert _records(kube, namespace, "part") == []


def test_the_last_records_stay_and_older_ones_go(kube, namespace):
    with StackLock(kube, "p", namespace):
        pass
    store = RecordStore(kube, "p", namespace, KEY)
    for number in range(KEPT + 3):
        store.save({"number": number})
    store.prune()
    commits = _records(kube, namespace, "commit")
    assert len(commits) == KEPT
    assert len(_records(kube, namespace, "part")) == KEPT
    assert RecordStore(kube, "p", namespace, KEY).load() == {"number": KEPT + 2}


def test_an_update_lets_old_records_go(project, kube, namespace):
    project.up('config_map("a")')
    stack = Project.load(project.directory).stack(namespace)
    with Backend.open(stack, stack.crypter(PASSPHRASE)) as backend:
        record = backend.store.load()
        for _ in range(KEPT):
            backend.store.save(record)
    project.up('config_map("a"); config_map("b")')
    left = len(_records(kube, namespace, "commit", "engine-tests"))
    assert KEPT <= left <= KEPT + 1  # they go beside the update, perhaps before it writes for the last time


def test_of_two_writers_the_one_behind_is_refused(kube, namespace):
    with StackLock(kube, "p", namespace):
        pass
    one, two = (RecordStore(kube, "p", namespace, KEY) for _ in range(2))
    one.load()
    two.load()
    one.save({"by": "one"})
    with pytest.raises(Locked, match="somebody else has written"):
        two.save({"by": "two"})
    assert two.load() == {"by": "one"}


def test_another_key_does_not_open_a_record(kube, namespace):
    with StackLock(kube, "p", namespace):
        pass
    RecordStore(kube, "p", namespace, KEY).save({"x": 1})
    with pytest.raises(BadInput, match="wrong passphrase"):
        RecordStore(kube, "p", namespace, bytes([1]) * 32).load()


def test_a_stack_of_the_other_engine_is_refused_but_may_be_previewed(project, config_map, namespace):
    stack = project.stack()
    marker = project.directory / ".slipway" / f"{namespace}.engine"
    marker.parent.mkdir()
    marker.write_text("pulumi\n", encoding="utf-8")
    error = project.fails('config_map("a")')
    assert error.code == 4
    assert "kept by the engine 'pulumi'" in error.stderr
    assert f"slipway engine adopt {namespace}" in error.stderr
    assert config_map("a") is None
    assert stack.preview().change_summary == {"create": 1}


def test_an_unknown_stack_and_a_missing_cluster_are_told(project, namespace):
    project.stack()
    with pytest.raises(auto.StackNotFoundError) as caught:
        auto.select_stack("nowhere", work_dir=str(project.directory), opts=options())
    assert namespace in caught.value.stderr
    project.cluster = project.cluster | {"context": "elsewhere"}
    project.configure(namespace)
    error = project.fails('config_map("a")')
    assert error.code == 3
    assert "elsewhere" in error.stderr


def test_a_stack_with_objects_is_not_forgotten(project):
    project.up('config_map("a")')
    with pytest.raises(auto.CommandError) as caught:
        project.stack().workspace.remove_stack(project.namespace)
    assert caught.value.code == 4
    assert "still has resources" in caught.value.stderr
    project.stack().destroy()
    project.stack().workspace.remove_stack(project.namespace)
    assert not (project.directory / f"Pulumi.{project.namespace}.yaml").exists()


def test_a_stack_that_is_forgotten_by_force_leaves_its_objects_in_the_cluster(project, config_map, kube, namespace):
    project.up('config_map("a")')
    project.stack().workspace.remove_stack(namespace, force=True, preserve_config=True)
    assert config_map("a") == {"key": "a"}
    assert _records(kube, namespace, "commit", "engine-tests") == []
    assert (project.directory / f"Pulumi.{namespace}.yaml").exists()


def test_creating_a_stack_that_is_there_is_known_by_the_automation_api(project, namespace):
    project.stack()
    with pytest.raises(auto.StackAlreadyExistsError):
        auto.create_stack(namespace, work_dir=str(project.directory), opts=options())


def test_configuration_is_read_and_written_through_the_automation_api(project, namespace):
    stack = project.stack()
    stack.set_config("plain", auto.ConfigValue("one"))
    stack.set_config("hidden", auto.ConfigValue("two words", secret=True))
    assert stack.get_config("hidden").value == "two words"
    assert stack.get_config("hidden").secret
    everything = stack.get_all_config()
    assert everything["engine-tests:plain"].value == "one"
    stack.remove_config("plain")
    assert "engine-tests:plain" not in stack.get_all_config()
    with pytest.raises(auto.CommandError) as caught:
        stack.get_config("plain")
    assert "not found" in caught.value.stderr
    assert "two words" not in (project.directory / f"Pulumi.{namespace}.yaml").read_text()

"""The watch wakes whoever looks at a directory, by inotify or by polling."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import inotify_simple
import pytest
import trio
from trio.testing import MockClock

from capabilities import no_capabilities
from numa_trio.kubelet.watch import DirectoryWatch

PATIENCE = 30.0  # seconds; real events take none


async def woken_by(watch: DirectoryWatch, action: Callable[[], object]) -> None:
    """Fails unless `action` wakes those who wait."""
    change = watch.next_change()
    action()
    with trio.fail_after(PATIENCE):
        await change.wait()


async def watching(nursery: trio.Nursery, directory: Path, **options: float) -> DirectoryWatch:
    """A watch that waits longer than any test for what gives no event."""
    watch = DirectoryWatch(directory, **({"sweep_interval": 3600.0} | options))  # type: ignore[arg-type]  # mypy mixes up the keywords
    await nursery.start(watch.run)
    return watch


async def test_entries_that_come_and_go_wake(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Creation, renaming, deletion, and a change of mode."""
    watch = await watching(nursery, tmp_path)
    path = tmp_path / "kubelet.sock"
    await woken_by(watch, path.touch)
    await woken_by(watch, lambda: path.chmod(0o600))
    await woken_by(watch, lambda: path.rename(tmp_path / "other"))
    await woken_by(watch, (tmp_path / "other").unlink)


async def test_irrelevant_names_wake_nobody(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Kubelet's checkpoint comes and goes without waking anyone."""
    watch = DirectoryWatch(tmp_path, relevant=lambda name: name.endswith(".sock"))
    await nursery.start(watch.run)
    change = watch.next_change()
    (tmp_path / ".123").touch()
    (tmp_path / ".123").rename(tmp_path / "kubelet_internal_checkpoint")
    for _ in range(20):
        await trio.sleep(0.001)
    assert not change.is_set()
    await woken_by(watch, (tmp_path / "kubelet.sock").touch)


async def test_a_directory_that_is_created_later_is_watched(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """It and its parents may be missing at first; each step wakes, also made in one go."""
    directory = tmp_path / "lib" / "kubelet" / "device-plugins"
    watch = await watching(nursery, directory)
    await woken_by(watch, lambda: directory.mkdir(parents=True))
    while not _watched(directory):
        await trio.sleep(0.001)
    await woken_by(watch, (directory / "kubelet.sock").touch)


async def test_a_directory_that_is_replaced_is_watched(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Renamed away, removed, made again: the one at the path counts."""
    directory = tmp_path / "device-plugins"
    directory.mkdir()
    watch = await watching(nursery, directory)
    await woken_by(watch, lambda: directory.rename(tmp_path / "old"))
    await woken_by(watch, directory.mkdir)
    while not _watched(directory):
        await trio.sleep(0.001)
    await woken_by(watch, (directory / "kubelet.sock").touch)
    (directory / "kubelet.sock").unlink()
    await trio.sleep(0.01)
    await woken_by(watch, directory.rmdir)
    await woken_by(watch, directory.mkdir)
    while not _watched(directory):
        await trio.sleep(0.001)
    await woken_by(watch, (directory / "kubelet.sock").touch)


def _watched(directory: Path) -> bool:
    """Whether some inotify instance of this process watches the directory's inode."""
    inode = f"ino:{directory.stat().st_ino:x}"
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        try:
            lines = descriptor.read_text().splitlines()
        except FileNotFoundError:
            continue
        if any(line.startswith("inotify") and inode in line.split() for line in lines):
            return True
    return False


async def test_what_a_path_leads_to_is_watched_at_every_step(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Through links, absolute and relative, with `..`: each change on the way wakes."""
    real = tmp_path / "disks" / "one" / "kubelet" / "device-plugins"
    real.mkdir(parents=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "kubelet").symlink_to("../disks/one/kubelet")
    (tmp_path / "var").symlink_to(tmp_path)
    directory = tmp_path / "var" / "lib" / "kubelet" / "device-plugins"
    watch = await watching(nursery, directory)
    assert _watched(real)
    await woken_by(watch, (real / "kubelet.sock").touch)
    for path in (
        tmp_path / "disks" / "one",
        tmp_path / "disks",
        tmp_path / "lib" / "kubelet",
        tmp_path / "lib",
        tmp_path / "var",
    ):
        await woken_by(watch, lambda path=path: path.rename(tmp_path / "away"))  # type: ignore[misc]  # a default binds it
        await woken_by(watch, lambda path=path: (tmp_path / "away").rename(path))  # type: ignore[misc]
    await woken_by(watch, (real / "kubelet.sock").unlink)


async def test_links_in_a_circle_are_waited_out(tmp_path: Path, nursery: trio.Nursery) -> None:
    """They lead nowhere until one of them is replaced."""
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    watch = await watching(nursery, tmp_path / "one" / "device-plugins")
    await woken_by(watch, (tmp_path / "two").unlink)
    await woken_by(watch, lambda: (tmp_path / "two" / "device-plugins").mkdir(parents=True))
    while not _watched(tmp_path / "two" / "device-plugins"):
        await trio.sleep(0.001)


async def test_other_entries_on_the_way_wake_nobody(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Only the names that lead to the directory matter in its ancestors."""
    directory = tmp_path / "device-plugins"
    directory.mkdir()
    watch = await watching(nursery, directory)
    change = watch.next_change()
    (tmp_path / "other").touch()
    for _ in range(20):
        await trio.sleep(0.001)
    assert not change.is_set()


async def test_a_step_made_while_the_watch_is_armed_is_not_missed(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever appears between two steps: the directory itself is watched in the end."""
    directory = tmp_path / "kubelet" / "device-plugins"
    add_watch = inotify_simple.INotify.add_watch

    def made_just_after(instance: inotify_simple.INotify, path: Path, mask: int) -> int:
        watch: int = add_watch(instance, path, mask)
        if path == tmp_path:
            directory.mkdir(parents=True, exist_ok=True)
        return watch

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", made_just_after)
    await watching(nursery, directory)
    assert _watched(directory)


async def test_what_is_no_longer_at_the_path_is_not_watched(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """The directory that was renamed away lives on; its watch is given back."""
    directory = tmp_path / "device-plugins"
    directory.mkdir()
    watch = await watching(nursery, directory)
    await woken_by(watch, lambda: directory.rename(tmp_path / "old"))
    await woken_by(watch, directory.mkdir)
    assert _watched(directory)
    assert not _watched(tmp_path / "old")
    change = watch.next_change()
    (tmp_path / "old" / "kubelet.sock").touch()
    for _ in range(20):
        await trio.sleep(0.001)
    assert not change.is_set()


async def test_a_change_of_the_directorys_own_mode_wakes(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """A permission that was missing is there again, or goes; no name comes with that event."""
    directory = tmp_path / "device-plugins"
    directory.mkdir()
    watch = DirectoryWatch(directory, relevant=lambda _name: False, sweep_interval=3600)
    await nursery.start(watch.run)
    await woken_by(watch, lambda: directory.chmod(0o700))
    await woken_by(watch, lambda: tmp_path.chmod(0o755))


async def test_an_ancestor_that_may_not_be_read_is_passed_through(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Mode 0300 lets us through, what is beyond is watched; a missing step there is polled for."""
    directory = tmp_path / "kubelet" / "device-plugins"
    directory.mkdir(parents=True)
    (tmp_path / "kubelet").chmod(0o300)
    with no_capabilities():
        watch = await watching(nursery, directory)
        assert not watch.polling
        await woken_by(watch, (directory / "kubelet.sock").touch)
        missing = await watching(nursery, directory.with_name("missing"), poll_interval=0.001)
        assert missing.polling


async def test_an_overflow_of_the_queue_wakes(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel dropped events: whoever waits must look."""
    watch = await watching(nursery, tmp_path)
    overflow = inotify_simple.Event(-1, inotify_simple.flags.Q_OVERFLOW, 0, "")
    monkeypatch.setattr(inotify_simple.INotify, "read", lambda *_args, **_kwargs: [overflow])
    await woken_by(watch, (tmp_path / "anything").touch)


@pytest.mark.parametrize("refused", ["__init__", "add_watch"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOSPC, errno.EACCES])
async def test_without_inotify_it_polls_and_tries_again(
    tmp_path: Path,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refused: str,
    code: int,
) -> None:
    """Every second somebody looks; after 30 s inotify is tried again; each is said once."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    caplog.set_level(logging.INFO)
    with monkeypatch.context() as without_inotify:
        without_inotify.setattr(inotify_simple.INotify, refused, refuse)
        watch = DirectoryWatch(tmp_path)
        await nursery.start(watch.run)
        for _ in range(100):
            change = watch.next_change()
            before = trio.current_time()
            await change.wait()
            assert trio.current_time() - before <= 1.0
        assert watch.polling
        assert len(caplog.records) == 1
        assert os.strerror(code) in caplog.messages[0]
    await trio.sleep(31)
    assert not watch.polling
    assert caplog.messages[1:] == [f"Watching {tmp_path} with inotify again"]


async def test_sweeps_wake_though_nothing_happens(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What gives no event is seen within 30 s."""
    watch = DirectoryWatch(tmp_path)
    await nursery.start(watch.run)
    change = watch.next_change()
    before = trio.current_time()
    await change.wait()
    assert trio.current_time() - before == pytest.approx(30.0)


async def test_gives_its_descriptors_back(tmp_path: Path) -> None:
    """Cancelled, the watch leaves no inotify instance."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(DirectoryWatch(tmp_path).run)
            nursery.cancel_scope.cancel()
    assert len(list(Path("/proc/self/fd").iterdir())) == before

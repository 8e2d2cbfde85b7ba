"""The file of replies: many in one write, full disks, damaged files, kills."""

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from aflow_verl.errors import StorageError, UserError
from aflow_verl.models.cache import CachedClient
from aflow_verl.models.replies import Replies
from aflow_verl.types import Completion, Message, SamplingParams, Usage

REPLY = Completion("text \x00 ü", Usage(10, 5, 0.25, 3, 2), finish_reason="length")


async def test_what_is_put_is_got(tmp_path: Path) -> None:
    replies = Replies(tmp_path / "calls.sqlite")
    assert replies.get("a") is None
    await replies.put("a", REPLY)
    await replies.put("a", Completion("another"))
    await replies.put("b", Completion("unpriced", Usage(1, 1, None)))
    assert replies.get("a") == Completion(REPLY.text, REPLY.usage, cached=True, finish_reason="length")
    assert replies.spent() == (0.25, 2)
    await replies.close()


async def test_puts_share_transactions_and_outlive_who_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = Replies(tmp_path / "calls.sqlite")
    sizes: list[int] = []
    commit = replies._commit
    monkeypatch.setattr(replies, "_commit", lambda rows: (sizes.append(len(rows)), commit(rows))[1])
    puts = [asyncio.create_task(replies.put(str(i), REPLY)) for i in range(500)]
    await asyncio.sleep(0)
    puts[3].cancel()
    await asyncio.gather(*puts, return_exceptions=True)
    assert sum(sizes) == 500
    assert len(sizes) <= 3
    await replies.close()
    again = Replies(tmp_path / "calls.sqlite")
    assert again.spent()[1] == 500
    await again.close()


async def test_closing_finishes_what_is_being_written(tmp_path: Path) -> None:
    replies = Replies(tmp_path / "calls.sqlite")
    put = asyncio.create_task(replies.put("a", REPLY))
    await asyncio.sleep(0)
    await replies.close()
    await put
    again = Replies(tmp_path / "calls.sqlite")
    assert again.get("a") is not None
    await again.close()


async def test_another_writers_replies_are_seen(tmp_path: Path) -> None:
    """Also by one that has just found itself alone, and knows from memory what the file has."""
    first, second = Replies(tmp_path / "calls.sqlite"), Replies(tmp_path / "calls.sqlite")
    for round_ in ("a", "b", "c"):
        await first.put(f"{round_} of the first", REPLY)
        assert second.get(f"{round_} of the first") is not None
        await second.put(f"{round_} of the second", REPLY)
        assert first.get(f"{round_} of the second") is not None
    await first.close()
    await second.close()


async def test_what_is_not_there_is_not_looked_up_while_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = Replies(tmp_path / "calls.sqlite")
    await replies.put("a", REPLY)
    await replies.close()
    replies, other = Replies(tmp_path / "calls.sqlite"), Replies(tmp_path / "calls.sqlite")
    monkeypatch.setattr(replies, "_named", lambda error: StorageError("looked up"))
    await replies.put("b", REPLY)
    reader = replies._reader
    replies._reader = sqlite3.connect(":memory:")  # without a table: each look-up fails
    monkeypatch.setattr(replies, "_alone_until", float("inf"))
    assert replies.get("c") is None
    for known in ("a", "b"):
        with pytest.raises(StorageError, match="looked up"):
            replies.get(known)
    await other.put("c", REPLY)
    await replies.put("d", REPLY)  # sees that another one has written
    replies._reader.close()
    replies._reader = reader
    assert replies.get("c") is not None
    await replies.close()
    await other.close()


async def test_memory_holds_no_more_keys_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aflow_verl.models.replies.HELD", 3)
    replies = Replies(tmp_path / "calls.sqlite")
    for number in range(5):
        assert replies.get(str(number)) is None
        await replies.put(str(number), REPLY)
        assert replies.get(str(number)) is not None
    await replies.close()
    again = Replies(tmp_path / "calls.sqlite")
    assert again.get("4") is not None
    assert again.get("5") is None
    await again.close()


async def test_a_full_disk_is_a_storage_error_that_may_pass(tmp_path: Path) -> None:
    replies = Replies(tmp_path / "calls.sqlite")
    pages = replies._writer.execute("PRAGMA page_count").fetchone()[0]
    replies._writer.execute(f"PRAGMA max_page_count = {pages}")
    big = Completion("x" * 100_000)
    with pytest.raises(StorageError, match="full") as caught:
        await replies.put("a", big)
    assert caught.value.retryable
    replies._writer.execute("PRAGMA max_page_count = 100000")
    await replies.put("a", big)
    assert replies.get("a") is not None
    await replies.close()


def test_a_file_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="unable to open") as caught:
        Replies(tmp_path / "no such folder" / "calls.sqlite")
    assert not caught.value.retryable


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    path.write_text("this is no database, and longer than a header " * 10)
    with pytest.raises(UserError, match=r"calls\.sqlite is damaged.*move it away"):
        Replies(path)


def test_another_programs_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE VIEW completions AS SELECT 1 AS one")
    with pytest.raises(UserError, match="another program's file"):
        Replies(path)


async def filled(path: Path) -> None:
    replies = Replies(path)
    await asyncio.gather(*(replies.put(f"{i:064d}", Completion("y" * 900)) for i in range(200)))
    replies._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await replies.close()


async def test_damage_is_seen_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    await filled(path)
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 9 * 4096] = os.urandom(6 * 4096)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"calls\.sqlite is damaged"):
        Replies(path)


async def test_damage_while_it_is_open_is_named_as_well(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    await filled(path)
    replies = Replies(path)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    for failing in (lambda: replies.get(f"{77:064d}"), replies.spent):
        with pytest.raises(UserError, match="damaged"):
            failing()
    await replies.close()


async def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE completions (key TEXT PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT NOT NULL,"
            " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost_usd REAL) WITHOUT ROWID"
        )
        old.execute("INSERT INTO completions VALUES ('a', 'old', 'stop', 1, 2, NULL)")
    replies = Replies(path)
    assert replies.get("a") == Completion("old", Usage(1, 2, None), cached=True)
    await replies.put("b", REPLY)
    await replies.close()


class Paid:
    """Each call is written to a bill before it is answered."""

    fingerprint = "paid"

    def __init__(self, bill: Path) -> None:
        self.bill = os.open(bill, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        await asyncio.sleep(0.001)
        os.write(self.bill, (messages[0]["content"] + " ").encode())
        return Completion(messages[0]["content"] * 2)

    async def close(self) -> None:
        os.close(self.bill)


async def use_all(bill: Path, path: Path, calls: int, output: int) -> None:
    """Make all calls, eight at a time, and say what was answered."""
    model, places = CachedClient(Paid(bill), path), asyncio.Semaphore(8)

    async def call(number: int) -> None:
        async with places:
            reply = await model.complete([{"role": "user", "content": str(number)}], SamplingParams())
        os.write(output, f"{number} {reply.text}\n".encode())

    await asyncio.gather(*(call(number) for number in range(calls)))
    await model.close()


def used_before_a_kill(bill: Path, path: Path, calls: int, known: Collection[str], stop_after: int | None) -> set[str]:
    """Numbers that a forked process has used replies of; it is killed after so many that are not known yet."""
    source, output = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(use_all(bill, path, calls, output))
        os._exit(0)
    os.close(output)
    used: set[str] = set()
    killed = False
    with os.fdopen(source) as lines:
        for line in lines:
            number, text = line.split()
            assert text == number * 2
            used.add(number)
            if not killed and stop_after is not None and len(used - set(known)) >= stop_after:
                os.kill(child, signal.SIGKILL)
                killed = True
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == (-signal.SIGKILL if killed else 0)
    assert killed == (stop_after is not None)
    return used


def test_a_killed_run_pays_for_no_used_reply_twice(tmp_path: Path) -> None:
    """Processes are killed at random moments. What one of them has used is in the file for the next."""
    calls, kills, source = 400, 12, random.Random(0)
    bill, cache = tmp_path / "bill", tmp_path / "calls.sqlite"
    known: dict[str, int] = {}
    for stop_after in (*(source.randrange(1, 30) for _ in range(kills)), None):
        used = used_before_a_kill(bill, cache, calls, known, stop_after)
        paid = Counter(bill.read_text().split())
        assert {number: paid[number] for number in known} == known
        known = {number: paid[number] for number in {*known, *used}}
    assert set(known) == {str(number) for number in range(calls)}
    # Paid twice at most where a kill fell between a reply and its write: no more than were in flight.
    assert calls <= paid.total() <= calls + kills * 8

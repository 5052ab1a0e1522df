"""The journal: durable, ordered, bounded, and shared between processes."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vitals.errors import ConfigurationError, JournalCorruptError, JournalFullError
from vitals.journal import Bounds, Gap, Journal, Record, Trimmed, WhenFull
from vitals.journal_schema import JOURNAL
from vitals.sqlite_file import connect, migrate

SECOND = 1_000_000_000
T0 = 1_750_000_000 * SECOND
KEEP_NOTHING = Bounds(keep_read_s=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def open_(bounds: Bounds | None = None, **settings: bool) -> Journal:
        opened.append(Journal(path, bounds=bounds, **settings))
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    return open_journal()


def fill(journal: Journal, count: int, *, size: int = 100, now_ns: int = T0) -> int:
    return journal.append([(1, b"x" * size)] * count, now_ns=now_ns)


def sequences(journal: Journal, after: int = 0) -> list[int]:
    return [record.sequence for record in journal.read(after)]


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; its output is text, line by line."""
    command = [sys.executable, "-u", "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


# -- appending and reading ---------------------------------------------------------------------------------------------


def test_records_are_read_as_appended_and_numbered_from_one(journal: Journal) -> None:
    assert journal.append([(1, b"a"), (2, b"")], now_ns=5) == 2
    assert journal.append([(3, b"c")], now_ns=6) == 3
    assert journal.read(0) == [Record(1, 1, 5, b"a"), Record(2, 2, 5, b""), Record(3, 3, 6, b"c")]
    assert (journal.oldest, journal.newest, journal.size_bytes) == (1, 3, 2)


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert (journal.read(0), journal.oldest, journal.newest, journal.size_bytes) == ([], 0, 0, 0)
    assert (journal.cursors(), journal.cursor("a"), journal.marks(), journal.mark("m"), journal.gaps()) == (
        {},
        0,
        {},
        None,
        [],
    )


def test_reading_is_bounded_in_records_and_bytes(journal: Journal) -> None:
    fill(journal, 10)
    assert sequences(journal, 7) == [8, 9, 10]
    assert len(journal.read(0, limit=4)) == 4
    assert len(journal.read(0, max_bytes=250)) == 3
    assert len(journal.read(0, max_bytes=1)) == 1  # one at least, however large


def test_marks_and_cursors_travel_with_records(journal: Journal) -> None:
    journal.append([(1, b"a")], now_ns=T0, marks={"how": b"far", "x:1": b""}, cursors={"store": 7})
    journal.append([], now_ns=T0, marks={"how": b"further"})
    assert journal.mark("how") == b"further"
    assert journal.marks("x:") == {"x:1": b""}
    assert set(journal.marks()) == {"how", "x:1"}
    assert journal.cursors() == {"store": 7}


def test_a_cursor_moves_forward_only_unless_it_is_rewound(journal: Journal) -> None:
    journal.move("store", 5, marks={"m": b"1"})
    journal.move("store", 3)
    journal.append([], now_ns=T0, cursors={"store": 4})
    assert (journal.cursor("store"), journal.mark("m")) == (5, b"1")
    journal.rewind("store", 2)
    assert journal.cursor("store") == 2
    journal.forget("store")
    assert journal.cursors() == {}


def test_listeners_hear_of_every_append_while_they_listen(journal: Journal) -> None:
    heard: list[int] = []
    with journal.listen(lambda: heard.append(journal.newest)):
        fill(journal, 1)
        fill(journal, 2)
    fill(journal, 1)
    assert heard == [1, 3]


def test_threads_may_append_read_and_trim_together(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(KEEP_NOTHING)
    read: list[int] = []

    def write() -> None:
        for _ in range(40):
            fill(journal, 5)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while len(read) < 400:
        read += sequences(journal, read[-1] if read else 0)
        journal.move("reader", read[-1] if read else 0)
        journal.trim(now_ns=T0)
    for writer in writers:
        writer.join()
    assert read == list(range(1, 401))


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_records_that_all_have_read_are_kept_for_a_while_and_then_go(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(keep_read_s=10))
    for second in range(5):
        fill(journal, 1, now_ns=T0 + second * SECOND)
    journal.move("a", 5)
    journal.move("b", 3)
    assert journal.trim(now_ns=T0 + 9 * SECOND) == Trimmed(0, 0)
    assert journal.trim(now_ns=T0 + 11 * SECOND) == Trimmed(read=2)
    assert journal.trim(now_ns=T0 + 3_600 * SECOND) == Trimmed(read=1)  # 4 and 5 wait for b
    assert sequences(journal) == [4, 5]
    assert journal.size_bytes == 200


def test_without_a_cursor_nobody_has_read_anything(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(KEEP_NOTHING)
    fill(journal, 5)
    assert journal.trim(now_ns=T0 + 3_600 * SECOND) == Trimmed()


def test_sequences_are_never_used_again_after_everything_was_trimmed(open_journal: Callable[..., Journal]) -> None:
    for expected in (3, 6, 9):
        journal = open_journal(KEEP_NOTHING)
        assert fill(journal, 3) == expected
        journal.move("a", expected)
        journal.trim(now_ns=T0 + SECOND)
        assert sequences(journal) == [expected]  # the newest stays and carries the number on
        journal.close()


def test_at_its_bound_a_refusing_journal_loses_nothing(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_bytes=1_000))
    fill(journal, 8)
    journal.move("quick", 8)
    journal.move("slow", 2)
    fill(journal, 2)
    with pytest.raises(JournalFullError, match="slowest cursor is 'slow' at 2") as refused:
        fill(journal, 3)
    assert refused.value.retry_after_s
    assert sequences(journal, 2) == list(range(3, 11))
    assert fill(journal, 2) == 12  # what both have read made room
    journal.move("slow", 12)
    journal.move("quick", 12)
    assert fill(journal, 9) == 21
    assert journal.gaps() == []


def test_a_full_journal_without_readers_says_so(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_bytes=100))
    with pytest.raises(JournalFullError, match="no consumer has read yet"):
        fill(journal, 2)


def test_a_clock_that_was_set_back_does_not_hold_read_records(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_bytes=1_000))
    journal.move("a", fill(journal, 10, now_ns=T0 + 86_400 * SECOND))
    assert fill(journal, 5, now_ns=T0) == 15


def test_a_dropping_journal_drops_the_oldest_and_says_what(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_bytes=1_000, when_full=WhenFull.DROP_OLDEST))
    journal.move("slow", 0)
    fill(journal, 10)
    journal.move("slow", 3)
    fill(journal, 6, now_ns=T0 + 5)  # 1 to 3 were read
    assert sequences(journal) == list(range(7, 17))
    assert journal.gaps() == [Gap(T0 + 5, 4, 6, 300, "size")]
    assert journal.size_bytes == 1_000


def test_unread_records_beyond_their_age_are_dropped_and_said(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_age_s=10, when_full=WhenFull.DROP_OLDEST))
    for second in range(20):
        fill(journal, 1, now_ns=T0 + second * SECOND)
    assert journal.trim(now_ns=T0 + 19 * SECOND) == Trimmed(0, 9)
    assert sequences(journal) == list(range(10, 21))
    (gap,) = journal.gaps()
    assert (gap.first, gap.last, gap.reason) == (1, 9, "age")
    journal.trim(now_ns=T0 + 3_600 * SECOND)
    assert sequences(journal) == [20]
    assert [(g.first, g.last) for g in journal.gaps()] == [(1, 19)]  # one gap that grew


def test_a_gap_names_only_what_was_unread(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal(Bounds(max_age_s=10, keep_read_s=100, when_full=WhenFull.DROP_OLDEST))
    fill(journal, 6)
    journal.move("a", 3)
    assert journal.trim(now_ns=T0 + 20 * SECOND) == Trimmed(0, 2)
    assert sequences(journal) == [6]
    assert journal.gaps() == [Gap(T0 + 20 * SECOND, 4, 5, 200, "age")]


def test_bounds_hold_across_a_restart(open_journal: Callable[..., Journal]) -> None:
    bounds = Bounds(max_bytes=1_000, when_full=WhenFull.DROP_OLDEST)
    for _ in range(4):
        journal = open_journal(bounds)
        fill(journal, 7)
        assert journal.size_bytes == sum(len(record.payload) for record in journal.read(0)) <= 1_000
        journal.close()


# -- a model -----------------------------------------------------------------------------------------------------------


class JournalMachine(RuleBasedStateMachine):
    """Any order of appends, reads, moves, trims and restarts, against plain lists.

    What the journal no longer holds was read by everybody, or is in its gaps; never anything else.
    """

    names = st.sampled_from(["store", "alerts"])

    @initialize(
        drop=st.booleans(),
        max_bytes=st.integers(20, 200),
        max_age_s=st.none() | st.integers(1, 20),
        keep_read_s=st.integers(0, 5),
    )
    def open(self, drop: bool, max_bytes: int, max_age_s: int | None, keep_read_s: int) -> None:
        policy = WhenFull.DROP_OLDEST if drop else WhenFull.REFUSE
        self.bounds = Bounds(max_bytes, max_age_s, keep_read_s, policy)
        self.folder = Path(self.make_folder())
        self.journal = Journal(self.folder / "j.db", bounds=self.bounds)
        self.all: list[Record] = []
        self.cursors: dict[str, int] = {}
        self.marks: dict[str, bytes] = {}
        self.read_by_all = 0  # the highest sequence that every cursor had passed at some moment
        self.now_ns = T0

    def make_folder(self) -> str:
        import tempfile

        self.temporary = tempfile.TemporaryDirectory()
        return self.temporary.name

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.temporary.cleanup()

    @rule(sizes=st.lists(st.integers(0, 30), max_size=5), seconds=st.integers(-2, 5), mark=st.binary(max_size=3))
    def append(self, sizes: list[int], seconds: int, mark: bytes) -> None:
        self.now_ns += seconds * SECOND
        records = [(len(self.all) % 7, bytes(size)) for size in sizes]
        try:
            newest = self.journal.append(records, now_ns=self.now_ns, marks={"m": mark})
        except JournalFullError:
            unread = [r for r in self.all if r.sequence > min(self.cursors.values(), default=0)]
            newest_read = [self.all[-1]] if self.all and self.all[-1] not in unread else []
            kept = sum(len(r.payload) for r in unread + newest_read)
            assert self.bounds.when_full is WhenFull.REFUSE
            assert kept + sum(sizes) > self.bounds.max_bytes
            return
        self.marks["m"] = mark
        for kind, payload in records:
            self.all.append(Record(len(self.all) + 1, kind, self.now_ns, payload))
        assert newest == len(self.all)

    @rule(name=names, share=st.floats(0, 1))
    def move(self, name: str, share: float) -> None:
        position = round(share * len(self.all))
        self.journal.move(name, position)
        self.cursors[name] = max(position, self.cursors.get(name, 0))
        self.read_by_all = max(self.read_by_all, min(self.cursors.values()))

    @rule(name=names)
    @precondition(lambda self: len(self.cursors) > 1)
    def forget(self, name: str) -> None:
        self.journal.forget(name)
        self.cursors.pop(name, None)
        if self.cursors:
            self.read_by_all = max(self.read_by_all, min(self.cursors.values()))

    @rule(seconds=st.integers(0, 30))
    def trim(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND
        before = len(self.journal.read(0))
        trimmed = self.journal.trim(now_ns=self.now_ns)
        assert before - len(self.journal.read(0)) >= trimmed.read
        assert trimmed.dropped == 0 or self.bounds.when_full is WhenFull.DROP_OLDEST

    @rule()
    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.folder / "j.db", bounds=self.bounds)

    @rule(share=st.floats(0, 1), limit=st.integers(1, 5))
    def read(self, share: float, limit: int) -> None:
        after = round(share * len(self.all))
        held = self.journal.read(0)
        assert self.journal.read(after, limit=limit) == [r for r in held if r.sequence > after][:limit]

    @invariant()
    def holds_the_newest_records_unchanged(self) -> None:
        held = self.journal.read(0)
        assert held == self.all[len(self.all) - len(held) :]
        assert bool(held) is bool(self.all)
        assert self.journal.size_bytes == sum(len(record.payload) for record in held)

    @invariant()
    def lost_nothing_unread_without_saying(self) -> None:
        gone = len(self.all) - len(self.journal.read(0))
        said = {n for gap in self.journal.gaps() for n in range(gap.first, gap.last + 1)}
        assert all(sequence in said or sequence <= self.read_by_all for sequence in range(1, gone + 1))
        assert not said or max(said) <= gone
        assert not said or self.bounds.when_full is WhenFull.DROP_OLDEST

    @invariant()
    def remembers_cursors_and_marks(self) -> None:
        assert self.journal.cursors() == self.cursors
        assert self.journal.marks() == self.marks


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_and_a_reader_is_not(open_journal: Callable[..., Journal], path: Path) -> None:
    fill(open_journal(), 3)
    with pytest.raises(ConfigurationError, match="in use by another process"):
        Journal(path)
    assert sequences(open_journal(read_only=True)) == [1, 2, 3]


def test_closing_lets_the_next_writer_in(open_journal: Callable[..., Journal]) -> None:
    open_journal().close()
    fill(open_journal(), 1)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\x00" + bytes(5_000)])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(JournalCorruptError, match=r"j\.db"):
            Journal(path, read_only=read_only)
    assert path.read_bytes() == content


def test_the_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE bookmarks(url)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(JournalCorruptError, match="another program"):
        Journal(path)
    assert path.read_bytes()[100:] == before[100:]


def test_a_newer_schema_is_refused_with_what_to_do(path: Path) -> None:
    Journal(path).close()
    newer = apsw.Connection(str(path))
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(JournalCorruptError, match=r"newer release.*upgrade"):
        Journal(path)


def test_a_later_release_brings_the_schema_up_to_date_and_keeps_the_records(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([(1, b"a")], now_ns=T0, marks={"m": b"1"}, cursors={"store": 1})
    later = replace(JOURNAL, migrations=(*JOURNAL.migrations, "ALTER TABLE gap ADD COLUMN note TEXT"))
    db = connect(path, later, read_only=False)
    for _ in range(2):  # the second time there is nothing to do
        migrate(db, path, later)
        assert db.execute("PRAGMA user_version").fetchone() == (len(later.migrations),)
    assert db.execute("SELECT count(note) FROM gap").fetchone() == (0,)
    assert db.execute("SELECT payload FROM record").fetchall() == [(b"a",)]
    assert db.execute("SELECT value FROM mark").fetchall() == [(b"1",)]
    assert db.execute("SELECT name, position FROM cursor").fetchall() == [("store", 1)]
    db.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    Journal(path).close()
    broken = replace(JOURNAL, migrations=(*JOURNAL.migrations, "CREATE TABLE half(a); CREATE TABLE record(b)"))
    db = connect(path, broken, read_only=False)
    with pytest.raises(apsw.SQLError):
        migrate(db, path, broken)
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name='half'").fetchone() == (0,)
    db.close()
    with Journal(path) as journal:
        assert fill(journal, 1) == 1


def test_a_damaged_journal_is_refused_with_what_to_do(path: Path) -> None:
    with Journal(path) as journal:
        fill(journal, 200, size=1_000)
    content = bytearray(path.read_bytes())
    content[:4096] = content[:100] + bytes(3_996)  # the table of tables
    path.write_bytes(content)
    with pytest.raises(JournalCorruptError, match=r"move it aside|another file"):
        Journal(path)


def test_a_missing_folder_or_file_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="create it"):
        Journal(tmp_path / "nowhere" / "j.db")
    with pytest.raises(ConfigurationError, match=r"j\.db"):
        Journal(tmp_path / "j.db", read_only=True)


# -- other processes, kills and a full disk ----------------------------------------------------------------------------

WRITER = """
    import sys
    from pathlib import Path
    from vitals.journal import Journal

    with Journal(Path(sys.argv[1])) as journal:
        while True:
            first = journal.newest + 1
            count = first % 7 + 1
            records = [(1, b"%d" % number * 50) for number in range(first, first + count)]
            newest = first + count - 1
            journal.append(records, now_ns=first, marks={"newest": b"%d" % newest}, cursors={"store": newest})
            print(newest)
"""


@pytest.mark.slow
def test_what_append_returned_survives_kill_9_at_any_moment(path: Path) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    lottery = random.Random(seed)
    promised = 0
    for _ in range(6):
        writer = python(WRITER, path)
        assert writer.stdout is not None
        for _ in range(lottery.randrange(1, 60)):
            promised = int(writer.stdout.readline())
        writer.kill()
        rest = writer.communicate()[0].splitlines()
        promised = int(rest[-1]) if rest else promised
        with Journal(path, read_only=True) as journal:
            held = journal.read(0, limit=100_000)
            assert [record.sequence for record in held] == list(range(1, journal.newest + 1))
            assert all(record.payload == b"%d" % record.sequence * 50 for record in held)
            assert journal.newest >= promised
            assert journal.mark("newest") == b"%d" % journal.newest  # in the same transaction, or not at all
            assert journal.cursor("store") == journal.newest


@pytest.mark.slow
def test_a_killed_writer_leaves_its_place_to_the_next(path: Path) -> None:
    writer = python(WRITER, path)
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(ConfigurationError, match="in use"):
        Journal(path)
    writer.kill()
    writer.communicate()
    with Journal(path) as journal:
        assert fill(journal, 1) == journal.newest


READER = """
    import sys
    from pathlib import Path
    from vitals.journal import Journal

    with Journal(Path(sys.argv[1]), read_only=True) as journal:
        position = 0
        print("ready")
        while position < int(sys.argv[2]):
            records = journal.read(position, limit=50)
            assert all(r.payload == b"%d" % r.sequence for r in records), "a torn record"
            assert [r.sequence for r in records] == list(range(position + 1, position + 1 + len(records))), "a hole"
            position += len(records)
            if records:
                print(position)
"""


@pytest.mark.slow
def test_readers_of_other_processes_see_every_record_once_while_we_write_and_trim(path: Path) -> None:
    with Journal(path, bounds=KEEP_NOTHING) as journal:
        readers = [python(READER, path, 600) for _ in range(2)]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            journal.move(str(reader.pid), 0)
        followers = [threading.Thread(target=_move_cursor, args=(journal, reader)) for reader in readers]
        for follower in followers:
            follower.start()
        for number in range(0, 600, 4):
            journal.append([(1, b"%d" % n) for n in range(number + 1, number + 5)], now_ns=number)
            journal.trim(now_ns=number)
        for reader, follower in zip(readers, followers, strict=True):
            follower.join()
            assert reader.wait() == 0
            assert reader.stdin is not None
            reader.stdin.close()
        assert journal.cursors() == {str(reader.pid): 600 for reader in readers}


def _move_cursor(journal: Journal, reader: subprocess.Popen[str]) -> None:
    assert reader.stdout is not None
    with reader.stdout as lines:
        for line in lines:
            journal.move(str(reader.pid), int(line))


FILLER = """
    import resource, sys
    from pathlib import Path
    from vitals.errors import JournalFullError
    from vitals.journal import Journal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(Path(sys.argv[1])) as journal:
        journal.append([(1, bytes(1_000))], now_ns=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))  # no file may grow beyond: a full disk
        refused = 0
        for _ in range(600):
            before = journal.newest
            try:
                journal.append([(1, bytes(1_000))] * 3, now_ns=2, marks={"m": b"%d" % before})
            except JournalFullError as error:
                assert "free disk space" in str(error), error
                assert journal.newest == before, "a refused append left something behind"
                refused += 1
                if refused == 5:
                    break
        assert refused == 5, "the disk was never full"
        full = journal.newest
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.append([(1, b"after")], now_ns=3)
        print(full, journal.newest, len(journal.read(0, limit=10_000)))
"""


@pytest.mark.slow
def test_a_full_disk_is_a_refusal_that_loses_nothing(path: Path) -> None:
    filler = python(FILLER, path)
    said = filler.communicate()[0].split()
    assert filler.returncode == 0
    full, newest, held = map(int, said)
    assert newest == held == full + 1
    with Journal(path) as journal:
        assert len(journal.read(0, limit=10_000)) == held
        assert journal.read(full)[0].payload == b"after"

"""Which instructions of a Python program are points: all that threads may race for, and little else."""

from __future__ import annotations

import textwrap

from grader.exploring.shims.points import Sources


def spots(source: str, **others: str) -> list[str]:
    """``line op shown`` of every spot of the program, in its order."""
    files = {
        f"/lab/{name}.py": textwrap.dedent(text).encode() for name, text in {"a": source, **others}.items()
    }
    sources = Sources(files, "/lab")
    found = [spot for code in sources.spots.values() for spot in code.values() if spot.file == "a.py"]
    return sorted(
        {f"{spot.line} {spot.op} {spot.shown}" for spot in found},
        key=lambda each: (int(each.split()[0]), each),
    )


def test_attributes_count_where_they_change_after_they_were_made() -> None:
    assert spots("""
        class Buffer:
            def __init__(self):
                self.count = 0
                self.name = "b"
            def put(self):
                if self.count < 3:
                    self.count += 1
                return self.name
    """) == ["4 write count", "7 read count", "8 read count", "8 write count"]  # fmt: skip


def test_elements_always_count() -> None:
    assert spots("""
        def put(self, item):
            self.slots[self.tail] = item
            return self.slots[0], sys.argv[1]
    """) == ["3 write slots[]", "4 read slots[]"]  # fmt: skip


def test_globals_count_where_a_function_changes_them_or_the_program_does_twice() -> None:
    assert spots("""
        count = 0
        limit = 3
        done = False
        def work():
            global count
            count += 1
            return limit, done
        done = True
        for thread in []:
            thread
    """) == ["2 write count", "4 write done", "7 read count", "7 write count", "8 read done", "9 write done"]  # fmt: skip


def test_free_variables_count_where_an_inner_function_changes_them() -> None:
    assert spots("""
        def main():
            count = 0
            fixed = 1
            def work():
                nonlocal count
                count += fixed
            return work
    """) == ["3 write count", "7 read count", "7 write count"]  # fmt: skip


def test_calls_count_that_may_change_or_look_at_what_is_shared() -> None:
    assert spots("""
        import threading, heapq
        def work(self, heap):
            self.items.append(1)
            if len(self.items) and 3 in self.items:
                self.items.pop(0)
            heapq.heappush(heap, 1)
            print("x")
    """) == [
        "4 call items.append()", "5 read items", "5 read len(items)", "6 call items.pop()", "7 call heapq.heappush()",
        "8 call print()",
    ]  # fmt: skip


def test_calls_do_not_count_that_have_points_of_their_own_or_touch_nothing() -> None:
    assert spots("""
        import threading, time
        def helper(x):
            return x
        class Buffer:
            def get(self): ...
            def work(self):
                with self.lock:
                    self.cond.wait()
                    self.cond.notify_all()
                self.lock.acquire()
                self.event.set()
                time.sleep(1)
                threading.Thread(target=helper).start()
                helper(3)
                self.get()
                for i in range(int("3")):
                    "x".join(str(i))
                len(self.fixed)
    """) == []  # fmt: skip


def test_everything_counts_where_attributes_are_stored_by_name() -> None:
    assert spots("""
        def work(self):
            setattr(self, "count", 1)
            return self.name
    """) == ["3 call setattr()", "4 read name"]  # fmt: skip


def test_what_one_file_changes_counts_in_another() -> None:
    assert spots("import b\ndef work(b):\n    return b.count\n", b="def f(x):\n    x.count = 1\n") == [
        "3 read count"
    ]


def test_a_long_function_has_its_spots_where_the_interpreter_tells_of_them() -> None:
    lines = "\n".join(f"    x.a{number} = 1" for number in range(400))
    found = spots(f"def f(x):\n{lines}\n    x.count = 1\n    return x.count\n")
    assert "402 write count" in found
    assert "403 read count" in found


def test_what_does_not_compile_has_none() -> None:
    sources = Sources({"/lab/a.py": b"def (", "/lab/b.py": b"x = '\0'", "/lab/c.py": b"\xff\xfe"}, "/lab")
    assert not sources.spots


def test_knows_what_a_line_assigns() -> None:
    source = "import threading\na.not_empty = threading.Condition(\n    lock)\nforks = [Lock() for _ in x]\n"
    source += "self.free, self.limit, self.filled = Semaphore(n), 3, Semaphore(0)\n"
    sources = Sources({"/lab/a.py": source.encode()}, "/lab")
    assert sources.targets["/lab/a.py", 2] == sources.targets["/lab/a.py", 3] == ("not_empty",)
    assert sources.targets["/lab/a.py", 4] == ("forks",)
    assert sources.targets["/lab/a.py", 5] == ("free", "filled")

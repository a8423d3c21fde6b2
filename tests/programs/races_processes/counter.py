"""Processes that count together: producers * items in the end."""

import argparse
from multiprocessing import Process, Value


def count(total, items):
    for _ in range(items):
        with total.get_lock():
            total.value += 1


def main():
    parser = argparse.ArgumentParser()
    for name in ("capacity", "producers", "consumers", "items"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    total = Value("i", 0)
    processes = [Process(target=count, args=(total, given.items)) for _ in range(given.producers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(total.value)


if __name__ == "__main__":
    main()

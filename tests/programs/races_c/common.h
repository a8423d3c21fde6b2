/* The command line that all of these programs share, and what they print. */
#ifndef COMMON_H
#define COMMON_H
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int capacity, producers, consumers, items;

static void read_arguments(char **argv)
{
    capacity = atoi(argv[2]);
    producers = atoi(argv[4]);
    consumers = atoi(argv[6]);
    items = atoi(argv[8]);
}

static long made(int producer, int number) { return producer * 1000L + number; }

static void report(int consumer, long item)
{
    dprintf(1, "consumer-%d producer-%ld %ld\n", consumer, item / 1000, item % 1000);
}
#endif

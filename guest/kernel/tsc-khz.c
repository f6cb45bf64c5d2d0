/*
 * Prints the frequency of this host's time stamp counter in kHz.
 *
 * An emulated guest reads the host's counter but has to find out its frequency with the emulated
 * interval timer, which fails when the host is busy; without it the guest's kernel has no clock and
 * hangs while it boots. So the host measures, against CLOCK_MONOTONIC_RAW, and the kernel is told
 * (tsc_early_khz).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define MEASURE_NS 200000000LL

static long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Reads clock and counter together: the pair that took least time of several, so that being put
 * aside by the scheduler in between does not count. */
static void read_pair(long long *ns, unsigned long long *ticks)
{
	long long least = -1;

	for (int i = 0; i < 100; i++) {
		long long before = now_ns();
		unsigned long long counter = __rdtsc();
		long long took = now_ns() - before;

		if (least < 0 || took < least) {
			least = took;
			*ns = before + took / 2;
			*ticks = counter;
		}
	}
}

int main(void)
{
	struct timespec pause = { .tv_sec = 0, .tv_nsec = MEASURE_NS };
	long long start_ns, end_ns;
	unsigned long long start_ticks, end_ticks;

	read_pair(&start_ns, &start_ticks);
	nanosleep(&pause, NULL);
	read_pair(&end_ns, &end_ticks);
	/* ticks / ns * 10^6, rounded; 200 ms of ticks times 10^6 stays far below 2^64. */
	unsigned long long ns = (unsigned long long)(end_ns - start_ns);
	printf("%llu\n", ((end_ticks - start_ticks) * 1000000ULL + ns / 2) / ns);
	return 0;
}

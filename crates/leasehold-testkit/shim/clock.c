/*
 * A wall clock that can be moved, for one process: preloaded with LD_PRELOAD, it adds an offset to CLOCK_REALTIME.
 *
 * The offset (nanoseconds, a native 64-bit integer) stands in the file that the variable LEASEHOLD_TESTKIT_CLOCK names.
 * The file is mapped, so a test moves the clock of a running server by writing eight bytes. Monotonic clocks are not
 * touched: what a jump of the wall clock breaks is exactly what is looked for.
 *
 * The real time comes from the raw system call, and nothing here allocates or calls dlsym: a server with jemalloc reads
 * the clock while its allocator starts, and would call itself for ever.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *offset;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("LEASEHOLD_TESTKIT_CLOCK");
    if (!path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        _exit(97); /* a test whose clock cannot be moved must not pass */
    void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        _exit(97);
    offset = page;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moved = (int64_t)now->tv_sec * SECOND + now->tv_nsec + *offset;
        now->tv_sec = moved / SECOND;
        now->tv_nsec = moved % SECOND;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return -1;
    /* The C library declares that it is never NULL, and some compilers warn of a check. */
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
        return (time_t)-1;
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}

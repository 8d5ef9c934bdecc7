// What the load generator and the server share: loopback sockets, time, and an end that comes for certain.
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stddef.h>
#include <stdint.h>

#define MAX_EVENTS 512
#define CHUNK (64 * 1024) // bytes per call in bulk; what most programs use

/** Monotonic time in nanoseconds. */
int64_t now_ns(void);

/** Ends this process when the one that started it is gone, and after `seconds` whatever happens. */
void end_for_certain(unsigned seconds);

/** Lets this process open as many files as the system allows it. */
void raise_file_limit(void);

/** A non-blocking listening socket on 127.0.0.1, or the end of the process. */
int listen_on(int port);

/** Begins a connection to 127.0.0.1 from 127.0.0.1 to .8, so that no address runs out of ports. -1 with errno. */
int connect_to(int port, unsigned turn);

/** A decimal number of at most `max`, or the end of the process. */
long number_of(const char *text, long max);

/** Says why, and ends the process with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

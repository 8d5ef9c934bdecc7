// How the load generator's bytes travel: in clear (transport-plain.c) or in TLS (transport-tls.c). One of them is linked.
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Answers of all functions below that do not give a count of bytes. */
enum progress { DONE = 0, WAIT_READ = -1, WAIT_WRITE = -2, CLOSED = -3 };

struct transport {
  int fd;
  void *tls;
};

/** Once, before anything else; `resumes` wants later connections to resume the session of an earlier one. */
void transport_prepare(bool resumes);

/** Takes over a connecting socket. */
void transport_open(struct transport *transport, int fd);

/** Goes on with what must happen before bytes can travel (the TLS handshake). */
enum progress transport_begin(struct transport *transport);

/** Bytes written, or a negative `progress`. */
ssize_t transport_write(struct transport *transport, const void *bytes, size_t size);

/** Bytes read, or a negative `progress`. */
ssize_t transport_read(struct transport *transport, void *bytes, size_t size);

/** As read, but nobody looks at the bytes. */
ssize_t transport_discard(struct transport *transport);

void transport_close(struct transport *transport);

/** Connections so far that resumed a session. */
uint64_t transport_resumed(void);

#endif

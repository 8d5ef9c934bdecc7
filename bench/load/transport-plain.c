#include "net.h"
#include "transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD (1 << 20)

static ssize_t outcome(ssize_t size, enum progress wait) {
  if (size > 0) return size;
  return size < 0 && errno == EAGAIN ? wait : CLOSED;
}

void transport_prepare(bool resumes) {
  if (resumes) fail("only TLS resumes");
}

void transport_open(struct transport *transport, int fd) { transport->fd = fd; }

/** On loopback the connection is there when connect() returns; if not, the first write waits. */
enum progress transport_begin(struct transport *transport) {
  (void)transport;
  return DONE;
}

ssize_t transport_write(struct transport *transport, const void *bytes, size_t size) {
  return outcome(send(transport->fd, bytes, size, MSG_NOSIGNAL), WAIT_WRITE);
}

ssize_t transport_read(struct transport *transport, void *bytes, size_t size) {
  return outcome(recv(transport->fd, bytes, size, 0), WAIT_READ);
}

ssize_t transport_discard(struct transport *transport) {
  return outcome(recv(transport->fd, NULL, DISCARD, MSG_TRUNC), WAIT_READ);
}

void transport_close(struct transport *transport) { close(transport->fd); }

uint64_t transport_resumed(void) { return 0; }

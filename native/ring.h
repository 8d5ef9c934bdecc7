// io_uring, as far as the engine uses it: the submission and completion queues, and buffers that the kernel picks from when
// bytes arrive. Where the system's headers know too little of it, there is none, and the engine waits with epoll alone.
#ifndef CARRIER_RING_H
#define CARRIER_RING_H

#include <stdbool.h>
#include <stdint.h>

/** Of the kernel's choice when bytes arrive: a message, or the beginning of a stream. 2 MiB in all. */
#ifndef RING_BUFFERS
#define RING_BUFFERS 128u
#endif
#define RING_BUFFER_BYTES (16 * 1024)
#define NO_BUFFER UINT16_MAX

struct ring;

/** What the kernel has done; `tag` is the caller's. */
struct completion {
  uint64_t tag;
  int32_t result;
  uint16_t buffer; // NO_BUFFER: none was used
  bool more;       // the request goes on
};

/** Only the calling thread may use it. NULL, with errno set: this system has none, forbids it, or lacks what is needed of it. */
struct ring *ring_open(void);
void ring_close(struct ring *ring);

/** Reads whenever something is there, into buffers of the ring, until it is told otherwise. */
void ring_receive(struct ring *ring, int fd, uint64_t tag);
/** Sends from a buffer of the ring what the socket takes now; this never waits. */
void ring_send(struct ring *ring, int fd, uint16_t buffer, uint32_t start, uint32_t count, uint64_t tag);
/** Tells once that `fd` has something to read. */
void ring_poll(struct ring *ring, int fd, uint64_t tag);
/** Ends the request of `tag`, which is told as such; this itself is not. */
void ring_cancel(struct ring *ring, uint64_t tag);
/** What was asked so far is handed to the kernel: until then it only has the numbers of file descriptors. */
void ring_submit(struct ring *ring);
/** Hands it over, and waits for something to be done for `timeout_ms`; -1: without end. */
void ring_wait(struct ring *ring, int timeout_ms);
/** False: nothing more has been done. */
bool ring_next(struct ring *ring, struct completion *completion);

uint8_t *ring_bytes(struct ring *ring, uint16_t buffer);
/** The kernel may use it again. */
void ring_give(struct ring *ring, uint16_t buffer);

#endif

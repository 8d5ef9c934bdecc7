#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>

#if defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#endif

// The youngest of what is used here is DEFER_TASKRUN, of Linux 6.1: who knows that, knows the rest.
#if defined(IORING_SETUP_DEFER_TASKRUN) && defined(IORING_RECV_MULTISHOT)

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/** Handed over at the latest when so many have come together. */
#define REQUESTS 512
/** What is done and not looked at yet. The kernel keeps what is beyond it, but slower. */
#define COMPLETIONS 8192
#define GROUP 0

struct ring {
  int fd;
  void *queues;
  size_t queues_bytes;
  struct io_uring_sqe *requests;
  _Atomic unsigned *request_head;
  _Atomic unsigned *request_tail;
  unsigned request_mask;
  unsigned asked;  // requests made
  unsigned handed; // requests that the kernel has
  struct io_uring_cqe *completions;
  _Atomic unsigned *completion_head;
  _Atomic unsigned *completion_tail;
  unsigned completion_mask;
  struct io_uring_buf_ring *free;
  uint16_t free_tail;
  uint8_t *bytes;
};

#define FREE_BYTES (RING_BUFFERS * sizeof(struct io_uring_buf))
#define ALL_BYTES ((size_t)RING_BUFFERS * RING_BUFFER_BYTES)
#define REQUESTS_BYTES (REQUESTS * sizeof(struct io_uring_sqe))

static int setup(struct io_uring_params *params) {
  // One thread asks, and what is done is told when it waits, not in the middle of its work.
  params->flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
  params->cq_entries = COMPLETIONS;
  return (int)syscall(SYS_io_uring_setup, REQUESTS, params);
}

static int do_register(const struct ring *ring, unsigned what, void *argument, unsigned count) {
  return (int)syscall(SYS_io_uring_register, ring->fd, what, argument, count);
}

/** The kernel can be told apart by what it offers only in part: the rest is as old as the flags of the setup. */
static bool knows_requests(const struct ring *ring) {
  static const uint8_t needed[] = {IORING_OP_RECV, IORING_OP_SEND, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL};
  const unsigned room = 256;
  bool knows = false;
  struct io_uring_probe *probe = calloc(1, sizeof *probe + room * sizeof *probe->ops);
  if (probe == NULL) return false;
  if (do_register(ring, IORING_REGISTER_PROBE, probe, room) == 0) {
    knows = true;
    for (size_t at = 0; at < sizeof needed; at++) {
      knows = knows && needed[at] <= probe->last_op && probe->ops[needed[at]].flags & IO_URING_OP_SUPPORTED;
    }
  }
  free(probe);
  if (!knows) errno = EOPNOTSUPP;
  return knows;
}

static void *map(size_t bytes, int fd, off_t what) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, what);
}

static void unmap(void *memory, size_t bytes) {
  if (memory != NULL && memory != MAP_FAILED) munmap(memory, bytes);
}

static bool map_queues(struct ring *ring, const struct io_uring_params *params) {
  const size_t completed = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
  const size_t asked = params->sq_off.array + params->sq_entries * sizeof(unsigned);
  ring->queues_bytes = completed > asked ? completed : asked;
  ring->queues = map(ring->queues_bytes, ring->fd, IORING_OFF_SQ_RING);
  ring->requests = map(REQUESTS_BYTES, ring->fd, IORING_OFF_SQES);
  if (ring->queues == MAP_FAILED || ring->requests == MAP_FAILED) return false;
  uint8_t *queues = ring->queues;
  ring->request_head = (void *)(queues + params->sq_off.head);
  ring->request_tail = (void *)(queues + params->sq_off.tail);
  ring->request_mask = params->sq_entries - 1;
  ring->completion_head = (void *)(queues + params->cq_off.head);
  ring->completion_tail = (void *)(queues + params->cq_off.tail);
  ring->completion_mask = params->cq_entries - 1;
  ring->completions = (void *)(queues + params->cq_off.cqes);
  unsigned *order = (void *)(queues + params->sq_off.array);
  for (unsigned at = 0; at < params->sq_entries; at++) order[at] = at;
  return true;
}

static bool make_buffers(struct ring *ring) {
  ring->free = map(FREE_BYTES, -1, 0);
  ring->bytes = map(ALL_BYTES, -1, 0);
  if (ring->free == MAP_FAILED || ring->bytes == MAP_FAILED) return false;
  struct io_uring_buf_reg buffers = {
      .ring_addr = (uint64_t)(uintptr_t)ring->free, .ring_entries = RING_BUFFERS, .bgid = GROUP};
  if (do_register(ring, IORING_REGISTER_PBUF_RING, &buffers, 1) != 0) return false;
  for (uint16_t buffer = 0; buffer < RING_BUFFERS; buffer++) ring_give(ring, buffer);
  return true;
}

struct ring *ring_open(void) {
  struct io_uring_params params = {0};
  struct ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return NULL;
  ring->fd = setup(&params);
  const bool fits = ring->fd >= 0 && params.features & IORING_FEAT_SINGLE_MMAP && params.features & IORING_FEAT_EXT_ARG;
  if (ring->fd >= 0 && !fits) errno = EOPNOTSUPP;
  if (fits && map_queues(ring, &params) && knows_requests(ring) && make_buffers(ring)) return ring;
  const int error = errno;
  ring_close(ring);
  errno = error;
  return NULL;
}

void ring_close(struct ring *ring) {
  if (ring == NULL) return;
  if (ring->fd >= 0) close(ring->fd);
  unmap(ring->queues, ring->queues_bytes);
  unmap(ring->requests, REQUESTS_BYTES);
  unmap(ring->free, FREE_BYTES);
  unmap(ring->bytes, ALL_BYTES);
  free(ring);
}

static void enter(struct ring *ring, unsigned wanted, unsigned flags, const void *argument, size_t size) {
  atomic_store_explicit(ring->request_tail, ring->asked, memory_order_release);
  syscall(SYS_io_uring_enter, ring->fd, ring->asked - ring->handed, wanted, flags, argument, size);
  // The call may tell how the wait ended instead of what it took, so that is asked of the queue.
  ring->handed = atomic_load_explicit(ring->request_head, memory_order_acquire);
}

void ring_submit(struct ring *ring) {
  while (ring->asked != ring->handed) enter(ring, 0, 0, NULL, 0); // all at once, unless memory is short
}

void ring_wait(struct ring *ring, int timeout_ms) {
  const struct __kernel_timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1000000ll};
  const struct io_uring_getevents_arg argument = {.sigmask_sz = _NSIG / 8, .ts = (uint64_t)(uintptr_t)&timeout};
  if (timeout_ms > 0) enter(ring, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  else enter(ring, timeout_ms < 0, IORING_ENTER_GETEVENTS, NULL, _NSIG / 8);
}

bool ring_next(struct ring *ring, struct completion *completion) {
  const unsigned head = atomic_load_explicit(ring->completion_head, memory_order_relaxed);
  if (head == atomic_load_explicit(ring->completion_tail, memory_order_acquire)) return false;
  const struct io_uring_cqe *done = &ring->completions[head & ring->completion_mask];
  completion->tag = done->user_data;
  completion->result = done->res;
  completion->more = (done->flags & IORING_CQE_F_MORE) != 0;
  completion->buffer = done->flags & IORING_CQE_F_BUFFER ? (uint16_t)(done->flags >> IORING_CQE_BUFFER_SHIFT) : NO_BUFFER;
  atomic_store_explicit(ring->completion_head, head + 1, memory_order_release);
  return true;
}

static struct io_uring_sqe *ask_for(struct ring *ring, uint8_t what, int fd, uint64_t tag) {
  if (ring->asked - ring->handed == REQUESTS) ring_submit(ring);
  struct io_uring_sqe *request = &ring->requests[ring->asked++ & ring->request_mask];
  memset(request, 0, sizeof *request);
  request->opcode = what;
  request->fd = fd;
  request->user_data = tag;
  return request;
}

void ring_receive(struct ring *ring, int fd, uint64_t tag) {
  struct io_uring_sqe *request = ask_for(ring, IORING_OP_RECV, fd, tag);
  request->flags = IOSQE_BUFFER_SELECT;
  request->ioprio = IORING_RECV_MULTISHOT;
  request->buf_group = GROUP;
}

void ring_send(struct ring *ring, int fd, uint16_t buffer, uint32_t start, uint32_t count, uint64_t tag) {
  struct io_uring_sqe *request = ask_for(ring, IORING_OP_SEND, fd, tag);
  request->addr = (uint64_t)(uintptr_t)(ring_bytes(ring, buffer) + start);
  request->len = count;
  request->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
}

void ring_poll(struct ring *ring, int fd, uint64_t tag) {
  ask_for(ring, IORING_OP_POLL_ADD, fd, tag)->poll32_events = 1; // POLLIN, in either order of bytes below
}

void ring_cancel(struct ring *ring, uint64_t tag) {
  struct io_uring_sqe *request = ask_for(ring, IORING_OP_ASYNC_CANCEL, -1, 0);
  request->addr = tag;
  request->flags = IOSQE_CQE_SKIP_SUCCESS;
}

uint8_t *ring_bytes(struct ring *ring, uint16_t buffer) { return ring->bytes + (size_t)buffer * RING_BUFFER_BYTES; }

void ring_give(struct ring *ring, uint16_t buffer) {
  struct io_uring_buf *place = &ring->free->bufs[ring->free_tail++ & (RING_BUFFERS - 1)];
  place->addr = (uint64_t)(uintptr_t)ring_bytes(ring, buffer);
  place->len = RING_BUFFER_BYTES;
  place->bid = buffer;
  atomic_store_explicit((_Atomic uint16_t *)&ring->free->tail, ring->free_tail, memory_order_release);
}

#else

struct ring {
  int none;
};

struct ring *ring_open(void) {
  errno = ENOSYS;
  return 0;
}
void ring_close(struct ring *ring) { (void)ring; }
void ring_receive(struct ring *ring, int fd, uint64_t tag) { (void)ring, (void)fd, (void)tag; }
void ring_send(struct ring *ring, int fd, uint16_t buffer, uint32_t start, uint32_t count, uint64_t tag) {
  (void)ring, (void)fd, (void)buffer, (void)start, (void)count, (void)tag;
}
void ring_poll(struct ring *ring, int fd, uint64_t tag) { (void)ring, (void)fd, (void)tag; }
void ring_cancel(struct ring *ring, uint64_t tag) { (void)ring, (void)tag; }
void ring_submit(struct ring *ring) { (void)ring; }
void ring_wait(struct ring *ring, int timeout_ms) { (void)ring, (void)timeout_ms; }
bool ring_next(struct ring *ring, struct completion *completion) { return (void)ring, (void)completion, false; }
uint8_t *ring_bytes(struct ring *ring, uint16_t buffer) { return (void)ring, (void)buffer, (uint8_t *)0; }
void ring_give(struct ring *ring, uint16_t buffer) { (void)ring, (void)buffer; }

#endif

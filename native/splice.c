// Streams: the bytes go from socket to socket through a pipe, inside the kernel, without being copied.
#define _GNU_SOURCE
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/** Wanted per pipe. The kernel may grant an unprivileged user less; it works with what there is. */
#define PIPE_BYTES (1024 * 1024)
/** In use at once, and so the most memory that streams can hold in the kernel; the others copy. */
#define MAX_PIPES 64
/** Kept for the next stream: making a pipe of this size costs some microseconds. */
#define SPARE_PIPES 16
/** At most one pipe, used or spare, per so many files that the process may open: sessions need theirs more. */
#define FILES_PER_PIPE 64
/** A stream that pauses behind a fill of so much is still one, and need not prove it again by copied reads. */
#define STREAM_BYTES (16 * 1024)

struct pipe {
  int out; // read from here
  int in;  // write here
  size_t filled;
  size_t room;
  size_t latest; // bytes of the latest fill
  struct pipe *next;
};

struct pipes {
  unsigned most; // in use and spare
  struct pipe *spare;
  unsigned spares;
  unsigned used;
};

struct pipes *pipes_new(void) {
  struct pipes *pipes = calloc(1, sizeof *pipes);
  struct rlimit files;
  if (pipes == NULL) return NULL;
  const bool is_known = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY;
  const rlim_t share = is_known ? files.rlim_cur / FILES_PER_PIPE : MAX_PIPES;
  pipes->most = share < MAX_PIPES ? (unsigned)share : MAX_PIPES;
  return pipes;
}

static void close_pipe(struct pipe *pipe) {
  close(pipe->in);
  close(pipe->out);
  free(pipe);
}

void pipes_free(struct pipes *pipes) {
  while (pipes != NULL && pipes->spare != NULL) {
    struct pipe *pipe = pipes->spare;
    pipes->spare = pipe->next;
    close_pipe(pipe);
  }
  free(pipes);
}

static struct pipe *make_pipe(void) {
  int ends[2];
  struct pipe *pipe = calloc(1, sizeof *pipe);
  if (pipe == NULL) return NULL;
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    free(pipe);
    return NULL;
  }
  int granted = fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
  if (granted < 0) granted = fcntl(ends[1], F_GETPIPE_SZ);
  *pipe = (struct pipe){.out = ends[0], .in = ends[1], .room = granted > 0 ? (size_t)granted : BUFFER_BYTES};
  return pipe;
}

/** False: no pipe is to be had, and the direction goes on copying. */
bool splice_begin(struct stream *stream) {
  struct pipes *pipes = stream->engine->pipes;
  struct pipe *pipe = NULL;
  if (pipes->used < pipes->most) {
    pipe = pipes->spare;
    if (pipe != NULL) {
      pipes->spare = pipe->next;
      pipes->spares--;
    } else {
      pipe = make_pipe();
    }
  }
  stream->flow->full_reads = 0; // without a pipe, another try comes after as many reads
  if (pipe == NULL) return false;
  pipes->used++;
  pipe->latest = 0;
  stream->flow->pipe = pipe;
  return true;
}

/** Gives the pipe back. With bytes in it, it is of no use to others. */
void splice_end(struct engine *engine, struct flow *flow) {
  struct pipes *pipes = engine->pipes;
  struct pipe *pipe = flow->pipe;
  if (pipe == NULL) return;
  flow->pipe = NULL;
  pipes->used--;
  if (pipe->filled > 0 || pipes->spares >= SPARE_PIPES || pipes->used + pipes->spares >= pipes->most) {
    close_pipe(pipe);
    return;
  }
  pipe->next = pipes->spare;
  pipes->spare = pipe;
  pipes->spares++;
}

/** Never SPLICE_F_MORE: it holds the last piece of a message back for 200 ms. */
static ssize_t splice_bytes(int from, int to, size_t count) {
  return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static enum step empty(struct stream *stream) {
  struct pipe *pipe = stream->flow->pipe;
  if (!(stream->to->flags & WRITABLE)) return STEP_WAIT;
  ssize_t count = splice_bytes(pipe->out, stream->to->fd, pipe->filled);
  if (count < 0 && !is_blocked(errno)) return STEP_TO_RESET;
  if (count <= 0) {
    note_blocked(stream);
    return STEP_WAIT;
  }
  pipe->filled -= (size_t)count;
  note_moved(stream->session, stream->engine->now_ms);
  return STEP_COPY;
}

static enum step fill(struct stream *stream) {
  struct pipe *pipe = stream->flow->pipe;
  ssize_t count = splice_bytes(stream->from->fd, pipe->in, pipe->room);
  if (count > 0) {
    pipe->filled = pipe->latest = (size_t)count;
    note_bytes(stream, (size_t)count);
    return STEP_COPY;
  }
  if (count == 0) {
    splice_end(stream->engine, stream->flow);
    return STEP_COPY; // the copying reads the end, and what may hide behind it
  }
  if (is_blocked(errno)) {
    // The pipe is empty, so it is the source that has nothing.
    const bool goes_on = pipe->latest >= STREAM_BYTES;
    stream->from->flags &= (uint8_t)~READABLE;
    splice_end(stream->engine, stream->flow);
    stream->flow->full_reads = goes_on ? STREAM_READS : 0;
    return STEP_WAIT;
  }
  if (errno != EINVAL) return STEP_FROM_RESET;
  stream->flow->unspliceable = true; // this kind of socket cannot; copying always works
  splice_end(stream->engine, stream->flow);
  return STEP_COPY;
}

/** Fills it once, or empties it once; the pipe is filled only when it is empty, so that "would block" has one meaning. */
enum step splice_run(struct stream *stream) {
  struct limit *limit = atomic_load_explicit(&stream->session->limit, memory_order_relaxed);
  if (stream->flow->pipe->filled > 0) return empty(stream);
  if (stream->session->draining || (limit != NULL && limit_applies(limit, stream->direction))) {
    splice_end(stream->engine, stream->flow);
    return STEP_COPY;
  }
  return stream->from->flags & READABLE ? fill(stream) : STEP_WAIT;
}

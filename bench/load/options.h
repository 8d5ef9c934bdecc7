// What the load generator is asked to do.
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_OPENING 16384
#define MAX_MESSAGE (1 << 20)

enum mode { UP, DOWN, PING, CHURN, HOLD };

struct options {
  enum mode mode;
  int port;
  unsigned connections; // that work
  unsigned held;        // that are open beside them and say nothing
  size_t size;          // of a message
  uint8_t opening[MAX_OPENING];
  size_t opening_size;
  size_t reply;         // bytes that answer the opening
  int64_t warm_ns;
  int64_t window_ns;
  int64_t limit_ns;     // from start to end, whatever happens
  uint64_t max_ops;     // in the window
  bool resumes;
};

/** Reads `name=value` arguments, or ends the process. */
void read_options(struct options *options, int count, char **arguments);

#endif

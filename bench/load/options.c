#include "options.h"
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CONNECTIONS 100000
#define MAX_MS 600000
#define MAX_OPS 1000000000
#define NS_PER_MS 1000000

static const char *const mode_names[] = {"up", "down", "ping", "churn", "hold"};

static enum mode mode_of(const char *name) {
  for (enum mode mode = UP; mode <= HOLD; mode++)
    if (strcmp(name, mode_names[mode]) == 0) return mode;
  fail("no mode: %s", name);
}

static void read_opening(struct options *options, const char *hex) {
  size_t digits = strlen(hex);
  if (digits % 2 != 0 || digits / 2 > MAX_OPENING) fail("the opening is no hexadecimal text of whole bytes");
  for (size_t at = 0; at < digits / 2; at++) {
    char byte[3] = {hex[2 * at], hex[2 * at + 1], '\0'};
    char *end;
    options->opening[at] = (uint8_t)strtoul(byte, &end, 16);
    if (*end != '\0') fail("no hexadecimal digits: %s", byte);
  }
  options->opening_size = digits / 2;
}

static void read_option(struct options *options, const char *name, const char *value) {
  if (strcmp(name, "mode") == 0) options->mode = mode_of(value);
  else if (strcmp(name, "port") == 0) options->port = (int)number_of(value, 65535);
  else if (strcmp(name, "connections") == 0) options->connections = (unsigned)number_of(value, MAX_CONNECTIONS);
  else if (strcmp(name, "held") == 0) options->held = (unsigned)number_of(value, MAX_CONNECTIONS);
  else if (strcmp(name, "size") == 0) options->size = (size_t)number_of(value, MAX_MESSAGE);
  else if (strcmp(name, "opening") == 0) read_opening(options, value);
  else if (strcmp(name, "reply") == 0) options->reply = (size_t)number_of(value, CHUNK);
  else if (strcmp(name, "warmMs") == 0) options->warm_ns = number_of(value, MAX_MS) * NS_PER_MS;
  else if (strcmp(name, "windowMs") == 0) options->window_ns = number_of(value, MAX_MS) * NS_PER_MS;
  else if (strcmp(name, "limitMs") == 0) options->limit_ns = number_of(value, MAX_MS) * NS_PER_MS;
  else if (strcmp(name, "maxOps") == 0) options->max_ops = (uint64_t)number_of(value, MAX_OPS);
  else if (strcmp(name, "resumes") == 0) options->resumes = number_of(value, 1) == 1;
  else fail("no option: %s", name);
}

void read_options(struct options *options, int count, char **arguments) {
  *options = (struct options){
      .connections = 1,
      .size = 64,
      .reply = 4,
      .warm_ns = 500ll * NS_PER_MS,
      .window_ns = 1000ll * NS_PER_MS,
      .limit_ns = 30000ll * NS_PER_MS,
      .max_ops = 100000000,
  };
  for (int at = 1; at < count; at++) {
    char name[32];
    const char *equals = strchr(arguments[at], '=');
    if (equals == NULL || equals - arguments[at] >= (long)sizeof name) fail("name=value was expected: %s", arguments[at]);
    snprintf(name, sizeof name, "%.*s", (int)(equals - arguments[at]), arguments[at]);
    read_option(options, name, equals + 1);
  }
  if (options->port == 0 || options->opening_size == 0 || options->size == 0 || options->connections == 0)
    fail("port, opening, size and connections must be given");
}

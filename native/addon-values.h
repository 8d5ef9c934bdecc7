// JavaScript values in and out. Whoever gets false returns at once: an exception is pending.
#ifndef CARRIER_ADDON_VALUES_H
#define CARRIER_ADDON_VALUES_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

/** The largest text that is taken: longer than any path of a socket, address or zone. */
#define TEXT_ROOM 256

struct text {
  bool is_given; // false: it was undefined
  char chars[TEXT_ROOM];
};

/** A typed array's memory, as long as no JavaScript runs. */
struct span {
  void *data;
  size_t length;
};

bool fail_type(napi_env env, const char *message);
/** An Error with `code`, as Node's own have. */
bool fail_system(napi_env env, const char *call, int error);

/** `what` names the value in the TypeError. */
bool read_double(napi_env env, napi_value value, const char *what, double *out);
bool read_whole(napi_env env, napi_value value, const char *what, double least, double most, double *out);
/** Milliseconds, rounded up; those which no timer knows, never end. */
bool read_ms(napi_env env, napi_value value, const char *what, uint32_t *out);

bool whole_of(napi_env env, napi_value object, const char *name, double least, double most, double *out);
/** A file descriptor; -1: it was undefined. */
bool fd_of(napi_env env, napi_value object, const char *name, double *out);
bool ms_of(napi_env env, napi_value object, const char *name, uint32_t *out);
bool bool_of(napi_env env, napi_value object, const char *name, bool *out);
bool text_of(napi_env env, napi_value object, const char *name, struct text *out);
bool read_text(napi_env env, napi_value value, const char *what, struct text *out);
/** Undefined gives an empty one. */
bool read_bytes(napi_env env, napi_value value, const char *what, struct span *out);
bool object_given(napi_env env, napi_value value, const char *what);
bool span_of(napi_env env, napi_value value, napi_typedarray_type type, const char *what, struct span *out);

napi_value to_number(napi_env env, double value);
napi_value to_boolean(napi_env env, bool value);
napi_value to_text(napi_env env, const char *value);
/** A Uint8Array of its own memory. */
napi_value to_bytes(napi_env env, const uint8_t *bytes, size_t count);
bool set(napi_env env, napi_value object, const char *name, napi_value value);

#endif

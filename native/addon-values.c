#include "addon-values.h"

#include "engine.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool fail_type(napi_env env, const char *message) {
  bool pending = false;
  // Reading a property may have thrown: then that is what the caller hears.
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) napi_throw_type_error(env, NULL, message);
  return false;
}

static bool fail_value(napi_env env, const char *what, const char *wanted) {
  char message[96];
  snprintf(message, sizeof message, "%s must be %s", what, wanted);
  return fail_type(env, message);
}

/** Those that opening a port can meet. */
static const char *name_of(int error) {
  static const struct {
    int error;
    const char *name;
  } names[] = {
      {EACCES, "EACCES"},   {EADDRINUSE, "EADDRINUSE"}, {EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {EAFNOSUPPORT, "EAFNOSUPPORT"},
      {EINVAL, "EINVAL"},   {ECANCELED, "ECANCELED"},   {ELOOP, "ELOOP"},                 {EMFILE, "EMFILE"},
      {ENFILE, "ENFILE"},   {ENOBUFS, "ENOBUFS"},       {ENODEV, "ENODEV"},               {ENOENT, "ENOENT"},
      {ENOMEM, "ENOMEM"},   {ENOTDIR, "ENOTDIR"},       {EPERM, "EPERM"},                 {EROFS, "EROFS"},
      {EAGAIN, "EAGAIN"},   {EBADF, "EBADF"},           {ENOTSOCK, "ENOTSOCK"},
  };
  for (size_t at = 0; at < sizeof names / sizeof *names; at++)
    if (names[at].error == error) return names[at].name;
  return "EIO";
}

bool fail_system(napi_env env, const char *call, int error) {
  char message[192];
  snprintf(message, sizeof message, "%s %s: %s", call, name_of(error), strerror(error));
  napi_throw_error(env, name_of(error), message);
  return false;
}

bool read_double(napi_env env, napi_value value, const char *what, double *out) {
  if (napi_get_value_double(env, value, out) == napi_ok) return true;
  return fail_value(env, what, "a number");
}

bool read_whole(napi_env env, napi_value value, const char *what, double least, double most, double *out) {
  if (napi_get_value_double(env, value, out) == napi_ok && *out >= least && *out <= most && *out == floor(*out)) return true;
  return fail_value(env, what, "a whole number within its range");
}

bool read_ms(napi_env env, napi_value value, const char *what, uint32_t *out) {
  double ms;
  if (napi_get_value_double(env, value, &ms) != napi_ok || !(ms >= 0)) return fail_value(env, what, "milliseconds");
  *out = ms < NEVER_MS ? (uint32_t)ceil(ms) : NEVER_MS;
  return true;
}

static bool property(napi_env env, napi_value object, const char *name, napi_value *out) {
  if (napi_get_named_property(env, object, name, out) == napi_ok) return true;
  return fail_value(env, name, "readable");
}

bool whole_of(napi_env env, napi_value object, const char *name, double least, double most, double *out) {
  napi_value value;
  return property(env, object, name, &value) && read_whole(env, value, name, least, most, out);
}

bool ms_of(napi_env env, napi_value object, const char *name, uint32_t *out) {
  napi_value value;
  return property(env, object, name, &value) && read_ms(env, value, name, out);
}

bool bool_of(napi_env env, napi_value object, const char *name, bool *out) {
  napi_value value;
  if (!property(env, object, name, &value)) return false;
  if (napi_get_value_bool(env, value, out) == napi_ok) return true;
  return fail_value(env, name, "a boolean");
}

static bool is_undefined(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

bool fd_of(napi_env env, napi_value object, const char *name, double *out) {
  napi_value value;
  *out = -1;
  if (!property(env, object, name, &value)) return false;
  return is_undefined(env, value) || read_whole(env, value, name, 0, INT32_MAX, out);
}

bool text_of(napi_env env, napi_value object, const char *name, struct text *out) {
  napi_value value;
  return property(env, object, name, &value) && read_text(env, value, name, out);
}

bool read_text(napi_env env, napi_value value, const char *what, struct text *out) {
  size_t size = 0;
  out->is_given = !is_undefined(env, value);
  if (!out->is_given) return true;
  bool is_text = napi_get_value_string_utf8(env, value, out->chars, sizeof out->chars, &size) == napi_ok;
  // A zero inside would cut it short; and what fills the room may have been cut.
  if (is_text && size < sizeof out->chars - 1 && strlen(out->chars) == size) return true;
  return fail_value(env, what, "a short text");
}

bool span_of(napi_env env, napi_value value, napi_typedarray_type type, const char *what, struct span *out) {
  napi_typedarray_type found;
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
      napi_get_typedarray_info(env, value, &found, &out->length, &out->data, NULL, NULL) == napi_ok && found == type) {
    if (out->data == NULL) out->length = 0; // detached
    return true;
  }
  return fail_value(env, what, type == napi_float64_array ? "a Float64Array" : "a Uint8Array");
}

bool read_bytes(napi_env env, napi_value value, const char *what, struct span *out) {
  *out = (struct span){.data = NULL};
  return is_undefined(env, value) || span_of(env, value, napi_uint8_array, what, out);
}

bool object_given(napi_env env, napi_value value, const char *what) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_object) return true;
  return fail_value(env, what, "an object");
}

napi_value to_number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

napi_value to_boolean(napi_env env, bool value) {
  napi_value result = NULL;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value to_text(napi_env env, const char *value) {
  napi_value result = NULL;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value to_bytes(napi_env env, const uint8_t *bytes, size_t count) {
  void *data = NULL;
  napi_value buffer;
  napi_value result = NULL;
  if (napi_create_arraybuffer(env, count, &data, &buffer) != napi_ok) return NULL;
  if (count > 0) memcpy(data, bytes, count);
  napi_create_typedarray(env, napi_uint8_array, count, buffer, 0, &result);
  return result;
}

bool set(napi_env env, napi_value object, const char *name, napi_value value) {
  return value != NULL && napi_set_named_property(env, object, name, value) == napi_ok;
}

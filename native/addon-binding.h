// An engine as JavaScript holds it.
#ifndef CARRIER_ADDON_BINDING_H
#define CARRIER_ADDON_BINDING_H

#include "addon-values.h"
#include "engine.h"

/** Most arguments that a method takes. */
#define MAX_ARGUMENTS 8

struct binding {
  struct engine *engine;
  napi_threadsafe_function wake;
  napi_ref events; // the shared memory; where it is must be asked each time, since JavaScript may detach it. Until the stop
  napi_ref bytes;
  napi_ref self;   // an engine lives until it is stopped, whether or not somebody holds it
  unsigned users;  // JavaScript's object, and `wake`
  bool stopped;
};

/** A call of a method: whose it is, and with what. */
struct call {
  napi_env env;
  struct binding *binding;
  napi_value arguments[MAX_ARGUMENTS];
};

/** False, and an exception is pending, when `this` is no engine or arguments are missing. */
bool begin_call(napi_env env, napi_callback_info info, size_t arguments, struct call *call);

/** `open`: a socket that listens, without an engine. */
napi_value open_function(napi_env env, napi_callback_info info);

/** The memory that is shared with JavaScript; no room once the engine is stopped. */
bool shared_of(const struct call *call, struct taken *to);

#define METHOD(text, function) {.utf8name = text, .method = function, .attributes = napi_enumerable}
#define GETTER(text, function) {.utf8name = text, .getter = function, .attributes = napi_enumerable}

/** Gives the engine's methods to `object`. */
bool define_engine(napi_env env, napi_value object);
/** Those about buckets. */
bool define_buckets(napi_env env, napi_value object);

void stop_binding(napi_env env, struct binding *binding);

#endif

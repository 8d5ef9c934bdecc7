// The module: starts engines, wakes JavaScript, and cleans up behind whoever forgets to.
#include "addon-binding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** As CONTRACT in src/stream/carrier/addon.ts. */
#define CONTRACT 6

/** Marks engines, so that no method believes in another object. Random. */
static const napi_type_tag engine_tag = {0x8f3a61d24c7b95e0, 0x1d7c40b9e6f2835a};

bool begin_call(napi_env env, napi_callback_info info, size_t arguments, struct call *call) {
  size_t count = MAX_ARGUMENTS;
  napi_value self;
  bool is_engine = false;
  void *binding = NULL;
  call->env = env;
  if (napi_get_cb_info(env, info, &count, call->arguments, &self, NULL) != napi_ok) return false;
  if (napi_check_object_type_tag(env, self, &engine_tag, &is_engine) != napi_ok || !is_engine ||
      napi_unwrap(env, self, &binding) != napi_ok)
    return fail_type(env, "this is no engine");
  call->binding = binding;
  return count >= arguments || fail_type(env, "an argument is missing");
}

/** On the engine's thread. */
static void wake_javascript(void *context) {
  struct binding *binding = context;
  // A full queue means that JavaScript is about to be woken anyway.
  napi_call_threadsafe_function(binding->wake, NULL, napi_tsfn_nonblocking);
}

/** By itself Node only warns of what such a call throws, and goes on. */
static void report_exception(napi_env env) {
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

static void on_wake(napi_env env, napi_value function, void *context, void *data) {
  struct binding *binding = context;
  napi_value receiver;
  (void)data;
  if (env == NULL || binding->stopped || napi_get_undefined(env, &receiver) != napi_ok) return;
  if (napi_call_function(env, receiver, function, 0, NULL, NULL) == napi_pending_exception) report_exception(env);
  // It threw, or did not take all: the engine believes it to be awake, and would never wake it again.
  if (!binding->stopped && engine_has_leftovers(binding->engine)) wake_javascript(binding);
}

static void leave(struct binding *binding) {
  if (--binding->users == 0) free(binding);
}

static void on_wake_gone(napi_env env, void *data, void *context) {
  (void)env;
  (void)data;
  leave(context);
}

/** The environment ends: a worker, or the process. */
static void on_exit_of(void *argument);

void stop_binding(napi_env env, struct binding *binding) {
  if (binding->stopped) return;
  binding->stopped = true;
  engine_stop(binding->engine);
  napi_release_threadsafe_function(binding->wake, napi_tsfn_abort);
  if (env == NULL) return;
  napi_remove_env_cleanup_hook(env, on_exit_of, binding);
  napi_delete_reference(env, binding->self);
  napi_delete_reference(env, binding->events);
  napi_delete_reference(env, binding->bytes);
}

static void on_exit_of(void *argument) { stop_binding(NULL, argument); }

static void on_object_gone(napi_env env, void *data, void *hint) {
  struct binding *binding = data;
  (void)hint;
  stop_binding(env, binding);
  engine_free(binding->engine);
  binding->engine = NULL;
  leave(binding);
}

struct start_options {
  enum engine_kind kind;
  double max_sessions;
  struct span events;
  struct span bytes;
  napi_value events_value;
  napi_value bytes_value;
  napi_value wake;
};

static bool read_kind(napi_env env, napi_value from, enum engine_kind *to) {
  struct text kind;
  if (!text_of(env, from, "engine", &kind)) return false;
  if (!kind.is_given) *to = KIND_ANY;
  else if (strcmp(kind.chars, "epoll") == 0) *to = KIND_EPOLL;
  else if (strcmp(kind.chars, "io_uring") == 0) *to = KIND_IO_URING;
  else return fail_type(env, "engine must be epoll or io_uring");
  return true;
}

static bool read_start(napi_env env, napi_value from, struct start_options *to) {
  napi_valuetype type;
  if (!object_given(env, from, "options") || !read_kind(env, from, &to->kind) || !whole_of(env, from, "maxSessions", 1, MAX_SLOTS, &to->max_sessions) ||
      napi_get_named_property(env, from, "events", &to->events_value) != napi_ok ||
      !span_of(env, to->events_value, napi_float64_array, "events", &to->events) ||
      napi_get_named_property(env, from, "bytes", &to->bytes_value) != napi_ok ||
      !span_of(env, to->bytes_value, napi_uint8_array, "bytes", &to->bytes) ||
      napi_get_named_property(env, from, "wake", &to->wake) != napi_ok)
    return fail_type(env, "options cannot be read");
  if (napi_typeof(env, to->wake, &type) != napi_ok || type != napi_function) return fail_type(env, "wake must be a function");
  // Two events of one session are put together or not at all.
  if (to->events.length < 2 * EVENT_FIELDS) return fail_type(env, "events is too short");
  return to->bytes.length > 0 || fail_type(env, "bytes is too short");
}

static bool make_wake(napi_env env, struct binding *binding, napi_value function) {
  if (napi_create_threadsafe_function(env, function, NULL, to_text(env, "carrier"), 1, 1, NULL, on_wake_gone, binding,
                                      on_wake, &binding->wake) != napi_ok)
    return fail_type(env, "wake cannot be called from another thread");
  binding->users++;
  return true;
}

/** From here on the engine runs, and the object keeps it. */
static bool launch(napi_env env, struct binding *binding, const struct start_options *from) {
  const struct engine_options options = {
      .kind = from->kind,
      .max_sessions = (uint32_t)from->max_sessions,
      .bytes_room = from->bytes.length,
      .wake = wake_javascript,
      .context = binding,
  };
  binding->engine = engine_start(&options);
  if (binding->engine != NULL) return true;
  int error = errno;
  napi_release_threadsafe_function(binding->wake, napi_tsfn_abort);
  return fail_system(env, "start", error);
}

static bool hold(napi_env env, napi_value object, struct binding *binding, const struct start_options *from) {
  if (napi_wrap(env, object, binding, on_object_gone, NULL, NULL) != napi_ok) return fail_type(env, "no engine can be made");
  binding->users++;
  return napi_type_tag_object(env, object, &engine_tag) == napi_ok && define_engine(env, object) &&
         napi_create_reference(env, object, 1, &binding->self) == napi_ok &&
         napi_create_reference(env, from->events_value, 1, &binding->events) == napi_ok &&
         napi_create_reference(env, from->bytes_value, 1, &binding->bytes) == napi_ok &&
         napi_add_env_cleanup_hook(env, on_exit_of, binding) == napi_ok;
}

static napi_value start(napi_env env, napi_callback_info info) {
  struct start_options options;
  napi_value argument;
  napi_value object;
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || !read_start(env, argument, &options) ||
      napi_create_object(env, &object) != napi_ok)
    return NULL;
  struct binding *binding = calloc(1, sizeof *binding);
  if (binding == NULL) {
    fail_system(env, "start", ENOMEM);
    return NULL;
  }
  if (!make_wake(env, binding, options.wake)) {
    free(binding);
    return NULL;
  }
  if (!launch(env, binding, &options)) return NULL; // the wake, when it is gone, frees the binding
  if (hold(env, object, binding, &options)) return object;
  stop_binding(env, binding);
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_value open;
  if (napi_create_function(env, "start", NAPI_AUTO_LENGTH, start, NULL, &function) != napi_ok ||
      !set(env, exports, "contract", to_number(env, CONTRACT)) || !set(env, exports, "start", function) ||
      napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_function, NULL, &open) != napi_ok || !set(env, exports, "open", open))
    return NULL;
  return exports;
}

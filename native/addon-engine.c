// The engine's methods. What they promise is said in src/stream/carrier/addon.ts.
#include "addon-binding.h"

#include <stdlib.h>

static napi_value answer_of(const struct call *call, enum answer answer, const char *misuse) {
  if (answer != MISUSED) return to_boolean(call->env, answer == DONE);
  fail_type(call->env, misuse);
  return NULL;
}

static bool read_rules(napi_env env, napi_value from, struct port_rules *to) {
  double head_bytes;
  double group;
  double max_sessions;
  bool read = bool_of(env, from, "noDelay", &to->no_delay) && ms_of(env, from, "keepAliveMs", &to->keep_alive_ms) &&
              bool_of(env, from, "waits", &to->waits) && ms_of(env, from, "firstByteMs", &to->first_byte_ms) &&
              whole_of(env, from, "headBytes", 1, INT32_MAX, &head_bytes) &&
              whole_of(env, from, "group", 0, UINT32_MAX, &group) &&
              whole_of(env, from, "maxSessions", 0, UINT32_MAX, &max_sessions);
  if (!read) return false;
  to->head_bytes = (uint32_t)head_bytes;
  to->group = (uint32_t)group;
  to->max_sessions = (uint32_t)max_sessions;
  return true;
}

static bool read_listen(napi_env env, napi_value from, struct listen_options *to, struct text *host, struct text *path) {
  double port;
  double backlog;
  double fd;
  bool read = object_given(env, from, "options") && text_of(env, from, "host", host) && text_of(env, from, "path", path) &&
              whole_of(env, from, "port", 0, UINT16_MAX, &port) && whole_of(env, from, "backlog", 0, INT32_MAX, &backlog) &&
              bool_of(env, from, "ipv6Only", &to->ipv6_only) && bool_of(env, from, "reusePort", &to->reuse_port) &&
              fd_of(env, from, "listenFd", &fd) && read_rules(env, from, &to->rules);
  if (!read) return false;
  to->host = host->is_given ? host->chars : NULL;
  to->path = path->is_given ? path->chars : NULL;
  to->fd = (int)fd;
  to->port = (uint16_t)port;
  to->backlog = (int)backlog;
  const int places = host->is_given + path->is_given + (to->fd >= 0);
  return places == 1 || fail_type(env, "one of host, path and listenFd must be given");
}

static napi_value opened_of(napi_env env, const struct listening *opened) {
  napi_value result;
  if (napi_create_object(env, &result) != napi_ok || !set(env, result, "listener", to_number(env, opened->listener)) ||
      !set(env, result, "port", to_number(env, opened->port)) || !set(env, result, "fd", to_number(env, opened->fd)))
    return NULL;
  return result;
}

napi_value open_function(napi_env env, napi_callback_info info) {
  struct listen_options options;
  struct text host;
  struct text path;
  struct listening opened = {0};
  napi_value argument;
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      !read_listen(env, argument, &options, &host, &path))
    return NULL;
  const int error = open_listening(&options, &opened);
  if (error == 0) return opened_of(env, &opened);
  fail_system(env, "listen", error);
  return NULL;
}

static napi_value listen_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct listen_options options;
  struct text host;
  struct text path;
  struct listening opened;
  if (!begin_call(env, info, 1, &call) || !read_listen(env, call.arguments[0], &options, &host, &path)) return NULL;
  int error = engine_listen(call.binding->engine, &options, &opened);
  if (error != 0) {
    fail_system(env, "listen", error);
    return NULL;
  }
  return opened_of(env, &opened);
}

static napi_value with_port(napi_env env, napi_callback_info info, bool (*what)(struct engine *, double)) {
  struct call call;
  double listener;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "listener", &listener)) return NULL;
  return to_boolean(env, what(call.binding->engine, listener));
}

static napi_value unlisten_method(napi_env env, napi_callback_info info) { return with_port(env, info, engine_unlisten); }
static napi_value pause_method(napi_env env, napi_callback_info info) { return with_port(env, info, engine_pause); }
static napi_value resume_method(napi_env env, napi_callback_info info) { return with_port(env, info, engine_resume); }

static napi_value adjust_method(napi_env env, napi_callback_info info) {
  struct call call;
  double listener;
  struct port_rules rules;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "listener", &listener) ||
      !object_given(env, call.arguments[1], "rules") || !read_rules(env, call.arguments[1], &rules))
    return NULL;
  return to_boolean(env, engine_adjust(call.binding->engine, listener, &rules));
}

static napi_value open_silent_method(napi_env env, napi_callback_info info) {
  struct call call;
  if (begin_call(env, info, 0, &call)) engine_open_silent(call.binding->engine);
  return NULL;
}

static napi_value open_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  return to_boolean(env, engine_open(call.binding->engine, session));
}

static napi_value silent_entry(napi_env env, const struct silent *silent) {
  struct address_pair pair;
  napi_value entry;
  silent_addresses(silent, &pair);
  if (napi_create_array_with_length(env, 7, &entry) != napi_ok) return NULL;
  napi_set_element(env, entry, 0, to_number(env, silent->session));
  napi_set_element(env, entry, 1, to_number(env, silent->listener));
  napi_set_element(env, entry, 2, to_number(env, silent->accepted_ms));
  napi_set_element(env, entry, 3, to_text(env, pair.remote));
  napi_set_element(env, entry, 4, to_number(env, pair.remote_port));
  napi_set_element(env, entry, 5, to_text(env, pair.local));
  napi_set_element(env, entry, 6, to_number(env, pair.local_port));
  return entry;
}

/** Each entry has a scope of its own: there may be very many. */
static napi_value silent_method(napi_env env, napi_callback_info info) {
  struct call call;
  size_t count;
  napi_value list;
  if (!begin_call(env, info, 0, &call)) return NULL;
  struct silent *all = engine_silent(call.binding->engine, &count);
  napi_status status = napi_create_array_with_length(env, count, &list);
  for (size_t at = 0; at < count && status == napi_ok; at++) {
    napi_handle_scope scope;
    status = napi_open_handle_scope(env, &scope);
    if (status != napi_ok) break;
    status = napi_set_element(env, list, (uint32_t)at, silent_entry(env, &all[at]));
    napi_close_handle_scope(env, scope);
  }
  free(all);
  return status == napi_ok ? list : NULL;
}

/** Where the shared arrays are now. An engine that was stopped has given them back: then they have no room. */
bool shared_of(const struct call *call, struct taken *to) {
  *to = (struct taken){.events_room = 0};
  if (call->binding->stopped) return true;
  napi_value events;
  napi_value bytes;
  struct span event_span;
  struct span byte_span;
  if (napi_get_reference_value(call->env, call->binding->events, &events) != napi_ok ||
      napi_get_reference_value(call->env, call->binding->bytes, &bytes) != napi_ok ||
      !span_of(call->env, events, napi_float64_array, "events", &event_span) ||
      !span_of(call->env, bytes, napi_uint8_array, "bytes", &byte_span))
    return false;
  *to = (struct taken){
      .events = event_span.data,
      .events_room = event_span.length / EVENT_FIELDS,
      .bytes = byte_span.data,
      .bytes_room = byte_span.length,
  };
  return true;
}

static napi_value take_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct taken to;
  if (!begin_call(env, info, 0, &call) || !shared_of(&call, &to)) return NULL;
  return to_number(env, (double)engine_take(call.binding->engine, &to));
}

static napi_value more_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  double at_least;
  uint32_t timeout_ms;
  if (!begin_call(env, info, 3, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !read_whole(env, call.arguments[1], "atLeast", 0, INT32_MAX, &at_least) ||
      !read_ms(env, call.arguments[2], "timeoutMs", &timeout_ms))
    return NULL;
  return to_boolean(env, engine_more(call.binding->engine, session, (uint32_t)at_least, timeout_ms) == DONE);
}

/** Arguments one by one: an object's properties would cost more than the system calls of a short session. */
static napi_value relay_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct relay_options to;
  struct text host;
  struct text local;
  struct span preface;
  double session;
  double port;
  double skip;
  if (!begin_call(env, info, 8, &call)) return NULL;
  const napi_value *given = call.arguments;
  bool read = read_double(env, given[0], "session", &session) && read_text(env, given[1], "host", &host) &&
              read_whole(env, given[2], "port", -1, UINT16_MAX, &port) &&
              read_ms(env, given[3], "connectTimeoutMs", &to.connect_timeout_ms) &&
              read_ms(env, given[4], "idleTimeoutMs", &to.idle_timeout_ms) &&
              read_whole(env, given[5], "skip", 0, INT32_MAX, &skip) &&
              read_text(env, given[6], "localAddress", &local) && read_bytes(env, given[7], "preface", &preface);
  if (!read) return NULL;
  if (!host.is_given || preface.length > INT32_MAX) {
    fail_type(env, host.is_given ? "preface is too long" : "host must be a short text");
    return NULL;
  }
  to.host = host.chars;
  to.port = (int)port;
  to.local_address = local.is_given ? local.chars : NULL;
  to.skip = (uint32_t)skip;
  to.preface = preface.data;
  to.preface_bytes = (uint32_t)preface.length;
  return answer_of(&call, engine_relay(call.binding->engine, session, &to), "host, localAddress or skip cannot be used");
}

static napi_value take_over_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct handed_over out;
  double session;
  napi_value result = NULL;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  if (!engine_take_over(call.binding->engine, session, &out)) return NULL;
  napi_create_object(env, &result);
  bool made = set(env, result, "fd", to_number(env, out.fd)) &&
              set(env, result, "bytes", to_bytes(env, out.bytes, out.bytes_count)) &&
              set(env, result, "flags", to_number(env, out.flags)) &&
              (out.peer < 0 || set(env, result, "peer", to_number(env, out.peer)));
  free(out.bytes);
  return made ? result : NULL;
}

static napi_value close_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  bool reset;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  if (napi_get_value_bool(env, call.arguments[1], &reset) != napi_ok) {
    fail_type(env, "reset must be a boolean");
    return NULL;
  }
  return to_boolean(env, engine_close(call.binding->engine, session, reset));
}

static napi_value kill_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  double cause;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !read_double(env, call.arguments[1], "cause", &cause))
    return NULL;
  return answer_of(&call, engine_kill(call.binding->engine, session, cause), "cause must be an index of relayCauses");
}

static napi_value drain_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  return to_boolean(env, engine_drain(call.binding->engine, session));
}

static napi_value recall_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  uint32_t rest_ms;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !read_ms(env, call.arguments[1], "restMs", &rest_ms))
    return NULL;
  return to_boolean(env, engine_recall(call.binding->engine, session, rest_ms));
}

static napi_value limit_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  double up;
  double down;
  if (!begin_call(env, info, 3, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !read_double(env, call.arguments[1], "up", &up) || !read_double(env, call.arguments[2], "down", &down))
    return NULL;
  if (!(up >= 0 && down >= 0)) {
    fail_type(env, "a rate must not be negative");
    return NULL;
  }
  return to_boolean(env, engine_limit(call.binding->engine, session, up, down));
}

static napi_value counters_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct taken to;
  struct counters counters;
  double session;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !shared_of(&call, &to))
    return NULL;
  if (to.events_room == 0 || !engine_counters(call.binding->engine, session, &counters)) return to_boolean(env, false);
  to.events[0] = counters.bytes_up;
  to.events[1] = counters.bytes_down;
  to.events[2] = counters.idle_ms;
  return to_boolean(env, true);
}

static napi_value addresses_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct address_pair pair;
  double session;
  napi_value result;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  if (!engine_addresses(call.binding->engine, session, &pair)) return NULL;
  if (napi_create_array_with_length(env, 4, &result) != napi_ok) return NULL;
  napi_set_element(env, result, 0, to_text(env, pair.remote));
  napi_set_element(env, result, 1, to_number(env, pair.remote_port));
  napi_set_element(env, result, 2, to_text(env, pair.local));
  napi_set_element(env, result, 3, to_number(env, pair.local_port));
  return result;
}

static napi_value release_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "session", &session)) return NULL;
  return to_boolean(env, engine_release(call.binding->engine, session));
}

static napi_value stop_method(napi_env env, napi_callback_info info) {
  struct call call;
  if (begin_call(env, info, 0, &call)) stop_binding(env, call.binding);
  return NULL;
}

static napi_value sessions_getter(napi_env env, napi_callback_info info) {
  struct call call;
  if (!begin_call(env, info, 0, &call)) return NULL;
  return to_number(env, call.binding->stopped ? 0 : engine_sessions(call.binding->engine));
}

static napi_value kind_getter(napi_env env, napi_callback_info info) {
  struct call call;
  return begin_call(env, info, 0, &call) ? to_text(env, engine_kind(call.binding->engine)) : NULL;
}


bool define_engine(napi_env env, napi_value object) {
  const napi_property_descriptor properties[] = {
      METHOD("listen", listen_method),     METHOD("unlisten", unlisten_method), METHOD("pause", pause_method),
      METHOD("resume", resume_method),     METHOD("adjust", adjust_method),
      METHOD("silent", silent_method),     METHOD("open", open_method),         METHOD("openSilent", open_silent_method),
      METHOD("take", take_method),         METHOD("more", more_method),         METHOD("relay", relay_method),
      METHOD("takeOver", take_over_method), METHOD("close", close_method),       METHOD("kill", kill_method),
      METHOD("drain", drain_method),       METHOD("recall", recall_method),     METHOD("limit", limit_method),       METHOD("counters", counters_method), METHOD("addresses", addresses_method),
      METHOD("release", release_method),   METHOD("stop", stop_method),         GETTER("sessions", sessions_getter),
      GETTER("kind", kind_getter),
  };
  return napi_define_properties(env, object, sizeof properties / sizeof *properties, properties) == napi_ok &&
         define_buckets(env, object);
}

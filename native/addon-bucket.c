// The engine's methods about buckets. What they promise is said in src/stream/carrier/addon.ts.
#include "addon-binding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static napi_value bucket_method(napi_env env, napi_callback_info info) {
  struct call call;
  if (!begin_call(env, info, 0, &call)) return NULL;
  const double number = engine_bucket(call.binding->engine);
  if (number < 0) fail_system(env, "bucket", ENOMEM);
  return number < 0 ? NULL : to_number(env, number);
}

static napi_value fill_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct inflow inflows[2];
  double bucket;
  if (!begin_call(env, info, 7, &call) || !read_double(env, call.arguments[0], "bucket", &bucket)) return NULL;
  for (int at = 0; at < 2; at++) {
    const napi_value *given = &call.arguments[1 + 3 * at];
    struct inflow *inflow = &inflows[at];
    if (!read_double(env, given[0], "rate", &inflow->rate) || !read_double(env, given[1], "burst", &inflow->burst) ||
        !read_double(env, given[2], "add", &inflow->add))
      return NULL;
    if (inflow->rate >= 0 && inflow->burst >= 0 && isfinite(inflow->add)) continue;
    fail_type(env, "a bucket is not filled so");
    return NULL;
  }
  return to_boolean(env, engine_fill(call.binding->engine, bucket, inflows));
}

static napi_value levels_method(napi_env env, napi_callback_info info) {
  struct call call;
  struct taken to;
  struct level levels[2];
  double bucket;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "bucket", &bucket) || !shared_of(&call, &to))
    return NULL;
  if (to.events_room == 0 || !engine_levels(call.binding->engine, bucket, levels)) return to_boolean(env, false);
  memcpy(to.events, levels, sizeof levels);
  return to_boolean(env, true);
}

static napi_value pay_method(napi_env env, napi_callback_info info) {
  struct call call;
  double bucket;
  double bytes;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "bucket", &bucket) ||
      !read_double(env, call.arguments[1], "bytes", &bytes))
    return NULL;
  if (!isfinite(bytes) || bytes < 0) {
    fail_type(env, "bytes must not be negative");
    return NULL;
  }
  return to_boolean(env, engine_pay(call.binding->engine, bucket, bytes));
}

static napi_value drop_method(napi_env env, napi_callback_info info) {
  struct call call;
  double bucket;
  if (!begin_call(env, info, 1, &call) || !read_double(env, call.arguments[0], "bucket", &bucket)) return NULL;
  return to_boolean(env, engine_drop(call.binding->engine, bucket));
}

static napi_value share_method(napi_env env, napi_callback_info info) {
  struct call call;
  double session;
  double bucket;
  if (!begin_call(env, info, 2, &call) || !read_double(env, call.arguments[0], "session", &session) ||
      !read_double(env, call.arguments[1], "bucket", &bucket))
    return NULL;
  return to_boolean(env, engine_share(call.binding->engine, session, bucket));
}

bool define_buckets(napi_env env, napi_value object) {
  const napi_property_descriptor properties[] = {
      METHOD("bucket", bucket_method), METHOD("drop", drop_method), METHOD("fill", fill_method),
      METHOD("levels", levels_method), METHOD("pay", pay_method),   METHOD("share", share_method),
  };
  return napi_define_properties(env, object, sizeof properties / sizeof *properties, properties) == napi_ok;
}

// TLS 1.3 with one cipher and one curve, so that every contestant does the same work.
#include "net.h"
#include "transport.h"

#include <openssl/ssl.h>
#include <unistd.h>

static SSL_CTX *context;
static SSL_SESSION *session; // the latest, when connections are to resume
static bool resuming;
static uint64_t resumed;

static int keep_session(SSL *tls, SSL_SESSION *fresh) {
  (void)tls;
  if (!resuming) return 0;
  SSL_SESSION_free(session);
  session = fresh;
  return 1; // ours now
}

void transport_prepare(bool resumes) {
  resuming = resumes;
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) fail("no TLS context");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  if (SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) fail("no AES-128-GCM");
  if (SSL_CTX_set1_groups_list(context, "X25519") != 1) fail("no X25519");
}

static ssize_t outcome(struct transport *transport, int result) {
  if (result > 0) return result;
  switch (SSL_get_error(transport->tls, result)) {
    case SSL_ERROR_WANT_READ:
      return WAIT_READ;
    case SSL_ERROR_WANT_WRITE:
      return WAIT_WRITE;
    default:
      return CLOSED;
  }
}

void transport_open(struct transport *transport, int fd) {
  transport->fd = fd;
  transport->tls = SSL_new(context);
  if (transport->tls == NULL) fail("no memory");
  SSL_set_fd(transport->tls, fd);
  if (session != NULL) SSL_set_session(transport->tls, session);
}

enum progress transport_begin(struct transport *transport) {
  if (SSL_is_init_finished(transport->tls)) return DONE;
  int result = SSL_connect(transport->tls);
  if (result != 1) return (enum progress)outcome(transport, result);
  if (SSL_session_reused(transport->tls)) resumed++;
  return DONE;
}

ssize_t transport_write(struct transport *transport, const void *bytes, size_t size) {
  return outcome(transport, SSL_write(transport->tls, bytes, (int)size));
}

ssize_t transport_read(struct transport *transport, void *bytes, size_t size) {
  return outcome(transport, SSL_read(transport->tls, bytes, (int)size));
}

ssize_t transport_discard(struct transport *transport) {
  static char bytes[CHUNK];
  return transport_read(transport, bytes, sizeof bytes);
}

void transport_close(struct transport *transport) {
  SSL_shutdown(transport->tls); // without it OpenSSL would not resume the session
  SSL_free(transport->tls);
  close(transport->fd);
}

uint64_t transport_resumed(void) { return resumed; }

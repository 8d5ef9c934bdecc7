#define _GNU_SOURCE
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The number of a zone, by name or by digits; 0: there is none such. */
static uint32_t zone_of(const char *name) {
  uint32_t index = if_nametoindex(name);
  if (index != 0) return index;
  char *end;
  unsigned long number = strtoul(name, &end, 10);
  return *name >= '0' && *name <= '9' && *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static bool is_ip6(struct sockaddr_in6 *ip6, const char *host) {
  const char *percent = strchr(host, '%');
  if (percent == NULL) return inet_pton(AF_INET6, host, &ip6->sin6_addr) == 1;
  char address[INET6_ADDRSTRLEN];
  size_t size = (size_t)(percent - host);
  if (size >= sizeof address) return false;
  memcpy(address, host, size);
  address[size] = '\0';
  ip6->sin6_scope_id = zone_of(percent + 1);
  return ip6->sin6_scope_id != 0 && inet_pton(AF_INET6, address, &ip6->sin6_addr) == 1;
}

socklen_t target_of_ip(union target *target, const char *host, uint16_t port) {
  memset(target, 0, sizeof *target);
  if (inet_pton(AF_INET, host, &target->ip4.sin_addr) == 1) {
    target->ip4.sin_family = AF_INET;
    target->ip4.sin_port = htons(port);
    return sizeof target->ip4;
  }
  if (!is_ip6(&target->ip6, host)) return 0;
  target->ip6.sin6_family = AF_INET6;
  target->ip6.sin6_port = htons(port);
  return sizeof target->ip6;
}

socklen_t target_of_path(union target *target, const char *path) {
  size_t size = strlen(path);
  memset(target, 0, sizeof *target);
  if (size == 0 || size >= sizeof target->path.sun_path) return 0;
  target->path.sun_family = AF_UNIX;
  memcpy(target->path.sun_path, path, size + 1);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
}

uint16_t target_port(const union target *target) {
  if (target->any.sa_family == AF_INET) return ntohs(target->ip4.sin_port);
  return target->any.sa_family == AF_INET6 ? ntohs(target->ip6.sin6_port) : 0;
}

bool target_is_wildcard(const union target *target) {
  if (target->any.sa_family == AF_INET) return target->ip4.sin_addr.s_addr == htonl(INADDR_ANY);
  return target->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&target->ip6.sin6_addr);
}

struct ends ends_of(const union target *remote, const union target *local) {
  struct ends ends = {.family = (uint8_t)local->any.sa_family, .remote_port = target_port(remote)};
  if (local->any.sa_family == AF_INET) {
    memcpy(ends.remote_ip, &remote->ip4.sin_addr, sizeof remote->ip4.sin_addr);
    memcpy(ends.local_ip, &local->ip4.sin_addr, sizeof local->ip4.sin_addr);
  } else if (local->any.sa_family == AF_INET6) {
    ends.zone = remote->ip6.sin6_scope_id;
    memcpy(ends.remote_ip, &remote->ip6.sin6_addr, sizeof ends.remote_ip);
    memcpy(ends.local_ip, &local->ip6.sin6_addr, sizeof ends.local_ip);
  }
  return ends;
}

static void append_zone(char *text, size_t room, uint32_t zone) {
  char name[IF_NAMESIZE];
  size_t size = strlen(text);
  if (if_indextoname(zone, name) != NULL) snprintf(text + size, room - size, "%%%s", name);
  else snprintf(text + size, room - size, "%%%u", zone);
}

/** Where the four bytes are; NULL: it is no IPv4 address. */
static const uint8_t *ip4_of(const struct ends *ends, const uint8_t ip[16]) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (ends->family == AF_INET) return ip;
  return ends->family == AF_INET6 && memcmp(ip, mapped, sizeof mapped) == 0 ? ip + sizeof mapped : NULL;
}

double ip4_number(const struct ends *ends, const uint8_t ip[16]) {
  const uint8_t *bytes = ip4_of(ends, ip);
  if (bytes == NULL) return -1;
  return (double)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]);
}

void ip_text(const struct ends *ends, const uint8_t ip[16], char *text, size_t room) {
  const uint8_t *ip4 = ip4_of(ends, ip);
  if (ip4 != NULL) {
    inet_ntop(AF_INET, ip4, text, (socklen_t)room);
  } else {
    inet_ntop(AF_INET6, ip, text, (socklen_t)room);
    if (ends->zone != 0) append_zone(text, room, ends->zone);
  }
}

// Addresses: from text, to text, and small enough to be kept per session.
#ifndef CARRIER_ADDRESS_H
#define CARRIER_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

union target {
  struct sockaddr any;
  struct sockaddr_in ip4;
  struct sockaddr_in6 ip6;
  struct sockaddr_un path;
};

/** The two ends of a client's connection, of one family. */
struct ends {
  uint8_t remote_ip[16];
  uint8_t local_ip[16];
  uint32_t zone;
  uint16_t remote_port;
  uint8_t family;
};

/** The size of what `host` says, 0 if it is no IP address. An IPv6 zone may follow: `fe80::1%eth0`. */
socklen_t target_of_ip(union target *target, const char *host, uint16_t port);
/** 0 if the path is empty or too long. */
socklen_t target_of_path(union target *target, const char *path);
uint16_t target_port(const union target *target);
bool target_is_wildcard(const union target *target);

struct ends ends_of(const union target *remote, const union target *local);
/** An IPv4 address as a number, also one in an IPv6 address; -1: it is none. */
double ip4_number(const struct ends *ends, const uint8_t ip[16]);
/** IPv4 addresses in IPv6 ones are given as IPv4. */
void ip_text(const struct ends *ends, const uint8_t ip[16], char *text, size_t room);

#endif

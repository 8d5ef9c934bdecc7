// System calls of every message. libc's are points where a thread can be cancelled, which costs two atomic operations per call in
// a process of several threads; ours never is. The sanitizers know libc's only.
#ifndef CARRIER_KERNEL_H
#define CARRIER_KERNEL_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(SYS_epoll_wait)

static inline ssize_t kernel_recv(int fd, void *bytes, size_t room) { return recv(fd, bytes, room, 0); }

static inline ssize_t kernel_send(int fd, const void *bytes, size_t count) { return send(fd, bytes, count, MSG_NOSIGNAL); }

static inline int kernel_epoll_wait(int epoll, struct epoll_event *events, int room, int timeout_ms) {
  return epoll_wait(epoll, events, room, timeout_ms);
}

#else

static inline ssize_t kernel_recv(int fd, void *bytes, size_t room) {
  return syscall(SYS_recvfrom, fd, bytes, room, 0, NULL, NULL);
}

static inline ssize_t kernel_send(int fd, const void *bytes, size_t count) {
  return syscall(SYS_sendto, fd, bytes, count, MSG_NOSIGNAL, NULL, 0);
}

static inline int kernel_epoll_wait(int epoll, struct epoll_event *events, int room, int timeout_ms) {
  return (int)syscall(SYS_epoll_wait, epoll, events, room, timeout_ms);
}

#endif

#endif

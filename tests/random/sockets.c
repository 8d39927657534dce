// Unix sockets: pairs, listeners, datagrams, descriptors on the way. Nothing waits, nothing fills a buffer.
static int socket_fd(void) { return one_in(30) ? 90 : 3 + below(9); }
static socklen_t socket_name(struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = one_in(30) ? AF_INET : AF_UNIX;
  sprintf(address->sun_path, "s%d", below(3));
  return one_in(30) ? 2 : offsetof(struct sockaddr_un, sun_path) + strlen(address->sun_path) + 1;
}
static void show_name(struct sockaddr_un *address, socklen_t length) { add(" [%d %s]", (int)length, length > 2 ? address->sun_path : ""); }
static void make_sockets(void) {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
  socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends);
}
static const int TYPES[] = {SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static const int RECEIVE_FLAGS[] = {0, 0, 0, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_ERRQUEUE};
static void one_socket(void) {
  int fd = socket_fd(), fd2 = socket_fd(), ends[2];
  struct sockaddr_un address;
  char data[200];
  memset(data, 'a' + below(26), sizeof data);
  long length = one_in(10) ? 0 : 1 + below(60);
  errno = 0;
  switch (below(26)) {
    case 0: case 1: { int type = ANY(TYPES); begin("socket(%d)", type); answer(fcntl(11, F_GETFD) >= 0 ? -2 : socket(AF_UNIX, type | SOCK_NONBLOCK, 0)); break; }
    case 2: case 3: { int type = ANY(TYPES); begin("socketpair(%d)", type); if (fcntl(10, F_GETFD) < 0 && answer(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, ends)) == 0) add(" %d %d", ends[0], ends[1]); break; }
    case 4: { socklen_t size = socket_name(&address); begin("bind(%d, %s, %d)", fd, address.sun_path, (int)size); answer(bind(fd, (void *)&address, size)); break; }
    case 5: { int backlog = below(3); begin("listen(%d, %d)", fd, backlog); answer(listen(fd, backlog)); break; }
    case 6: case 7: { socklen_t size = socket_name(&address); begin("connect(%d, %s, %d)", fd, address.sun_path, (int)size); answer(connect(fd, (void *)&address, size)); break; }
    case 8: case 9: {
      socklen_t size = sizeof address;
      begin("accept(%d)", fd);
      memset(&address, 0, sizeof address);
      if (answer(fcntl(11, F_GETFD) >= 0 ? -2 : accept4(fd, (void *)&address, &size, SOCK_NONBLOCK)) >= 0) show_name(&address, size);
      break;
    }
    case 10: case 11: case 12: { int flags = MSG_NOSIGNAL | (one_in(12) ? MSG_OOB : 0) | (one_in(8) ? MSG_EOR : 0); begin("send(%d, %ld, %x)", fd, length, flags); answer(send(fd, data, length, flags)); break; }
    case 13: { socklen_t size = socket_name(&address); begin("sendto(%d, %ld, %s, %d)", fd, length, address.sun_path, (int)size); answer(sendto(fd, data, length, MSG_NOSIGNAL, (void *)&address, size)); break; }
    case 14: case 15: case 16: {
      int flags = ANY(RECEIVE_FLAGS) | MSG_DONTWAIT;
      begin("recv(%d, %ld, %x)", fd, length, flags);
      memset(data, 0, sizeof data);
      long n = answer(recv(fd, data, length, flags));
      if (n > 0) add(" %08x", sum_of(data, n < length ? n : length));
      break;
    }
    case 17: { socklen_t size = sizeof address; memset(&address, 0, sizeof address); begin("recvfrom(%d)", fd); if (answer(recvfrom(fd, data, 60, MSG_DONTWAIT, (void *)&address, &size)) >= 0) show_name(&address, size); break; }
    case 18: { int how = one_in(12) ? 5 : below(3); begin("shutdown(%d, %d)", fd, how); answer(shutdown(fd, how)); break; }
    case 19: {
      socklen_t size = sizeof address;
      int peer = one_in(2);
      memset(&address, 0, sizeof address);
      begin("%s(%d)", peer ? "getpeername" : "getsockname", fd);
      if (answer(peer ? getpeername(fd, (void *)&address, &size) : getsockname(fd, (void *)&address, &size)) == 0) show_name(&address, size);
      break;
    }
    case 20: {
      int option = ((int[]){SO_ERROR, SO_TYPE, SO_ACCEPTCONN, SO_DOMAIN, SO_PROTOCOL, SO_PASSCRED, SO_LINGER, 9999})[below(8)], value[2] = {0};
      socklen_t size = sizeof value;
      begin("getsockopt(%d, %d)", fd, option);
      if (answer(getsockopt(fd, SOL_SOCKET, option, value, &size)) == 0) add(" %d %d", (int)size, value[0]);
      break;
    }
    case 21: {
      struct pollfd list[10];
      begin("poll");
      for (int i = 0; i < 10; i++) list[i] = (struct pollfd){3 + i, POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
      answer(poll(list, 10, 0));
      for (int i = 0; i < 10; i++) add(" %x", list[i].revents);
      break;
    }
    case 22: {
      char control[CMSG_SPACE(2 * sizeof(int))] = {0};
      struct iovec part = {data, length};
      struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int))};
      struct cmsghdr *header = CMSG_FIRSTHDR(&message);
      *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(header), &fd2, sizeof fd2);
      begin("sendmsg(%d, %ld, fd %d)", fd, length, fd2);
      answer(sendmsg(fd, &message, MSG_NOSIGNAL));
      break;
    }
    case 23: case 24: {
      char control[CMSG_SPACE(2 * sizeof(int))] = {0};
      if (length == 0) length = 1;
      struct iovec part = {data, length};
      struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = one_in(4) ? 0 : sizeof control};
      begin("recvmsg(%d, %ld, room %ld)", fd, length, message.msg_controllen);
      if (answer(recvmsg(fd, &message, MSG_DONTWAIT | (one_in(5) ? MSG_PEEK : 0))) >= 0) {
        add(" flags %x", message.msg_flags);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL) { int got; memcpy(&got, CMSG_DATA(header), sizeof got); add(" type %d length %ld %s", header->cmsg_type, header->cmsg_len, header->cmsg_type == SCM_RIGHTS ? "fd" : ""); if (header->cmsg_type == SCM_RIGHTS) add(" %d", got); }
      }
      break;
    }
    default: {
      if (one_in(3)) { int name = below(3); begin("unlink(s%d)", name); sprintf(data, "s%d", name); answer(unlink(data)); }
      else if (one_in(3)) { int n = -1; begin("FIONREAD(%d)", fd); if (answer(ioctl(fd, FIONREAD, &n)) == 0) add(" %d", n); }
      else if (one_in(4)) { begin("passcred(%d)", fd); answer(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){below(2)}, 4)); }
      else { begin("close(%d)", fd); answer(close(fd)); }
    }
  }
  end();
}
static void finish_sockets(void) {
  for (int fd = 3; fd < 12; fd++) {
    char data[300];
    begin("rest of %d", fd);
    answer(recv(fd, data, sizeof data, MSG_DONTWAIT));
    end();
  }
}
const struct family SOCKETS = {"sockets", 150, make_sockets, one_socket, finish_sockets};

#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  max_connections = 1000,
  max_head_bytes = 16 * 1024, /* request line and headers */
  idle_seconds = 60,          /* a connection that sends nothing */
  head_seconds = 15,          /* a request whose headers never end */
  drain_seconds = 5,          /* answers under way at SIGTERM */
  linger_seconds = 2,         /* a peer that still sends after its last answer */
};

struct connection {
  int socket;
  char in[max_head_bytes];
  size_t in_length;
  unsigned long long skip; /* bytes of a request body still to be thrown away */
  struct text out;
  size_t out_sent;
  bool close_after; /* once `out` is sent */
  bool lingering;   /* the last answer is sent; what still comes in is thrown away */
  bool ended;       /* the peer sends no more */
  time_t since;     /* last progress; while a head is incomplete, its first byte */
};

static struct connection *connections[max_connections];
static size_t connection_count;
static unsigned long answered;
static time_t started;
static page_function *make_page;

static time_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

unsigned long requests_answered(void) { return answered; }
unsigned long uptime_seconds(void) { return (unsigned long)(now() - started); }

/* ---- answers ---- */

static const char *reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 505: return "HTTP Version Not Supported";
    default: return "Error";
  }
}

static void answer(struct connection *connection, const struct response *response, bool head_only) {
  struct text *out = &connection->out;
  text_add(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", response->status,
           reason_of(response->status), response->type, response->body.length);
  text_add(out, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  if (response->status == 405) text_add(out, "Allow: GET, HEAD\r\n");
  text_add(out, "Connection: %s\r\n\r\n", connection->close_after ? "close" : "keep-alive");
  if (!head_only && response->body.length > 0) {
    text_add_bytes(out, response->body.bytes, response->body.length);
  }
}

/* After an error the rest of the stream cannot be told apart, so the connection ends. */
static void refuse(struct connection *connection, int status) {
  struct response response = {.status = status, .type = "text/plain; charset=utf-8"};
  connection->close_after = true;
  text_add(&response.body, "%d %s\n", status, reason_of(status));
  answer(connection, &response, false);
  free(response.body.bytes);
}

/* ---- requests ---- */

struct head {
  bool bad;
  bool has_host;
  bool chunked;
  bool close;
  bool keep_alive;
  bool expects_continue;
  bool has_length;
  unsigned long long length;
};

static bool has_token(const char *list, const char *token) {
  size_t length = strlen(token);
  for (const char *at = list; *at != '\0';) {
    at += strspn(at, " \t,");
    size_t word = strcspn(at, " \t,");
    if (word == length && strncasecmp(at, token, length) == 0) return true;
    at += word;
  }
  return false;
}

static void read_length(struct head *head, const char *value) {
  char *end;
  errno = 0;
  unsigned long long length = strtoull(value, &end, 10);
  bool bad = *value < '0' || *value > '9' || *end != '\0' || errno != 0;
  if (bad || (head->has_length && head->length != length)) head->bad = true;
  head->has_length = true;
  head->length = length;
}

/* Reads one "Name: value" line, which ends with NUL. */
static void read_header(struct head *head, char *line) {
  char *colon = strchr(line, ':');
  if (colon == NULL || colon == line || strcspn(line, " \t") < (size_t)(colon - line)) {
    head->bad = true; /* also what begins with a blank: folded lines are refused (RFC 9112, 5.2) */
    return;
  }
  *colon = '\0';
  char *value = colon + 1 + strspn(colon + 1, " \t");
  for (char *end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');) {
    *--end = '\0';
  }
  if (strcasecmp(line, "Host") == 0) {
    head->bad |= head->has_host;
    head->has_host = true;
  } else if (strcasecmp(line, "Content-Length") == 0) {
    read_length(head, value);
  } else if (strcasecmp(line, "Transfer-Encoding") == 0) {
    head->chunked = true;
  } else if (strcasecmp(line, "Connection") == 0) {
    head->close |= has_token(value, "close");
    head->keep_alive |= has_token(value, "keep-alive");
  } else if (strcasecmp(line, "Expect") == 0) {
    head->expects_continue = strcasecmp(value, "100-continue") == 0;
  }
}

static void respond(struct connection *connection, const char *method, char *target) {
  bool head_only = strcmp(method, "HEAD") == 0;
  struct response response = {.status = 200, .type = "text/html; charset=utf-8"};
  answered++;
  if (!head_only && strcmp(method, "GET") != 0) {
    response.status = 405;
    response.type = "text/plain; charset=utf-8";
    text_add(&response.body, "only GET and HEAD are served here\n");
  } else {
    target[strcspn(target, "?#")] = '\0';
    struct request request = {.method = method, .path = target};
    make_page(&request, &response);
  }
  answer(connection, &response, head_only);
  free(response.body.bytes);
}

/* Answers the request whose head is the NUL-ended text; the last line of the head is empty. */
static void handle(struct connection *connection, char *text) {
  struct head head = {0};
  char *next = strstr(text, "\r\n");
  if (next == NULL) return refuse(connection, 400);
  *next = '\0';
  for (char *line = next + 2; (next = strstr(line, "\r\n")) != NULL && next != line;) {
    *next = '\0';
    read_header(&head, line);
    line = next + 2;
  }
  char *target = strchr(text, ' ');
  char *version = target == NULL ? NULL : strchr(target + 1, ' ');
  if (version == NULL || target == text) return refuse(connection, 400);
  *target++ = '\0';
  *version++ = '\0';
  bool old = strcmp(version, "HTTP/1.0") == 0;
  if (!old && strcmp(version, "HTTP/1.1") != 0) return refuse(connection, 505);
  if (head.bad || *target != '/' || (!old && !head.has_host)) return refuse(connection, 400);
  if (head.chunked) return refuse(connection, 501);
  connection->close_after = head.close || (old && !head.keep_alive);
  /* Whoever asks before sending a body need not send it: nothing here reads one. */
  if (head.expects_continue && head.length > 0) connection->close_after = true;
  else connection->skip = head.length;
  respond(connection, text, target);
}

/* Throws away the first bytes of the input. */
static void discard(struct connection *connection, size_t length) {
  connection->in_length -= length;
  memmove(connection->in, connection->in + length, connection->in_length);
}

/* Takes whole requests from the input while nothing waits to be sent: pipelined ones wait. */
static void take_requests(struct connection *connection) {
  while (connection->out.length == 0 && !connection->close_after) {
    if (connection->skip > 0) {
      size_t part = connection->in_length;
      if (connection->skip < part) part = (size_t)connection->skip;
      connection->skip -= part;
      discard(connection, part);
    }
    /* Empty lines before a request are allowed (RFC 9112, 2.2). */
    while (connection->in_length >= 2 && memcmp(connection->in, "\r\n", 2) == 0) {
      discard(connection, 2);
    }
    if (connection->in_length == 0) return;
    char *end = memmem(connection->in, connection->in_length, "\r\n\r\n", 4);
    size_t length = end == NULL ? connection->in_length : (size_t)(end - connection->in) + 4;
    if (memchr(connection->in, '\0', length) != NULL) return refuse(connection, 400);
    if (end == NULL) {
      if (length == max_head_bytes) refuse(connection, 431);
      return;
    }
    char head[max_head_bytes + 1];
    memcpy(head, connection->in, length);
    head[length] = '\0';
    discard(connection, length);
    handle(connection, head);
  }
}

/* ---- connections ---- */

static void drop(size_t index) {
  struct connection *connection = connections[index];
  close(connection->socket);
  free(connection->out.bytes);
  free(connection);
  connections[index] = connections[--connection_count];
}

static void accept_all(int listener) {
  while (connection_count < max_connections) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
      close(socket);
      return;
    }
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->socket = socket;
    connection->since = now();
    connections[connection_count++] = connection;
  }
}

/* False when the connection is broken. */
static bool receive(struct connection *connection) {
  while (connection->in_length < max_head_bytes) {
    ssize_t got = recv(connection->socket, connection->in + connection->in_length,
                       max_head_bytes - connection->in_length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN;
    if (got == 0) {
      connection->ended = true;
      return true;
    }
    bool fresh = connection->in_length == 0 && !connection->lingering;
    if (fresh || connection->skip > 0) connection->since = now();
    connection->in_length += (size_t)got;
    if (connection->skip > 0 || connection->lingering) return true;
  }
  return true;
}

/* False when the connection is broken. */
static bool transmit(struct connection *connection) {
  struct text *out = &connection->out;
  while (connection->out_sent < out->length) {
    ssize_t sent = send(connection->socket, out->bytes + connection->out_sent,
                        out->length - connection->out_sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    connection->out_sent += (size_t)sent;
    connection->since = now();
  }
  out->length = 0;
  connection->out_sent = 0;
  return true;
}

/* Moves a connection on as far as it goes. False when it is over. */
static bool advance(struct connection *connection, short events, bool stopping) {
  if (events & (POLLERR | POLLNVAL)) return false;
  if ((events & (POLLIN | POLLHUP)) && !receive(connection)) return false;
  if (connection->lingering) {
    connection->in_length = 0;
    return !connection->ended && now() - connection->since <= linger_seconds;
  }
  for (;;) {
    take_requests(connection);
    if (connection->out.length == 0) break;
    if (!transmit(connection)) return false;
    if (connection->out.length > 0) return true;
    if (connection->close_after) {
      /* Closing with input unread would reset the connection and the answer with it. */
      connection->lingering = true;
      connection->in_length = 0;
      shutdown(connection->socket, SHUT_WR);
      return !connection->ended;
    }
  }
  if (connection->ended || stopping) return false;
  time_t limit = connection->in_length > 0 ? head_seconds : idle_seconds;
  return now() - connection->since <= limit;
}

static int listen_on(const char *port_text) {
  char *end;
  unsigned long port = strtoul(port_text, &end, 10);
  if (*port_text == '\0' || *end != '\0' || port == 0 || port > 65535) {
    fprintf(stderr, "PORT is \"%s\", which is no port number\n", port_text);
    return -1;
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
      listen(listener, 511) < 0) {
    fprintf(stderr, "cannot listen on port %lu: %s\n", port, strerror(errno));
    return -1;
  }
  return listener;
}

static int signal_source(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

int serve(const char *name, page_function *page) {
  const char *port = getenv("PORT");
  if (port == NULL || *port == '\0') port = "8080";
  started = now();
  make_page = page;
  int signals = signal_source();
  int listener = listen_on(port);
  if (listener < 0 || signals < 0) return 1;
  printf("%s listens on port %s\n", name, port);
  fflush(stdout);

  time_t stop_at = 0;
  static struct pollfd polls[max_connections + 2];
  while (stop_at == 0 || (connection_count > 0 && now() < stop_at)) {
    bool stopping = stop_at != 0;
    polls[0] = (struct pollfd){.fd = stopping ? -1 : signals, .events = POLLIN};
    bool full = connection_count == max_connections;
    polls[1] = (struct pollfd){.fd = full || stopping ? -1 : listener, .events = POLLIN};
    for (size_t i = 0; i < connection_count; i++) {
      bool sending = connections[i]->out.length > 0;
      polls[i + 2] = (struct pollfd){connections[i]->socket, sending ? POLLOUT : POLLIN, 0};
    }
    if (poll(polls, connection_count + 2, 1000) < 0 && errno != EINTR) return 1;
    if (polls[0].revents & POLLIN) {
      stop_at = now() + drain_seconds;
      close(listener);
    }
    /* From the last on: dropping one moves the last into its place. */
    for (size_t i = connection_count; i-- > 0;) {
      if (!advance(connections[i], polls[i + 2].revents, stop_at != 0)) drop(i);
    }
    if (stop_at == 0 && (polls[1].revents & POLLIN)) accept_all(listener);
  }
  printf("%s stops after %lu requests\n", name, answered);
  return 0;
}

/* A small HTTP/1.1 server for the examples: one thread, one poll loop. */
#ifndef EXAMPLES_SERVER_H
#define EXAMPLES_SERVER_H

#include <stdbool.h>
#include <stddef.h>

/* What a page needs to know of a request. Strings live until the page is made. */
struct request {
  const char *method; /* "GET" or "HEAD" */
  const char *path;   /* without the query */
};

/* Text that grows; running out of memory ends the process. */
struct text {
  char *bytes;
  size_t length;
  size_t capacity;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_bytes(struct text *text, const char *bytes, size_t length);
/* Adds a string as the content of a JSON string, or as HTML text. */
void text_add_json(struct text *text, const char *string);
void text_add_html(struct text *text, const char *string);

struct response {
  int status;
  const char *type; /* Content-Type */
  struct text body;
};

/* Fills the response; it starts as an empty 200 text/html. */
typedef void page_function(const struct request *request, struct response *response);

/* Requests answered since the start. */
unsigned long requests_answered(void);
/* Whole seconds since the start. */
unsigned long uptime_seconds(void);

/* Serves on PORT (8080 unless set) of every address until SIGTERM or SIGINT. Returns the exit code. */
int serve(const char *name, page_function *page);

#endif

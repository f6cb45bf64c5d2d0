/* Says hello, and where it runs. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../http-server/page.h"

static void facts_json(struct response *response) {
  struct utsname system = {0};
  uname(&system);
  struct text *body = &response->body;
  response->type = "application/json";
  text_add(body, "{\"message\":\"hello\",\"host\":\"");
  text_add_json(body, system.nodename);
  text_add(body, "\",\"kernel\":\"");
  text_add_json(body, system.release);
  text_add(body, "\",\"pid\":%d,\"uid\":%u,\"gid\":%u,\"uptimeSeconds\":%lu,\"requests\":%lu}\n",
           (int)getpid(), getuid(), getgid(), uptime_seconds(), requests_answered());
}

static void front_page(struct response *response) {
  struct utsname system = {0};
  char user[32], uptime[32], requests[32];
  uname(&system);
  snprintf(user, sizeof user, "%u:%u", getuid(), getgid());
  snprintf(uptime, sizeof uptime, "%lu s", uptime_seconds());
  snprintf(requests, sizeof requests, "%lu", requests_answered());
  struct text *body = &response->body;
  page_begin(body, "Hello from a microVM", "linear-gradient(90deg,#ff7a18,#e5326b)",
             "Hello from a microVM");
  text_add(body, "<p>This page was made by a small program in a virtual machine of its own, with "
                 "its own kernel. Reload it and watch it count.</p>");
  page_facts_begin(body);
  page_fact(body, "Host name", system.nodename);
  page_fact(body, "Kernel", system.release);
  page_fact(body, "User", user);
  page_fact(body, "Up", uptime);
  page_fact(body, "Requests answered", requests);
  page_facts_end(body);
  text_add(body, "<p>The same as JSON: <a href=\"/api\"><code>/api</code></a></p>");
  page_end(body);
}

static void page(const struct request *request, struct response *response) {
  if (strcmp(request->path, "/") == 0) {
    front_page(response);
  } else if (strcmp(request->path, "/api") == 0) {
    facts_json(response);
  } else if (strcmp(request->path, "/healthz") == 0) {
    response->type = "text/plain; charset=utf-8";
    text_add(&response->body, "ok\n");
  } else {
    page_not_found(request, response);
  }
}

int main(void) { return serve("hello", page); }

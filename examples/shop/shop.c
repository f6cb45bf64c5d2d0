/* A shop window in the colour that COLOR names. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../http-server/page.h"

struct item {
  const char *name;
  const char *about;
  unsigned cents;
};

static const struct item items[] = {
    {"Ingot mug", "Holds a quarter of a litre, exactly", 1450},
    {"Poster", "A microVM, life size", 1900},
    {"Notebook", "128 MiB of paper", 850},
};
enum { item_count = sizeof items / sizeof items[0] };

/* A CSS colour name or #rrggbb: nothing that could end the style sheet. */
static bool is_color(const char *text) {
  size_t length = strlen(text);
  if (length == 0 || length > 32) return false;
  if (text[0] == '#') {
    bool hex = strspn(text + 1, "0123456789abcdefABCDEF") == length - 1;
    return hex && (length == 4 || length == 7);
  }
  return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

static const char *shop_color(void) {
  const char *color = getenv("COLOR");
  return color != NULL && is_color(color) ? color : "seagreen";
}

static void goods_json(struct response *response) {
  struct text *body = &response->body;
  response->type = "application/json";
  text_add(body, "{\"shop\":\"ingot\",\"color\":\"");
  text_add_json(body, shop_color());
  text_add(body, "\",\"requests\":%lu,\"items\":[", requests_answered());
  for (size_t i = 0; i < item_count; i++) {
    text_add(body, "%s{\"name\":\"", i == 0 ? "" : ",");
    text_add_json(body, items[i].name);
    text_add(body, "\",\"cents\":%u}", items[i].cents);
  }
  text_add(body, "]}\n");
}

/* What the deployment set, of the variables this shop knows. */
static void env_json(struct response *response) {
  const char *port = getenv("PORT");
  struct text *body = &response->body;
  response->type = "application/json";
  text_add(body, "{\"COLOR\":\"");
  text_add_json(body, shop_color());
  text_add(body, "\",\"PORT\":\"");
  text_add_json(body, port == NULL ? "8080" : port);
  text_add(body, "\",\"uid\":%u}\n", getuid());
}

static void front_page(struct response *response) {
  struct text *body = &response->body;
  page_begin(body, "The Ingot shop", shop_color(), "The Ingot shop");
  text_add(body, "<p>Painted in <code>");
  text_add_html(body, shop_color());
  text_add(body, "</code>. Deploy it again with another <code>--env COLOR=…</code> to repaint it.</p>"
                 "<ul class=\"goods\">");
  for (size_t i = 0; i < item_count; i++) {
    text_add(body, "<li><i></i><b>");
    text_add_html(body, items[i].name);
    text_add(body, "</b><span>");
    text_add_html(body, items[i].about);
    text_add(body, "<br>€ %u.%02u</span></li>", items[i].cents / 100, items[i].cents % 100);
  }
  text_add(body, "</ul><p>For programs: <a href=\"/api\"><code>/api</code></a> and "
                 "<a href=\"/env\"><code>/env</code></a></p>");
  page_end(body);
}

static void page(const struct request *request, struct response *response) {
  if (strcmp(request->path, "/") == 0) {
    front_page(response);
  } else if (strcmp(request->path, "/api") == 0) {
    goods_json(response);
  } else if (strcmp(request->path, "/env") == 0) {
    env_json(response);
  } else if (strcmp(request->path, "/healthz") == 0) {
    response->type = "text/plain; charset=utf-8";
    text_add(&response->body, "ok\n");
  } else {
    page_not_found(request, response);
  }
}

int main(void) { return serve("shop", page); }

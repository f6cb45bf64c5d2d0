#include "page.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#16181d;--soft:#5b6270;--paper:#fff;--ground:#f3f4f7;--line:#e4e6eb}"
    "@media(prefers-color-scheme:dark){:root{--ink:#eceef2;--soft:#9aa1ae;--paper:#1b1e25;--ground:#111318;--line:#2b2f39}}"
    "*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;"
    "background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}"
    "main{width:min(40rem,100%);background:var(--paper);border:1px solid var(--line);border-radius:16px;overflow:hidden;"
    "box-shadow:0 12px 40px rgb(0 0 0/.08)}"
    "header{background:var(--accent);height:10px}section{padding:2rem 2.25rem}"
    "h1{margin:0 0 .5rem;font-size:1.9rem;letter-spacing:-.02em;line-height:1.2}p{margin:.5rem 0;color:var(--soft)}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.45rem 1.5rem;margin:1.5rem 0;padding:1.25rem 0;"
    "border-block:1px solid var(--line)}dt{color:var(--soft)}dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "code{font:0.92em ui-monospace,monospace;background:var(--ground);padding:.15em .4em;border-radius:5px}a{color:inherit}"
    "ul.goods{list-style:none;margin:1.5rem 0;padding:0;display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(10rem,1fr))}"
    "ul.goods li{border:1px solid var(--line);border-radius:12px;padding:1rem}ul.goods b{display:block}"
    "ul.goods i{display:block;width:100%;height:3.5rem;border-radius:8px;background:var(--accent);margin-bottom:.75rem;opacity:.9}"
    "ul.goods span{color:var(--soft)}";

void page_begin(struct text *page, const char *title, const char *accent, const char *headline) {
  text_add(page, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
  text_add_html(page, title);
  text_add(page, "</title><style>%s:root{--accent:%s}</style></head><body><main><header></header>"
                 "<section><h1>", style, accent);
  text_add_html(page, headline);
  text_add(page, "</h1>");
}

void page_facts_begin(struct text *page) { text_add(page, "<dl>"); }

void page_fact(struct text *page, const char *name, const char *value) {
  text_add(page, "<dt>");
  text_add_html(page, name);
  text_add(page, "</dt><dd>");
  text_add_html(page, value);
  text_add(page, "</dd>");
}

void page_facts_end(struct text *page) { text_add(page, "</dl>"); }

void page_end(struct text *page) { text_add(page, "</section></main></body></html>\n"); }

void page_not_found(const struct request *request, struct response *response) {
  response->status = 404;
  page_begin(&response->body, "Not found", "#8a8f9c", "There is nothing here");
  text_add(&response->body, "<p>No page is called <code>");
  text_add_html(&response->body, request->path);
  text_add(&response->body, "</code>. Try <a href=\"/\">the first one</a>.</p>");
  page_end(&response->body);
}

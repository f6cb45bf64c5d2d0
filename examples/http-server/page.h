/* The look the examples share. */
#ifndef EXAMPLES_PAGE_H
#define EXAMPLES_PAGE_H

#include "server.h"

/* Begins a page: `accent` is a CSS colour, already checked; `headline` is HTML text. */
void page_begin(struct text *page, const char *title, const char *accent, const char *headline);
/* Adds a row of the facts table, which page_facts begins and ends. */
void page_facts_begin(struct text *page);
void page_fact(struct text *page, const char *name, const char *value);
void page_facts_end(struct text *page);
void page_end(struct text *page);

/* The JSON and HTML answer for a path that is not there. */
void page_not_found(const struct request *request, struct response *response);

#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static void text_reserve(struct text *text, size_t more) {
  size_t needed = text->length + more + 1;
  if (needed <= text->capacity) return;
  text->capacity = needed * 2;
  text->bytes = realloc(text->bytes, text->capacity);
  if (text->bytes == NULL) {
    fputs("out of memory\n", stderr);
    exit(1);
  }
}

void text_add(struct text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  text_reserve(text, (size_t)length);
  va_start(arguments, format);
  vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
  va_end(arguments);
  text->length += (size_t)length;
}

void text_add_bytes(struct text *text, const char *bytes, size_t length) {
  text_reserve(text, length);
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

void text_add_json(struct text *text, const char *string) {
  for (; *string != '\0'; string++) {
    unsigned char c = (unsigned char)*string;
    if (c == '"' || c == '\\') {
      text_add(text, "\\%c", c);
    } else if (c < 0x20) {
      text_add(text, "\\u%04x", c);
    } else {
      text_add_bytes(text, string, 1);
    }
  }
}

void text_add_html(struct text *text, const char *string) {
  for (; *string != '\0'; string++) {
    switch (*string) {
      case '<': text_add(text, "&lt;"); break;
      case '>': text_add(text, "&gt;"); break;
      case '&': text_add(text, "&amp;"); break;
      case '"': text_add(text, "&quot;"); break;
      case '\'': text_add(text, "&#39;"); break;
      default: text_add_bytes(text, string, 1);
    }
  }
}

/* A prompt made from a record's fields: "Tweet: {text}\nAnswer:". {{ and }} stand for braces; \n, \t and \\ for what
 * they are in C, since a command line has no easy way to write them. */
#ifndef LIMN_DATA_TEMPLATE_H
#define LIMN_DATA_TEMPLATE_H

#include "base/arena.h"
#include "files/records.h"

typedef struct TemplatePart {
    bool is_field;
    const char *bytes; /* [length] text, or the field's name; NUL-terminated */
    size_t length;
} TemplatePart;

typedef struct Template {
    TemplatePart *parts; /* [n] in the arena */
    size_t n;
    bool alone; /* one field as it is: a list or an object is no prompt */
} Template;

limn_status template_parse(Template *made, const char *text, size_t length, Arena *arena);
/* The template that is one field as it is. */
limn_status template_of_field(Template *made, const char *name, size_t length, Arena *arena);

size_t template_fields(const Template *made); /* how many of its parts are fields */
/* Appends. A field that the record lacks (or that is null) is refused with the record's line. edges: [2 * fields] where
 * in `out` each field begins and ends; may be NULL. */
limn_status template_fill(TextBuffer *out, size_t *edges, const Template *made, const char *path, const Record *record);

#endif

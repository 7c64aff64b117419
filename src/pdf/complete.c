/* Cairo writes structure without attributes. The elements lie in the file in the order in which they were begun, so
 * each is found by counting, and its kind must agree. Decorations were drawn as elements called NonStruct: they are
 * taken out of the structure and marked as artifacts on the page. */
#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pdf/pdf.h"
#include "render/markup.h"

static const char decoration[] = "NonStruct";

typedef struct File {
    qpdf_data qpdf;
    const Paper *paper;
    int32_t n;  /* elements met so far */
    bool other; /* an element was not the one that was drawn */
} File;

static void put_name(const File *file, qpdf_oh dictionary, const char *key, const char *name) {
    qpdf_oh_replace_key(file->qpdf, dictionary, key, qpdf_oh_new_name(file->qpdf, name));
}

static void put_text(const File *file, qpdf_oh dictionary, const char *key, const char *text) {
    qpdf_oh_replace_key(file->qpdf, dictionary, key, qpdf_oh_new_unicode_string(file->qpdf, text));
}

static bool is_named(const File *file, qpdf_oh object, const char *name) {
    return qpdf_oh_is_name(file->qpdf, object) && strcmp(qpdf_oh_get_name(file->qpdf, object) + 1, name) == 0;
}

/* ---- structure ---- */

/* What a link shows, for readers to whom it is an annotation only. */
static void name_link(const File *file, qpdf_oh element, const char *alt) {
    qpdf_oh children = qpdf_oh_get_key(file->qpdf, element, "/K");
    int n = qpdf_oh_is_array(file->qpdf, children) ? qpdf_oh_get_array_n_items(file->qpdf, children) : 0;
    for (int i = 0; i < n; i++) {
        qpdf_oh child = qpdf_oh_get_array_item(file->qpdf, children, i);
        if (qpdf_oh_is_dictionary(file->qpdf, child) && qpdf_oh_has_key(file->qpdf, child, "/Obj")) {
            put_text(file, qpdf_oh_get_key(file->qpdf, child, "/Obj"), "/Contents", alt);
        }
    }
}

static void describe(const File *file, qpdf_oh element, const Tag *tag) {
    if (tag->language != NULL) {
        put_text(file, element, "/Lang", tag->language);
    }
    if (strcmp(tag->kind, "Figure") == 0 && tag->alt != NULL) {
        put_text(file, element, "/Alt", tag->alt);
    } else if (strcmp(tag->kind, "Link") == 0 && tag->alt != NULL) {
        name_link(file, element, tag->alt);
    }
}

/* Heads of columns stand in rows of heads alone. */
static void describe_heads(const File *file, qpdf_oh row) {
    qpdf_oh cells = qpdf_oh_get_key(file->qpdf, row, "/K");
    int n = qpdf_oh_is_array(file->qpdf, cells) ? qpdf_oh_get_array_n_items(file->qpdf, cells) : 0, heads = 0;
    for (int i = 0; i < n; i++) {
        heads += is_named(file, qpdf_oh_get_key(file->qpdf, qpdf_oh_get_array_item(file->qpdf, cells, i), "/S"), "TH");
    }
    for (int i = 0; i < n; i++) {
        qpdf_oh cell = qpdf_oh_get_array_item(file->qpdf, cells, i);
        if (is_named(file, qpdf_oh_get_key(file->qpdf, cell, "/S"), "TH")) {
            qpdf_oh_replace_key(file->qpdf, cell, "/A",
                                qpdf_oh_parse(file->qpdf, heads == n ? "<< /O /Table /Scope /Column >>"
                                                                     : "<< /O /Table /Scope /Row >>"));
        }
    }
}

static void walk(File *file, qpdf_oh element);

/* Children that are elements, in order; decorations are left out of what stays. */
static void walk_children(File *file, qpdf_oh element) {
    qpdf_oh children = qpdf_oh_get_key(file->qpdf, element, "/K");
    bool list = qpdf_oh_is_array(file->qpdf, children);
    int n = list ? qpdf_oh_get_array_n_items(file->qpdf, children) : 1;
    qpdf_oh kept = qpdf_oh_new_array(file->qpdf);
    for (int i = 0; i < n; i++) {
        qpdf_oh child = list ? qpdf_oh_get_array_item(file->qpdf, children, i) : children;
        bool is_element = qpdf_oh_is_dictionary(file->qpdf, child) && qpdf_oh_has_key(file->qpdf, child, "/S");
        if (is_element) {
            walk(file, child);
        }
        if (!is_element || !is_named(file, qpdf_oh_get_key(file->qpdf, child, "/S"), decoration)) {
            qpdf_oh_append_item(file->qpdf, kept, child);
        }
    }
    if (qpdf_oh_has_key(file->qpdf, element, "/K")) {
        qpdf_oh_replace_key(file->qpdf, element, "/K", kept);
    }
}

static void walk(File *file, qpdf_oh element) {
    qpdf_oh kind = qpdf_oh_get_key(file->qpdf, element, "/S");
    const Tag *tag = file->n < file->paper->n_tags ? &file->paper->tags[file->n] : NULL;
    file->n++;
    if (tag == NULL || !is_named(file, kind, tag->kind)) {
        file->other = true;
        return;
    }
    describe(file, element, tag);
    walk_children(file, element);
    if (strcmp(tag->kind, "TR") == 0) {
        describe_heads(file, element);
    }
}

/* From marks on pages to elements: those of decorations lead nowhere. */
static void forget_decorations(const File *file, qpdf_oh root) {
    qpdf_oh numbers = qpdf_oh_get_key(file->qpdf, qpdf_oh_get_key(file->qpdf, root, "/ParentTree"), "/Nums");
    int n = qpdf_oh_get_array_n_items(file->qpdf, numbers);
    for (int i = 1; i < n; i += 2) {
        qpdf_oh marks = qpdf_oh_get_array_item(file->qpdf, numbers, i);
        int n_marks = qpdf_oh_is_array(file->qpdf, marks) ? qpdf_oh_get_array_n_items(file->qpdf, marks) : 0;
        for (int j = 0; j < n_marks; j++) {
            qpdf_oh element = qpdf_oh_get_array_item(file->qpdf, marks, j);
            if (is_named(file, qpdf_oh_get_key(file->qpdf, element, "/S"), decoration)) {
                qpdf_oh_erase_item(file->qpdf, marks, j);
                qpdf_oh_insert_item(file->qpdf, marks, j, qpdf_oh_new_null(file->qpdf));
            }
        }
    }
}

static limn_status complete_structure(File *file, qpdf_oh catalog) {
    qpdf_oh root = qpdf_oh_get_key(file->qpdf, catalog, "/StructTreeRoot");
    qpdf_oh children = qpdf_oh_get_key(file->qpdf, root, "/K");
    int n = qpdf_oh_is_array(file->qpdf, children) ? qpdf_oh_get_array_n_items(file->qpdf, children) : 0;
    for (int i = 0; i < n; i++) {
        walk(file, qpdf_oh_get_array_item(file->qpdf, children, i));
    }
    forget_decorations(file, root);
    return !file->other && file->n == file->paper->n_tags
               ? LIMN_OK
               : fail(LIMN_INTERNAL, "the structure of a PDF has %d elements, expected the %d that were drawn", file->n,
                      file->paper->n_tags);
}

/* ---- pages ---- */

/* "/NonStruct << /MCID 7 >> BDC" at the beginning of a line becomes "/Artifact BMC". */
static void mark_artifacts(TextBuffer *out, const char *content, size_t length) {
    static const char begin[] = "/NonStruct << /MCID ", end[] = " >> BDC";
    size_t copied = 0;
    for (size_t at = 0; at + sizeof begin - 1 <= length;) {
        const char *found = memmem(content + at, length - at, begin, sizeof begin - 1);
        if (found == NULL) {
            break;
        }
        size_t from = (size_t)(found - content), to = from + sizeof begin - 1;
        while (to < length && content[to] >= '0' && content[to] <= '9') { /* the content has no NUL behind it */
            to++;
        }
        bool whole = to + sizeof end - 1 <= length && memcmp(content + to, end, sizeof end - 1) == 0;
        bool line = from == 0 || (content[from - 1] == '\n' && (from < 2 || content[from - 2] != '\\'));
        at = to;
        if (whole && line) {
            text_buffer_add_bytes(out, content + copied, from - copied);
            text_buffer_add(out, "/Artifact BMC");
            copied = at = to + sizeof end - 1;
        }
    }
    text_buffer_add_bytes(out, content + copied, length - copied);
}

static qpdf_oh nothing(const File *file) {
    return qpdf_oh_new_null(file->qpdf);
}

static limn_status replace_compressed(const File *file, qpdf_oh stream, const TextBuffer *bytes) {
    uLongf length = compressBound(bytes->length);
    Bytef *packed = malloc(length);
    if (packed == NULL || compress2(packed, &length, (const Bytef *)bytes->data, bytes->length, 6) != Z_OK) {
        free(packed);
        return fail(LIMN_NO_MEMORY, "no memory for a page of a PDF");
    }
    qpdf_oh_replace_stream_data(file->qpdf, stream, packed, length, qpdf_oh_new_name(file->qpdf, "/FlateDecode"),
                                nothing(file));
    free(packed);
    return LIMN_OK;
}

static limn_status complete_page(const File *file, qpdf_oh page) {
    unsigned char *content = NULL;
    size_t length = 0;
    TextBuffer marked = TEXT_BUFFER_INIT;
    put_name(file, page, "/Tabs", "/S");
    if ((qpdf_oh_get_page_content_data(file->qpdf, page, &content, &length) & QPDF_ERRORS) != 0) {
        return fail(LIMN_INTERNAL, "a page that Cairo wrote cannot be read");
    }
    mark_artifacts(&marked, (const char *)content, length);
    free(content);
    limn_status status = text_buffer_status(&marked);
    if (status == LIMN_OK) {
        status = replace_compressed(file, qpdf_oh_get_key(file->qpdf, page, "/Contents"), &marked);
    }
    text_buffer_free(&marked);
    return status;
}

static limn_status complete_pages(const File *file) {
    for (int i = 0, n = qpdf_get_num_pages(file->qpdf); i < n; i++) {
        TRY(complete_page(file, qpdf_get_page_n(file->qpdf, (size_t)i)));
    }
    return LIMN_OK;
}

/* ---- the document itself ---- */

static qpdf_oh new_stream(const File *file, const TextBuffer *bytes) {
    qpdf_oh stream = qpdf_oh_new_stream(file->qpdf);
    qpdf_oh_replace_stream_data(file->qpdf, stream, (const unsigned char *)bytes->data, bytes->length, nothing(file),
                                nothing(file));
    return stream;
}

static limn_status add_metadata(const File *file, qpdf_oh catalog, const char *title) {
    TextBuffer xml = TEXT_BUFFER_INIT;
    text_buffer_add(&xml, "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                          "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF "
                          "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" "
                          "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\">"
                          "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">");
    markup_clean(&xml, title, strlen(title));
    text_buffer_add(&xml, "</rdf:li></rdf:Alt></dc:title><dc:language><rdf:Bag><rdf:li>");
    markup_clean(&xml, file->paper->language, strlen(file->paper->language));
    text_buffer_add(&xml, "</rdf:li></rdf:Bag></dc:language><xmp:CreatorTool>limn " LIMN_VERSION
                          "</xmp:CreatorTool></rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end=\"w\"?>\n");
    limn_status status = text_buffer_status(&xml);
    if (status == LIMN_OK) {
        qpdf_oh stream = new_stream(file, &xml), dictionary = qpdf_oh_get_dict(file->qpdf, stream);
        put_name(file, dictionary, "/Type", "/Metadata");
        put_name(file, dictionary, "/Subtype", "/XML");
        qpdf_oh_replace_key(file->qpdf, catalog, "/Metadata", stream);
    }
    text_buffer_free(&xml);
    return status;
}

/* As it stands, not compressed: result_read_json finds it in the file. */
static limn_status attach(const File *file, qpdf_oh catalog) {
    TextBuffer json = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&json, file->paper->result, true);
    if (status == LIMN_OK) {
        qpdf_data qpdf = file->qpdf;
        qpdf_oh stream = new_stream(file, &json), dictionary = qpdf_oh_get_dict(qpdf, stream);
        put_name(file, dictionary, "/Type", "/EmbeddedFile");
        put_name(file, dictionary, "/Subtype", "/application#2fjson");
        qpdf_oh about = qpdf_make_indirect_object(
            qpdf, qpdf_oh_parse(qpdf, "<< /Type /Filespec /F (limn-result.json) /UF (limn-result.json) "
                                      "/AFRelationship /Source /EF << >> >>"));
        put_text(file, about, "/Desc", "limn.result/1");
        qpdf_oh_replace_key(qpdf, qpdf_oh_get_key(qpdf, about, "/EF"), "/F", stream);
        qpdf_oh_replace_key(qpdf, qpdf_oh_get_key(qpdf, about, "/EF"), "/UF", stream);
        qpdf_oh names = qpdf_oh_parse(qpdf, "<< /EmbeddedFiles << /Names [ (limn-result.json) ] >> >>");
        qpdf_oh list = qpdf_oh_get_key(qpdf, qpdf_oh_get_key(qpdf, names, "/EmbeddedFiles"), "/Names");
        qpdf_oh_append_item(qpdf, list, about);
        qpdf_oh_replace_key(qpdf, catalog, "/Names", names);
        qpdf_oh files = qpdf_oh_new_array(qpdf);
        qpdf_oh_append_item(qpdf, files, about);
        qpdf_oh_replace_key(qpdf, catalog, "/AF", files);
    }
    text_buffer_free(&json);
    return status;
}

/* The date is the record's, or there is none: the same document is the same file tomorrow. */
static void put_date(const File *file) {
    const Text started = file->paper->result->measured.started;
    char date[32] = "";
    int year, month, day, hour, minute, second;
    if (started.bytes != NULL &&
        sscanf(started.bytes, "%4d-%2d-%2dT%2d:%2d:%2dZ", &year, &month, &day, &hour, &minute, &second) == 6) {
        snprintf(date, sizeof date, "D:%04d%02d%02d%02d%02d%02dZ", year % 10000, month % 100, day % 100, hour % 100,
                 minute % 100, second % 100);
    }
    qpdf_set_info_key(file->qpdf, "/CreationDate", date[0] == '\0' ? NULL : date);
    qpdf_set_info_key(file->qpdf, "/ModDate", NULL);
}

/* Read by those who hold the file against its record: other fonts or libraries make other bytes of it. */
static limn_status put_setting(const File *file) {
    TextBuffer text = TEXT_BUFFER_INIT;
    pdf_setting(&text, file->paper);
    limn_status status = text_buffer_status(&text);
    if (status == LIMN_OK) {
        qpdf_set_info_key(file->qpdf, "/SetWith", text.data);
    }
    text_buffer_free(&text);
    return status;
}

static limn_status complete(File *file, const char *title) {
    qpdf_oh catalog = qpdf_get_root(file->qpdf);
    put_text(file, catalog, "/Lang", file->paper->language);
    qpdf_oh_replace_key(file->qpdf, catalog, "/ViewerPreferences",
                        qpdf_oh_parse(file->qpdf, "<< /DisplayDocTitle true >>"));
    if (qpdf_oh_has_key(file->qpdf, catalog, "/Outlines")) {
        put_name(file, catalog, "/PageMode", "/UseOutlines");
    }
    TRY(complete_structure(file, catalog));
    TRY(complete_pages(file));
    TRY(add_metadata(file, catalog, title));
    TRY(attach(file, catalog));
    put_date(file);
    return put_setting(file);
}

/* ---- in and out ---- */

static limn_status failure(qpdf_data qpdf, const char *what) {
    qpdf_error error = qpdf_has_error(qpdf) ? qpdf_get_error(qpdf) : NULL;
    return fail(LIMN_INTERNAL, "the PDF cannot be %s: %s", what,
                error == NULL ? "no reason given" : qpdf_get_error_full_text(qpdf, error));
}

/* Streams as they are: compressed what is, the attachment not. */
static limn_status write_out(TextBuffer *out, qpdf_data qpdf) {
    if ((qpdf_init_write_memory(qpdf) & QPDF_ERRORS) != 0) {
        return failure(qpdf, "written");
    }
    qpdf_set_deterministic_ID(qpdf, QPDF_TRUE);
    qpdf_set_object_stream_mode(qpdf, qpdf_o_disable);
    qpdf_set_compress_streams(qpdf, QPDF_FALSE);
    qpdf_set_decode_level(qpdf, qpdf_dl_none);
    if ((qpdf_write(qpdf) & QPDF_ERRORS) != 0) {
        return failure(qpdf, "written");
    }
    text_buffer_add_bytes(out, qpdf_get_buffer(qpdf), qpdf_get_buffer_length(qpdf));
    return text_buffer_status(out);
}

limn_status pdf_complete(TextBuffer *out, const TextBuffer *drawn, const Paper *paper, const char *title) {
    File file = {.qpdf = qpdf_init(), .paper = paper};
    qpdf_silence_errors(file.qpdf);
    qpdf_set_suppress_warnings(file.qpdf, QPDF_TRUE);
    limn_status status = LIMN_OK;
    if ((qpdf_read_memory(file.qpdf, "cairo", drawn->data, drawn->length, NULL) & QPDF_ERRORS) != 0) {
        status = failure(file.qpdf, "read again");
    }
    status = status == LIMN_OK ? complete(&file, title) : status;
    if (status == LIMN_OK && qpdf_has_error(file.qpdf)) {
        status = failure(file.qpdf, "completed");
    }
    status = status == LIMN_OK ? write_out(out, file.qpdf) : status;
    qpdf_cleanup(&file.qpdf);
    return status;
}

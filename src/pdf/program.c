/* limn-pdf LANGUAGE: a result document on standard input, a PDF file on standard output. The library runs it
 * (render/pdf.c), as GLib under Pango ends the process when memory runs out. Ends with a limn_status. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pdf/pdf.h"

static limn_status read_whole(TextBuffer *text) {
    char bytes[1 << 16];
    for (ssize_t length; (length = read(STDIN_FILENO, bytes, sizeof bytes)) != 0;) {
        if (length < 0 && errno != EINTR) {
            return fail(LIMN_IO, "limn-pdf: its input cannot be read: %s", strerror(errno));
        }
        text_buffer_add_bytes(text, bytes, length > 0 ? (size_t)length : 0);
    }
    return text_buffer_status(text);
}

static limn_status write_whole(int file, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno != EINTR) {
            return fail(LIMN_IO, "limn-pdf: its output cannot be written: %s", strerror(errno));
        }
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return LIMN_OK;
}

static limn_status run(const char *language) {
    TextBuffer json = TEXT_BUFFER_INIT, pdf = TEXT_BUFFER_INIT;
    Result *result = NULL;
    limn_status status = read_whole(&json);
    status = status == LIMN_OK ? result_read_json(&result, json.data == NULL ? "" : json.data, json.length, "limn-pdf")
                               : status;
    text_buffer_free(&json);
    status = status == LIMN_OK ? pdf_document(&pdf, result, language) : status;
    status = status == LIMN_OK ? write_whole(STDOUT_FILENO, pdf.data == NULL ? "" : pdf.data, pdf.length) : status;
    text_buffer_free(&pdf);
    result_free(result);
    return status;
}

int main(int n, char **words) {
    limn_status status = run(n > 1 ? words[1] : "en");
    if (status != LIMN_OK) {
        write_whole(STDERR_FILENO, error_message(), strlen(error_message()));
    }
    return (int)status;
}

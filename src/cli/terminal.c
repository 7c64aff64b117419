#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- what it can do ---- */

int terminal_width(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    const char *columns = getenv("COLUMNS");
    int width = columns != NULL ? atoi(columns) : 0;
    return width >= 20 && width <= 1000 ? width : 80;
}

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static int colours_of_terminal(void) {
    const char *colorterm = getenv("COLORTERM");
    const char *term = getenv("TERM");
    if (colorterm != NULL && (strcmp(colorterm, "truecolor") == 0 || strcmp(colorterm, "24bit") == 0)) {
        return 2;
    }
    return term != NULL && strstr(term, "direct") != NULL ? 2 : 1;
}

limn_render_options terminal_options(const char *when) {
    limn_render_options options = LIMN_RENDER_OPTIONS_INIT;
    const char *term = getenv("TERM");
    bool able = isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0 && !is_set("NO_COLOR");
    if (strcmp(when, "always") == 0 || (strcmp(when, "auto") == 0 && able)) {
        options.colour = colours_of_terminal();
    }
    options.width = terminal_width(STDOUT_FILENO);
    options.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return options;
}

/* ---- writing ---- */

void complain(const char *format, ...) {
    progress_clear();
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "limn: %s\n", line);
}

bool write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            complain("standard output: %s", strerror(errno));
            return false;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

bool write_text(int fd, const char *text) {
    return write_all(fd, text, strlen(text));
}

bool write_said(const char *bytes, size_t length) {
    if (!isatty(STDOUT_FILENO)) {
        return write_all(STDOUT_FILENO, bytes, length);
    }
    size_t plain = 0; /* where what is not yet written begins */
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i], next = i + 1 < length ? (unsigned char)bytes[i + 1] : 0;
        bool second = c == 0xC2 && next >= 0x80 && next < 0xA0; /* U+0080 to U+009F: terminals obey some */
        if (!second && c != 0x7F && (c >= 0x20 || c == '\n' || c == '\t')) {
            continue;
        }
        char shown[8];
        int n = snprintf(shown, sizeof shown, "\\x%02x", second ? next : c);
        if (!write_all(STDOUT_FILENO, bytes + plain, i - plain) || !write_all(STDOUT_FILENO, shown, (size_t)n)) {
            return false;
        }
        i += second;
        plain = i + 1;
    }
    return write_all(STDOUT_FILENO, bytes + plain, length - plain);
}

/* ---- signals ---- */

static volatile sig_atomic_t stop_asked;

static void on_interrupt(int number) {
    stop_asked = 1;
    signal(number, SIG_DFL);
}

static void on_forgiven_interrupt(int number) {
    (void)number;
    stop_asked = 1;
}

void interrupts_forgive(void) {
    struct sigaction action = {0}; /* without SA_RESTART: read returns */
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_forgiven_interrupt;
    sigaction(SIGINT, &action, NULL);
}

bool interrupt_take(void) {
    bool asked = stop_asked != 0;
    stop_asked = 0;
    return asked;
}

static void tell_stderr(const char *text) {
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static atomic_flag bus_error_told = ATOMIC_FLAG_INIT;

static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    const char *path = limn_mapped_file_at(info->si_addr);
    if (path == NULL) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    if (atomic_flag_test_and_set(&bus_error_told)) {
        for (;;) { /* another thread met the same end first and is about to leave the process */
            pause();
        }
    }
    tell_stderr("limn: ");
    tell_stderr(path);
    tell_stderr(": cut short while it was being read; expected it to keep its size\n");
    _exit(limn_status_exit_code(LIMN_IO));
}

void signals_install(void) {
    struct sigaction action = {0};
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = SIG_IGN; /* a file too large is an error of write, not a death */
    sigaction(SIGXFSZ, &action, NULL);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_bus_error;
    sigaction(SIGBUS, &action, NULL);
}

/* ---- progress ---- */

static struct {
    bool allowed;
    bool shown;
    char stage[48];
    double stage_began; /* seconds; 0: none yet */
    double last_shown;
} progress = {.allowed = true};

static const double progress_patience = 1.0; /* seconds of work before a line appears */
static const double progress_interval = 0.1;

double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_allow(bool allowed) {
    progress.allowed = allowed && isatty(STDERR_FILENO);
}

void progress_clear(void) {
    if (progress.shown) {
        fputs("\r\033[K", stderr);
        progress.shown = false;
    }
}

static void time_text(char *out, size_t size, double seconds) {
    if (seconds < 90) {
        snprintf(out, size, "%.0f s left", seconds);
    } else if (seconds < 5400) {
        snprintf(out, size, "%.0f min left", seconds / 60);
    } else {
        snprintf(out, size, "%.1f h left", seconds / 3600);
    }
}

static void show_line(double now, int64_t done, int64_t total) {
    char line[160];
    double spent = now - progress.stage_began;
    if (total > 0 && done > 0) {
        char left[32];
        time_text(left, sizeof left, spent * (double)(total - done) / (double)done);
        snprintf(line, sizeof line, "%s %3.0f%%, %s", progress.stage, 100.0 * (double)done / (double)total, left);
    } else if (done > 0) {
        snprintf(line, sizeof line, "%s %lld, %.0f s", progress.stage, (long long)done, spent);
    } else {
        snprintf(line, sizeof line, "%s, %.0f s", progress.stage, spent);
    }
    fprintf(stderr, "\r\033[K%.*s", terminal_width(STDERR_FILENO) - 1, line);
    fflush(stderr);
    progress.shown = true;
}

bool progress_show(const char *stage, int64_t done, int64_t total) {
    if (progress.allowed) {
        double now = now_seconds();
        if (progress.stage_began <= 0 || strncmp(progress.stage, stage, sizeof progress.stage - 1) != 0) {
            snprintf(progress.stage, sizeof progress.stage, "%s", stage);
            progress.stage_began = now;
        }
        if (now - progress.stage_began > progress_patience && now - progress.last_shown > progress_interval) {
            progress.last_shown = now;
            show_line(now, done, total);
        }
    }
    return stop_asked == 0;
}

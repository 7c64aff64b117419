/* strftime of a given date, in English whatever the locale. */
#include <stdio.h>
#include <string.h>

#include "chat/builtin.h"

static bool is_leap(int32_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int32_t month_days(int32_t year, int32_t month) {
    static const int32_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

limn_status chat_date_parse(ChatDate *date, const char *text) {
    ChatDate made = {0};
    int end = -1, more = -1;
    int found = sscanf(text, "%4d-%2d-%2d%n", &made.year, &made.month, &made.day, &end);
    bool good = found == 3 && end == 10;
    if (good && text[end] != '\0') {
        found = sscanf(text + end, "T%2d:%2d:%2d%n", &made.hour, &made.minute, &made.second, &more);
        good = found == 3 && more == 9 && text[end + more] == '\0';
    }
    good = good && made.year >= 1 && made.month >= 1 && made.month <= 12 && made.day >= 1 &&
           made.day <= month_days(made.year, made.month) && made.hour >= 0 && made.hour < 24 && made.minute >= 0 &&
           made.minute < 60 && made.second >= 0 && made.second < 60 && strpbrk(text, " +") == NULL;
    if (!good) {
        return fail(LIMN_USAGE, "found the date '%.40s', expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS", text);
    }
    *date = made;
    return LIMN_OK;
}

static int32_t day_of_year(const ChatDate *date) {
    int32_t days = date->day;
    for (int32_t month = 1; month < date->month; month++) {
        days += month_days(date->year, month);
    }
    return days;
}

static int32_t weekday(const ChatDate *date) { /* 0: Sunday */
    int32_t year = date->year - 1;
    return (year + year / 4 - year / 100 + year / 400 + day_of_year(date)) % 7;
}

static const char *const month_names[] = {"January", "February", "March",     "April",   "May",      "June",
                                          "July",    "August",   "September", "October", "November", "December"};
static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

/* Writes what one letter stands for; false: not implemented. */
static bool write_field(char *out, size_t size, const ChatDate *date, char letter, bool bare) {
    const char *two = bare ? "%d" : "%02d";
    int32_t twelve = date->hour % 12 == 0 ? 12 : date->hour % 12;
    switch (letter) {
    case 'Y':
        snprintf(out, size, "%d", date->year);
        return !bare;
    case 'y':
        snprintf(out, size, two, date->year % 100);
        return true;
    case 'm':
        snprintf(out, size, two, date->month);
        return true;
    case 'd':
        snprintf(out, size, two, date->day);
        return true;
    case 'e':
        snprintf(out, size, bare ? "%d" : "%2d", date->day);
        return true;
    case 'H':
        snprintf(out, size, two, date->hour);
        return true;
    case 'I':
        snprintf(out, size, two, twelve);
        return true;
    case 'M':
        snprintf(out, size, two, date->minute);
        return true;
    case 'S':
        snprintf(out, size, two, date->second);
        return true;
    case 'j':
        snprintf(out, size, bare ? "%d" : "%03d", day_of_year(date));
        return true;
    case 'B':
        snprintf(out, size, "%s", month_names[date->month - 1]);
        return !bare;
    case 'b':
    case 'h':
        snprintf(out, size, "%.3s", month_names[date->month - 1]);
        return !bare;
    case 'A':
        snprintf(out, size, "%s", day_names[weekday(date)]);
        return !bare;
    case 'a':
        snprintf(out, size, "%.3s", day_names[weekday(date)]);
        return !bare;
    case 'p':
        snprintf(out, size, "%s", date->hour < 12 ? "AM" : "PM");
        return !bare;
    case 'F':
        snprintf(out, size, "%d-%02d-%02d", date->year, date->month, date->day);
        return !bare;
    case 'T':
        snprintf(out, size, "%02d:%02d:%02d", date->hour, date->minute, date->second);
        return !bare;
    case '%':
        snprintf(out, size, "%%");
        return !bare;
    default:
        return false;
    }
}

limn_status date_format(TemplateValue *result, Machine *machine, const ChatDate *date, const Str *format) {
    Builder builder = {.machine = machine};
    for (size_t at = 0; at < format->length; at++) {
        if (format->bytes[at] != '%') {
            builder_add(&builder, format->bytes + at, 1, 0);
            continue;
        }
        bool bare = format->bytes[at + 1] == '-';
        at += bare ? 2 : 1;
        char text[48];
        if (at >= format->length || !write_field(text, sizeof text, date, format->bytes[at], bare)) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "this field of strftime_now's '%.60s' is not implemented",
                                format->bytes);
        }
        builder_add_text(&builder, text);
    }
    return builder_finish(result, &builder);
}

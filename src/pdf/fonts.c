#include "pdf/fonts.h"

#include <fontconfig/fontconfig.h>
#include <pango/pangocairo.h>
#include <pango/pangofc-fontmap.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Where fonts lie, and nothing else. */
static const char configuration[] =
    "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig>"
    "<dir>/usr/share/fonts</dir><dir>/usr/local/share/fonts</dir><dir prefix=\"xdg\">fonts</dir>"
    "<cachedir>/var/cache/fontconfig</cachedir><cachedir prefix=\"xdg\">fontconfig</cachedir></fontconfig>";

enum { CODEPOINTS = 0x110000 };

/* One face of the same design for each language: the same character is drawn differently in them. */
static const char *family_of(const char *language, bool mono) {
    bool japanese = language != NULL && strcmp(language, "ja") == 0;
    bool korean = language != NULL && strcmp(language, "ko") == 0;
    if (mono) {
        return japanese ? "DejaVu Sans Mono,Noto Sans Mono CJK JP,DejaVu Sans"
               : korean ? "DejaVu Sans Mono,Noto Sans Mono CJK KR,DejaVu Sans"
                        : "DejaVu Sans Mono,Noto Sans Mono CJK SC,DejaVu Sans";
    }
    return japanese ? "Noto Sans CJK JP,DejaVu Sans"
           : korean ? "Noto Sans CJK KR,DejaVu Sans"
                    : FONT_SANS ",DejaVu Sans";
}

static PangoFontDescription *describe(double size, bool mono, bool bold, const char *language) {
    PangoFontDescription *description = pango_font_description_new();
    pango_font_description_set_family(description, family_of(language, mono));
    pango_font_description_set_absolute_size(description, size * PANGO_SCALE);
    pango_font_description_set_weight(description, bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
    return description;
}

static limn_status open_map(Fonts *fonts) {
    FcConfig *config = FcConfigCreate();
    if (config == NULL || !FcConfigParseAndLoadFromMemory(config, (const FcChar8 *)configuration, FcTrue) ||
        !FcConfigBuildFonts(config)) {
        return fail(LIMN_UNSUPPORTED, "a PDF needs fonts, and fontconfig cannot list those that are installed");
    }
    fonts->map = pango_cairo_font_map_new_for_font_type(CAIRO_FONT_TYPE_FT);
    if (fonts->map == NULL) {
        return fail(LIMN_UNSUPPORTED, "a PDF needs a Cairo that was built with FreeType");
    }
    pango_fc_font_map_set_config(PANGO_FC_FONT_MAP(fonts->map), config);
    FcConfigDestroy(config); /* the map keeps it */
    pango_cairo_font_map_set_resolution(PANGO_CAIRO_FONT_MAP(fonts->map), 72);
    fonts->context = pango_font_map_create_context(fonts->map);
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    pango_cairo_context_set_font_options(fonts->context, options);
    cairo_font_options_destroy(options);
    pango_context_set_round_glyph_positions(fonts->context, FALSE);
    pango_context_set_language(fonts->context, fonts->language);
    return LIMN_OK;
}

/* fontconfig gives the nearest it has; a document in another font would have other bytes on another machine. */
static limn_status check_there(const Fonts *fonts) {
    PangoFontDescription *asked = describe(10, false, false, NULL);
    PangoFont *font = pango_context_load_font(fonts->context, asked);
    PangoFontDescription *found = font == NULL ? NULL : pango_font_describe(font);
    const char *family = found == NULL ? "none" : pango_font_description_get_family(found);
    limn_status status = strcmp(family, FONT_SANS) == 0
                             ? LIMN_OK
                             : fail(LIMN_UNSUPPORTED,
                                    "a PDF is set in the font " FONT_SANS ", which is not installed (Debian: "
                                    "fonts-noto-cjk); the nearest found is %s",
                                    family);
    pango_font_description_free(asked);
    if (found != NULL) {
        pango_font_description_free(found);
        g_object_unref(font);
    }
    return status;
}

limn_status fonts_open(Fonts *fonts, const char *language) {
    *fonts = (Fonts){.language = pango_language_from_string(language),
                     .asked = calloc(CODEPOINTS / 8, 1),
                     .there = calloc(CODEPOINTS / 8, 1)};
    if (fonts->asked == NULL || fonts->there == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the fonts of a PDF");
    }
    TRY(open_map(fonts));
    TRY(check_there(fonts));
    PangoFontDescription *body = describe(10, false, false, NULL);
    fonts->body = pango_font_map_load_fontset(fonts->map, fonts->context, body, fonts->language);
    pango_font_description_free(body);
    return LIMN_OK;
}

void fonts_close(Fonts *fonts) {
    g_clear_object(&fonts->body);
    g_clear_object(&fonts->context);
    g_clear_object(&fonts->map);
    free(fonts->asked);
    free(fonts->there);
}

/* Joiners and variation selectors have no letters of their own. */
static bool is_silent(uint32_t c) {
    return c < 0x20 || c == 0x200C || c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xE0100 && c <= 0xE01EF);
}

static bool has_letter(Fonts *fonts, uint32_t c) {
    if (is_silent(c) || c >= CODEPOINTS) {
        return true;
    }
    unsigned char bit = (unsigned char)(1U << (c & 7));
    if ((fonts->asked[c >> 3] & bit) == 0) {
        PangoFont *font = pango_fontset_get_font(fonts->body, c);
        fonts->asked[c >> 3] |= bit;
        if (font != NULL && pango_font_has_char(font, c)) {
            fonts->there[c >> 3] |= bit;
        }
        g_clear_object(&font);
    }
    return (fonts->there[c >> 3] & bit) != 0;
}

void fonts_show(Fonts *fonts, TextBuffer *out, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        uint32_t c;
        bool valid;
        size_t taken = utf8_read(text + i, length - i, &c, &valid);
        if (has_letter(fonts, c)) {
            text_buffer_add_bytes(out, text + i, taken);
        } else {
            text_buffer_printf(out, "\\u{%x}", (unsigned)c);
        }
        i += taken;
    }
}

PangoLayout *fonts_layout(const Fonts *fonts, double size, bool mono, bool bold, const char *language) {
    PangoLayout *layout = pango_layout_new(fonts->context);
    PangoFontDescription *description = describe(size, mono, bold, language);
    pango_layout_set_font_description(layout, description);
    pango_font_description_free(description);
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
    pango_layout_set_auto_dir(layout, TRUE);
    return layout;
}

/* ---- which they are ---- */

static void add_font(TextBuffer *text, FcConfig *config, const char *family) {
    FcPattern *asked = FcPatternBuild(NULL, FC_FAMILY, FcTypeString, family, NULL);
    FcObjectSet *wanted = FcObjectSetBuild(FC_FONTVERSION, NULL);
    FcFontSet *found = asked == NULL || wanted == NULL ? NULL : FcFontList(config, asked, wanted);
    int version;
    if (found != NULL && found->nfont > 0 && FcPatternGetInteger(found->fonts[0], FC_FONTVERSION, 0, &version) == 0) {
        text_buffer_printf(text, ", %s %.3f", family, version / 65536.0); /* 16.16 fixed point */
    }
    if (found != NULL) {
        FcFontSetDestroy(found);
    }
    if (wanted != NULL) {
        FcObjectSetDestroy(wanted);
    }
    if (asked != NULL) {
        FcPatternDestroy(asked);
    }
}

void fonts_name(const Fonts *fonts, TextBuffer *text) {
    FcConfig *config = pango_fc_font_map_get_config(PANGO_FC_FONT_MAP(fonts->map));
    add_font(text, config, FONT_SANS);
    add_font(text, config, "DejaVu Sans");
    add_font(text, config, "DejaVu Sans Mono");
}

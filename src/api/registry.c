#include "api/registry.h"

#include "api/commands.h"
#include "render/render.h"

enum { PAGE_WIDTH = 100 };

static limn_status render(TextBuffer *out, const Result *result, const char *format) {
    RenderOptions options = {.width = PAGE_WIDTH};
    TRY(render_result(out, result, format, &options));
    return text_buffer_status(out);
}

static const MethodEntry entries[] = {
#define METHOD(group, variable) {&variable, GROUP_##group},
#include "api/commands.def"
#undef METHOD
};
static const MethodTable all_commands = {entries, sizeof entries / sizeof entries[0]};

const Registry registry_of_build = {.methods = &all_commands, .render = render};

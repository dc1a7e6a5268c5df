/* Prints docs/configuration.md from backend/base/conf.def and the tables of kinds. */
#include <stddef.h>
#include <stdio.h>

static void section(const char *kind, int named, const char *help)
{
    printf("\n## [%s%s]\n%s.\n\n| key | values | default | what it is |\n|---|---|---|---|\n", kind,
           named ? " \"name\"" : "", help);
}

static void key(const char *name, const char *values, const char *otherwise, const char *help)
{
    printf("| `%s` | %s | %s%s%s | %s |\n", name, values, otherwise && *otherwise ? "`" : "",
           otherwise ? otherwise : "required", otherwise && *otherwise ? "`" : "", help);
}

static void choice(const char *name, const char *values, const char *otherwise, const char *help)
{
    char shown[256];
    size_t n = 0;
    for (const char *p = values; *p && n + 4 < sizeof shown; p++) {
        if (*p == '|') {
            shown[n++] = ',';
            shown[n++] = ' ';
        } else {
            shown[n++] = *p;
        }
    }
    shown[n] = 0;
    key(name, shown, otherwise, help);
}

int main(void)
{
#define STR "text"
#define INT "whole number"
#define NUM "number"
#define FLAG "yes, no"
    puts("<!-- Made from backend/base/conf.def by `make docs`. -->\n# Configuration\n\n"
         "`mcp-console.conf` is read from `--config FILE`, else "
         "`$XDG_CONFIG_HOME/mcp-console/mcp-console.conf`,\n"
         "else the system's. Lines are `key = value`; comments begin with `#`, or with ` ;` behind "
         "a "
         "value. An unknown\nkey or a bad value is an error that names file, line, key and the "
         "nearest "
         "valid one.\n\nEach setting of a section without a name can be set by a variable, which "
         "wins "
         "over the file:\n`MCP_CONSOLE_<SECTION>_<KEY>`, for example "
         "`MCP_CONSOLE_CONSOLE_THEME=light`. "
         "`MODEL_BACKENDS`\n(for example `ollama,openai`, kinds or names of models) chooses the "
         "models "
         "that answer.");
#define SECTION(kind, named, help) section(kind, named, help);
#define KEY(kind, name, type, otherwise, help) key(name, type, otherwise, help);
#define CHOICE(kind, name, values, otherwise, help) choice(name, values, otherwise, help);
#include "backend/base/conf.def"
    puts("\n## Kinds of models\n");
#define MODEL_API(kind, ops, help, ...) puts("- `" kind "`: " help);
#include "backend/gateway/models.def"
    puts("\n## Kinds of connectors\n");
#define CONNECTOR(kind, ops, help) puts("- `" kind "`: " help);
#include "backend/connectors/connectors.def"
    return 0;
}

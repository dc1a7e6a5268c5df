/* The bill of materials: CycloneDX 1.6 of this program and of every library that is really loaded,
 * with the hash of each file as it is on the disk now. Names, versions and licences of the
 * libraries that the program is linked with come from the build (libraries.sh); of those which they
 * bring along only the file is known. */
#include "backend/base/clock.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include "backend/internal.h"
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 256, FILE_MOST = 64 * 1024 * 1024 };

struct loaded {
    char *path[MOST]; /* as the loader names it */
    size_t count;
};

static int take_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct loaded *l = arg;
    (void)size;
    /* The program has no name, what the kernel brings no path. */
    if (info->dlpi_name && *info->dlpi_name == '/' && l->count < MOST)
        l->path[l->count++] = xstrdup(info->dlpi_name);
    return 0;
}

static bool hash_file(const char *path, char hex[2 * VAULT_HASH + 1])
{
    struct buf bytes = {0};
    char chunk[64 * 1024];
    uint8_t hash[VAULT_HASH];
    size_t n;
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    while (bytes.len < FILE_MOST && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_add(&bytes, chunk, n);
    bool whole = !ferror(in) && feof(in);
    fclose(in);
    if (whole) {
        vault_sha256(bytes.data, bytes.len, NULL, 0, hash);
        text_hex(hash, VAULT_HASH, hex);
    }
    buf_release(&bytes);
    return whole;
}

static void add_hash(json_t *component, const char *path)
{
    char hex[2 * VAULT_HASH + 1];
    if (!hash_file(path, hex))
        return;
    json_t *hashes = json_array(), *hash = json_object();
    json_puts(hash, "alg", "SHA-256");
    json_puts(hash, "content", hex);
    json_array_append_new(hashes, hash);
    json_put(component, "hashes", hashes);
}

struct library { /* a line of libraries.sh */
    char prefix[64], name[64], version[64], licence[64];
};

/* The line whose prefix the file's name has. */
static bool find_library(const char *file, struct library *out)
{
    const char *line = embed_libraries[0].data;
    for (; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        if (sscanf(line, "%63s %63s %63s %63s", out->prefix, out->name, out->version,
                   out->licence) == 4 &&
            strncmp(file, out->prefix, strlen(out->prefix)) == 0)
            return true;
    }
    return false;
}

static void add_licence(json_t *component, const char *id)
{
    json_t *licences = json_array(), *one = json_object(), *licence = json_object();
    json_puts(licence, "id", id);
    json_put(one, "license", licence);
    json_array_append_new(licences, one);
    json_put(component, "licenses", licences);
}

static void add_property(json_t *list, const char *name, const char *value)
{
    json_t *property = json_object();
    json_puts(property, "name", name);
    json_puts(property, "value", value);
    json_array_append_new(list, property);
}

/* A library by the path that the loader found it at; its reference goes to *depends if the program
 * itself asks for it. */
static json_t *library(const char *path, json_t *depends)
{
    char real[PATH_MAX];
    struct library known;
    json_t *component = json_object(), *properties = json_array();
    const char *slash = strrchr(path, '/'), *file = slash + 1;
    const char *target = realpath(path, real) ? strrchr(real, '/') + 1 : file;
    bool direct = find_library(file, &known);
    json_puts(component, "type", "library");
    json_puts(component, "bom-ref", file);
    json_puts(component, "name", direct ? known.name : file);
    if (direct && strcmp(known.version, "-") != 0) {
        char *purl = xasprintf("pkg:generic/%s@%s", known.name, known.version);
        json_puts(component, "version", known.version);
        json_puts(component, "purl", purl);
        free(purl);
    }
    if (direct) {
        add_licence(component, known.licence);
        json_array_append_new(depends, json_string(file));
    }
    add_hash(component, path);
    add_property(properties, "mcp-console:file", target);
    add_property(properties, "mcp-console:linked", direct ? "by the program" : "by a library");
    json_put(component, "properties", properties);
    return component;
}

static json_t *program(void)
{
    json_t *component = json_object();
    json_puts(component, "type", "application");
    json_puts(component, "bom-ref", "mcp-console");
    json_puts(component, "name", "mcp-console");
    json_puts(component, "version", MCPC_VERSION);
    add_hash(component, "/proc/self/exe");
    return component;
}

json_t *backend__sbom(void)
{
    struct loaded l = {.count = 0};
    json_t *bom = json_object(), *components = json_array(), *depends = json_array();
    json_t *metadata = json_object(), *dependencies = json_array(), *top = json_object();
    char at[CLOCK_TEXT], id[33];
    dl_iterate_phdr(take_object, &l);
    for (size_t i = 0; i < l.count; i++) {
        json_array_append_new(components, library(l.path[i], depends));
        free(l.path[i]);
    }
    vault_id(id);
    char *serial =
        xasprintf("urn:uuid:%.8s-%.4s-4%.3s-8%.3s-%.12s", id, id + 8, id + 13, id + 17, id + 20);
    clock_format(clock_real_ms(), at);
    json_puts(bom, "bomFormat", "CycloneDX");
    json_puts(bom, "specVersion", "1.6");
    json_puts(bom, "serialNumber", serial);
    json_puti(bom, "version", 1);
    json_puts(metadata, "timestamp", at);
    json_put(metadata, "component", program());
    json_put(bom, "metadata", metadata);
    json_put(bom, "components", components);
    json_puts(top, "ref", "mcp-console");
    json_put(top, "dependsOn", depends);
    json_array_append_new(dependencies, top);
    json_put(bom, "dependencies", dependencies);
    free(serial);
    return bom;
}

/* The table of methods as data. */
#include "backend/bus/bus.h"
#include <string.h>

static const struct wire_row rows[WIRE_COUNT] = {
#define WIRE(id, name, role, mutates, params, result, help) \
    [WIRE_##id] = {#id, name, params, result, help, BUS_##role, mutates},
#include "backend/bus/wire.def"
#undef WIRE
};

static const char *const role_names[] = {[BUS_NONE] = "none",
                                         [BUS_DEMO] = "demo",
                                         [BUS_REVIEWER] = "reviewer",
                                         [BUS_OPERATOR] = "operator"};

const struct wire_row *wire_row(enum wire_method m)
{
    BUG_IF(m >= WIRE_COUNT);
    return &rows[m];
}

enum wire_method wire_find(const char *name)
{
    enum wire_method m = 0;
    while (m < WIRE_COUNT && strcmp(rows[m].name, name))
        m++;
    return m;
}

const char *bus_role_name(enum bus_role r)
{
    BUG_IF(r > BUS_OPERATOR);
    return role_names[r];
}

enum bus_role bus_role_find(const char *name)
{
    for (enum bus_role r = BUS_OPERATOR; r > BUS_NONE; r--)
        if (name && !strcmp(role_names[r], name))
            return r;
    return BUS_NONE;
}

static const char *const level_names[] = {
    [BUS_READ] = "read", [BUS_RECOMMEND] = "recommend", [BUS_EXECUTE] = "execute"};

const char *bus_level_name(enum bus_level l)
{
    BUG_IF(l > BUS_EXECUTE);
    return level_names[l];
}

bool bus_level_find(const char *name, enum bus_level *out)
{
    for (unsigned l = BUS_READ; name && l <= BUS_EXECUTE; l++)
        if (!strcmp(level_names[l], name)) {
            *out = (enum bus_level)l;
            return true;
        }
    return false;
}

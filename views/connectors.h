/* The connectors pane, private to its files: the list (connectors.c), one connector whole
 * (connector_page.c), its tools and calling them (connector_tools.c). */
#ifndef VIEWS_CONNECTORS_H
#define VIEWS_CONNECTORS_H

#include "views/common.h"

/* The parts of a connector's page, in the order of their titles. */
enum connector_part {
    PART_OVERVIEW,
    PART_TOOLS,
    PART_RESOURCES,
    PART_PROMPTS,
    PART_CALLS,
    PART_LOGS,
    PART_COUNT
};

struct chat_chart;

struct connectors {
    struct tui_list *list;
    json_t *rows;   /* [row] or NULL before the first answer */
    json_t *detail; /* what connectors.get answered */
    char *open;     /* name of the connector that is shown whole, or NULL */
    char *error;
    struct view_ask ask, ask_detail;
    struct view_scroll scroll;
    bool focused;     /* at the last draw */
    int early;        /* times asked while something has no latency yet */
    int list_rows;    /* where the list was drawn, for clicks */
    char *asked_tool; /* and of its tool, or NULL */
    char *asked;      /* name that the question in the footer is about */

    enum connector_part part;
    struct tui_text *text;           /* of the part, or of the open tool */
    struct tui_list *tools;          /* PART_TOOLS */
    char *tool;                      /* name of the open tool, or NULL */
    char *called;                    /* name of the tool whose form or call is under way, or NULL */
    struct tui_list *list_of_things; /* PART_RESOURCES, PART_PROMPTS */
    json_t *things;                  /* its rows, NULL before they came */
    char *things_error;              /* why the server did not list them, or NULL */
    struct chat_chart *chart;        /* of the last answer, or NULL */
    bool answered;                   /* text is the open tool's answer */
    json_t *arguments;               /* of a tool that is being planned, or NULL */
    bool calling;                    /* its answer is waited for */
};

/* connectors.c */
void connectors_ask_detail(struct connectors *c);
void connectors_ask_rows(struct connectors *c);
/* A line of label and value of the page. */
void connectors_pair(struct view_page *p, const char *label, const char *value);
void connectors_latency(struct view_page *p, const json_t *row);

/* connector_page.c: one connector whole; `open` is not NULL. */
void connector_page_open(struct connectors *c, const char *name); /* NULL: back to the list */
void connector_page_got(struct connectors *c);                    /* detail is new */
void connector_page_draw(struct connectors *c, struct tui_area a, bool focused);
bool connector_page_action(struct connectors *c, enum tui_action action);
struct tui_list *
connector_page_list(struct connectors *c); /* the list that has the focus, or NULL */

/* connector_tools.c */
struct tui_list *connector_tools_list(struct connectors *c); /* makes it */
const json_t *connector_tool(const struct connectors *c, const char *name);
void connector_tool_text(struct connectors *c); /* the open tool, into text */
/* A line that what was just fetched tries to steer a model; how: of a row, "" adds nothing. */
void connector_steers_add(struct tui_text *t, const char *how);
/* Opens the form of a tool's arguments; what is sent is called and its answer shown. */
void connector_tool_form(struct connectors *c, const char *name);

/* connector_things.c: resources and prompts of an MCP server. */
struct tui_list *connector_things_list(struct connectors *c); /* makes it */
void connector_things_ask(struct connectors *c);
void connector_thing_open(struct connectors *c); /* the selected one */
/* connector_trust.c */
/* Shows how definitions differ from what was trusted (of one tool, or NULL: all), and asks. */
void connector_trust(struct connectors *c, const char *name, const char *tool);
void connector_switch(struct connectors *c, const char *name, bool disabled);
/* connector_sign_in.c */
void connector_sign_in(struct connectors *c, const char *name);

/* connector_answer.c */
void connector_answer_show(struct connectors *c, const json_t *answer);
void connector_answer_draw(struct connectors *c, struct view_page *p); /* the charts */
void connector_answer_drop(struct connectors *c);

#endif

/* The rules against Russian texts of our own (tests/unit/data/moderation_ru.tsv): what of the harm
 * is found, and what of an operator's harmless speech is taken for it, for each half apart. Rules
 * may be mended by half a; half b only measures them. With an argument each miss is printed. */
#include "backend/compliance/compliance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct half {
    size_t harm, found, blocked, category; /* category: found as the one it is */
    size_t none, severe, moderate;
};
static struct half halves[2];
static bool verbose;

static bool has(const struct pol_moderation *m, const char *category)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(pol_hazard(m->at[i].id)->id, category) == 0)
            return true;
    return false;
}

static void judge(const struct pol_filter *f, char *line)
{
    char *rest = line, *which = strsep(&rest, "\t"), *label = strsep(&rest, "\t"),
         *category = strsep(&rest, "\t");
    if (!rest || strlen(which) != 1)
        fail_msg("a line without four fields: %s", line);
    struct half *h = &halves[*which - 'a'];
    struct pol_moderation m;
    pol_moderate(f, rest, POL_QUESTION, &m);
    bool harm = strcmp(label, "harm") == 0;
    if (harm) {
        h->harm++;
        h->found += m.worst != POL_NONE;
        h->blocked += m.worst == POL_SEVERE;
        h->category += has(&m, category);
    } else {
        h->none++;
        h->severe += m.worst == POL_SEVERE;
        h->moderate += m.worst == POL_MODERATE;
    }
    if (verbose && harm != (m.worst != POL_NONE))
        printf("%s %s %s: %s %s [%s]\n", which, label, category, rest, pol_severity_name(m.worst),
               m.count ? m.at[0].what : "");
}

static void russian_texts(void **state)
{
    (void)state;
    char *line = NULL;
    size_t cap = 0;
    struct pol_filter *f = pol_filter_new();
    FILE *in = fopen("tests/unit/data/moderation_ru.tsv", "r");
    assert_non_null(in);
    for (ssize_t n; (n = getline(&line, &cap, in)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && *line != '#')
            judge(f, line);
    }
    free(line);
    fclose(in);
    pol_filter_free(f);
    for (size_t i = 0; i < 2; i++) {
        const struct half *h = &halves[i];
        printf("half %c: of %zu harmful %zu found (%zu severe, %zu as their category), of %zu "
               "harmless %zu severe and %zu moderate\n",
               (char)('a' + i), h->harm, h->found, h->blocked, h->category, h->none, h->severe,
               h->moderate);
        assert_true(h->harm >= 20 && h->none >= 30);
        assert_int_equal(h->severe, 0);
        assert_true(h->moderate <= 1);
    }
    /* what docs/safety.md says of them, but for one */
    assert_true(halves[0].found >= 23 && halves[1].found >= 11);
}

int main(int argc, char **argv)
{
    verbose = argc > 1;
    (void)argv;
    const struct CMUnitTest tests[] = {cmocka_unit_test(russian_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

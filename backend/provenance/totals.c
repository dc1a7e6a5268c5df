/* What an erasure adds up to: for its entries, its act and its statistics. */
#include "backend/base/clock.h"
#include "backend/provenance/retain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void retain__totals_init(struct retain__totals *t)
{
    *t = (struct retain__totals){.classes = json_object(),
                                 .types = json_object(),
                                 .tags = json_object(),
                                 .entries = json_array(),
                                 .ranges = json_array(),
                                 .list = json_array(),
                                 .first_ts = -1};
}

void retain__totals_release(struct retain__totals *t)
{
    json_decref(t->classes);
    json_decref(t->types);
    json_decref(t->tags);
    json_decref(t->entries);
    json_decref(t->ranges);
    json_decref(t->list);
    free(t->sums);
    *t = (struct retain__totals){0};
}

static void bump(json_t *counts, const char *name, int64_t n)
{
    json_puti(counts, name, json_int(counts, name, 0) + n);
}

static void bump_all(json_t *counts, const json_t *more)
{
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)more, name, n) bump(counts, name, json_integer_value(n));
}

static void bump_tags(json_t *counts, const char *tags)
{
    json_t *list = json_read(tags, strlen(tags), 4096, 4, NULL), *tag;
    size_t i;
    json_array_foreach(list, i, tag) bump(counts, json_string_value(tag), 1);
    json_decref(list);
}

static void stretch(struct retain__totals *t, int64_t first, int64_t last)
{
    if (t->first_ts < 0 || first < t->first_ts)
        t->first_ts = first;
    if (last > t->last_ts)
        t->last_ts = last;
}

static json_t *ranges_of(const struct retain__item *items, size_t count)
{
    int64_t *seqs = xcalloc(count + 1, sizeof *seqs);
    for (size_t i = 0; i < count; i++)
        seqs[i] = items[i].seq;
    json_t *ranges = prov__ranges_write(seqs, count);
    free(seqs);
    return ranges;
}

static void list_item(json_t *list, const struct retain__item *item)
{
    char at[CLOCK_TEXT];
    json_t *row = json_object();
    clock_format(item->ts, at);
    json_puti(row, "seq", item->seq);
    json_puts(row, "at", at);
    json_puts(row, "type", item->type);
    json_put(row, "trace_id", *item->trace_id ? json_string(item->trace_id) : json_null());
    json_array_append_new(list, row);
}

static void add_sums(struct retain__totals *t, const struct retain__sum *sums, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < t->sum_count &&
               (t->sums[at].class != sums[i].class || strcmp(t->sums[at].day, sums[i].day) != 0 ||
                strcmp(t->sums[at].currency, sums[i].currency) != 0))
            at++;
        if (at == t->sum_count) {
            t->sums = xrealloc(t->sums, (t->sum_count + 1) * sizeof *t->sums);
            t->sums[t->sum_count++] = sums[i];
            continue;
        }
        struct retain__sum *to = &t->sums[at];
        to->entries += sums[i].entries;
        to->bytes += sums[i].bytes;
        to->input += sums[i].input;
        to->output += sums[i].output;
        if (__builtin_add_overflow(to->nano, sums[i].nano, &to->nano))
            to->nano = INT64_MAX;
    }
}

void retain__totals_add(struct retain__totals *t, const struct retain__item *items, size_t count,
                        const struct retain__sum *sums, size_t sum_count)
{
    json_t *ranges = ranges_of(items, count);
    for (size_t i = 0; i < count; i++) {
        bump(t->classes, prov_class_name(items[i].class), 1);
        bump(t->types, items[i].type, 1);
        bump_tags(t->tags, items[i].tags);
        stretch(t, items[i].ts, items[i].ts);
        t->bytes += (int64_t)items[i].bytes;
        if (json_array_size(t->list) < RETAIN__LISTED)
            list_item(t->list, &items[i]);
    }
    t->erased += (int64_t)count;
    json_array_extend(t->ranges, ranges);
    json_decref(ranges);
    add_sums(t, sums, sum_count);
}

void retain__totals_add_entry(struct retain__totals *t, int64_t seq, const json_t *payload)
{
    int64_t first, last;
    bump_all(t->classes, json_object_get(payload, "classes"));
    bump_all(t->types, json_object_get(payload, "types"));
    bump_all(t->tags, json_object_get(payload, "tags"));
    t->bytes += json_int(payload, "bytes", 0);
    t->erased += json_int(payload, "erased", 0);
    if (clock_parse(json_str(payload, "first_at", ""), &first) == 0 &&
        clock_parse(json_str(payload, "last_at", ""), &last) == 0)
        stretch(t, first, last);
    json_array_extend(t->ranges, json_object_get(payload, "ranges"));
    json_array_append_new(t->entries, json_integer(seq));
}

static void put_time(json_t *to, const char *key, int64_t ts)
{
    char at[CLOCK_TEXT];
    if (ts >= 0)
        clock_format(ts, at);
    json_puts(to, key, ts >= 0 ? at : "");
}

void retain__describe(json_t *payload, const struct retain__item *items, size_t count)
{
    struct retain__totals t;
    json_t *keys = json_array();
    retain__totals_init(&t);
    retain__totals_add(&t, items, count, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(items[i].key_id, items[i - 1].key_id) != 0)
            json_array_append_new(keys, json_string(items[i].key_id));
    json_puti(payload, "erased", t.erased);
    json_puti(payload, "bytes", t.bytes);
    json_put(payload, "classes", json_incref(t.classes));
    json_put(payload, "types", json_incref(t.types));
    json_put(payload, "tags", json_incref(t.tags));
    json_put(payload, "ranges", json_incref(t.ranges));
    json_put(payload, "keys", keys);
    put_time(payload, "first_at", t.first_ts);
    put_time(payload, "last_at", t.last_ts);
    retain__totals_release(&t);
}

/* Nine decimals without a float: 1.500000000. */
static char *amount_of(int64_t nano)
{
    return xasprintf("%lld.%09lld", (long long)(nano / 1000000000),
                     (long long)(nano % 1000000000 < 0 ? -(nano % 1000000000) : nano % 1000000000));
}

static json_t *summary_of(const struct retain__totals *t)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < t->sum_count; i++) {
        const struct retain__sum *sum = &t->sums[i];
        json_t *row = json_object();
        json_puts(row, "day", sum->day);
        json_puts(row, "class", prov_class_name(sum->class));
        json_puti(row, "entries", sum->entries);
        json_puti(row, "bytes", sum->bytes);
        json_puti(row, "input_tokens", sum->input);
        json_puti(row, "output_tokens", sum->output);
        if (*sum->currency) {
            char *amount = amount_of(sum->nano);
            json_puts(row, "amount", amount);
            json_puts(row, "currency", sum->currency);
            free(amount);
        }
        json_array_append_new(rows, row);
    }
    return rows;
}

void retain__totals_report(const struct retain__totals *t, json_t *report)
{
    json_t *keys = json_object();
    json_puti(report, "erased", t->erased);
    json_puti(report, "bytes", t->bytes);
    json_puti(report, "traces", t->traces);
    json_put(report, "classes", json_incref(t->classes));
    json_put(report, "types", json_incref(t->types));
    json_put(report, "tags", json_incref(t->tags));
    json_put(report, "entries", json_incref(t->entries));
    json_put(report, "ranges", json_incref(t->ranges));
    json_put(report, "list", json_incref(t->list));
    put_time(report, "first_at", t->first_ts);
    put_time(report, "last_at", t->first_ts < 0 ? -1 : t->last_ts);
    json_puti(keys, "punctured", t->punctured);
    json_puti(keys, "whole", t->whole);
    json_puti(keys, "destroyed", t->destroyed);
    json_put(report, "keys", keys);
    json_put(report, "summary", summary_of(t));
}

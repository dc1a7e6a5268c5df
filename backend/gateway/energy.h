/* Private to the gateway room: the energy that models on this machine take, by the counters of its
 * processors (Linux' powercap, the zones of RAPL).
 *
 * What is measured is what the processors took while a try ran, whatever else ran beside it; a try
 * that was not alone with a model of this machine teaches nothing. joules per token = (what tries
 * took) / (tokens of them), each with forgetting, so that short tries do not count as much as long
 * ones. A machine without such counters, or that lets only others read them, measures nothing. */
#ifndef GATEWAY_ENERGY_H
#define GATEWAY_ENERGY_H

#include "backend/base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GW__ZONES = 16 };

struct gw__meter {
    char *root;
    struct {
        int fd;
        int64_t range; /* microjoules after which its counter begins anew; 0: not known */
    } zone[GW__ZONES];
    size_t count;
    size_t running; /* tries of models on this machine */
    uint64_t begun; /* of them so far */
};
/* The counters under root ("": none): packages, and memory where that is apart. A root that is not
 * there has none. The same root again changes nothing. */
void gw__meter_open(struct gw__meter *m, const char *root);
void gw__meter_close(struct gw__meter *m);
/* All counters, in microjoules; false: there are none, or one cannot be read. */
bool gw__meter_read(const struct gw__meter *m, int64_t out[GW__ZONES]);
/* Microjoules between two readings; -1: a counter fell and nobody knows where it began anew. */
int64_t gw__meter_between(const struct gw__meter *m, const int64_t before[GW__ZONES],
                          const int64_t after[GW__ZONES]);

struct gw__energy { /* of one model; zero-initialise */
    double joules, tokens;
    int64_t tries;
};
void gw__energy_learn(struct gw__energy *e, double joules, double tokens);
/* Nanojoules that 1,000 tokens take; -1: too little was measured. */
int64_t gw__energy_rate(const struct gw__energy *e);
json_t *gw__energy_save(const struct gw__energy *e); /* the caller owns */
void gw__energy_load(struct gw__energy *e, const json_t *saved);

struct gw__energy_mark { /* of one try */
    int64_t at[GW__ZONES];
    uint64_t number; /* of its try; 0: its model is not on this machine */
    bool alone;
};
/* try.c: begin when it was sent; measured when it ended well; end in any case. */
struct gw__try;
void gw__energy_begin(struct gw__try *t);
void gw__energy_measured(struct gw__try *t);
void gw__energy_end(struct gw__try *t);

#endif

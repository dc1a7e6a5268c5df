/* Golden sets of any bytes: what is read has the form that was promised, and can be scored; what is
 * refused names its line. Statements of any text against any text. */
#include "backend/eval/match.h"
#include "backend/eval/score.h"
#include "backend/eval/set.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    json_t *cases = eval_set_read((const char *)data, size, &e), *one;
    size_t i;
    BUG_IF((cases == NULL) != (e.code != ERR_OK));
    BUG_IF(!cases && e.code == ERR_INVALID && !strstr(e.detail, "line ") &&
           !strstr(e.detail, "no case"));
    json_array_foreach(cases, i, one)
    {
        json_t *trace =
            json_pack("{s:s,s:O}", "state", "done", "answer", json_object_get(one, "question"));
        json_t *row = trace ? eval_score(one, trace) : NULL;
        BUG_IF(row && (json_num(row, "score", -1) < 0 || json_num(row, "score", 2) > 1));
        json_decref(row);
        json_decref(trace);
    }
    json_decref(cases);
    char *text = xstrndup((const char *)data, size), *half = text + strlen(text) / 2;
    struct eval_said *said = eval_said_new(text);
    eval_stands(said, half, EVAL_EXPECTED_COVER, false);
    BUG_IF(!eval_numbers_in("", text));
    eval_numbers_in(half, text);
    eval_said_free(said);
    free(text);
    return 0;
}

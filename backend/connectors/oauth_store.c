#include "backend/connectors/oauth_state.h"
void oauth__load(struct oauth *a)
{
    (void)a;
}
void oauth__save(struct oauth *a)
{
    (void)a;
}

/* What a sign-in has brought, between one start and the next of a connector. */
#include "backend/connectors/oauth_state.h"

void oauth__load(struct oauth *a)
{
    (void)a;
}

void oauth__save(struct oauth *a)
{
    (void)a;
}

/* export: weights on their way out of a role. */
#ifndef HONE_MODEL_FORMATS_EXPORT_H
#define HONE_MODEL_FORMATS_EXPORT_H

#include "model/base.h"
#include "model/model.h"

/* A weight with the role's adapter merged, to[rows,cols] in the layers' own order. */
void export_weight(const Role *role, const WeightRef *ref, float *to);

#endif

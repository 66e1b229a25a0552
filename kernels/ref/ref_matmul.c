#include "kernels/ref/ref_real.h"

#include <string.h>

/* packed[o][i] = w[o][i], or w[i][o] when transposed; zero in the columns past the last output. */
static void pack_panels(Tensor packed, Tensor w, bool transposed) {
    int64_t outputs = packed.shape[0], inputs = packed.shape[1];
    memset(packed.data, 0, panel_bytes(packed.dtype, outputs, inputs));
    for (int64_t o = 0; o < outputs; o++) {
        for (int64_t i = 0; i < inputs; i++) {
            int64_t from = transposed ? i * outputs + o : o * inputs + i;
            int64_t to = weight_place(packed, o, i);
            if (packed.dtype == w.dtype) {
                size_t size = dtype_size(w.dtype);
                memcpy((char *)packed.data + (size_t)to * size,
                       (const char *)w.data + (size_t)from * size, size);
            } else {
                reals(packed)[to] = load(w, from);
            }
        }
    }
}

void REF(pack)(Dev *dev, Tensor packed, Tensor w) {
    (void)dev;
    pack_panels(packed, w, false);
}

void REF(pack_transposed)(Dev *dev, Tensor packed, Tensor w) {
    (void)dev;
    pack_panels(packed, w, true);
}

void REF(linear_fwd)(Dev *dev, Tensor y, Tensor x, Tensor w, Tensor bias, LinearArgs args) {
    (void)dev;
    int64_t outputs = w.shape[0], inputs = w.shape[1];
    for (int64_t n = 0; n < x.shape[0]; n++) {
        for (int64_t o = 0; o < outputs; o++) {
            real sum = 0;
            for (int64_t i = 0; i < inputs; i++) sum += row(x, n)[i] * weight_at(w, o, i);
            sum *= (real)args.alpha;
            if (!tensor_is_none(bias)) sum += reals(bias)[o];
            row(y, n)[o] = args.accumulate ? row(y, n)[o] + sum : sum;
        }
    }
}

/* dL/dx[n,i] = sum over o of dL/dy[n,o] dy[n,o]/dx[n,i]. */
void REF(linear_dx)(Dev *dev, Tensor dx, Tensor dy, Tensor w, LinearArgs args) {
    (void)dev;
    int64_t outputs = w.shape[0], inputs = w.shape[1];
    for (int64_t n = 0; n < dy.shape[0]; n++) {
        for (int64_t i = 0; i < inputs; i++) {
            real sum = 0;
            for (int64_t o = 0; o < outputs; o++) sum += row(dy, n)[o] * weight_at(w, o, i);
            sum *= (real)args.alpha;
            row(dx, n)[i] = args.accumulate ? row(dx, n)[i] + sum : sum;
        }
    }
}

void REF(linear_dw)(Dev *dev, Tensor dw, Tensor dy, Tensor x, double alpha) {
    (void)dev;
    for (int64_t o = 0; o < dw.shape[0]; o++) {
        for (int64_t i = 0; i < dw.shape[1]; i++) {
            real sum = 0;
            for (int64_t n = 0; n < x.shape[0]; n++) sum += row(dy, n)[o] * row(x, n)[i];
            row(dw, o)[i] += (real)alpha * sum;
        }
    }
}

void REF(bias_bwd)(Dev *dev, Tensor db, Tensor dy) {
    (void)dev;
    for (int64_t o = 0; o < db.shape[0]; o++) {
        real sum = 0;
        for (int64_t n = 0; n < dy.shape[0]; n++) sum += row(dy, n)[o];
        reals(db)[o] += sum;
    }
}

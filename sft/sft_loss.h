/* sft_loss: next-token losses as token losses (model/model.h).
 *
 * NLL:  L = -sum log p(label) / n, n = labels of the whole optimizer step (all micro-batches and
 * ranks), so that accumulation is exactly one large batch. `chunked_nll` and `nll` are this; the
 * head is always chunked. With label smoothing log p(label) is the smoothed target's (PassOptions),
 * as Transformers' LabelSmoother has it. DFT:  L = -sum sg(p) log p / n (dynamic fine-tuning: the
 * probability is a constant for the gradient).
 */
#ifndef HONE_SFT_SFT_LOSS_H
#define HONE_SFT_SFT_LOSS_H

#include <math.h>

typedef enum SftLossKind { SFT_NLL, SFT_DFT } SftLossKind;

/* Sums over labels; TRL's metrics are made of them (sft_metrics). */
typedef struct SftSums {
    double loss;    /* scaled: adds up to the loss of the step */
    double entropy; /* nats */
    double correct; /* argmax is the label */
    double labels;
} SftSums;

/* One label with log-probability `logp`; scale = 1/n. Returns dL/dlogp. */
static inline double sft_token_loss(SftLossKind kind, double logp, double scale, SftSums *sums) {
    double weight = kind == SFT_DFT ? exp(logp) : 1.0;
    sums->loss -= weight * logp * scale;
    sums->labels += 1.0;
    return -weight * scale;
}

#endif

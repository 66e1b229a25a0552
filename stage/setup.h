/* setup: opening what a config names: device, tokenizer, data, model.
 *
 * The three programs and `hone` walk the same way from a Config to open things; each step is one
 * call here, so that a main reads as the list of its steps. Whatever is opened belongs to the
 * caller.
 */
#ifndef HONE_STAGE_SETUP_H
#define HONE_STAGE_SETUP_H

#include "data/batch.h"
#include "data/dataset.h"
#include "data/template.h"
#include "data/tokenizer/tokenizer.h"
#include "model/model.h"
#include "stage/place.h"
#include "train/config/config.h"
#include "train/run.h"

/* "auto" takes a CUDA device when there is one, else the CPU; logs which and its instruction set.
 */
Status setup_device(Dev **out, const RunConfig *run);

/* model.tokenizer, else the model's own folder; `data.eos_token` is checked by the data set. */
Status setup_tokenizer(Tokenizer **out, const Config *cfg);

/* data.chat_template_path, else the tokenizer's own; *out is NULL when there is none. */
Status setup_template(ChatTemplate **out, const Config *cfg, const Tokenizer *tok);

/* data.train or data.eval as a data set of `kind`; *out stays NULL when the list is empty. `what`
 * is "train" or "eval": the split looked for in folders and the name in the log. encoder_decoder:
 * rows for such a model (dataset.h). */
Status setup_dataset(Dataset **out, const Config *cfg, DatasetKind kind, bool encoder_decoder,
                     const char *what, const Tokenizer *tok, const ChatTemplate *tpl);

/* Tokens of the longest sequence of a data set (either side of a pair); 0 for NULL. */
int64_t setup_longest(const Dataset *data);

/* ERR_CONFIG when sequences of `longest` tokens are more than the positions that the model has
 * learned. `how` ends the message: what to lower. */
Status setup_check_positions(const Base *base, int64_t longest, const char *how);

/* Order of the training data: batch sizes, accumulation, seed. One rank. */
BatchOrder setup_order(const Config *cfg, const Dataset *data);

/* max_steps, else num_train_epochs times the steps of an epoch, rounded up as the Trainer does. */
int64_t setup_total_steps(const Config *cfg, int64_t steps_per_epoch);

/* Pass options from training.*; `dropout`: whether the stage leaves the model's dropout on. */
PassOptions setup_pass_options(const Config *cfg, bool dropout);

/* How the model is trained: the base itself, or an adapter over a frozen one. */
typedef struct Trainee {
    ModelPlace place; /* where it came from; base is NULL for random weights */
    Base *base;
    Adapter *adapter; /* NULL: full fine-tuning */
} Trainee;

/* model.path (with its adapter), model.adapter, model.config, peft: the model to be trained.
 *   no peft, no adapter     base trainable
 *   peft                    frozen base, a new LoRA
 *   an adapter              frozen base, that LoRA goes on being trained (with or without peft)
 * takes_source: it may be an encoder-decoder. */
Status setup_trainee(Trainee *out, Dev *dev, const Config *cfg, const char *task_type,
                     bool takes_source);
/* base_decoder_start of that model. */
Status setup_decoder_start(int32_t *out, const Config *cfg);
void trainee_close(Trainee *t);
/* Parameters of base or adapter, whichever is trained. */
void trainee_params(ParamList *list, Trainee *t);

/* How frozen bases are quantized, by the quantization section. */
QuantOptions setup_quant(const Config *cfg);

/* LoRA options of the peft section. */
LoraOptions setup_lora(const Config *cfg, const char *task_type);

/* How the frozen weights of `folder` are stored: as asked for; auto is what most of them have in
 * their file (float32 where that is no float type of ours, or there is no folder). */
DType setup_dtype(ModelDtype wanted, const char *folder);

/* ERR_DATA when the tokenizer has ids that the model's table does not: names both sizes. */
Status setup_check_vocab(const Base *base, const Tokenizer *tok);

/* Adds weights, adapter and gradients to the plan, and who uses them. */
void setup_plan_trainee(MemoryPlan *plan, const Trainee *t, const char *role);

/* Registers model, tokenizer and data of a run with their digests, and the facts that run.json
 * shows. */
Status setup_inputs(Run *run, const Config *cfg, const Trainee *t, const Tokenizer *tok,
                    const Dataset *train);

/* What the stage made, into the open folder of final/: the adapter in PEFT form (with the head), or
 * the whole model; and the tokenizer's files. */
Status setup_export(const Trainee *t, Head *head, const Tokenizer *tok, const char *folder);

#endif

#include "tools/verbs.h"

#include <stddef.h>

const Verb verbs[] = {
    {"run", "an experiment: stages in order, over seeds", hone_run},
    {"score", "log-probs of texts, or scores of a reward model", hone_score},
    {"generate", "samples of prompts", hone_generate},
    {"tokenize", "text to ids and back", hone_tokenize},
    {"chat-template", "conversations as the model sees them", hone_chat_template},
    {"train-tokenizer", "a byte-level BPE from text", hone_train_tokenizer},
    {"init", "a model folder with random weights", hone_init},
    {"merge", "an adapter into its base", hone_merge},
    {"export", "a model for other programs: a folder, a GGUF file", hone_export},
    {"chat", "talk to a model, or to two side by side", hone_chat},
    {"inspect", "what is in a run, a checkpoint, a model, a file of tensors", hone_inspect},
    {"verify", "are a run's checkpoints and result what was written", hone_verify},
    {"report", "one page over runs", hone_report},
    {"schema", "the JSON Schema of a stage's config, for editors", hone_schema},
    {NULL, NULL, NULL},
};

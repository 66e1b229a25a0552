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
    {"schema", "the JSON Schema of a stage's config, for editors", hone_schema},
    {NULL, NULL, NULL},
};
